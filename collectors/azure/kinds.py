"""The kinds of records that the Azure collector yields, and the parts of tables that its coverage and gaps name."""

from __future__ import annotations

KINDS: dict[str, frozenset[str]] = {
    "accounts": frozenset(("aks-cluster", "azure-management-group", "azure-subscription", "azure-tenant")),
    "identities": frozenset(
        (
            "aks-cluster",
            "aks-service-account",
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
            "lighthouse-principal",
            "logic-app",
            "machine-learning-workspace",
            "policy-assignment",
            "registry-token",
            "static-web-app",
            "user-assigned-identity",
            "webapp",
        )
    ),
    "credentials": frozenset(
        (
            "aks-admin-certificate",
            "automation-webhook",
            "certificate",
            "function-host-key",
            "registry-admin-user",
            "registry-token",
            "storage-account-key",
        )
    ),
    "secrets": frozenset(
        (
            "app-connection-string",
            "app-setting",
            "automation-certificate",
            "automation-connection",
            "automation-credential",
            "automation-variable",
            "containerapp-env",
            "containerapp-secret",
            "key-vault-key",
            "key-vault-secret",
            "logic-app-connection",
        )
    ),
    "trusts": frozenset(("lighthouse", "oidc")),
    "policies": frozenset(("deny-assignment", "federated-credential", "role-condition", "role-definition")),
    "controls": frozenset(
        (
            "aks-entra-sign-in",
            "aks-local-accounts",
            "aks-run-command-off",
            "aks-workload-identity",
            "app-service-basic-auth-off",
            "app-configuration-local-auth",
            "deny-assignment",
            "devops-pool-fresh-agents",
            "devops-pool-projects",
            "key-vault-firewall",
            "key-vault-rbac",
            "local-auth-off",
            "policy-assignment",
            "registry-admin-user-off",
            "registry-anonymous-pull-off",
            "registry-repository-roles",
            "role-activation",
            "storage-sas-expiry",
            "storage-shared-key-off",
        )
    ),
}

PARTS: dict[str, frozenset[str]] = {
    "grants": frozenset(
        (
            "activated-role",
            "eligible-role",
            "key-vault-access-policy",
            "lighthouse",
            "registry-token",
            "role-assignment",
        )
    ),
    "links": frozenset(("can_become", "runs_as")),
}
