"""What the simulated API servers serve: groups, versions and resources, by version of the server.

https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.36/ and, for custom resources, the definitions that each
product installs.
"""

from __future__ import annotations

import msgspec

OLD, NEW = "1.30", "1.36"
VERSIONS = (NEW, OLD)
"""The versions that can be served."""
_READ = ("get", "list", "watch")
_VERBS = ("create", "delete", "deletecollection", *_READ, "patch", "update")


class ResourceType(msgspec.Struct, frozen=True, kw_only=True):
    """One resource of one version of a group."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    short: tuple[str, ...] = ()
    custom: bool = False
    """Defined by a CustomResourceDefinition."""
    since: str = OLD
    """The first version of the server that has it."""

    @property
    def root(self) -> str:
        """Path of its group and version: ``/api/v1``, ``/apis/apps/v1``."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def key(self) -> str:
        """Its name in errors and rules: ``pods``, ``deployments.apps``."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def described(self) -> dict[str, object]:
        """Return its entry of an ``APIResourceList``."""
        entry: dict[str, object] = {
            "name": self.plural,
            "singularName": self.kind.lower(),
            "namespaced": self.namespaced,
            "kind": self.kind,
            "verbs": list(_VERBS),
            "storageVersionHash": f"{abs(sum(map(ord, self.key))):08x}"[:8] + "AAA=",
        }
        return {**entry, "shortNames": list(self.short)} if self.short else entry


def _several(
    group: str, version: str, lines: str, *, custom: bool = False, since: str = OLD
) -> list[ResourceType]:
    """Read lines of ``plural Kind [short,...] [cluster]``."""
    found = []
    for line in lines.strip().splitlines():
        plural, kind, *rest = line.split()
        namespaced = "cluster" not in rest
        short = tuple(name for word in rest if word != "cluster" for name in word.split(","))
        found.append(
            ResourceType(
                group=group,
                version=version,
                plural=plural,
                kind=kind,
                namespaced=namespaced,
                short=short,
                custom=custom,
                since=since,
            )
        )
    return found


_BUILT_IN = (
    *_several(
        "",
        "v1",
        """
        configmaps ConfigMap cm
        endpoints Endpoints ep
        events Event ev
        limitranges LimitRange limits
        namespaces Namespace ns cluster
        nodes Node no cluster
        persistentvolumeclaims PersistentVolumeClaim pvc
        persistentvolumes PersistentVolume pv cluster
        pods Pod po
        replicationcontrollers ReplicationController rc
        resourcequotas ResourceQuota quota
        secrets Secret
        serviceaccounts ServiceAccount sa
        services Service svc
        """,
    ),
    *_several(
        "apps",
        "v1",
        """
        controllerrevisions ControllerRevision
        daemonsets DaemonSet ds
        deployments Deployment deploy
        replicasets ReplicaSet rs
        statefulsets StatefulSet sts
        """,
    ),
    *_several("batch", "v1", "cronjobs CronJob cj\njobs Job"),
    *_several("networking.k8s.io", "v1", "ingresses Ingress ing\nnetworkpolicies NetworkPolicy netpol"),
    *_several(
        "rbac.authorization.k8s.io",
        "v1",
        """
        clusterrolebindings ClusterRoleBinding cluster
        clusterroles ClusterRole cluster
        rolebindings RoleBinding
        roles Role
        """,
    ),
    *_several(
        "admissionregistration.k8s.io",
        "v1",
        """
        mutatingwebhookconfigurations MutatingWebhookConfiguration cluster
        validatingadmissionpolicies ValidatingAdmissionPolicy cluster
        validatingadmissionpolicybindings ValidatingAdmissionPolicyBinding cluster
        validatingwebhookconfigurations ValidatingWebhookConfiguration cluster
        """,
    ),
    *_several(
        "admissionregistration.k8s.io",
        "v1",
        """
        mutatingadmissionpolicies MutatingAdmissionPolicy cluster
        mutatingadmissionpolicybindings MutatingAdmissionPolicyBinding cluster
        """,
        since=NEW,
    ),
    *_several(
        "certificates.k8s.io", "v1", "certificatesigningrequests CertificateSigningRequest csr cluster"
    ),
    *_several("certificates.k8s.io", "v1beta1", "clustertrustbundles ClusterTrustBundle cluster", since=NEW),
    *_several(
        "apiextensions.k8s.io",
        "v1",
        "customresourcedefinitions CustomResourceDefinition crd,crds cluster",
    ),
)
_CUSTOM = (
    *_several(
        "kyverno.io",
        "v1",
        "clusterpolicies ClusterPolicy cpol cluster\npolicies Policy pol",
        custom=True,
    ),
    *_several("kyverno.io", "v2", "policyexceptions PolicyException polex", custom=True),
    *_several(
        "policies.kyverno.io",
        "v1",
        "imagevalidatingpolicies ImageValidatingPolicy ivpol cluster\nvalidatingpolicies ValidatingPolicy vpol cluster",
        custom=True,
        since=NEW,
    ),
    *_several(
        "constraints.gatekeeper.sh", "v1beta1", "k8srequiredlabels K8sRequiredLabels cluster", custom=True
    ),
    *_several(
        "external-secrets.io",
        "v1",
        """
        clusterexternalsecrets ClusterExternalSecret ces cluster
        clustersecretstores ClusterSecretStore css cluster
        externalsecrets ExternalSecret es
        secretstores SecretStore ss
        """,
        custom=True,
    ),
    *_several("secrets-store.csi.x-k8s.io", "v1", "secretproviderclasses SecretProviderClass", custom=True),
    *_several("bitnami.com", "v1alpha1", "sealedsecrets SealedSecret", custom=True),
    *_several(
        "cert-manager.io",
        "v1",
        "certificates Certificate cert,certs\nclusterissuers ClusterIssuer cluster\nissuers Issuer",
        custom=True,
    ),
    *_several(
        "argoproj.io",
        "v1alpha1",
        """
        applications Application app,apps
        applicationsets ApplicationSet appset,appsets
        appprojects AppProject appproj,appprojs
        rollouts Rollout ro
        """,
        custom=True,
    ),
    *_several("kustomize.toolkit.fluxcd.io", "v1", "kustomizations Kustomization ks", custom=True),
    *_several("helm.toolkit.fluxcd.io", "v2", "helmreleases HelmRelease hr", custom=True),
    *_several(
        "policy.sigstore.dev", "v1beta1", "clusterimagepolicies ClusterImagePolicy cip cluster", custom=True
    ),
    *_several("actions.github.com", "v1alpha1", "autoscalingrunnersets AutoscalingRunnerSet", custom=True),
)
ALL: tuple[ResourceType, ...] = (*_BUILT_IN, *_CUSTOM)


def served(version: str, custom_groups: frozenset[str]) -> tuple[ResourceType, ...]:
    """Return the resources of a server: the built-in ones of its version, and the custom ones of these groups."""
    return tuple(
        one
        for one in ALL
        if (one.since == OLD or version == NEW) and (not one.custom or one.group in custom_groups)
    )


def type_of(api_version: str, kind: str) -> ResourceType:
    """Return the resource that objects of a kind are stored under. Raises LookupError."""
    for one in ALL:
        if (one.api_version, one.kind) == (api_version, kind):
            return one
    raise LookupError(f"{api_version} {kind}")
