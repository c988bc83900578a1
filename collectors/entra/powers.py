"""Powers of permissions and directory roles, by permission and action, never by name of a role.

The lists are data: ``data/escalation_paths.yaml``, ``data/permissions.yaml``, ``data/directory_roles.yaml``.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from scanner.records import POWERS, Power
from scanner.yaml_data import read_yaml

_DATA = Path(__file__).resolve().parent / "data"
GRAPH = "00000003-0000-0000-c000-000000000000"
"""The application ID of Microsoft Graph."""


class PowerVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """The powers of a permission or role."""

    powers: tuple[Power, ...] = ()
    """Strongest first; empty if it could not be evaluated."""
    way: str | None = None
    """How it leads to more access, if it does: one sentence."""
    paths: tuple[str, ...] = ()
    """The ids of the escalation paths that it opens, strongest first."""
    actions: tuple[str, ...] = ()
    """The actions of a role that open them, or that give its strongest power."""
    sure: bool = True
    """False if only the name or a label of the provider was evaluated."""


class LookAlike(msgspec.Struct, frozen=True, kw_only=True):
    """What reads like an escalation path and is none."""

    permissions: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()


class DirectoryEscalation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A way from a permission, an action or a relation to more access. See ``data/escalation_paths.yaml``."""

    id: str
    way: str
    source: str
    needs: str | None = None
    permissions: tuple[str, ...] = ()
    powers: tuple[Power, ...] = ()
    actions: tuple[str, ...] = ()
    templates: dict[str, str] = {}
    action_powers: tuple[Power, ...] = ()
    relation: str | None = None
    look_alike: LookAlike = LookAlike()


class _Listed(msgspec.Struct, frozen=True, kw_only=True):
    powers: tuple[Power, ...]


class _Action(msgspec.Struct, frozen=True, kw_only=True):
    action: str
    powers: tuple[Power, ...]


def _read(name: str) -> Any:
    return read_yaml(_DATA / name)


@cache
def escalation_paths() -> tuple[DirectoryEscalation, ...]:
    """Return every escalation path."""
    return msgspec.convert(_read("escalation_paths.yaml")["paths"], tuple[DirectoryEscalation, ...])


@cache
def _by_relation() -> dict[str, DirectoryEscalation]:
    return {path.relation: path for path in escalation_paths() if path.relation is not None}


def of_relation(evidence: str) -> DirectoryEscalation:
    """Return the escalation path of a relation, by the evidence of its link. Raises KeyError for another one."""
    return _by_relation()[evidence]


@cache
def elevation() -> DirectoryEscalation:
    """Return the escalation path from Entra ID to the root of Azure."""
    return next(path for path in escalation_paths() if path.id == "elevate-access")


@cache
def _apis() -> dict[str, dict[str, _Listed]]:
    return msgspec.convert(_read("permissions.yaml")["apis"], dict[str, dict[str, _Listed]])


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in text.split("*")), re.IGNORECASE)


@cache
def _other_actions() -> tuple[_Action, ...]:
    return msgspec.convert(_read("directory_roles.yaml")["actions"], tuple[_Action, ...])


_CHANGES = frozenset(
    ("ReadWrite", "ReadWriteAll", "Write", "Manage", "Create", "CreateAsManager", "Send", "FullControl")
)
_READS = frozenset(("Read", "ReadBasic", "ReadAll"))


@cache
def of_permission(api: str, name: str) -> PowerVerdict:
    """Return the powers of an application permission. ``api`` is the application ID of the API that defines it.

    A permission of Microsoft Graph that is not listed is evaluated by its verb
    (https://learn.microsoft.com/graph/permissions-overview#permissions-naming-pattern); one of another API is unknown.
    """
    if api.lower() == GRAPH:
        opened = [
            path
            for path in escalation_paths()
            if any(_pattern(one).fullmatch(name) for one in path.permissions)
        ]
        if opened:
            return PowerVerdict(
                powers=_sorted({power for path in opened for power in path.powers}),
                way=opened[0].way,
                paths=tuple(path.id for path in opened),
            )
    listed = _apis().get(api.lower(), {}).get(name)
    if listed is not None:
        return PowerVerdict(powers=listed.powers)
    if api.lower() != GRAPH:
        return PowerVerdict(sure=False)
    verbs = set(name.split(".")[1:])
    if name.endswith(".Selected"):
        # Of which sites, lists or files, and with which role, is said in each of them.
        # https://learn.microsoft.com/graph/permissions-selected-overview
        return PowerVerdict(sure=False)
    if verbs & _CHANGES:
        return PowerVerdict(powers=("change-data",), sure=False)
    if verbs & _READS:
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
    """Return the powers of a directory role by its actions. ``template`` is the ID of a built-in role's template.

    ``privileged`` is Microsoft's own label, a hint where nothing else is known.
    """
    held: set[Power] = set()
    opened: dict[str, DirectoryEscalation] = {
        path.id: path for path in escalation_paths() if template.lower() in path.templates
    }
    opening: dict[str, tuple[Power, ...]] = {}
    for action in actions:
        found = _of_action(action)
        opened.update((path.id, path) for path in found)
        opening[action] = (
            tuple(power for path in found for power in path.action_powers) if found else _other(action)
        )
        held.update(opening[action])
    held.update(power for path in opened.values() for power in path.action_powers)
    sure = True
    if privileged and not held & {"admin", "grant-access", "become-other"}:
        held.add("grant-access")
        sure = False
    powers = _sorted(held)
    first = sorted(opened.values(), key=lambda path: min(POWERS.index(one) for one in path.action_powers))
    return PowerVerdict(
        powers=powers,
        way=first[0].way if first else None,
        paths=tuple(path.id for path in first),
        actions=tuple(
            sorted(actions, key=lambda action: (min(POWERS.index(one) for one in opening[action]), action))
        )[:10],
        sure=sure,
    )


@cache
def _of_action(action: str) -> tuple[DirectoryEscalation, ...]:
    return tuple(
        path for path in escalation_paths() if any(_pattern(one).fullmatch(action) for one in path.actions)
    )


@cache
def _other(action: str) -> tuple[Power, ...]:
    return next(one.powers for one in _other_actions() if _pattern(one.action).fullmatch(action))


def _sorted(found: set[Power]) -> tuple[Power, ...]:
    return tuple(power for power in POWERS if power in found)
