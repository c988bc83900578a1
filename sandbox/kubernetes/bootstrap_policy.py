"""The roles and bindings that an API server of version 1.36 creates for itself, in a short notation of our own.

One line is one rule: verbs, a space, resources (``@`` and names restrict them, ``in`` and groups follow where the group is not
the core one). ``read`` and ``write`` stand for the usual verbs. Names and rules are those of
https://kubernetes.io/docs/reference/access-authn-authz/rbac/#default-roles-and-role-bindings; each has the label
``kubernetes.io/bootstrapping=rbac-defaults``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.kubernetes.authorization import RBAC
from sandbox.kubernetes.resource_types import NEW

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox.kit.http import Json
    from sandbox.kubernetes.cluster import Cluster

_LABEL = {"kubernetes.io/bootstrapping": "rbac-defaults"}
_UPDATED = {"rbac.authorization.kubernetes.io/autoupdate": "true"}
_AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-"
_VERBS = {
    "read": ["get", "list", "watch"],
    "write": ["create", "delete", "deletecollection", "patch", "update"],
    "event": ["create", "patch", "update"],
}
_EVENTS = "event events in ,events.k8s.io"

_TO_VIEW = """
read configmaps,endpoints,persistentvolumeclaims,persistentvolumeclaims/status,pods,replicationcontrollers,replicationcontrollers/scale,serviceaccounts,services,services/status
read bindings,events,limitranges,namespaces/status,pods/log,pods/status,replicationcontrollers/status,resourcequotas,resourcequotas/status
read namespaces
read endpointslices in discovery.k8s.io
read controllerrevisions,daemonsets,daemonsets/status,deployments,deployments/scale,deployments/status,replicasets,replicasets/scale,replicasets/status,statefulsets,statefulsets/scale,statefulsets/status in apps
read horizontalpodautoscalers,horizontalpodautoscalers/status in autoscaling
read cronjobs,cronjobs/status,jobs,jobs/status in batch
read daemonsets,daemonsets/status,deployments,deployments/scale,deployments/status,ingresses,ingresses/status,networkpolicies,replicasets,replicasets/scale,replicasets/status,replicationcontrollers/scale in extensions
read poddisruptionbudgets,poddisruptionbudgets/status in policy
read ingresses,ingresses/status,networkpolicies in networking.k8s.io
"""
_TO_EDIT = """
read pods/attach,pods/exec,pods/portforward,pods/proxy,secrets,services/proxy
impersonate serviceaccounts
write pods,pods/attach,pods/exec,pods/portforward,pods/proxy
create pods/eviction
write configmaps,events,persistentvolumeclaims,replicationcontrollers,replicationcontrollers/scale,secrets,serviceaccounts,services,services/proxy
create serviceaccounts/token
write daemonsets,deployments,deployments/rollback,deployments/scale,replicasets,replicasets/scale,statefulsets,statefulsets/scale in apps
write horizontalpodautoscalers in autoscaling
write cronjobs,jobs in batch
write daemonsets,deployments,deployments/rollback,deployments/scale,ingresses,networkpolicies,replicasets,replicasets/scale,replicationcontrollers/scale in extensions
write poddisruptionbudgets in policy
write ingresses,networkpolicies in networking.k8s.io
write,read leases in coordination.k8s.io
"""
_TO_ADMIN = f"""
create localsubjectaccessreviews in authorization.k8s.io
write,read rolebindings,roles in {RBAC}
"""
_SYSTEM: dict[str, str] = {
    "auth-delegator": """
        create tokenreviews in authentication.k8s.io
        create subjectaccessreviews in authorization.k8s.io""",
    "basic-user": """
        create selfsubjectaccessreviews,selfsubjectrulesreviews in authorization.k8s.io
        create selfsubjectreviews in authentication.k8s.io""",
    "certificates.k8s.io:certificatesigningrequests:nodeclient": "create certificatesigningrequests/nodeclient in certificates.k8s.io",
    "certificates.k8s.io:certificatesigningrequests:selfnodeclient": "create certificatesigningrequests/selfnodeclient in certificates.k8s.io",
    "certificates.k8s.io:kube-apiserver-client-approver": "approve signers@kubernetes.io/kube-apiserver-client in certificates.k8s.io",
    "certificates.k8s.io:kube-apiserver-client-kubelet-approver": "approve signers@kubernetes.io/kube-apiserver-client-kubelet in certificates.k8s.io",
    "certificates.k8s.io:kubelet-serving-approver": "approve signers@kubernetes.io/kubelet-serving in certificates.k8s.io",
    "certificates.k8s.io:legacy-unknown-approver": "approve signers@kubernetes.io/legacy-unknown in certificates.k8s.io",
    "discovery": "get url:/api,/api/*,/apis,/apis/*,/healthz,/livez,/openapi,/openapi/*,/readyz,/version,/version/",
    "heapster": """
        read events,namespaces,nodes,pods
        read deployments in extensions""",
    "kube-aggregator": "read endpoints,services",
    "kube-controller-manager": f"""
        {_EVENTS}
        create leases in coordination.k8s.io
        get,update leases@kube-controller-manager in coordination.k8s.io
        create secrets,serviceaccounts
        delete secrets
        get configmaps,namespaces,secrets,serviceaccounts
        update secrets,serviceaccounts
        create tokenreviews in authentication.k8s.io
        create subjectaccessreviews in authorization.k8s.io
        list,watch * in *
        create serviceaccounts/token""",
    "kube-dns": "list,watch endpoints,services",
    "kube-scheduler": f"""
        {_EVENTS}
        create leases in coordination.k8s.io
        get,update leases@kube-scheduler in coordination.k8s.io
        read nodes
        delete,read pods
        create bindings,pods/binding
        patch,update pods/status
        read replicationcontrollers,services
        read replicasets in apps,extensions
        read statefulsets in apps
        read poddisruptionbudgets in policy
        read persistentvolumeclaims,persistentvolumes
        create tokenreviews in authentication.k8s.io
        create subjectaccessreviews in authorization.k8s.io
        read csinodes,csidrivers,csistoragecapacities in storage.k8s.io
        read namespaces""",
    "kubelet-api-admin": """
        read nodes
        proxy nodes
        * nodes/log,nodes/metrics,nodes/proxy,nodes/stats""",
    "monitoring": "get url:/healthz,/healthz/*,/livez,/livez/*,/metrics,/metrics/slis,/readyz,/readyz/*",
    "node": """
        create tokenreviews in authentication.k8s.io
        create localsubjectaccessreviews,subjectaccessreviews in authorization.k8s.io
        read services
        create,read nodes
        patch,update nodes/status
        patch,update nodes
        event events
        read pods
        create,delete pods
        patch,update pods/status
        create pods/eviction
        read configmaps,secrets
        get persistentvolumeclaims,persistentvolumes
        get endpoints
        create,read certificatesigningrequests in certificates.k8s.io
        create,delete,get,patch,update leases in coordination.k8s.io
        get volumeattachments in storage.k8s.io
        create serviceaccounts/token
        get,patch,update persistentvolumeclaims/status
        read csidrivers in storage.k8s.io
        create,delete,get,patch,update csinodes in storage.k8s.io
        read runtimeclasses in node.k8s.io""",
    "node-bootstrapper": "create,read certificatesigningrequests in certificates.k8s.io",
    "node-problem-detector": f"""
        get nodes
        patch nodes/status
        {_EVENTS}""",
    "node-proxier": f"""
        list,watch endpoints,services
        read nodes
        {_EVENTS}
        list,watch endpointslices in discovery.k8s.io""",
    "persistent-volume-provisioner": f"""
        create,delete,read persistentvolumes
        read,update persistentvolumeclaims
        read storageclasses in storage.k8s.io
        watch events
        {_EVENTS}""",
    "public-info-viewer": "get url:/healthz,/livez,/readyz,/version,/version/",
    "service-account-issuer-discovery": "get url:/.well-known/openid-configuration,/openid/v1/jwks",
    "volume-scheduler": """
        read,patch,update persistentvolumes
        read storageclasses in storage.k8s.io
        read,patch,update persistentvolumeclaims""",
}
"""Roles whose names begin with ``system:``."""
_CONTROLLERS: dict[str, str] = {
    "attachdetach-controller": "list,watch persistentvolumeclaims,persistentvolumes,pods\nread nodes\npatch,update nodes/status\ncreate,delete,read volumeattachments in storage.k8s.io\nread csidrivers,csinodes in storage.k8s.io",
    "certificate-controller": "delete,read certificatesigningrequests in certificates.k8s.io\nupdate certificatesigningrequests/approval,certificatesigningrequests/status in certificates.k8s.io\napprove signers@kubernetes.io/kube-apiserver-client-kubelet in certificates.k8s.io\nsign signers@kubernetes.io/kube-apiserver-client,kubernetes.io/kube-apiserver-client-kubelet,kubernetes.io/kubelet-serving,kubernetes.io/legacy-unknown in certificates.k8s.io\ncreate subjectaccessreviews in authorization.k8s.io",
    "clusterrole-aggregation-controller": f"escalate,read,patch,update clusterroles in {RBAC}",
    "cronjob-controller": "read,update cronjobs in batch\ncreate,delete,read,patch,update jobs in batch\nupdate cronjobs/status,cronjobs/finalizers in batch\ndelete,list,watch pods",
    "daemon-set-controller": "read daemonsets in apps,extensions\nupdate daemonsets/status,daemonsets/finalizers in apps,extensions\nlist,watch nodes\ncreate,delete,list,patch,watch pods\ncreate pods/binding\ncreate,delete,read,patch,update controllerrevisions in apps",
    "deployment-controller": "read,update deployments in apps,extensions\nupdate deployments/status,deployments/finalizers in apps,extensions\ncreate,delete,read,patch,update replicasets in apps,extensions\nread,update pods",
    "disruption-controller": "read deployments,replicasets in apps,extensions\nread replicationcontrollers\nread poddisruptionbudgets in policy\nread statefulsets in apps\nupdate poddisruptionbudgets/status in policy\npatch,update pods/status\nget */scale in *",
    "endpoint-controller": "read pods,services\ncreate,delete,read,update endpoints\ncreate endpoints/restricted",
    "endpointslice-controller": "read nodes,pods,services\nupdate services/finalizers\ncreate,delete,read,update endpointslices in discovery.k8s.io",
    "endpointslicemirroring-controller": "read endpoints,services\nupdate services/finalizers,endpoints/finalizers\ncreate,delete,read,update endpointslices in discovery.k8s.io",
    "ephemeral-volume-controller": "read pods\nupdate pods/finalizers\ncreate,read persistentvolumeclaims",
    "expand-controller": "read,patch,update persistentvolumes\npatch,update persistentvolumeclaims/status\nread persistentvolumeclaims",
    "generic-garbage-collector": "delete,read,patch,update * in *",
    "horizontal-pod-autoscaler": "read horizontalpodautoscalers in autoscaling\nupdate horizontalpodautoscalers/status in autoscaling\nget,update */scale in *\nlist,watch pods\nlist,watch pods in metrics.k8s.io\nread * in custom.metrics.k8s.io,external.metrics.k8s.io",
    "job-controller": "read,patch,update jobs in batch\nupdate jobs/status,jobs/finalizers in batch\ncreate,delete,list,patch,watch pods",
    "legacy-service-account-token-cleaner": "get configmaps@kube-apiserver-legacy-service-account-token-tracking\ndelete,patch secrets",
    "namespace-controller": "delete,read namespaces\nupdate namespaces/finalize,namespaces/status\ndelete,deletecollection,read * in *",
    "node-controller": "delete,read,patch,update nodes\npatch,update nodes/status,pods/status\ndelete,read pods",
    "persistent-volume-binder": "create,delete,read,update persistentvolumes\nupdate persistentvolumes/status\nread,update persistentvolumeclaims\nupdate persistentvolumeclaims/status\ncreate,delete,read pods\nread storageclasses in storage.k8s.io\nlist,watch nodes\nwatch events",
    "pod-garbage-collector": "delete,list,watch pods\nread nodes\npatch pods/status",
    "pv-protection-controller": "read,update persistentvolumes",
    "pvc-protection-controller": "read,update persistentvolumeclaims\nupdate persistentvolumeclaims/status\nread pods",
    "replicaset-controller": "read,update replicasets in apps,extensions\nupdate replicasets/status,replicasets/finalizers in apps,extensions\ncreate,delete,list,patch,watch pods",
    "replication-controller": "read,update replicationcontrollers\nupdate replicationcontrollers/status,replicationcontrollers/finalizers\ncreate,delete,list,patch,watch pods",
    "resourcequota-controller": "list,watch * in *\nupdate resourcequotas/status",
    "root-ca-cert-publisher": "create,update configmaps",
    "route-controller": "list,watch nodes\npatch nodes/status",
    "selinux-warning-controller": "read persistentvolumes,persistentvolumeclaims,pods\nread csidrivers in storage.k8s.io",
    "service-account-controller": "create serviceaccounts",
    "service-cidrs-controller": "read,patch,update servicecidrs in networking.k8s.io\npatch,update servicecidrs/finalizers,servicecidrs/status in networking.k8s.io\nread ipaddresses in networking.k8s.io",
    "service-controller": "read services\npatch,update services/status\nlist,watch nodes",
    "statefulset-controller": "list,watch pods\nread statefulsets in apps\nupdate statefulsets/status,statefulsets/finalizers in apps\ncreate,delete,get,patch,update pods\ncreate,delete,read,patch,update controllerrevisions in apps\ncreate,read,delete,update persistentvolumeclaims\nupdate pods/finalizers",
    "ttl-after-finished-controller": "delete,read jobs in batch",
    "ttl-controller": "list,patch,update,watch nodes",
    "validatingadmissionpolicy-status-controller": "read validatingadmissionpolicies in admissionregistration.k8s.io\nget,patch,update validatingadmissionpolicies/status in admissionregistration.k8s.io",
    "volumeattributesclass-protection-controller": "read persistentvolumeclaims,persistentvolumes\nread,update volumeattributesclasses in storage.k8s.io",
}
"""``system:controller:NAME``, bound to the service account ``kube-system/NAME``. Each also writes events."""
_SINCE_NEW = {
    "selinux-warning-controller",
    "service-cidrs-controller",
    "volumeattributesclass-protection-controller",
}
_BINDINGS: dict[str, tuple[str, ...]] = {
    "cluster-admin": ("Group system:masters",),
    "system:basic-user": ("Group system:authenticated",),
    "system:discovery": ("Group system:authenticated",),
    "system:kube-controller-manager": ("User system:kube-controller-manager",),
    "system:kube-dns": ("ServiceAccount kube-system/kube-dns",),
    "system:kube-scheduler": ("User system:kube-scheduler",),
    "system:monitoring": ("Group system:monitoring",),
    "system:node": (),
    "system:node-proxier": ("User system:kube-proxy",),
    "system:public-info-viewer": ("Group system:authenticated", "Group system:unauthenticated"),
    "system:service-account-issuer-discovery": ("Group system:serviceaccounts",),
    "system:volume-scheduler": ("User system:kube-scheduler",),
}
"""Role -> subjects, of bindings with the role's name."""
_LEADER = "create,get,list,update,watch leases,leasecandidates in coordination.k8s.io"
_ROLES: dict[tuple[str, str], tuple[str, tuple[str, ...]]] = {
    ("kube-public", "system:controller:bootstrap-signer"): (
        f"read configmaps\nupdate configmaps@cluster-info\n{_EVENTS}",
        ("ServiceAccount kube-system/bootstrap-signer",),
    ),
    ("kube-system", "extension-apiserver-authentication-reader"): (
        "read configmaps@extension-apiserver-authentication",
        ("User system:kube-controller-manager", "User system:kube-scheduler"),
    ),
    ("kube-system", "system::leader-locking-kube-controller-manager"): (
        _LEADER,
        ("User system:kube-controller-manager", "ServiceAccount kube-system/kube-controller-manager"),
    ),
    ("kube-system", "system::leader-locking-kube-scheduler"): (
        _LEADER,
        ("User system:kube-scheduler", "ServiceAccount kube-system/kube-scheduler"),
    ),
    ("kube-system", "system:controller:bootstrap-signer"): (
        "read secrets",
        ("ServiceAccount kube-system/bootstrap-signer",),
    ),
    ("kube-system", "system:controller:cloud-provider"): (
        "create,read configmaps",
        ("ServiceAccount kube-system/cloud-provider",),
    ),
    ("kube-system", "system:controller:token-cleaner"): (
        f"delete,read secrets\n{_EVENTS}",
        ("ServiceAccount kube-system/token-cleaner",),
    ),
}
"""Roles of namespaces: rules, and the subjects of the binding with the role's name."""


