"""The powers of a role assignment: the role's actions, less deny assignments, under its condition.

https://learn.microsoft.com/azure/role-based-access-control/role-definitions : ``notActions`` only cut their own permission
element. https://learn.microsoft.com/azure/role-based-access-control/conditions-format : a condition binds only the actions
that it names. https://learn.microsoft.com/azure/role-based-access-control/deny-assignments : those with the effect ``audit``
subtract nothing.
"""

from __future__ import annotations

import json
import re
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import yaml

from scanner.records import POWERS, Grant, Policy, Power, level_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from scanner.records import Record

EVERYONE = "00000000-0000-0000-0000-000000000000"
"""The principal of a deny assignment that applies to all."""
_ASSIGN = "Microsoft.Authorization/roleAssignments/write"
_CONDITIONED = re.compile(r"ActionMatches\s*\{\s*'([^']*)'\s*\}", re.IGNORECASE)


class _Lists(msgspec.Struct, frozen=True, kw_only=True):
    actions: dict[Power, list[str]]
    data_actions: dict[Power, list[str]]
    endings: dict[str, Power]


class Allowed(msgspec.Struct, frozen=True, kw_only=True):
    """What a role allows."""

    powers: list[Power] = []
    """Strongest first."""
    actions: list[str] = []
    """At most ten actions that give the strongest powers."""
    wildcard: str | None = None
    """``*`` or the widest pattern."""


class Deny(msgspec.Struct, frozen=True, kw_only=True):
    """A deny assignment that is enforced, without a condition."""

    scope: str
    children: bool
    """Whether it applies below its scope."""
    everyone: bool
    principals: frozenset[str]
    excluded: frozenset[str]
    permissions: list[dict[str, Any]]


@cache
def _lists() -> _Lists:
    text = (Path(__file__).resolve().parent / "data" / "actions.yaml").read_text(encoding="utf-8")
    read = yaml.safe_load(text)
    return msgspec.convert({name: read[name] for name in ("actions", "data_actions", "endings")}, _Lists)


@lru_cache(maxsize=16_384)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in text.split("*")), re.IGNORECASE)


def covers(patterns: Iterable[Any], action: str) -> bool:
    """Return whether one of the patterns of a role covers an action."""
    return any(_pattern(str(pattern)).fullmatch(action) is not None for pattern in patterns)


def _denied(denies: Iterable[Deny], action: str, field: str) -> bool:
    return any(
        covers(permission.get(field) or [], action)
        and not covers(permission.get(f"not{field[0].upper()}{field[1:]}") or [], action)
        for deny in denies
        for permission in deny.permissions
    )


def allowed(permissions: list[dict[str, Any]], denies: Iterable[Deny] = ()) -> Allowed:
    """Return what a role's permission elements allow, less what is denied."""
    lists, denies = _lists(), list(denies)
    found: dict[Power, list[str]] = {}
    wildcard: str | None = None
    for element in permissions:
        for field, less, named in (
            ("actions", "notActions", lists.actions),
            ("dataActions", "notDataActions", lists.data_actions),
        ):
            given, cut = element.get(field) or [], element.get(less) or []
            if not given:
                continue
            for power, actions in named.items():
                for action in actions:
                    if (
                        covers(given, action)
                        and not covers(cut, action)
                        and not _denied(denies, action, field)
                    ):
                        found.setdefault(power, []).append(action)
            for pattern in given:
                text = str(pattern)
                if "*" in text and (wildcard is None or len(text) < len(wildcard)):
                    wildcard = text
                ending = lists.endings.get(text.rpartition("/")[2].lower().replace("*", ""))
                listed = any(covers([text], action) for actions in named.values() for action in actions)
                if (
                    ending is not None
                    and not listed
                    and not covers(cut, text)
                    and not _denied(denies, text, field)
                ):
                    found.setdefault(ending, []).append(text)
            everything = field == "actions" and "*" in [str(pattern) for pattern in given]
            if everything and not covers(cut, _ASSIGN) and not _denied(denies, _ASSIGN, field):
                found.setdefault("admin", []).append("*")
    powers = [power for power in POWERS if power in found]
    top = [action for power in powers[:2] for action in sorted(set(found[power]))]
    return Allowed(powers=powers, actions=top[:10], wildcard=wildcard)


