"""What GitLab's roles and scopes allow, as `scanner.records.Power`.

https://docs.gitlab.com/user/permissions/ https://docs.gitlab.com/user/profile/personal_access_tokens/#personal-access-token-scopes
https://docs.gitlab.com/user/custom_roles/abilities/ https://docs.gitlab.com/auth/tokens/fine_grained_access_tokens/
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitlab.const import AccessLevel

from scanner.records import POWERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from scanner.records import Power

ROLES: dict[int, str] = {
    AccessLevel.NO_ACCESS: "No access",
    AccessLevel.MINIMAL_ACCESS: "Minimal access",
    AccessLevel.GUEST: "Guest",
    AccessLevel.PLANNER: "Planner",
    AccessLevel.REPORTER: "Reporter",
    AccessLevel.SECURITY_MANAGER: "Security manager",
    AccessLevel.DEVELOPER: "Developer",
    AccessLevel.MAINTAINER: "Maintainer",
    AccessLevel.OWNER: "Owner",
    AccessLevel.ADMIN: "Administrator",
}
GUEST, REPORTER, DEVELOPER, MAINTAINER, OWNER, ADMIN = (
    int(level)
    for level in (
        AccessLevel.GUEST,
        AccessLevel.REPORTER,
        AccessLevel.DEVELOPER,
        AccessLevel.MAINTAINER,
        AccessLevel.OWNER,
        AccessLevel.ADMIN,
    )
)

_SCOPES: dict[str, tuple[Power, ...]] = {
    "sudo": ("become-other",),
    "admin_mode": ("admin",),
    "read_repository": ("read-data",),
    "write_repository": ("change-delivery", "read-data"),
    "read_registry": ("read-data",),
    "write_registry": ("change-delivery", "read-data"),
    "read_package_registry": ("read-data",),
    "write_package_registry": ("change-delivery", "read-data"),
    "read_virtual_registry": ("read-data",),
    "write_virtual_registry": ("change-delivery", "read-data"),
    "create_runner": ("change-delivery",),
    "manage_runner": ("change-delivery",),
    "k8s_proxy": ("deploy", "change-data", "read-data"),
    "read_api": ("read-data",),
    "read_user": ("read",),
    "mcp": ("change-delivery", "change-data", "read-data"),
}
_HARMLESS = {"openid", "profile", "email", "self_rotate"}
GRANULAR = "granular"
"""The scope of a fine-grained token. Its rights are in its permissions: ``read_job``, ``create_pipeline``."""
_CUSTOM: dict[str, tuple[Power, ...]] = {
    "admin_cicd_variables": ("read-secrets", "change-delivery"),
    "admin_terraform_state": ("read-secrets", "change-data"),
    "admin_group_member": ("grant-access",),
    "manage_group_access_tokens": ("grant-access", "become-other"),
    "manage_project_access_tokens": ("grant-access", "become-other"),
    "manage_deploy_tokens": ("grant-access", "become-other"),
    "admin_protected_branch": ("change-delivery",),
    "admin_protected_environments": ("change-delivery", "deploy"),
    "admin_merge_request": ("change-delivery",),
    "manage_merge_request_settings": ("change-delivery",),
    "admin_push_rules": ("change-delivery",),
    "admin_runners": ("change-delivery",),
    "admin_web_hook": ("change-delivery",),
    "admin_integrations": ("change-delivery",),
    "manage_security_policy_link": ("change-delivery",),
    "archive_project": ("change-data",),
    "remove_project": ("change-data",),
    "remove_group": ("change-data",),
    "destroy_package": ("change-data",),
    "read_code": ("read-data",),
    "read_agent_artifacts": ("read-data",),
    "read_virtual_registry": ("read-data",),
}
"""What the permissions of a custom role allow. Permissions that only read settings of GitLab itself are left out."""


def _ordered(powers: Iterable[Power]) -> list[Power]:
    have = set(powers)
    return [power for power in POWERS if power in have]


def of_role(level: int) -> list[Power]:
    """Return what a role allows in its project, or in all projects of its group. Maintainers read CI/CD variables,
    secret or not, and can change runners and protected branches.
    """
    if level >= OWNER:
        return _ordered(("admin", "grant-access", "read-secrets", "change-delivery", "deploy", "read-data"))
    if level >= MAINTAINER:
        return _ordered(
            ("grant-access", "read-secrets", "change-delivery", "deploy", "change-data", "read-data")
        )
    if level >= DEVELOPER:
        return _ordered(("change-delivery", "change-data", "read-data"))
    if level >= REPORTER:
        return _ordered(("read-data",))
    return _ordered(("read",)) if level > 0 else []


def of_scopes(scopes: Iterable[str], level: int | None = None) -> list[Power]:
    """Return what a token's scopes allow, limited to what its owner's role allows (None if that is unknown).

    ``api`` allows everything that the role allows; ``read_api`` only reads, including the values of CI/CD variables if
    the role allows it.
    """
    held = of_role(level) if level is not None else of_role(MAINTAINER)
    given = set(scopes)
    if GRANULAR in given:
        return _of_permissions(given - {GRANULAR}, held)
    can: set[Power] = set()
    for scope in given:
        if scope == "api":
            can.update(held or ["read"])
        elif scope == "read_api":
            can.add("read-data")
            if "read-secrets" in held:
                can.add("read-secrets")
        else:
            can |= set(_SCOPES.get(scope, ("read",)))
    return _ordered(can)


def _of_permissions(permissions: set[str], held: list[Power]) -> list[Power]:
    """Return what the permissions of a fine-grained token allow; if they are not shown, everything that its owner may
    do.
    """
    if not permissions:
        return held or ["read"]
    can: set[Power] = {"read"}
    for permission in permissions:
        action, _, subject = permission.partition("_")
        if action in {"read", "download"}:
            can |= {"read-data", "read-secrets"} if "variable" in subject else {"read-data"}
        elif any(word in subject for word in ("token", "key", "member", "service_account")):
            can.add("grant-access")
        elif any(word in subject for word in ("deployment", "environment", "cluster")):
            can.add("deploy")
        else:
            can |= {"change-delivery", "change-data"}
    return _ordered((can & set(held)) or {"read"})


def of_custom_role(level: int, role: Mapping[str, object]) -> list[Power]:
    """Return what a custom role allows: the rights of its base role, plus those of its permissions."""
    added = [power for name, has in role.items() if has is True for power in _CUSTOM.get(name, ())]
    return _ordered((*of_role(level), *added))


def read_only(scopes: Iterable[str]) -> bool | None:
    """Return whether a token with these scopes is read-only; None if a scope is unknown."""
    given = set(scopes)
    if GRANULAR in given:
        permissions = given - {GRANULAR}
        return all(one.startswith(("read_", "download_")) for one in permissions) if permissions else None
    open_ones = {one for one in given - _HARMLESS if not one.startswith("read_")}
    writing = {"api", "create_runner", "manage_runner", "k8s_proxy", "mcp", "sudo", "admin_mode"}
    if any(one in writing or one.startswith("write_") for one in open_ones):
        return False
    return None if open_ones else True
