"""Grants of role assignments, and whose identity their holders can become."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from collectors.azure.evaluator.conditions import ASSIGN, Sure, condition
from collectors.azure.evaluator.denies import Deny, concerns
from collectors.azure.evaluator.roles import Allowed, RoleRights, allowed, plain_powers, role_of
from collectors.azure.evaluator.ways import ways
from scanner.records import POWERS, Grant, Level, Link, Policy, level_of, record_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import date

    from collectors.azure.evaluator.estate import Estate, RunningResource
    from collectors.azure.evaluator.ways import Way

MOST_TARGETS = 200
"""How many identities are named for one role assignment. A role at a management group may reach thousands."""


class RoleEvaluator:
    """Evaluates role assignments of one tenant. Equal roles at places with equal settings are evaluated once."""

    def __init__(self, estate: Estate, roles: Iterable[Policy], denies: Iterable[Deny], day: date) -> None:
        """``day`` is the day as of which ways count that a service's end closes."""
        self.estate = estate
        self._documents = {policy.name: policy for policy in roles}
        self._numbers = {policy.native_id: policy.name for policy in self._documents.values()}
        self._roles: dict[str, RoleRights] = {}
        self._denies: dict[str, list[Deny]] = {}
        for deny in denies:
            self._denies.setdefault(deny.scope, []).append(deny)
        self._ways = [way for way in ways() if way.until is None or day < way.until]
        self._kinds = {kind: None for way in self._ways for kind in (*way.only_where, *way.not_where)}
        self._known: dict[object, Allowed] = {}
        self._by_id = {way.id: way for way in self._ways}
        self._first: dict[tuple[str, str], list[Grant]] = {}
        self._rest: dict[tuple[str, str], set[int]] = {}

    def knows(self, role: str) -> bool:
        """Return whether a role is defined, by its name."""
        return role in self._documents

    def name_of(self, number: str) -> str | None:
        """Return the name of a role by its GUID."""
        return self._numbers.get(number)

    def allowed(self, grant: Grant, text: str | None) -> Allowed:
        """Return what a grant's role allows at its scope, under the condition ``text``."""
        held = self._held(grant)
        settings = self.estate.key(grant.resource, self._kinds)
        key = (grant.role, text, tuple(id(deny) for deny in held), settings)
        found = self._known.get(key)
        if found is None:
            opened = [way for way in self._ways if not self.estate.closed(way, grant.resource)]
            found = self._known[key] = allowed(
                self._role(grant.role),
                held,
                condition(text) if text else None,
                open_ways=opened,
                assignable=self._assignable,
            )
        return found

    def evaluated(self, grant: Grant, text: str | None, found: Allowed | None = None) -> Grant:
        """Return a grant with the powers of its role at its scope."""
        found = found or self.allowed(grant, text)
        powers = list(found.powers)
        level = level_of(powers)
        held = [sure for power, sure in found.powers.items() if level_of([power]) == level]
        return msgspec.structs.replace(
            grant,
            powers=powers,
            level=level,
            actions=found.actions,
            wildcard=found.wildcard,
            conditional=bool(held) and max(held) is Sure.MAYBE,
            confidence="low" if Sure.MAYBE in found.powers.values() else "high",
            why=_why(grant, found, level),
        )

    def handed_out(self, grant: Grant, roles: Iterable[str]) -> Grant:
        """Return a grant that only hands out these roles, by their GUIDs, and to managed identities: it has their powers.

        https://learn.microsoft.com/azure/lighthouse/how-to/deploy-policy-remediation
        """
        names = [self._numbers.get(number.rpartition("/")[2].lower()) for number in roles]
        held = {power for name in names if name is not None for power in plain_powers(self._role(name))}
        powers = [power for power in POWERS if power in held]
        known = None not in names
        return msgspec.structs.replace(
            grant,
            powers=powers,
            level=level_of(powers) if powers or known else "unknown",
            actions=[ASSIGN],
            conditional=True,
            confidence="high" if known else "low",
        )

    def links(self, grant: Grant, found: Allowed) -> Iterator[Link]:
        """Yield whom the holder of a grant can become by it alone: the identities of resources at its scope."""
        self._remember(grant, found)
        yield from self._targets(grant, [way for way, _ in found.ways if way.runs_on])

    def combined(self) -> Iterator[Link]:
        """Yield whom principals can become by several roles together, after all `links`. Each comes once."""
        for (principal, name), grants in self._first.items():
            way = self._by_id[name]
            if self._rest[principal, name] >= set(range(1, len(way.also) + 1)):
                for grant in grants:
                    yield from self._targets(grant, [way])
                grants.clear()

    def _remember(self, grant: Grant, found: Allowed) -> None:
        """Keep which parts of a way a role allows: another role of the same principal may allow the rest, anywhere."""
        for way, _ in found.ways:
            if way.also:
                self._rest.setdefault((grant.identity_id, way.id), set()).update(range(1, len(way.also) + 1))
        for way, numbers in found.parts:
            if numbers and way.runs_on:
                key = (grant.identity_id, way.id)
                self._rest.setdefault(key, set()).update(numbers)
                if 0 in numbers:
                    self._first.setdefault(key, []).append(grant)

    def _targets(self, grant: Grant, takers: list[Way]) -> Iterator[Link]:
        if not takers:
            return
        count = 0
        for runner in self.estate.runners(grant.resource):
            way = next((way for way in takers if runner.type in way.runs_on), None)
            if way is None:
                continue
            if count == MOST_TARGETS:
                return
            count += 1
            yield _link(grant, way, runner)

    def _held(self, grant: Grant) -> list[Deny]:
        """Return the deny assignments that apply to a grant: of its scope, and of the scopes above."""
        if not self._denies:
            return []
        principal = grant.identity_id.rpartition(":")[2]
        here, *above = self.estate.above(grant.resource)
        return [
            deny
            for place in (here, *above)
            for deny in self._denies.get(place, ())
            if (place == here or deny.children) and concerns(deny, principal)
        ]

    def _role(self, name: str) -> RoleRights:
        found = self._roles.get(name)
        if found is None:
            found = self._roles[name] = role_of(self._documents[name].document or "{}")
        return found

    def _assignable(self) -> Iterator[tuple[str, RoleRights]]:
        for number, name in self._numbers.items():
            yield number, self._role(name)


def _why(grant: Grant, found: Allowed, level: Level) -> str | None:
    if not found.actions:
        return None
    way = next((way for way, _ in found.ways if level_of([way.power]) == level), None)
    by = f" ({way.id})" if way is not None and level == "escalation" else ""
    return f"the role {grant.role} allows {found.actions[0]}{by}"


def _link(grant: Grant, way: Way, runner: RunningResource) -> Link:
    digest = hashlib.sha256(f"{grant.id} {runner.id}".encode()).hexdigest()[:24]
    return Link(
        id=record_id("azure", "can-become", digest),
        provider="azure",
        account_id=grant.account_id,
        source_id=grant.identity_id,
        relation="can_become",
        target_id=runner.id,
        evidence=way.id,
        why=f"the role {grant.role} at {grant.resource} allows {way.actions[0]} on {runner.name}",
        fix=f"Assign a role without {way.actions[0]}, or assign it where no more powerful identity is attached.",
        expires_at=grant.expires_at,
    )
