"""Conditions of role assignments and role definitions (attribute-based access control), in three values.

A condition binds only the actions that it names with ``ActionMatches``. What cannot be known offline (attributes of blobs, of
principals, of the network) is neither true nor false.
https://learn.microsoft.com/azure/role-based-access-control/conditions-format
"""

from __future__ import annotations

import enum
import re
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from collectors.azure.evaluator.patterns import covers

if TYPE_CHECKING:
    from collections.abc import Iterable


class Sure(enum.IntEnum):
    """How sure it is that something is allowed."""

    NO = 0
    MAYBE = 1
    YES = 2


ASSIGN = "Microsoft.Authorization/roleAssignments/write"
DELEGATED = frozenset((ASSIGN.lower(), "microsoft.authorization/roleassignments/delete"))
"""The control actions that conditions narrow. A condition on any other control action has no effect.
https://learn.microsoft.com/azure/role-based-access-control/delegate-role-assignments-overview"""
_ROLE = "microsoft.authorization/roleassignments:roledefinitionid"
_TOKEN = re.compile(
    r"""(?:(?P<open>\()|(?P<close>\))|(?P<both>&&|AND\b)|(?P<either>\|\||OR\b)|(?P<neither>!|NOT\b)
    |(?P<matches>(?:Sub)?(?:Action|Operation)Matches)\s*\{\s*'(?P<named>[^']*)'\s*\}
    |Exists\s*@(?P<exists>\w+\[[^\]\[@]*\])
    |@(?P<source>\w+)\[(?P<attribute>[^\]\[@]*)\]\s*(?P<operator>(?:\w+:)?\w+)\s*
     (?P<value>\{[^}{]*\}|'(?:[^']|'')*'|@\w+\[[^\]\[@]*\]|[\w.:+-]+))""",
    re.IGNORECASE | re.VERBOSE,
)


class _Named(msgspec.Struct, frozen=True):
    """``ActionMatches``; without a pattern, a test that cannot be evaluated offline."""

    pattern: str | None = None


class _RoleTest(msgspec.Struct, frozen=True):
    """A test of the role that is about to be assigned."""

    equal: bool
    every: bool
    """Whether every value must pass, not any."""
    roles: frozenset[str]


class _Not(msgspec.Struct, frozen=True):
    part: _Node


class _All(msgspec.Struct, frozen=True):
    parts: tuple[_Node, ...]


class _Any(msgspec.Struct, frozen=True):
    parts: tuple[_Node, ...]


_Node: TypeAlias = "_Named | _RoleTest | _Not | _All | _Any"
_UNKNOWN = _Named()


class RoleCondition(msgspec.Struct, frozen=True):
    """One condition, read."""

    node: _Node | None
    """None if it could not be read."""
    named: tuple[str, ...]
    """The patterns of ``ActionMatches``."""

    def allows(self, action: str, role: str | None = None, *, data: bool = False) -> Sure:
        """Return how surely an action passes; ``role`` is the GUID of the role that is about to be assigned.

        Without any ``ActionMatches`` a condition binds every action.
        """
        if self.named and not data and action.lower() not in DELEGATED:
            return Sure.YES
        if self.named and not covers(self.named, action):
            return Sure.YES
        return Sure.MAYBE if self.node is None else _evaluated(self.node, action, role)


def _evaluated(node: _Node, action: str, role: str | None) -> Sure:
    match node:
        case _Named():
            if node.pattern is None:
                return Sure.MAYBE
            return Sure.YES if covers([node.pattern], action) else Sure.NO
        case _RoleTest():
            return Sure.MAYBE if role is None else _role_passes(node, role)
        case _Not():
            return Sure(2 - _evaluated(node.part, action, role))
        case _All():
            return min(_evaluated(part, action, role) for part in node.parts)
        case _Any():
            return max(_evaluated(part, action, role) for part in node.parts)


def _role_passes(test: _RoleTest, role: str) -> Sure:
    """Return whether one role passes. ``ForAnyOfAnyValues:GuidNotEquals`` of two values is always true.

    https://learn.microsoft.com/azure/role-based-access-control/conditions-format#cross-product-comparison-operators
    """
    results = [(role == one) is test.equal for one in test.roles]
    passed = all(results) if test.every else any(results)
    return Sure.YES if passed else Sure.NO


@lru_cache(maxsize=4096)
def condition(text: str) -> RoleCondition:
    """Read a condition. Never raises: one that cannot be read binds what it names, or everything."""
    named = tuple(
        match["named"]
        for match in _TOKEN.finditer(text)
        if (match["matches"] or "").lower() == "actionmatches"
    )
    try:
        node = _Parser(text).whole()
    except (ValueError, RecursionError):
        node = None
    return RoleCondition(node, named)


class _Parser:
    """Recursive descent: OR binds weaker than AND, and NOT strongest."""

    def __init__(self, text: str) -> None:
        self._tokens: list[re.Match[str]] = []
        at, text = 0, text.strip()
        while at < len(text):
            # Blanks in front of a token are no part of the pattern: a search would try each of them anew.
            if text[at].isspace():
                at += 1
                continue
            match = _TOKEN.match(text, at)
            if match is None:
                raise ValueError("not a condition")
            self._tokens.append(match)
            at = match.end()
        self._at = 0

    def whole(self) -> _Node:
        node = self._either()
        if self._at != len(self._tokens):
            raise ValueError("text after the condition")
        return node

    def _take(self, group: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at][group]:
            self._at += 1
            return True
        return False

    def _either(self) -> _Node:
        parts = [self._both()]
        while self._take("either"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else _Any(tuple(parts))

    def _both(self) -> _Node:
        parts = [self._one()]
        while self._take("both"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else _All(tuple(parts))

    def _one(self) -> _Node:
        if self._take("neither"):
            return _Not(self._one())
        if self._take("open"):
            node = self._either()
            if not self._take("close"):
                raise ValueError("a parenthesis is not closed")
            return node
        if self._at >= len(self._tokens):
            raise ValueError("the condition ends too early")
        token = self._tokens[self._at]
        self._at += 1
        if token["matches"]:
            return _Named(token["named"]) if token["matches"].lower() == "actionmatches" else _UNKNOWN
        if token["exists"]:
            return _UNKNOWN
        if not token["source"]:
            raise ValueError("an operator without a test")
        return _test(token)


def _test(token: re.Match[str]) -> _Node:
    quantifier, _, operator = token["operator"].lower().rpartition(":")
    if (
        token["source"].lower() != "request"
        or token["attribute"].strip().lower() != _ROLE
        or operator not in {"guidequals", "guidnotequals"}
    ):
        return _UNKNOWN
    roles = frozenset(guids(token["value"]))
    return _RoleTest(operator == "guidequals", quantifier.endswith("allvalues"), roles) if roles else _UNKNOWN


_GUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)


def guids(text: str) -> Iterable[str]:
    """Yield the GUIDs of a list in lower case with hyphens: they are written with and without."""
    for found in _GUID.findall(text):
        digits = found.replace("-", "").lower()
        yield "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
