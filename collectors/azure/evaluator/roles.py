"""What a role amounts to: its actions, less what is cut and denied, under its conditions.

https://learn.microsoft.com/azure/role-based-access-control/role-definitions : ``notActions`` only cut their own permission
element.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from collectors.azure.evaluator.conditions import ASSIGN, RoleCondition, Sure, condition
from collectors.azure.evaluator.denies import Deny, denied
from collectors.azure.evaluator.patterns import covers
from collectors.azure.evaluator.ways import FIELDS, Field, Way, lists, ways
from scanner.records import POWERS, Power

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

_STRONG: frozenset[Power] = frozenset(("admin", "grant-access"))
OPEN_ROLE = "00000000-0000-4000-8000-000000000000"
"""The GUID of no role: a condition that lets it be assigned does not say which roles may be."""


class Element(msgspec.Struct, frozen=True):
    """One permission element of a role definition."""

    actions: tuple[str, ...]
    not_actions: tuple[str, ...]
    data_actions: tuple[str, ...]
    not_data_actions: tuple[str, ...]
    condition: RoleCondition | None

    def given(self, field: Field) -> tuple[str, ...]:
        """Return the patterns of a field."""
        return self.actions if field == "actions" else self.data_actions

    def covers(self, action: str, field: Field) -> bool:
        """Return whether the element allows an action, whatever its condition."""
        cut = self.not_actions if field == "actions" else self.not_data_actions
        return covers(self.given(field), action) and not covers(cut, action)


class RoleRights(msgspec.Struct, frozen=True):
    """A role definition, read."""

    elements: tuple[Element, ...]

    def sure(
        self, action: str, field: Field, denies: Collection[Deny] = (), bound: RoleCondition | None = None
    ) -> Sure:
        """Return how surely the role allows an action."""
        best = Sure.NO
        for element in self.elements:
            if element.covers(action, field):
                data = field == "dataActions"
                here = Sure.YES if element.condition is None else element.condition.allows(action, data=data)
                best = max(best, here)
        if best is Sure.NO or denied(denies, action, field):
            return Sure.NO
        return best if bound is None else min(best, bound.allows(action, data=field == "dataActions"))


@lru_cache(maxsize=4096)
def role_of(document: str) -> RoleRights:
    """Read a role definition's document, as its `Policy` keeps it."""
    read: dict[str, Any] = json.loads(document)
    return RoleRights(tuple(_element(one) for one in read.get("permissions") or []))


def _element(one: Mapping[str, Any]) -> Element:
    def patterns(field: str) -> tuple[str, ...]:
        return tuple(str(action) for action in one.get(field) or [])

    text = one.get("condition")
    return Element(
        patterns("actions"),
        patterns("notActions"),
        patterns("dataActions"),
        patterns("notDataActions"),
        condition(str(text)) if text else None,
    )


class Allowed(msgspec.Struct, frozen=True, kw_only=True):
    """What a role allows at one place."""

    powers: dict[Power, Sure] = {}
    """Strongest first."""
    actions: list[str] = []
    """At most ten actions that give the strongest powers."""
    wildcard: str | None = None
    """``*`` or the widest pattern."""
    ways: tuple[tuple[Way, Sure], ...] = ()
    """The ways of ``escalations.yaml`` that are open."""
    parts: tuple[tuple[Way, frozenset[int]], ...] = ()
    """Ways of which some of the actions are allowed, and another role may allow the rest: 0 for `Way.actions`, then `Way.also`."""


def allowed(
    role: RoleRights,
    denies: Collection[Deny] = (),
    bound: RoleCondition | None = None,
    *,
    open_ways: Iterable[Way] | None = None,
    assignable: Callable[[], Iterable[tuple[str, RoleRights]]] | None = None,
) -> Allowed:
    """Return what a role allows, less what is denied, under the condition of its assignment.

    ``open_ways`` are those that no setting closes, by default all. ``assignable`` returns every role by its GUID: what a
    holder may do who assigns roles under a condition.
    """
    found: dict[Power, dict[str, Sure]] = {}

    def add(power: Power, action: str, sure: Sure) -> None:
        held = found.setdefault(power, {})
        held[action] = max(sure, held.get(action, Sure.NO))

    for field in FIELDS:
        if not any(element.given(field) for element in role.elements):
            continue
        for power, actions in lists().named(field).items():
            for action in actions:
                if (sure := role.sure(action, field, denies, bound)) is not Sure.NO:
                    add(power, action, sure)
        for pattern, sure in _unnamed(role, field, denies, bound):
            ending = lists().ending(pattern, field)
            if ending is not None:
                add(ending, pattern, sure)
        for pattern, sure in _open_ended(role, field, denies, bound):
            add("change-data", pattern, sure)
            add("read" if field == "actions" else "read-data", pattern, sure)
    taken: list[tuple[Way, Sure]] = []
    parts: list[tuple[Way, frozenset[int]]] = []
    for way in ways() if open_ways is None else open_ways:
        action, sure = _takes(role, way, denies, bound)
        if sure is Sure.NO:
            if way.also:
                parts.append((way, _parts(role, way, denies, bound)))
            continue
        if action == ASSIGN:
            given = _given(role, bound, assignable)
            for power, certainty in (given or {}).items():
                # Which roles may be assigned is known: it holds what they hold.
                add(power, action, certainty)
            if given is None:
                sure = _narrowed(role, bound)
            elif _STRONG & given.keys():
                sure = max(given[power] for power in _STRONG & given.keys())
            else:
                continue
        taken.append((way, sure))
        add(way.power, action, sure)
    if _everything(role) and any(way.id == "assign-roles" for way, _ in taken):
        sure = next(sure for way, sure in taken if way.id == "assign-roles")
        add("admin", "*", sure)
    powers = {power: max(found[power].values()) for power in POWERS if power in found}
    top = [action for power in list(powers)[:2] for action in sorted(found[power])]
    return Allowed(
        powers=powers, actions=top[:10], wildcard=_widest(role), ways=tuple(taken), parts=tuple(parts)
    )