def rules(lines: str) -> list[Json]:
    """Return the rules of a role in this module's notation."""
    return [_rule(line.strip()) for line in lines.strip().splitlines()]


def _rule(line: str) -> Json:
    verbs, _, rest = line.partition(" ")
    spelled = sorted({one for verb in verbs.split(",") for one in _VERBS.get(verb, [verb])})
    if rest.startswith("url:"):
        return {"verbs": spelled, "nonResourceURLs": rest.removeprefix("url:").split(",")}
    resources, _, groups = rest.partition(" in ")
    resources, _, names = resources.partition("@")
    assert " " not in resources + groups + names, line
    rule: Json = {"verbs": spelled, "apiGroups": groups.split(","), "resources": resources.split(",")}
    return {**rule, "resourceNames": names.split(",")} if names else rule


def subjects(written: Iterable[str]) -> list[Json]:
    """Return the subjects of a binding: ``Group NAME``, ``User NAME`` or ``ServiceAccount NAMESPACE/NAME``."""
    found: list[Json] = []
    for one in written:
        kind, _, name = one.partition(" ")
        if kind == "ServiceAccount":
            namespace, _, account = name.partition("/")
            found.append({"kind": kind, "name": account, "namespace": namespace})
        else:
            found.append({"kind": kind, "apiGroup": RBAC, "name": name})
    return found