def conditional(condition: str | None, actions: list[str], elements: list[dict[str, Any]]) -> bool:
    """Return whether a condition binds every one of the strongest actions.

    The condition of a role's own permission elements counts like that of the assignment.
    """
    texts = [text for text in (condition, *(element.get("condition") for element in elements)) if text]
    if not texts or not actions:
        return False
    for text in texts:
        bound = _CONDITIONED.findall(str(text))
        if not bound or all(covers(bound, action) for action in actions):
            return True
    return False


def applies(deny: Deny, scope: str, principal: str) -> bool:
    """Return whether a deny assignment applies to a principal at a scope."""
    if principal in deny.excluded or not (deny.everyone or principal in deny.principals):
        return False
    above, here = deny.scope.lower().rstrip("/"), scope.lower().rstrip("/")
    return here == above or (deny.children and here.startswith(f"{above}/"))


def deny_of(document: dict[str, Any]) -> Deny | None:
    """Return a deny assignment if it certainly subtracts: enforced, and without a condition.

    An assignment without an effect, as older API versions answer, is enforced only if Azure itself made it.
    """
    effect = str(document.get("denyAssignmentEffect") or "").lower()
    enforced = effect == "enforced" or (not effect and bool(document.get("isSystemProtected")))
    conditions = [
        document.get("condition"),
        *(one.get("condition") for one in document.get("permissions") or []),
    ]
    if not enforced or any(conditions):
        return None
    principals = {str(one.get("id", "")).lower() for one in document.get("principals") or []}
    return Deny(
        scope=str(document.get("scope") or "/"),
        children=not document.get("doNotApplyToChildScopes"),
        everyone=EVERYONE in principals,
        principals=frozenset(principals),
        excluded=frozenset(str(one.get("id", "")).lower() for one in document.get("excludePrincipals") or []),
        permissions=list(document.get("permissions") or []),
    )


def evaluated(grant: Grant, role: Policy, condition: str | None, denies: Iterable[Deny]) -> Grant:
    """Return a grant with the powers of its role at its scope."""
    document: dict[str, Any] = json.loads(role.document or "{}")
    elements: list[dict[str, Any]] = document.get("permissions") or []
    principal = grant.identity_id.rpartition(":")[2]
    held = [deny for deny in denies if applies(deny, grant.resource, principal)]
    found = allowed(elements, held)
    return msgspec.structs.replace(
        grant,
        powers=found.powers,
        level=level_of(found.powers),
        actions=found.actions,
        wildcard=found.wildcard,
        conditional=conditional(condition, found.actions, elements) or bool(grant.conditional),
        confidence="low" if condition else "high",
        why=f"the role {grant.role} allows {found.actions[0]}" if found.actions else None,
    )


def evaluate(policies: Iterable[Policy], records: Iterable[Record]) -> Iterator[Record]:
    """Yield the grants of role assignments as their role definitions, conditions and deny assignments make them."""
    roles: dict[str, Policy] = {}
    conditions: dict[str, str] = {}
    denies: list[Deny] = []
    for policy in policies:
        document: dict[str, Any] = json.loads(policy.document or "{}")
        match policy.kind:
            case "role-definition":
                roles[policy.name] = policy
            case "role-condition":
                conditions[policy.attached_to[0]] = str(document.get("condition") or "")
            case "deny-assignment":
                deny = deny_of(document)
                if deny is not None:
                    denies.append(deny)
            case _:
                pass
    for record in records:
        if (
            isinstance(record, Grant)
            and record.role in roles
            and record.id.startswith("azure:role-assignment:")
        ):
            yield evaluated(record, roles[record.role], conditions.get(record.id), denies)
