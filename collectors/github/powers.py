"""What GitHub's roles and permissions allow, as `scanner.records.Power`.

https://docs.github.com/en/rest/authentication/permissions-required-for-github-apps
https://docs.github.com/en/organizations/managing-user-access-to-your-organizations-repositories/managing-repository-roles/repository-roles-for-an-organization
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scanner.records import POWERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from scanner.records import Power

_WRITE: dict[str, tuple[Power, ...]] = {
    "administration": ("admin", "grant-access"),
    "organization_administration": ("admin", "grant-access"),
    "members": ("grant-access",),
    "organization_custom_roles": ("grant-access",),
    "organization_custom_org_roles": ("grant-access",),
    "organization_personal_access_tokens": ("grant-access",),
    "organization_personal_access_token_requests": ("grant-access",),
    "environments": ("grant-access", "change-delivery"),
    "id_token": ("become-other",),
    "contents": ("change-delivery", "read-data"),
    "workflows": ("change-delivery",),
    "workflow": ("change-delivery",),
    "actions": ("change-delivery",),
    "packages": ("change-delivery", "read-data"),
    "checks": ("change-delivery",),
    "statuses": ("change-delivery",),
    "attestations": ("change-delivery",),
    "pull_requests": ("change-delivery",),
    "merge_queues": ("change-delivery",),
    "secrets": ("change-delivery",),
    "actions_variables": ("change-delivery",),
    "variables": ("change-delivery",),
    "dependabot_secrets": ("change-delivery",),
    "codespaces_secrets": ("change-delivery",),
    "organization_secrets": ("change-delivery",),
    "organization_dependabot_secrets": ("change-delivery",),
    "organization_actions_variables": ("change-delivery",),
    "organization_self_hosted_runners": ("change-delivery",),
    "repository_hooks": ("change-delivery", "read-data"),
    "organization_hooks": ("change-delivery", "read-data"),
    "security_events": ("change-data",),
    "secret_scanning_alerts": ("read-secrets", "change-data"),
    "deployments": ("deploy",),
    "pages": ("deploy",),
}
_READ: dict[str, tuple[Power, ...]] = {
    "contents": ("read-data",),
    "packages": ("read-data",),
    "secret_scanning_alerts": ("read-secrets",),
}
_ROLES: dict[str, tuple[Power, ...]] = {
    "admin": ("admin", "grant-access", "change-delivery", "deploy", "read-data"),
    "maintain": ("change-delivery", "deploy", "change-data", "read-data"),
    "write": ("change-delivery", "deploy", "change-data", "read-data"),
    "push": ("change-delivery", "deploy", "change-data", "read-data"),
    "triage": ("change-data", "read-data"),
    "read": ("read-data",),
    "pull": ("read-data",),
}
_SCOPES: dict[str, tuple[Power, ...]] = {
    "admin:org": ("admin", "grant-access"),
    "site_admin": ("admin",),
    "admin:enterprise": ("admin", "grant-access"),
    "write:org": ("grant-access",),
    "delete_repo": ("change-data",),
    "repo": ("change-delivery", "deploy", "change-data", "read-data"),
    "public_repo": ("change-delivery",),
    "repo_deployment": ("deploy",),
    "workflow": ("change-delivery",),
    "write:packages": ("change-delivery",),
    "delete:packages": ("change-data",),
    "admin:org_hook": ("change-delivery", "read-data"),
    "admin:repo_hook": ("change-delivery", "read-data"),
    "write:repo_hook": ("change-delivery", "read-data"),
    "admin:public_key": ("become-other",),
    "write:public_key": ("become-other",),
    "security_events": ("read-secrets",),
}


_REPOSITORY_PERMISSIONS: dict[str, tuple[Power, ...]] = {
    "bypass_branch_protection": ("change-delivery",),
    "push_protected_branch": ("change-delivery",),
    "edit_repo_protections": ("change-delivery",),
    "edit_repo_custom_properties_values": ("change-delivery",),
    "create_tag": ("change-delivery",),
    "delete_tag": ("change-delivery",),
    "jump_merge_queue": ("change-delivery",),
    "create_solo_merge_queue_entry": ("change-delivery",),
    "manage_deploy_keys": ("grant-access",),
    "manage_webhooks": ("change-delivery", "read-data"),
    "manage_settings_pages": ("deploy",),
    "view_secret_scanning_alerts": ("read-secrets",),
    "resolve_secret_scanning_alerts": ("read-secrets", "change-data"),
    "write_repository_actions_environments": ("grant-access", "change-delivery"),
    "write_repository_actions_runners": ("change-delivery",),
    "write_repository_actions_secrets": ("change-delivery",),
    "write_repository_actions_settings": ("change-delivery",),
    "write_repository_actions_variables": ("change-delivery",),
}
"""Permissions that a custom role adds to its base role, as of 2026-11-30. One that is not here counts by its first word.

