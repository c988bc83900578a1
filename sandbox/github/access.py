"""Access control: tokens, scopes and permissions as GitHub applies them.

- https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps
- https://docs.github.com/en/rest/authentication/permissions-required-for-github-apps
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from sandbox.kit.tokens import KnownToken

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

SCOPES = {
    "admin:org": ("write:org", "read:org"),
    "write:org": ("read:org",),
    "repo": ("repo_deployment", "repo:status", "public_repo", "repo:invite", "security_events"),
    "admin:repo_hook": ("write:repo_hook", "read:repo_hook"),
    "admin:org_hook": (),
    "read:audit_log": (),
    "user": ("read:user", "user:email"),
    "workflow": (),
}
"""A classic token's scopes, and what each of them includes."""

LEVELS = {"read": 1, "write": 2, "admin": 3}

READ_ONLY_APP = {
    "metadata": "read",
    "administration": "read",
    "actions": "read",
    "contents": "read",
    "environments": "read",
    "secrets": "read",
    "actions_variables": "read",
    "dependabot_secrets": "read",
    "codespaces_secrets": "read",
    "agent_secrets": "read",
    "agent_variables": "read",
    "repository_hooks": "read",
    "deployments": "read",
    "attestations": "read",
    "secret_scanning_alerts": "read",
    "organization_administration": "read",
    "members": "read",
    "organization_secrets": "read",
    "organization_actions_variables": "read",
    "organization_dependabot_secrets": "read",
    "organization_agent_secrets": "read",
    "organization_agent_variables": "read",
    "organization_self_hosted_runners": "read",
    "organization_hooks": "read",
    "organization_personal_access_tokens": "read",
    "organization_personal_access_token_requests": "read",
    "organization_custom_org_roles": "read",
    "organization_custom_roles": "read",
}
"""What a read-only inventory App can be given. Organization rulesets and bypass actors need write, and
organization Codespaces secrets are closed to Apps: these three stay out of its reach."""

Kind = Literal["anonymous", "jwt", "installation", "fine-grained", "classic"]


class GitHubToken(KnownToken, kw_only=True, gc=False):
    """A GitHub token."""

    kind: Kind
    login: str | None = None
    """The user behind it; None for an App."""
    repositories: frozenset[str] | None = None
    """The repositories that it sees, by name; None for all."""
    installation_id: int | None = None

    def has_scope(self, wanted: AbstractSet[str]) -> bool:
        """Return whether any of the wanted scopes is granted, directly or by a broader one."""
        return any(scope in wanted or not wanted.isdisjoint(SCOPES.get(scope, ())) for scope in self.scopes)

    def may(self, permission: str, level: str = "read") -> bool:
        """Return whether a fine-grained permission is granted at this level; ``metadata`` always is."""
        if permission == "metadata" and level == "read":
            return True
        return LEVELS.get(self.permissions.get(permission, ""), 0) >= LEVELS[level]

    def sees(self, repository: str) -> bool:
        """Return whether the token has access to the repository."""
        return self.repositories is None or repository in self.repositories


class Requirement(msgspec.Struct, frozen=True, kw_only=True):
    """What a route requires."""

    permission: str | None = None
    """Fine-grained permission, ``NAME`` or ``NAME:write``; None for any token."""
    scopes: frozenset[str] = frozenset()
    """Classic scopes, of which one is enough; empty for any token."""
    apps: bool = True
    """False if GitHub does not allow App installations."""
    only_apps: bool = False
    """True if GitHub allows only App installations."""
    app_itself: bool = False
    """True for the routes that an App calls with its JWT."""
    public: bool = False
    """True if no token is needed."""

    def __str__(self) -> str:
        name, _, level = (self.permission or "metadata").partition(":")
        return f"{name}={level or 'read'}"

    def refusal(self, token: GitHubToken, *, about_repository: bool, private: bool) -> tuple[int, str] | None:
        """Return the status and message with which GitHub refuses the token, or None if it is allowed. A classic token
        that lacks a scope gets 404 for private objects and 403 for the organization's settings; fine-grained tokens and
        Apps get 403.
        """
        name, _, level = (self.permission or "metadata").partition(":")
        match token.kind:
            case "anonymous":
                if self.public:
                    return None
                return (404, "Not Found") if about_repository else (401, "Requires authentication")
            case "jwt":
                if self.app_itself:
                    return None
                return 401, "A JSON web token could not be decoded"
            case "installation":
                if self.app_itself:
                    return 401, "A JSON web token could not be decoded"
                if not self.apps or not token.may(name, level or "read"):
                    return 403, "Resource not accessible by integration"
            case "fine-grained":
                if self.app_itself:
                    return 401, "A JSON web token could not be decoded"
                if self.only_apps or not token.may(name, level or "read"):
                    return 403, "Resource not accessible by personal access token"
            case "classic":
                if self.app_itself:
                    return 401, "A JSON web token could not be decoded"
                if self.only_apps:
                    return 403, "Resource not accessible by personal access token"
                if not self.scopes or token.has_scope(self.scopes):
                    return None
                if about_repository:
                    return (404, "Not Found") if private or name != "metadata" else None
                if name == "organization_hooks":
                    return 404, "Not Found"
                return 403, "Must have admin rights to Organization."
        return None
