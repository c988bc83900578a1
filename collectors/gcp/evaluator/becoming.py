"""Whom a principal can become: service accounts that it may impersonate or run code as, from all of its bindings together.

The ways are those of ``data/escalations.yaml``. https://docs.cloud.google.com/iam/docs/service-account-impersonation,
https://docs.cloud.google.com/iam/docs/attach-service-accounts
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING

from collectors.gcp.evaluator.permissions import ACT_AS, escalation_ways
from collectors.gcp.names import own
from scanner.records import Link, record_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from collectors.gcp.evaluator.estate import GcpEstate
    from collectors.gcp.evaluator.grants import HeldRole
    from collectors.gcp.evaluator.permissions import EscalationWay
    from scanner.records import Identity

MOST_TARGETS = 200
"""How many identities are named for one binding. A role at an organization may reach thousands."""
_DEFAULTS = {"cloud-build-default": ("cloud-build", "compute"), "google-apis-default": ("google-apis",)}


class Becoming:
    """Finds whom each principal can become."""

    def __init__(self, estate: GcpEstate) -> None:
        self._estate = estate

    def links(self, held: Sequence[HeldRole]) -> Iterator[Link]:
        """Yield the links of one principal, whose live bindings are ``held``: each target once, by a sure way if there is one."""
        everything = frozenset(one for role in held for one in role.permissions)
        ways = _ways_to_others(everything)
        seen: set[str] = set()
        for sure in (True, False):
            for way in ways:
                for role, permission in _anchors(way, held):
                    if _is_sure(way, role, permission) is not sure:
                        continue
                    for target in self._targets(way, role, held):
                        if target.id in seen or target.id == role.grant.identity_id:
                            continue
                        if self._open(way, target):
                            seen.add(target.id)
                            yield _link(role, way, permission, target, sure=sure)

    def _open(self, way: EscalationWay, target: Identity) -> bool:
        if target.enabled is False and target.kind == "gcp-service-account":
            return False
        return not self._estate.barred(target.account_id, way.not_where)

    def _targets(self, way: EscalationWay, role: HeldRole, held: Sequence[HeldRole]) -> Iterator[Identity]:
        """Yield whom one binding makes its holder by a way: at most `MOST_TARGETS`."""
        place = role.place
        if not all(self._covered(place, either, held) for either in way.needed):
            return
        found = self._all_targets(way, place, held)
        for count, target in enumerate(found):
            if count == MOST_TARGETS:
                return
            yield target

    def _covered(self, place: str, either: Iterable[str], held: Sequence[HeldRole]) -> bool:
        """Whether one of some permissions is held at a place, above it, or somewhere below it."""
        chain = self._chain(place)
        return any(
            (role.place in chain or place in self._chain(role.place))
            and any(one in role.permissions for one in either)
            for role in held
        )

    def _chain(self, place: str) -> tuple[str, ...]:
        account = self._estate.service_account(place)
        return (
            (place, *self._estate.chain(account.account_id))
            if account is not None
            else self._estate.chain(place)
        )

    def _all_targets(self, way: EscalationWay, place: str, held: Sequence[HeldRole]) -> Iterator[Identity]:
        if way.kinds:
            yield from self._estate.workloads_below(place, way.kinds)
            return
        if way.target in _DEFAULTS:
            for service in _DEFAULTS[str(way.target)]:
                yield from self._estate.default_account(place, service)
            return
        single = self._estate.service_account(place)
        if not way.act_as:
            yield from [single] if single is not None else self._estate.accounts_below(place)
            return
        if single is not None:
            return
        for role in held:
            if ACT_AS not in role.permissions:
                continue
            one = self._estate.service_account(role.place)
            if one is not None:
                if place in self._chain(role.place):
                    yield one
            elif place in self._chain(role.place):
                yield from self._estate.accounts_below(role.place)
            elif role.place in self._chain(place):
                yield from self._estate.accounts_below(place)


@lru_cache(maxsize=4096)
def _ways_to_others(held: frozenset[str]) -> tuple[EscalationWay, ...]:
    """Return the ways that permissions open, all of a principal's together, whose targets are known."""
    return tuple(
        way
        for way in escalation_ways()
        if way.target is not None and way.taken_by(held) is not None and (not way.act_as or ACT_AS in held)
    )


def _anchors(way: EscalationWay, held: Sequence[HeldRole]) -> Iterator[tuple[HeldRole, str]]:
    """Yield the bindings that have the first permission of a way."""
    for role in held:
        permission = next((one for one in way.needed[0] if one in role.permissions), None)
        if permission is not None:
            yield role, permission


def _is_sure(way: EscalationWay, role: HeldRole, permission: str) -> bool:
    """Return whether a binding takes a way without a condition, a limit that is not known, or anything else that is needed."""
    used = {permission, ACT_AS} if way.act_as else {permission}
    return not (way.unsure or role.grant.conditional or used & role.doubtful)


def _link(role: HeldRole, way: EscalationWay, permission: str, target: Identity, *, sure: bool) -> Link:
    grant = role.grant
    digest = hashlib.sha256(f"{grant.identity_id} {target.id}".encode()).hexdigest()[:24]
    with_it = f" with {ACT_AS}" if way.act_as else ""
    return Link(
        id=record_id("gcp", "can-become", digest),
        **own(grant.account_id),
        source_id=grant.identity_id,
        relation="can_become",
        target_id=target.id,
        evidence=way.id,
        via=permission,
        why=f"{grant.role} allows {permission}{with_it} on {target.address or target.name}",
        fix=f"Remove {permission} from what {grant.role} gives here, or grant it on another service account.",
        confidence="high" if sure else "low",
        expires_at=grant.expires_at,
    )