https://docs.github.com/en/enterprise-cloud@latest/organizations/managing-user-access-to-your-organizations-repositories/managing-repository-roles/about-custom-repository-roles
"""


def _ordered(powers: Iterable[Power]) -> list[Power]:
    have = set(powers)
    return [power for power in POWERS if power in have]


def of_permissions(permissions: Mapping[str, str]) -> list[Power]:
    """Return what App, fine-grained token or GITHUB_TOKEN permissions allow: ``{"contents": "write"}``.

    An unknown permission counts by its level only.
    """
    powers: set[Power] = set()
    for name, level in permissions.items():
        key = name.replace("-", "_")
        match level:
            case "write" | "admin":
                powers |= set(_WRITE.get(key, ("change-data",)))
            case "read":
                powers |= set(_READ.get(key, ("read",)))
            case _:
                continue
    return _ordered(powers)


def strongest(permissions: Mapping[str, str]) -> list[str]:
    """Return at most ten permissions (``contents:write``), write permissions first."""
    ranked = sorted(permissions.items(), key=lambda item: (item[1] not in {"admin", "write"}, item[0]))
    return [f"{name}:{level}" for name, level in ranked[:10]]


def of_role(role: str) -> list[Power]:
    """Return what a repository role allows; nothing (unknown) for a custom role whose base role is not known."""
    return _ordered(_ROLES.get(role.lower(), ()))


def of_custom_role(role: Mapping[str, Any]) -> list[Power]:
    """Return what a custom repository role allows: ``{"base_role": "read", "permissions": ["manage_webhooks"]}``."""
    can: set[Power] = set(of_role(str(role["base_role"])))
    for permission in role.get("permissions") or []:
        name = str(permission)
        reads = name.split("_", 1)[0] in {"read", "view"}
        can |= set(_REPOSITORY_PERMISSIONS.get(name, ("read",) if reads else ("change-data",)))
    return _ordered(can)


def of_scopes(scopes: Iterable[str]) -> list[Power]:
    """Return what the scopes of a classic token allow."""
    powers: set[Power] = set()
    for scope in scopes:
        powers |= set(_SCOPES.get(scope, ("read",)))
    return _ordered(powers)


def of_organization_role(role: Mapping[str, Any]) -> list[Power]:
    """Return what an organization role allows, by its base repository role and its permissions."""
    can: set[Power] = set(of_role(str(role.get("base_role") or "")))
    if role.get("name") == "security_manager":
        # https://docs.github.com/en/organizations/managing-peoples-access-to-your-organization-with-roles/managing-security-managers-in-your-organization
        can |= {"read-secrets", "change-data"}
    for permission in role.get("permissions") or []:
        if str(permission) in _REPOSITORY_PERMISSIONS:
            can |= set(_REPOSITORY_PERMISSIONS[str(permission)])
            continue
        if "secret_scanning" in str(permission):
            can.add("read-secrets")
        match str(permission).split("_", 1)[0]:
            case "write" | "manage" | "edit" if "role" in permission or "member" in permission:
                can.add("grant-access")
            case "write" | "manage" | "edit":
                can.add("change-delivery")
            case _:
                can.add("read")
    return _ordered(can)
