"""What every cluster has before its owners add anything: namespaces, nodes, system components, the scanner's access."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.kubernetes.bootstrap_policy import bind, role
from sandbox.kubernetes.cluster import ago, uid
from sandbox.kubernetes.pods import Template, digest
from sandbox.kubernetes.workloads import daemon_set, deployment

if TYPE_CHECKING:
    from sandbox.kubernetes.cluster import Cluster

SCANNER = "sprawlscan"
_NOT_LISTED = {
    "configmaps",
    "customresourcedefinitions.apiextensions.k8s.io",
    "endpoints",
    "events",
    "limitranges",
    "persistentvolumeclaims",
    "persistentvolumes",
    "replicationcontrollers",
    "resourcequotas",
    "services",
}
_EKS = "602401143452.dkr.ecr.eu-west-1.amazonaws.com/eks"


def namespace(cluster: Cluster, name: str, *, created: float = 300, **labels: str) -> None:
    """Add a namespace and its default service account. Labels are written ``pod_security_enforce``."""
    given = {"kubernetes.io/metadata.name": name}
    for key, value in labels.items():
        mode = key.removeprefix("pod_security_").replace("_", "-")
        given[f"pod-security.kubernetes.io/{mode}" if key.startswith("pod_security_") else key] = value
    cluster.add(
        "v1",
        "Namespace",
        name,
        created=created,
        labels=given,
        spec={"finalizers": ["kubernetes"]},
        status={"phase": "Active"},
    )
    cluster.add("v1", "ServiceAccount", "default", name, created=created)


def node(cluster: Cluster, name: str, *, created: float = 25) -> None:
    """Add a node of an EKS managed node group."""
    cluster.add(
        "v1",
        "Node",
        name,
        created=created,
        labels={
            "eks.amazonaws.com/nodegroup": "core",
            "kubernetes.io/arch": "amd64",
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": "linux",
            "node.kubernetes.io/instance-type": "m7i.large",
            "topology.kubernetes.io/region": "eu-west-1",
            "topology.kubernetes.io/zone": "eu-west-1a",
        },
        annotations={"volumes.kubernetes.io/controller-managed-attach-detach": "true"},
        spec={"providerID": f"aws:///eu-west-1a/i-{uid(name).replace('-', '')[:17]}"},
        status={
            "addresses": [
                {"type": "InternalIP", "address": "10.20.0.11"},
                {"type": "Hostname", "address": name},
            ],
            "capacity": {"cpu": "2", "memory": "7906736Ki", "pods": "29"},
            "conditions": [
                {
                    "type": "Ready",
                    "status": "True",
                    "reason": "KubeletReady",
                    "message": "kubelet is posting ready status",
                    "lastHeartbeatTime": ago(0),
                    "lastTransitionTime": ago(created),
                }
            ],
            "nodeInfo": {
                "architecture": "amd64",
                "bootID": uid(f"boot {name}"),
                "containerRuntimeVersion": "containerd://2.1.4",
                "kernelVersion": "6.12.46-66.121.amzn2023.x86_64",
                "kubeProxyVersion": "",
                "kubeletVersion": f"{cluster.git_version}-eks-3025e55",
                "machineID": uid(f"machine {name}").replace("-", ""),
                "operatingSystem": "linux",
                "osImage": "Amazon Linux 2023.9.20251014",
                "systemUUID": uid(f"system {name}"),
            },
        },
    )


def add_namespaces(cluster: Cluster, created: float) -> None:
    """Add the namespaces of a new cluster."""
    for name in ("default", "kube-node-lease", "kube-public", "kube-system"):
        namespace(cluster, name, created=created)


def add_system_components(cluster: Cluster, created: float) -> None:
    """Add what EKS runs in kube-system, with the access that its manifests give."""
    for name in ("aws-node", "coredns", "kube-proxy", "metrics-server", "eks-pod-identity-agent"):
        cluster.add("v1", "ServiceAccount", name, "kube-system", created=created)
    role(
        cluster,
        "aws-node",
        """
        read eniconfigs,policyendpoints,cninodes in crd.k8s.amazonaws.com
        list,watch,get pods,namespaces
        list,watch,get nodes
        event events in ,events.k8s.io
        """,
        created=created,
    )
    bind(cluster, "aws-node", "ClusterRole aws-node", "ServiceAccount kube-system/aws-node", created=created)
    role(
        cluster,
        "system:coredns",
        "list,watch endpoints,services,pods,namespaces\nget nodes\nlist,watch endpointslices in discovery.k8s.io",
        created=created,
        labels={"eks.amazonaws.com/component": "coredns", "k8s-app": "kube-dns"},
    )
    bind(
        cluster,
        "system:coredns",
        "ClusterRole system:coredns",
        "ServiceAccount kube-system/coredns",
        created=created,
    )
    bind(
        cluster,
        "eks:kube-proxy",
        "ClusterRole system:node-proxier",
        "ServiceAccount kube-system/kube-proxy",
        created=created,
    )
    bind(cluster, "eks:node-bootstrapper", "ClusterRole eks:node-bootstrapper", "Group system:bootstrappers", "Group system:nodes", created=created)  # fmt: skip
    role(
        cluster,
        "eks:node-bootstrapper",
        "create certificatesigningrequests/selfnodeserver in certificates.k8s.io",
        created=created,
        labels={"eks.amazonaws.com/component": "node"},
    )
    role(
        cluster,
        "system:metrics-server",
        "get nodes/metrics\nread pods,nodes",
        created=created,
        labels={"k8s-app": "metrics-server"},
    )
    metrics = "ServiceAccount kube-system/metrics-server"
    bind(cluster, "system:metrics-server", "ClusterRole system:metrics-server", metrics, created=created)
    bind(
        cluster,
        "metrics-server:system:auth-delegator",
        "ClusterRole system:auth-delegator",
        metrics,
        created=created,
    )
    bind(
        cluster,
        "metrics-server-auth-reader",
        "Role extension-apiserver-authentication-reader",
        metrics,
        namespace="kube-system",
        created=created,
    )
    on_host = {"hostNetwork": True, "priorityClassName": "system-node-critical"}
    daemon_set(
        cluster,
        "kube-system",
        "aws-node",
        Template(
            image=f"{_EKS}/amazon-k8s-cni:v1.20.4-eksbuild.2",
            account="aws-node",
            pod=on_host,
            security={"capabilities": {"add": ["NET_ADMIN", "NET_RAW"]}},
        ),
        created=created,
    )
    daemon_set(
        cluster,
        "kube-system",
        "kube-proxy",
        Template(
            image=f"{_EKS}/kube-proxy:v1.36.2-minimal-eksbuild.4",
            account="kube-proxy",
            pod=on_host,
            security={"privileged": True},
        ),
        created=created,
    )
    for name in ("coredns", "metrics-server"):
        deployment(
            cluster,
            "kube-system",
            name,
            Template(image=f"{_EKS}/{name}:v1.12.4@{digest(name)}", account=name),
            created=created,
        )
    cluster.add(
        "admissionregistration.k8s.io/v1",
        "MutatingWebhookConfiguration",
        "pod-identity-webhook",
        created=created,
        webhooks=[
            {
                "name": "iam-for-pods.amazonaws.com",
                "admissionReviewVersions": ["v1beta1"],
                "clientConfig": {"url": "https://127.0.0.1:23443/mutate"},
                "failurePolicy": "Ignore",
                "matchPolicy": "Equivalent",
                "namespaceSelector": {},
                "objectSelector": {
                    "matchExpressions": [
                        {"key": "eks.amazonaws.com/skip-pod-identity-webhook", "operator": "DoesNotExist"}
                    ]
                },
                "reinvocationPolicy": "IfNeeded",
                "rules": [
                    {
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE"],
                        "resources": ["pods"],
                        "scope": "*",
                    }
                ],
                "sideEffects": "None",
                "timeoutSeconds": 10,
            }
        ],
    )


def add_scanner(cluster: Cluster, created: float) -> None:
    """Add the scanner's service account, which may list and nothing else."""
    namespace(cluster, SCANNER, created=created, pod_security_enforce="restricted")
    cluster.add(
        "v1", "ServiceAccount", "scanner", SCANNER, created=created, automountServiceAccountToken=False
    )
    groups: dict[str, list[str]] = {}
    for one in cluster.types():
        if one.key not in _NOT_LISTED:
            groups.setdefault(one.group, []).append(one.plural)
    lines = "\n".join(
        f"list {','.join(sorted(plurals))}{f' in {group}' if group else ''}"
        for group, plurals in sorted(groups.items())
    )
    scanner = f"ServiceAccount {SCANNER}/scanner"
    role(cluster, SCANNER, lines, created=created)
    bind(cluster, SCANNER, f"ClusterRole {SCANNER}", scanner, created=created)
    role(cluster, SCANNER, "get configmaps@aws-auth", "kube-system", created=created)
    bind(cluster, SCANNER, f"Role {SCANNER}", scanner, namespace="kube-system", created=created)
