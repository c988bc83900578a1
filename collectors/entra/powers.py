"""Powers of permissions and directory roles. The lists are data: ``data/permissions.yaml``, ``data/directory_roles.yaml``."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import yaml

from scanner.records import POWERS, Power

_DATA = Path(__file__).resolve().parent / "data"
GRAPH = "00000003-0000-0000-c000-000000000000"
"""The application ID of Microsoft Graph."""


class PowerVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """The powers of a permission or role."""

    powers: tuple[Power, ...] = ()
    """Strongest first; empty if it could not be evaluated."""
    way: str | None = None
    """How it leads to Global Administrator, if it does: one sentence."""
    sure: bool = True
    """False if only the name or a label of the provider was evaluated."""


class _Api(msgspec.Struct, frozen=True, kw_only=True):
    powers: tuple[Power, ...]
    way: str | None = None


class _Role(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    powers: tuple[Power, ...]
    way: str | None = None


class _Action(msgspec.Struct, frozen=True, kw_only=True):
    action: str
    powers: tuple[Power, ...]


class _Roles(msgspec.Struct, frozen=True, kw_only=True):
    roles: dict[str, _Role]
    actions: list[_Action]


def _read(name: str) -> Any:
    return yaml.safe_load((_DATA / name).read_text(encoding="utf-8"))


@cache
def _apis() -> dict[str, dict[str, _Api]]:
    return msgspec.convert(_read("permissions.yaml")["apis"], dict[str, dict[str, _Api]])


@cache
def _roles() -> _Roles:
    read = _read("directory_roles.yaml")
    return msgspec.convert({"roles": read["roles"], "actions": read["actions"]}, _Roles)


@cache
def _patterns() -> list[tuple[re.Pattern[str], tuple[Power, ...]]]:
    return [
        (re.compile(".*".join(re.escape(part) for part in one.action.split("*")), re.IGNORECASE), one.powers)
        for one in _roles().actions
    ]


def of_permission(api: str, name: str) -> PowerVerdict:
    """Return the powers of an application permission. ``api`` is the application ID of the API that defines it.

    A permission of Microsoft Graph that is not listed is evaluated by its verb
    (https://learn.microsoft.com/graph/permissions-overview#permissions-naming-pattern); one of another API is unknown.
    """
    listed = _apis().get(api.lower(), {}).get(name)
    if listed is not None:
        return PowerVerdict(powers=listed.powers, way=listed.way)
    if api.lower() != GRAPH:
        return PowerVerdict(sure=False)
    verbs = set(name.split(".")[1:])
    if verbs & {
        "ReadWrite",
        "ReadWriteAll",
        "Write",
        "Manage",
        "Create",
        "CreateAsManager",
        "Send",
        "FullControl",
    }:
        return PowerVerdict(powers=("change-data",), sure=False)
    if verbs & {"Read", "ReadBasic", "ReadAll"}:
        return PowerVerdict(powers=("read",), sure=False)
    return PowerVerdict(powers=("change-data",), sure=False) if verbs else PowerVerdict(sure=False)


def of_delegated(api: str, scope: str) -> PowerVerdict:
    """Return the powers of a delegated permission: never more than the signed-in user may do, so one step less.

    https://learn.microsoft.com/entra/identity-platform/permissions-consent-overview
    """
    verdict = of_permission(api, scope)
    if "admin" not in verdict.powers:
        return verdict
    rest = tuple(power for power in verdict.powers if power != "admin")
    return msgspec.structs.replace(verdict, powers=rest or ("grant-access",))


def of_role(template: str, actions: list[str], *, privileged: bool | None) -> PowerVerdict:
    """Return the powers of a directory role. ``privileged`` is Microsoft's own label, a hint where nothing else is known."""
    listed = _roles().roles.get(template.lower())
    if listed is not None:
        return PowerVerdict(powers=listed.powers, way=listed.way)
    found: set[Power] = set()
    for action in actions:
        found.update(_of_action(action))
    if privileged and not found & {"admin", "grant-access", "become-other"}:
        found.add("grant-access")
        return PowerVerdict(powers=_sorted(found), sure=False)
    return PowerVerdict(powers=_sorted(found))


def _of_action(action: str) -> tuple[Power, ...]:
    for pattern, powers in _patterns():
        if pattern.fullmatch(action):
            return powers
    # An action of Exchange, Intune or another service.
    return ("change-data",)


def _sorted(found: set[Power]) -> tuple[Power, ...]:
    return tuple(power for power in POWERS if power in found)
