"""The kinds of records that the GitLab collector yields, and the parts of tables that its coverage and gaps name."""

from __future__ import annotations

from collectors.definitions import KINDS as DEFINITIONS

KINDS: dict[str, frozenset[str]] = {
    "accounts": frozenset(("gitlab-group", "gitlab-instance", "gitlab-project")),
    "identities": frozenset(
        (
            "gitlab-agent",
            "gitlab-application",
            "gitlab-bot",
            "gitlab-deploy-key",
            "gitlab-deploy-token",
            "gitlab-group",  # all members of a group, as one that is invited elsewhere
            "gitlab-integration",
            "gitlab-pipeline",
            "gitlab-runner",
            "gitlab-schedule",
            "gitlab-service-account",
            "gitlab-trigger",
            "gitlab-user",
            "gitlab-webhook",
        )
    ),
    "credentials": frozenset(
        (
            "agent-token",
            "deploy-key",
            "deploy-token",
            "group-access-token",
            "impersonation-token",
            "personal-access-token",
            "project-access-token",
            "ssh-certificate",
            "trigger-token",
            "webhook-secret",
        )
    ),
    "secrets": DEFINITIONS["secrets"] | frozenset(("gitlab-schedule-variable", "gitlab-variable")),
    "controls": frozenset(
        (
            "branch-protection",  # of the default branch
            "environment-approval",
            "environment-protection",
            "job-token-group",
            "job-token-scope",
            "merge-approval",
            "protected-branch",  # of another branch
            "runner-exposure",
            "two-factor-requirement",
            "webhook-signature",
            "webhook-tls",
        )
    ),
    "weaknesses": DEFINITIONS["weaknesses"],
}

PARTS: dict[str, frozenset[str]] = {
    "controls": frozenset(("ruleset",)),
    "coverage": frozenset(("carried-forward",)),
    "credentials": frozenset(("ssh-key",)),
    "grants": frozenset(
        (
            "administrator",
            "deploy-key",
            "deploy-token",
            "gitlab-agent",
            "gitlab-pipeline",
            "group-access-token",
            "invited-group",
            "job-token",
            "member",
            "project-access-token",
            "trigger-token",
        )
    ),
    "identities": frozenset(("auto-devops", "project-service-account")),
    "links": frozenset(("gitlab-pipeline", "gitlab-schedule", "member_of")),
    "secrets": frozenset(("archived-project",)),
}

HIDES_NO_ACCESS: dict[str, frozenset[str]] = {
    "identities": frozenset(("gitlab-webhook",)),
    "secrets": frozenset(("archived-project",)),  # archived projects run no pipelines
}
