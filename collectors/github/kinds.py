"""The kinds of records that the GitHub collector yields, and the parts of tables that its coverage and gaps name."""

from __future__ import annotations

from collectors.definitions import KINDS as DEFINITIONS

KINDS: dict[str, frozenset[str]] = {
    "accounts": frozenset(("github-organization", "github-repository")),
    "identities": DEFINITIONS["identities"]
    | frozenset(
        (
            "github-action",
            "github-app-installation",
            "github-deploy-key",
            "github-hosted-runner",
            "github-invitation",
            "github-machine-user",
            "github-runner",
            "github-team",
            "github-user",
            "github-webhook",
            "github-workflow",
        )
    ),
    "credentials": frozenset(
        (
            "app-installation",  # its tokens expire after an hour; the App's private key is never visible
            "app-token",
            "classic-pat",
            "deploy-key",
            "fine-grained-pat",
            "fine-grained-pat-request",  # not approved yet
            "gpg-key",
            "oauth-token",
            "ssh-key",
            "webhook-secret",
        )
    ),
    "secrets": DEFINITIONS["secrets"]
    | frozenset(
        (
            "github-actions",
            "github-agents",
            "github-codespaces",
            "github-dependabot",
            "github-scanning-alert",  # a secret that GitHub found in a repository's history
            "github-variable",
        )
    ),
    "controls": frozenset(
        (
            "action-sha-pinning",
            "actions-disabled",
            "allowed-actions",
            "base-permission",
            "branch-protection",  # of the default branch
            "build-attestation",
            "environment-approval",
            "environment-branch-policy",
            "environment-custom-rule",
            "environment-wait-timer",
            "fork-pr-approval",
            "oidc-subject-template",
            "outside-collaborator-invitation",
            "protected-branch",  # of another branch, or a protection that requires nothing
            "push-protection",
            "repository-runners",
            "ruleset",  # its target is `branch-other` if it does not protect the default branch
            "runner-group",
            "secret-scanning",
            "selected-actions",
            "two-factor-requirement",
            "deploy-key-creation",
            "private-fork-creation",
            "public-repository-creation",
            "visibility-change",
            "webhook-signature",
            "webhook-tls",
            "workflow-approval",
            "workflow-token-default",
        )
    ),
    "weaknesses": DEFINITIONS["weaknesses"],
}

PARTS: dict[str, frozenset[str]] = {
    "accounts": frozenset(("owner",)),
    "controls": frozenset(("branch-protection-bypass", "ruleset-bypass")),
    "coverage": frozenset(("audit-log", "carried-forward")),
    "credentials": frozenset(("oauth-app",)),
    "grants": frozenset(
        (
            "classic-pat",
            "fine-grained-pat",
            "github-app-installation",
            "github-custom-repository-role",
            "github-deploy-key",
            "github-organization-role",
            "github-repository-role",
            "github-team",
            "github-user",
            "github-workflow",
        )
    ),
    "identities": frozenset(("github-user-mfa",)),
    "links": frozenset(("github-team", "github-workflow")),
    "secrets": frozenset(("archived-repository", "repository-codespaces-and-agents")),
}

HIDES_NO_ACCESS: dict[str, frozenset[str]] = {
    "credentials": frozenset(("gpg-key", "webhook-secret")),
    "identities": frozenset(("github-user-mfa", "github-webhook")),
    "secrets": frozenset(
        (
            "archived-repository",  # archived repositories run no workflows
            "github-agents",
            "github-codespaces",
            "github-scanning-alert",
            "repository-codespaces-and-agents",
        )
    ),
}
"""Workflows receive Actions secrets, and Dependabot's:
https://docs.github.com/en/actions/reference/security/secrets"""
