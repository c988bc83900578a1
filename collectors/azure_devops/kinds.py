"""The kinds of records that the Azure DevOps collector yields, and the parts of tables that its coverage and gaps name."""

from __future__ import annotations

from collectors.definitions import KINDS as DEFINITIONS

KINDS: dict[str, frozenset[str]] = {
    "accounts": frozenset(("ado-organization", "ado-project", "ado-repository")),
    "identities": frozenset(
        (
            "ado-agent-pool",
            "ado-build-service",
            "ado-group",  # one that a permission names
            "ado-pipeline",
            "ado-release",
            "ado-service-connection",
            "ado-service-principal",
            "ado-user",
        )
    ),
    "secrets": DEFINITIONS["secrets"]
    | frozenset(
        (
            "ado-pipeline-variable",
            "ado-release-variable",
            "ado-secure-file",
            "ado-service-connection",
            "ado-variable-group",
        )
    ),
    "controls": frozenset(
        (
            "branch-control",
            "branch-protection",
            "elastic-pool-recycling",
            "environment-approval",
            "fork-secrets",
            "job-authorization-scope",
            "pipeline-authorization",
            "release-approval",
            "required-template",
            "resource-approval",
            "resource-check",
            "settable-variables",
        )
    ),
    "weaknesses": DEFINITIONS["weaknesses"],
}

PARTS: dict[str, frozenset[str]] = {
    "identities": frozenset(("last-use",)),
    "links": frozenset(
        (
            "access",
            "ado-pipeline",
            "ado-release",
            "ado-service-connection",
            "ado-service-principal",
            "entra-group",
            "member_of",
            "runs-as",
        )
    ),
    "grants": frozenset(("access-lists", "permission-bits", "permissions")),
}

HIDES_NO_ACCESS: dict[str, frozenset[str]] = {
    "identities": frozenset(("ado-agent-pool", "ado-user", "last-use"))
}
"""When a connection was used, and people, whose permissions are a gap of their own."""
