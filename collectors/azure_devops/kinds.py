"""The kinds of records that the Azure DevOps collector yields, and the parts of tables that its coverage and gaps name."""

from __future__ import annotations

from collectors.definitions import KINDS as DEFINITIONS

KINDS: dict[str, frozenset[str]] = {
    "accounts": frozenset(("ado-organization", "ado-project", "ado-repository")),
    "identities": frozenset(
        (
            "ado-agent-pool",
            "ado-build-service",
            "ado-deployment-group",
            "ado-extension",
            "ado-group",  # one that a permission names
            "ado-group-rule",
            "ado-pipeline",
            "ado-release",
            "ado-service-connection",
            "ado-service-hook",
            "ado-service-principal",
            "ado-user",
        )
    ),
    "credentials": frozenset(("ado-pat", "ado-ssh-key")),
    "secrets": DEFINITIONS["secrets"]
    | frozenset(
        (
            "ado-pipeline-variable",
            "ado-release-variable",
            "ado-scanning-alert",
            "ado-secure-file",
            "ado-service-connection",
            "ado-variable-group",
        )
    ),
    "controls": frozenset(
        (
            "audit-stream",
            "authorized-pipelines",
            "branch-control",
            "branch-protection",
            "build-validation",
            "elastic-pool-recycling",
            "environment-approval",
            "feed-upstream",
            "fork-secrets",
            "job-authorization-scope",
            "organization-policy",
            "pipeline-authorization",
            "push-protection",
            "release-approval",
            "release-gate",
            "required-template",
            "resource-approval",
            "resource-check",
            "secret-scanning",
            "settable-variables",
            "tenant-policy",
            "webhook-signature",
            "webhook-tls",
        )
    ),
    "weaknesses": DEFINITIONS["weaknesses"],
}

PARTS: dict[str, frozenset[str]] = {
    "accounts": frozenset(("project-count",)),
    "controls": frozenset(("enablement", "policy-bypass")),
    "coverage": frozenset(("audit-log", "carried-forward")),
    "identities": frozenset(("last-use",)),
    "links": frozenset(
        (
            "access",
            "ado-pipeline",
            "ado-release",
            "ado-service-connection",
            "ado-service-principal",
            "ado-task-group",
            "authorized",
            "entra-group",
            "member_of",
            "runs-as",
        )
    ),
    "grants": frozenset(("access-lists", "feeds", "permission-bits", "permissions")),
}

HIDES_NO_ACCESS: dict[str, frozenset[str]] = {
    "controls": frozenset(
        (
            "audit-stream",
            "build-validation",
            "enablement",
            "feed-upstream",
            "organization-policy",
            "policy-bypass",
            "push-protection",
            "secret-scanning",
            "tenant-policy",
            "webhook-signature",
            "webhook-tls",
        )
    ),
    "credentials": frozenset(("ado-pat", "ado-ssh-key")),
    "identities": frozenset(
        (
            "ado-agent-pool",
            "ado-deployment-group",
            "ado-group-rule",
            "ado-service-hook",
            "ado-user",
            "last-use",
        )
    ),
    "secrets": frozenset(("ado-scanning-alert",)),
}
"""When a connection was used; people and their tokens, whose permissions are a gap of their own; and guards that no pipeline or
workload gets access from."""
