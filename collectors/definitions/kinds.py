"""The kinds of records that pipeline definitions yield: those of local checkouts, and of any definition."""

from __future__ import annotations

KINDS: dict[str, frozenset[str]] = {
    "accounts": frozenset(("checkout",)),
    "identities": frozenset(("ci-pipeline",)),
    "secrets": frozenset(("ci-file",)),
    "weaknesses": frozenset(
        (
            "archived-uses",
            "artifact-poisoning",
            "artipacked",
            "bot-conditions",
            "cache-poisoning",
            "confused-deputy-auto-merge",
            "dangerous-triggers",
            "debug-enabled",
            "duplicate-key",
            "excessive-permissions",
            "github-app",
            "github-app-key",
            "github-env",
            "hardcoded-container-credentials",
            "insecure-commands",
            "known-vulnerable-uses",
            "oidc-without-permission",
            "overprovisioned-secrets",
            "reverse-shell",
            "secrets-in-command-line",
            "secrets-in-output",
            "secrets-in-workflow-env",
            "secrets-inherit",
            "secrets-outside-env",
            "self-hosted-runner",
            "static-cloud-login",
            "template-injection",
            "third-party-sees-secrets",
            "unchecked-commenter",
            "unpinned-images",
            "unpinned-include",
            "unpinned-uses",
            "unredacted-secrets",
            "unresolved-reference",
            "unsound-condition",
            "unsound-contains",
            "untrusted-checkout",
            "unverified-script",
            "use-trusted-publishing",
        )
    ),
}
"""Kinds of secrets and weaknesses are the same for all collectors; the pipeline's kind is the collector's own."""
