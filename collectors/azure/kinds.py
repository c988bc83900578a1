"""The kinds of records that the Azure collector yields, and the parts of tables that its coverage and gaps name."""

from __future__ import annotations

KINDS: dict[str, frozenset[str]] = {
    "accounts": frozenset(("aks-cluster", "azure-management-group", "azure-subscription", "azure-tenant")),
    "identities": frozenset(
        (
            "aks-cluster",
            "arc-machine",
            "automation-account",
            "azure-resource",  # of another type that has an identity
            "azure-vm",
            "azure-vm-scale-set",
            "container-instance",
            "containerapp",
            "containerapp-job",
            "deployment-script",
            "devops-pool",
            "functionapp",
            "logic-app",
            "machine-learning-workspace",
            "static-web-app",
            "user-assigned-identity",
            "webapp",
        )
    ),
    "credentials": frozenset(("aks-admin-certificate", "registry-admin-user", "storage-account-key")),
    "policies": frozenset(("deny-assignment", "role-condition", "role-definition")),
    "controls": frozenset(
        (
            "aks-entra-sign-in",
            "aks-local-accounts",
            "aks-run-command-off",
            "aks-workload-identity",
            "app-configuration-local-auth",
            "deny-assignment",
            "key-vault-firewall",
            "key-vault-rbac",
            "local-auth-off",
            "registry-admin-user-off",
            "registry-anonymous-pull-off",
            "role-activation",
            "storage-sas-expiry",
            "storage-shared-key-off",
        )
    ),
}

PARTS: dict[str, frozenset[str]] = {
    "grants": frozenset(("activated-role", "eligible-role", "key-vault-access-policy", "role-assignment")),
    "links": frozenset(("can_become", "runs_as")),
}
