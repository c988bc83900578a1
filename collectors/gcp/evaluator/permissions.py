"""What permissions give: ``data/permissions.yaml`` and ``data/escalations.yaml``, read once."""

from __future__ import annotations

from datetime import date  # noqa: TC003  msgspec reads the annotations at run time
from fnmatch import fnmatchcase
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import yaml

from scanner.records import Power  # noqa: TC001  msgspec reads the annotations at run time

if TYPE_CHECKING:
    from collections.abc import Iterable


ACT_AS = "iam.serviceAccounts.actAs"
SERVICE_ACCOUNT = "service-account"
"""The target of a way that makes its holder any service account in scope."""


class EscalationWay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """One way of ``escalations.yaml``, where its keys are described."""

    id: str
    power: Power
    permissions: tuple[str, ...]
    target: str | tuple[str, ...] | None = None
    act_as: bool = False
    not_where: tuple[str, ...] = ()
    unsure: bool = False
    silent: bool = False
    source: str

    @cached_property
    def needed(self) -> tuple[tuple[str, ...], ...]:
        """The alternatives of each permission that is needed."""
        return tuple(tuple(one.strip() for one in line.split("|")) for line in self.permissions)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of workloads whose account it becomes."""
        return self.target if isinstance(self.target, tuple) else ()

    def taken_by(self, held: frozenset[str]) -> str | None:
        """Return the first of its permissions that is held if all are needed ones are; None if one is not."""
        used = [next((one for one in either if one in held), None) for either in self.needed]
        return None if None in used else used[0]


class PermissionPowers(msgspec.Struct, frozen=True, kw_only=True):
    """The powers of single permissions."""

    as_of: date
    named: dict[Power, list[str]]
    patterns: list[tuple[str, Power]]
    endings: dict[str, Power]
    harmless: list[str]
    otherwise: Power


def _read(name: str) -> object:
    return yaml.safe_load((Path(__file__).parents[1] / "data" / name).read_text(encoding="utf-8"))


@cache
def permission_powers() -> PermissionPowers:
    """Return the powers of single permissions."""
    return msgspec.convert(_read("permissions.yaml"), PermissionPowers)


@cache
def escalation_ways() -> tuple[EscalationWay, ...]:
    """Return every way, in the order of the file."""

    class File(msgspec.Struct):
        paths: tuple[EscalationWay, ...]

    return msgspec.convert(_read("escalations.yaml"), File).paths


@cache
def _by_name() -> dict[str, Power]:
    return {name: power for power, names in permission_powers().named.items() for name in names}


@lru_cache(maxsize=32_768)
def power_of(permission: str) -> Power | None:
    """Return the power of one permission; None if it changes nothing and reads nothing of its own."""
    known = _by_name().get(permission)
    if known is not None:
        return known
    powers = permission_powers()
    for pattern, power in powers.patterns:
        if fnmatchcase(permission, pattern):
            return power
    ending = permission.rpartition(".")[2]
    if ending in powers.endings:
        return powers.endings[ending]
    if any(fnmatchcase(permission, pattern) for pattern in powers.harmless):
        return None
    return powers.otherwise


def ways_of(held: frozenset[str]) -> Iterable[tuple[EscalationWay, str]]:
    """Yield the ways that permissions open on their own, apart from ``actAs`` on the target, each with the one it rests on."""
    for way in escalation_ways():
        permission = way.taken_by(held)
        if permission is not None:
            yield way, permission
