"""The kinds of this collector's records, by table."""

from __future__ import annotations

KINDS: dict[str, frozenset[str]] = {
    "accounts": frozenset(("kubernetes-cluster", "kubernetes-namespace")),
    "identities": frozenset(
        (
            "argo-rollout",
            "cronjob",
            "custom-workload",
            "daemonset",
            "deployment",
            "job",
            "kubernetes-group",
            "kubernetes-user",
            "pod",
            "replicaset",
            "service-account",
            "statefulset",
        )
    ),
    "credentials": frozenset(("service-account-token",)),
    "secrets": frozenset(("kubernetes-env", "kubernetes-secret", "kubernetes-secret-use")),
    "policies": frozenset(("cluster-role", "cluster-role-binding", "role", "role-binding")),
    "controls": frozenset(("pod-security",)),
}

PARTS: dict[str, frozenset[str]] = {
    "identities": frozenset(("token-issuer",)),
    "links": frozenset(("can_become", "member_of", "runs_as")),
}
