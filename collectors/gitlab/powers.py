"""What GitLab's roles and scopes allow, in the words of `scanner.records.Power`.

https://docs.gitlab.com/user/permissions/ https://docs.gitlab.com/user/profile/personal_access_tokens/#personal-access-token-scopes
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanner.records import POWERS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scanner.records import Power

ROLES = {
    0: "No access",
    5: "Minimal access",
    10: "Guest",
    15: "Planner",
    20: "Reporter",
    25: "Security manager",
    30: "Developer",
    40: "Maintainer",
    50: "Owner",
    60: "Administrator",
}
GUEST, REPORTER, DEVELOPER, MAINTAINER, OWNER, ADMIN = 10, 20, 30, 40, 50, 60

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
}


def _ordered(powers: Iterable[Power]) -> list[Power]:
    have = set(powers)
    return [power for power in POWERS if power in have]


def of_role(level: int) -> list[Power]:
    """Return what a role allows where it is held: of a group, in all its projects.

    Maintainers read CI/CD variables, secret or not, and change what runners and protected branches deliver.
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
    """Return what a token's scopes allow, at most what its holder's role allows (None where that is not known).

    ``api`` is everything that the role may do; ``read_api`` reads, the values of CI/CD variables included where the
    role may.
    """
    held = of_role(level) if level is not None else of_role(MAINTAINER)
    can: set[Power] = set()
    for scope in scopes:
        if scope == "api":
            can.update(held or ["read"])
        elif scope == "read_api":
            can.add("read-data")
            if "read-secrets" in held:
                can.add("read-secrets")
        else:
            can |= set(_SCOPES.get(scope, ("read",)))
    return _ordered(can)
