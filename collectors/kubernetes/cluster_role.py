"""The smallest ClusterRole of the Kubernetes collector, as a manifest."""

from __future__ import annotations

import yaml

from collectors.kubernetes import calls

BUILT_IN = (calls.CORE, calls.RBAC, calls.APPS, calls.BATCH, calls.NETWORK, calls.ADMISSION)
CUSTOM = (
    calls.KYVERNO,
    calls.KYVERNO_CEL,
    calls.POLICY_CONTROLLER,
    calls.EXTERNAL_SECRETS,
    calls.SECRETS_STORE,
    calls.SEALED,
    calls.CERT_MANAGER,
    calls.VAULT,
    calls.ARGO,
    calls.FLUX_KUSTOMIZE,
    calls.FLUX_HELM,
)
NAME = "sprawlscan-reader"


def role_text() -> str:
    """Return the manifests, with what they are for."""
    rules = [*_rules(BUILT_IN), {"nonResourceURLs": [calls.DISCOVERY], "verbs": ["get"]}, *_rules(CUSTOM)]
    rules.append({"apiGroups": [calls.GATEKEEPER], "resources": ["*"], "verbs": ["list"]})
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": NAME},
        "rules": rules,
    }
    subject = {"kind": "ServiceAccount", "name": "sprawlscan", "namespace": "sprawlscan"}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": NAME},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": NAME},
        "subjects": [subject],
    }
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": subject["name"], "namespace": subject["namespace"]},
        "automountServiceAccountToken": False,
    }
    manifests = "---\n".join(yaml.safe_dump(one, sort_keys=False) for one in (account, role, binding))
    return f"{_HEAD}{manifests}{_FOOT}"


def _rules(several: tuple[dict[str, calls.Resource], ...]) -> list[dict[str, list[str]]]:
    """Return one rule for each group. Secrets are left out: to list them is to read them."""
    rules = []
    for resources in several:
        names = sorted(name for name in resources if name != "secrets")
        group = next(iter(resources.values())).group
        rules.append({"apiGroups": [group], "resources": names, "verbs": ["list"]})
    return rules


_HEAD = """\
# ClusterRole of sprawlscan. It writes nothing: GET, and one POST that asks what the scanner may list
# (selfsubjectaccessreviews, which system:basic-user gives everyone who is signed in).
# kubectl create namespace sprawlscan; then save this as sprawlscan.yaml and run kubectl apply -f sprawlscan.yaml
"""
_FOOT = """\
# A token for a scanner outside the cluster, renewed each night:
#   kubectl create token sprawlscan --namespace sprawlscan --duration 8h
# Optional. Names, types and ages of Secrets (`secrets: true`): list on secrets. This right is the right to read their values,
# which the scanner never asks for; without it, Secrets are known by what refers to them.
#   kubectl create clusterrole sprawlscan-secrets --verb=list --resource=secrets
#   kubectl create clusterrolebinding sprawlscan-secrets --clusterrole=sprawlscan-secrets --serviceaccount=sprawlscan:sprawlscan
# Amazon EKS with the map of IAM roles in a ConfigMap: who may sign in
#   kubectl create role sprawlscan-aws-auth --namespace kube-system --verb=get --resource=configmaps --resource-name=aws-auth
#   kubectl create rolebinding sprawlscan-aws-auth --namespace kube-system --role=sprawlscan-aws-auth --serviceaccount=sprawlscan:sprawlscan
# Never grant get or watch on secrets, or the role edit, admin or cluster-admin: none is needed.
"""