def _takes(
    role: RoleRights, way: Way, denies: Collection[Deny], bound: RoleCondition | None
) -> tuple[str, Sure]:
    """Return the action by which a role takes a way, and how surely."""
    sure, action = max(
        ((role.sure(one, way.field, denies, bound), one) for one in way.actions), key=lambda pair: pair[0]
    )
    for others in way.also:
        sure = min(sure, max(role.sure(one, way.field, denies, bound) for one in others))
    return action, min(sure, Sure.MAYBE) if way.unsure else sure


def _parts(
    role: RoleRights, way: Way, denies: Collection[Deny], bound: RoleCondition | None
) -> frozenset[int]:
    return frozenset(
        number
        for number, actions in enumerate((way.actions, *way.also))
        if any(role.sure(one, way.field, denies, bound) is not Sure.NO for one in actions)
    )


def _unnamed(
    role: RoleRights, field: Field, denies: Collection[Deny], bound: RoleCondition | None
) -> Iterator[tuple[str, Sure]]:
    """Yield the patterns of a role that cover no named action, and how surely they count."""
    for element in role.elements:
        for pattern in element.given(field):
            if covers(lists().harmless, pattern) or _names(pattern, field):
                continue
            sure = role.sure(pattern, field, denies, bound)
            if sure is not Sure.NO:
                yield pattern, sure


def _open_ended(
    role: RoleRights, field: Field, denies: Collection[Deny], bound: RoleCondition | None
) -> Iterator[tuple[str, Sure]]:
    """Yield the patterns that end in a star, and how surely one of their writes is allowed: of any provider, named or not."""
    for element in role.elements:
        for pattern in element.given(field):
            below = pattern.removesuffix("*")
            if below in {"", pattern} or covers(_not_data(), pattern):
                continue
            sure = max(
                role.sure(f"{below}{verb}", field, denies, bound) for verb in ("write", "delete", "action")
            )
            if sure is not Sure.NO:
                yield pattern, sure


@lru_cache(maxsize=1)
def _not_data() -> tuple[str, ...]:
    """Patterns of actions that change access, which are ways of their own, or nothing."""
    return (*lists().harmless, "Microsoft.Authorization/*")


@lru_cache(maxsize=16_384)
def _names(pattern: str, field: Field) -> bool:
    named = (action for actions in lists().named(field).values() for action in actions)
    taken = (action for way in ways() if way.field == field for action in way.actions)
    return any(covers((pattern,), action) for actions in (named, taken) for action in actions)


def _everything(role: RoleRights) -> bool:
    return any("*" in element.actions and element.covers(ASSIGN, "actions") for element in role.elements)


def _widest(role: RoleRights) -> str | None:
    patterns = [
        pattern
        for element in role.elements
        for field in FIELDS
        for pattern in element.given(field)
        if "*" in pattern
    ]
    return min(patterns, key=len) if patterns else None


def _conditions(role: RoleRights, bound: RoleCondition | None) -> list[RoleCondition]:
    """Return the conditions under which a role assigns roles; empty if one of its elements does so without."""
    own = [element.condition for element in role.elements if element.covers(ASSIGN, "actions")]
    given = [] if None in own else [one for one in own if one is not None][:1]
    return [*given, *([bound] if bound is not None else [])]


def _narrowed(role: RoleRights, bound: RoleCondition | None) -> Sure:
    """Return how surely a role that is not listed anywhere may be assigned."""
    return max(
        Sure.MAYBE, min((one.allows(ASSIGN, OPEN_ROLE) for one in _conditions(role, bound)), default=Sure.YES)
    )


def _given(
    role: RoleRights,
    bound: RoleCondition | None,
    assignable: Callable[[], Iterable[tuple[str, RoleRights]]] | None,
) -> dict[Power, Sure] | None:
    """Return the powers of the roles that may be assigned, if a condition names them."""
    held = _conditions(role, bound)
    if not held or assignable is None or min(one.allows(ASSIGN, OPEN_ROLE) for one in held) is not Sure.NO:
        return None
    powers: dict[Power, Sure] = {}
    for number, other in assignable():
        sure = min(one.allows(ASSIGN, number) for one in held)
        if sure is Sure.NO:
            continue
        for power, certainty in plain_powers(other).items():
            powers[power] = max(powers.get(power, Sure.NO), min(sure, certainty))
    return powers


@lru_cache(maxsize=4096)
def plain_powers(role: RoleRights) -> dict[Power, Sure]:
    """Return the powers of a role where nothing is denied."""
    return allowed(role).powers