def role(cluster: Cluster, name: str, lines: str, namespace: str = "", **more: Any) -> None:
    """Add a Role, or a ClusterRole without a namespace."""
    kind = "Role" if namespace else "ClusterRole"
    cluster.add(f"{RBAC}/v1", kind, name, namespace, rules=rules(lines), **more)


def bind(cluster: Cluster, name: str, to: str, *written: str, namespace: str = "", **more: Any) -> None:
    """Bind subjects to a role, ``ClusterRole NAME`` or ``Role NAME``: in a namespace or everywhere."""
    kind, _, called = to.partition(" ")
    body: Json = {"roleRef": {"apiGroup": RBAC, "kind": kind, "name": called}}
    if written:
        body["subjects"] = subjects(written)
    cluster.add(
        f"{RBAC}/v1", "RoleBinding" if namespace else "ClusterRoleBinding", name, namespace, **body, **more
    )


def add_bootstrap_policy(cluster: Cluster, created: float) -> None:
    """Add what an API server creates when it first starts."""
    given: Json = {"created": created, "labels": _LABEL, "annotations": _UPDATED}
    role(cluster, "cluster-admin", "* * in *\n* url:*", **given)
    view, edit, admin = _TO_VIEW, _TO_EDIT, _TO_ADMIN
    for name, lines, into in (("view", view, "view"), ("edit", edit, "edit"), ("admin", admin, "admin")):
        labels = {**_LABEL, f"{_AGGREGATE}{into}": "true"}
        role(cluster, f"system:aggregate-to-{name}", lines, **{**given, "labels": labels})
    # The controller manager writes the union of what is selected into them.
    for name, lines, upwards in (
        ("view", view, "edit"),
        ("edit", edit + view, "admin"),
        ("admin", admin + edit + view, ""),
    ):
        labels = {**_LABEL, **({f"{_AGGREGATE}{upwards}": "true"} if upwards else {})}
        selector = {"clusterRoleSelectors": [{"matchLabels": {f"{_AGGREGATE}{name}": "true"}}]}
        union = "\n".join(line for line in lines.splitlines() if line)
        role(cluster, name, union, **{**given, "labels": labels}, aggregationRule=selector)
    for name, lines in _SYSTEM.items():
        role(cluster, f"system:{name}", lines, **given)
    for name, written in _BINDINGS.items():
        bind(cluster, name, f"ClusterRole {name}", *written, **given)
    for name, lines in _CONTROLLERS.items():
        if name in _SINCE_NEW and cluster.version != NEW:
            continue
        full = f"system:controller:{name}"
        role(cluster, full, f"{lines}\n{_EVENTS}", **given)
        bind(cluster, full, f"ClusterRole {full}", f"ServiceAccount kube-system/{name}", **given)
        cluster.add("v1", "ServiceAccount", name, "kube-system", created=created)
    for (namespace, name), (lines, written) in _ROLES.items():
        role(cluster, name, lines, namespace, **given)
        bind(cluster, name, f"Role {name}", *written, namespace=namespace, **given)
    for name in ("bootstrap-signer", "token-cleaner"):
        cluster.add("v1", "ServiceAccount", name, "kube-system", created=created)
