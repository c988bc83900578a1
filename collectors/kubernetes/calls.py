"""The lists that are read, as the API names them."""

from __future__ import annotations

import msgspec

SIZE = 500
"""Objects of a page, as kubectl asks for them."""
REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
VERSION = "/version"
GROUPS = "/apis"
DISCOVERY = "/.well-known/openid-configuration"
"""https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#service-account-issuer-discovery"""


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """A type of object."""

    group: str
    """Empty for the core group."""
    version: str
    """Of a custom resource: the version to use if discovery does not prefer one."""
    name: str
    """Plural, in lower case."""
    custom: bool = False
    """Whether a cluster may lack it."""

    def path(self, version: str | None = None) -> str:
        """Return the path of the list of all namespaces."""
        if not self.group:
            return f"/api/{self.version}/{self.name}"
        return f"/apis/{self.group}/{version or self.version}/{self.name}"

    @property
    def title(self) -> str:
        """The name with its group, as roles name it: ``deployments.apps``."""
        return f"{self.name}.{self.group}" if self.group else self.name


def _of(group: str, version: str, *names: str, custom: bool = False) -> dict[str, Resource]:
    return {name: Resource(group=group, version=version, name=name, custom=custom) for name in names}


CORE = _of("", "v1", "namespaces", "nodes", "pods", "secrets", "serviceaccounts")
AWS_AUTH = Resource(group="", version="v1", name="configmaps")
RBAC = _of("rbac.authorization.k8s.io", "v1", "clusterrolebindings", "clusterroles", "rolebindings", "roles")
APPS = _of("apps", "v1", "daemonsets", "deployments", "replicasets", "statefulsets")
BATCH = _of("batch", "v1", "cronjobs", "jobs")
NETWORK = _of("networking.k8s.io", "v1", "networkpolicies")
ADMISSION = _of(
    "admissionregistration.k8s.io",
    "v1",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
    "validatingwebhookconfigurations",
)
KYVERNO = _of("kyverno.io", "v1", "clusterpolicies", "policies", "policyexceptions", custom=True)
KYVERNO_CEL = _of("policies.kyverno.io", "v1", "imagevalidatingpolicies", "validatingpolicies", custom=True)
POLICY_CONTROLLER = _of("policy.sigstore.dev", "v1beta1", "clusterimagepolicies", custom=True)
GATEKEEPER = "constraints.gatekeeper.sh"
EXTERNAL_SECRETS = _of(
    "external-secrets.io",
    "v1",
    "clusterexternalsecrets",
    "clustersecretstores",
    "externalsecrets",
    "secretstores",
    custom=True,
)
SECRETS_STORE = _of("secrets-store.csi.x-k8s.io", "v1", "secretproviderclasses", custom=True)
SEALED = _of("bitnami.com", "v1alpha1", "sealedsecrets", custom=True)
CERT_MANAGER = _of("cert-manager.io", "v1", "certificates", custom=True)
VAULT = _of("secrets.hashicorp.com", "v1beta1", "vaultdynamicsecrets", "vaultstaticsecrets", custom=True)
ARGO = _of("argoproj.io", "v1alpha1", "applications", "appprojects", "rollouts", custom=True)
FLUX_KUSTOMIZE = _of("kustomize.toolkit.fluxcd.io", "v1", "kustomizations", custom=True)
FLUX_HELM = _of("helm.toolkit.fluxcd.io", "v2", "helmreleases", custom=True)
