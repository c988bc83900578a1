"""Conditions of role bindings, in Common Expression Language: whether they hold tonight, until when, and for which services.

https://docs.cloud.google.com/iam/docs/conditions-overview, https://docs.cloud.google.com/iam/docs/conditions-attribute-reference
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache

import msgspec

from collectors.gcp.evaluator.expressions import parts_of
from scanner.cel import holds

_UNTIL = re.compile(r"request\.time\s*<=?\s*timestamp\(\s*['\"]([^'\"]{1,64})['\"]\s*\)")
_ONLY_ROLES = re.compile(
    r"api\.getAttribute\(\s*['\"]iam\.googleapis\.com/modifiedGrantsByRole['\"]\s*,\s*\[\s*\]\s*\)\s*"
    r"\.hasOnly\(\s*\[(?P<roles>[^\]\[]{0,4000})\]\s*\)"
)
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_ATTRIBUTE = re.compile(r"\b(request|resource|api|destination|principal)\.(\w+)")
_READ = frozenset((("request", "time"), ("resource", "name"), ("resource", "type"), ("resource", "service")))
"""The attributes that are evaluated here."""


class ConditionEffect(msgspec.Struct, frozen=True, kw_only=True):
    """What a condition does to a binding tonight."""

    active: bool = True
    """False if it can no longer be true: its time is over."""
    conditional: bool = False
    """Whether it depends on the request or the resource."""
    sure: bool = True
    """False if it could not be evaluated."""
    until: datetime | None = None
    """When it stops being true."""
    nameless: bool = True
    """Whether it admits resources of services that do not tell conditions their name and type, such as service accounts:
    what asks for a name is then false."""
    hands_out: frozenset[str] | None = None
    """The roles that may be granted or revoked under it; None if it does not limit them."""


ALWAYS = ConditionEffect()


@lru_cache(maxsize=4096)
def effect_of(expression: str, as_of: datetime) -> ConditionEffect:
    """Return what a condition does at a time. Never raises."""
    if not expression.strip():
        return ALWAYS
    parts = parts_of(expression, "&&")
    ends = [read for part in parts if (match := _UNTIL.fullmatch(part.strip())) and (read := _time(match[1]))]
    only = [match for part in parts if (match := _ONLY_ROLES.fullmatch(part.strip()))]
    time = {"request": {"time": as_of}}
    verdict = holds(expression, time)
    nowhere = holds(expression, {**time, "resource": {"name": "", "type": "", "service": ""}})
    known = {(match[1], match[2]) for match in _ATTRIBUTE.finditer(expression)} <= _READ
    return ConditionEffect(
        active=verdict is not False,
        conditional=verdict is None,
        sure=verdict is not None or bool(only) or (known and nowhere is not None),
        until=min(ends, default=None),
        nameless=verdict is not None or nowhere is not False,
        hands_out=_roles(only) if only else None,
    )


def _roles(only: list[re.Match[str]]) -> frozenset[str]:
    lists = [{one or other for one, other in _QUOTED.findall(match["roles"])} for match in only]
    return frozenset(set.intersection(*lists))


def _time(text: str) -> datetime | None:
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return None
    return read if read.tzinfo is not None else None
