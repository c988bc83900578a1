"""The kinds of records that the Azure collector yields, and the parts of tables that its coverage and gaps name."""

from __future__ import annotations

KINDS: dict[str, frozenset[str]] = {
    "accounts": frozenset(("azure-management-group", "azure-subscription", "azure-tenant")),
    "identities": frozenset(
        (
            "aks-cluster",
            "automation-account",
            "azure-resource",  # of another type that has an identity
            "azure-vm",
            "containerapp",
            "functionapp",
            "logic-app",
            "user-assigned-identity",
            "webapp",
        )
    ),
    "credentials": frozenset(("registry-admin-user", "storage-account-key")),
    "policies": frozenset(("deny-assignment", "role-condition", "role-definition")),
    "controls": frozenset(
        ("aks-local-accounts", "app-configuration-local-auth", "deny-assignment", "key-vault-rbac")
    ),
}

PARTS: dict[str, frozenset[str]] = {
    "grants": frozenset(("eligible-role", "key-vault-access-policy", "role-assignment")),
    "links": frozenset(("runs_as",)),
}
