"""The kinds of this collector's records, by table."""

from __future__ import annotations

KINDS: dict[str, frozenset[str]] = {
    "accounts": frozenset(("kubernetes-cluster", "kubernetes-namespace")),
    "identities": frozenset(
        (
            "argo-application",
            "argo-rollout",
            "cronjob",
            "custom-workload",
            "daemonset",
            "deployment",
            "flux-helm-release",
            "flux-kustomization",
            "helm-release",
            "job",
            "kubernetes-group",
            "kubernetes-node",
            "kubernetes-user",
            "pod",
            "replicaset",
            "service-account",
            "statefulset",
        )
    ),
    "credentials": frozenset(("certificate", "service-account-token")),
    "secrets": frozenset(("kubernetes-env", "kubernetes-secret", "kubernetes-secret-use")),
    "policies": frozenset(("cluster-role", "cluster-role-binding", "role", "role-binding")),
    "controls": frozenset(
        (
            "admission-policy",
            "admission-webhook",
            "argo-project-destinations",
            "image-policy",
            "network-policy",
            "pod-security",
            "secret-store-namespaces",
        )
    ),
}

PARTS: dict[str, frozenset[str]] = {
    "identities": frozenset(("token-issuer",)),
    "links": frozenset(("can_become", "deploys", "member_of", "runs_as")),
    "controls": frozenset(("policy-exception",)),
    "secrets": frozenset(("external-secret",)),
}

HIDES_NO_ACCESS: dict[str, frozenset[str]] = {"secrets": frozenset(("external-secret", "kubernetes-secret"))}
"""What a Secret is called and where it comes from; what pods get of it is read from the pods."""
