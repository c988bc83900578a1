"""What a set of permissions amounts to, at one kind of resource."""

from __future__ import annotations

import json
import sys
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from collectors.gcp.evaluator.permissions import EscalationWay, power_of, ways_of
from collectors.gcp.names import CONTAINERS
from scanner.records import POWERS, Power, level_of

if TYPE_CHECKING:
    from collections.abc import Iterable

BASIC = frozenset(("roles/owner", "roles/editor", "roles/viewer"))
_PREFIXES: dict[str, tuple[str, ...]] = {
    "iam.googleapis.com": ("iam.",),
    "sqladmin.googleapis.com": ("cloudsql.",),
    "cloudresourcemanager.googleapis.com": ("resourcemanager.",),
    "firestore.googleapis.com": ("datastore.",),
    "run.googleapis.com": ("run.",),
}
"""The prefixes of a service's permissions, where they are not its name."""
_COLLECTIONS: dict[tuple[str, str], tuple[str, ...]] = {
    ("run.googleapis.com", "services"): (
        "run.services.",
        "run.routes.",
        "run.revisions.",
        "run.configurations.",
    ),
    ("run.googleapis.com", "jobs"): ("run.jobs.", "run.executions.", "run.tasks."),
    ("secretmanager.googleapis.com", "secrets"): ("secretmanager.secrets.", "secretmanager.versions."),
}
"""The prefixes of the permissions that one kind of resource of a service has."""


class RolePowers(msgspec.Struct, frozen=True, kw_only=True):
    """What permissions give."""

    powers: tuple[Power, ...] = ()
    """Strongest first."""
    sure: frozenset[Power] = frozenset()
    """The powers that need nothing else."""
    permissions: tuple[str, ...] = ()
    """At most ten that give the strongest powers."""
    ways: tuple[tuple[EscalationWay, str], ...] = ()
    """The ways they open, each with the permission that it rests on."""


@lru_cache(maxsize=8192)
def permissions_of(document: str) -> frozenset[str]:
    """Return the permissions of a role's document."""
    read = json.loads(document)
    return frozenset(sys.intern(str(one)) for one in read.get("includedPermissions") or [])


def at_resource(permissions: frozenset[str], resource: str) -> frozenset[str]:
    """Return the permissions that have an effect where they are granted on one resource: those of its service.

    https://docs.cloud.google.com/iam/docs/resource-hierarchy-access-control
    """
    if resource.startswith(CONTAINERS):
        return permissions
    service = resource.removeprefix("//").partition("/")[0]
    prefixes = _COLLECTIONS.get((service, resource.split("/")[-2])) or (
        *_PREFIXES.get(service, (f"{service.removesuffix('.googleapis.com')}.",)),
        f"{service}/",
    )
    return _starting(permissions, prefixes)


@lru_cache(maxsize=8192)
def _starting(permissions: frozenset[str], prefixes: tuple[str, ...]) -> frozenset[str]:
    return frozenset(one for one in permissions if one.startswith(prefixes))


@lru_cache(maxsize=8192)
def role_powers(permissions: frozenset[str]) -> RolePowers:
    """Return the powers of permissions."""
    found: dict[Power, list[str]] = {}
    sure: set[Power] = set()
    for permission in sorted(permissions):
        power = power_of(permission)
        if power is not None:
            found.setdefault(power, []).append(permission)
            sure.add(power)
    ways = tuple(ways_of(permissions))
    for way, permission in ways:
        # Together with actAs it is the power of actAs, which counts on its own.
        if not way.act_as and not way.silent:
            found.setdefault(way.power, []).append(permission)
            if not way.unsure:
                sure.add(way.power)
    powers = tuple(power for power in POWERS if power in found)
    top = list(dict.fromkeys(one for power in powers[:2] for one in found[power]))
    return RolePowers(powers=powers, sure=frozenset(sure), permissions=tuple(top[:10]), ways=ways)


def strongest(several: Iterable[RolePowers]) -> tuple[Power, ...]:
    """Return the powers of several roles together, strongest first."""
    held = {power for one in several for power in one.powers}
    return tuple(power for power in POWERS if power in held)


def level_is_sure(powers: RolePowers) -> bool:
    """Return whether the level of some powers rests on one that needs nothing else."""
    level = level_of(powers.powers)
    return not powers.powers or any(level_of([power]) == level for power in powers.sure)
