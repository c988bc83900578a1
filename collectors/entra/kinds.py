"""The kinds of records that the Entra collector yields, and the parts of tables that its coverage and gaps name."""

from __future__ import annotations

KINDS: dict[str, frozenset[str]] = {
    "accounts": frozenset(("entra-tenant",)),
    "identities": frozenset(
        (
            "entra-agent",
            "entra-agent-blueprint",
            "entra-agent-user",
            "entra-application",  # registered, without a service principal in this tenant
            "entra-group",  # one that can hold a directory role, or that contains a service principal
            "entra-managed-identity",
            "entra-principal",  # of a type that is not known here
            "entra-service-principal",
            "entra-user",  # one that owns an application or holds a directory role
        )
    ),
    "credentials": frozenset(("client-certificate", "client-secret")),
    "trusts": frozenset(("federated-domain", "oidc")),
    "policies": frozenset(("app-roles", "directory-role", "federated-credential")),
    "controls": frozenset(
        (
            "app-certificate-lifetime",
            "app-instance-lock",
            "app-registration-by-users",
            "app-secret-addition",
            "app-secret-lifetime",
            "cross-tenant-mfa-trust",
            "cross-tenant-partner",
            "guest-access",
            "guest-invitation",
            "user-consent",
            "workload-conditional-access",
        )
    ),
}

PARTS: dict[str, frozenset[str]] = {
    "controls": frozenset(("app-credential-exemption", "consent-policy")),
    "credentials": frozenset(("credential-changes", "sign-in-activity")),
    "grants": frozenset(
        (
            "administrative-unit",
            "app-role",
            "delegated",
            "directory-role",
            "eligible-directory-role",
            "eligible-group",
            "inherited-app-role",
            "inherited-delegated",
            "role-end",
        )
    ),
    "identities": frozenset(("risk", "role-members", "sign-in-activity")),
    "links": frozenset(
        (
            "agents",
            "blueprints",
            "group-owners",
            "membership-end",
            "memberships",
            "owners",
            "role-members",
            "role-over-application",
        )
    ),
}

HIDES_NO_ACCESS: dict[str, frozenset[str]] = {
    "controls": frozenset(("app-credential-exemption", "consent-policy")),
    "credentials": frozenset(("credential-changes", "sign-in-activity")),
    "grants": frozenset(("administrative-unit", "role-end")),
    "identities": frozenset(("risk", "sign-in-activity")),
    "links": frozenset(("membership-end",)),
}
"""When something was used or ends, or whether it is at risk, and not what it may do."""
