"""The places and resources of a tenant that decide what a role amounts to: what lies below what, and which ways are closed."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec

from scanner.records import Account, Control, Enforcement, Identity, Link

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from collectors.azure.evaluator.ways import Way
    from scanner.records import Record

USER_ASSIGNED = "microsoft.managedidentity/userassignedidentities"
_GROUP = "azure:management-group:"
_SUBSCRIPTION = "azure:subscription:"


class RunningResource(msgspec.Struct, frozen=True, gc=False):
    """A resource that runs as an identity."""

    id: str
    """`Identity.id`."""
    scope: str
    """Its resource ID, in lower case."""
    type: str
    name: str


class Estate:
    """Filled from the records of a night; see `add`."""

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}
        self._types: dict[str, tuple[str, str, str]] = {}
        self._running: set[str] = set()
        self._controls: dict[str, dict[str, set[Enforcement]]] = defaultdict(dict)
        self._targets: set[str] = set()
        self._numbers: set[str] = set()
        self._by_subscription: dict[str, list[RunningResource]] | None = None
        self._below: dict[str, frozenset[str]] = {}

    def add(self, record: Record) -> None:
        """Take note of a record, if it matters here."""
        match record:
            case Account(parent_id=str(parent)):
                self._parents[record.id] = parent
                self._below.clear()
            case Identity(address=str(address)) if record.id.startswith("azure:resource:"):
                # The collector's own, which no tag of the resource replaces.
                kind = record.tags.get("resource_type", "")
                self._types[record.id] = (address.lower().rstrip("/"), kind, record.name)
            case Link(relation="runs_as"):
                self._running.add(record.source_id)
            case Control(target=str(target)) if target.startswith("azure:resource:/subscriptions/"):
                resource = target.removeprefix("azure:resource:")
                parts = resource.split("/")
                self._targets.add(resource)
                self._numbers.add(parts[2])
                held = self._controls[record.kind]
                for place in {resource, "/".join(parts[:5]), "/".join(parts[:3])}:
                    held.setdefault(place, set()).add(record.enforcement)
            case _:
                return
        self._by_subscription = None

    def seen(self, records: Iterable[Record]) -> Iterator[Record]:
        """Yield records, each taken note of."""
        for record in records:
            self.add(record)
            yield record

    def runners(self, scope: str) -> Iterator[RunningResource]:
        """Yield the resources with an identity at a scope or below it, by their IDs."""
        found = self._indexed()
        wanted = self._subscriptions(scope)
        prefix = scope.lower().rstrip("/")
        for number in sorted(found) if wanted is None else sorted(wanted & found.keys()):
            for runner in found[number]:
                if not prefix.startswith("/subscriptions/") or _within(runner.scope, prefix):
                    yield runner

    def closed(self, way: Way, scope: str) -> bool:
        """Return whether settings of the resources at a scope close a way. What no list showed closes nothing."""
        for kind, value in way.only_where.items():
            if kind in self._controls and value not in self._settings(kind, scope):
                return True
        return any(self._settings(kind, scope) == {value} for kind, value in way.not_where.items())

    def above(self, scope: str) -> list[str]:
        """Return a scope, and every scope above it, in lower case; the root is the empty text."""
        here = scope.lower().rstrip("/")
        found = [here]
        if here.startswith("/subscriptions/"):
            parts = here.split("/")
            found += ["/".join(parts[:end]) for end in range(len(parts) - 1, 2, -1)]
        account = self._account(here)
        while account is not None and len(found) < 64:
            account = self._parents.get(account)
            if account is not None and account.startswith(_GROUP):
                found.append(
                    f"/providers/microsoft.management/managementgroups/{account.removeprefix(_GROUP)}"
                )
        return [*found, ""] if here else found

    def key(self, scope: str, kinds: Mapping[str, object]) -> tuple[tuple[str, frozenset[Enforcement]], ...]:
        """Return the settings of some kinds at a scope: what `closed` looks at."""
        return tuple((kind, self._settings(kind, scope)) for kind in sorted(kinds))

    def _settings(self, kind: str, scope: str) -> frozenset[Enforcement]:
        """Return how a control is set at a scope and below it, or for the resource that a scope is a part of."""
        held = self._controls.get(kind)
        if not held:
            return frozenset()
        here = scope.lower().rstrip("/")
        if here.startswith("/subscriptions/"):
            if here in held:
                return frozenset(held[here])
            # A secret in a vault, a container in a storage account.
            parts = here.split("/")
            for end in range(len(parts) - 1, 6, -1):
                above = "/".join(parts[:end])
                if above in self._targets:
                    return frozenset(held.get(above, ()))
            return frozenset()
        wanted = self._subscriptions(scope)
        return frozenset(
            value
            for number in (self._numbers if wanted is None else wanted)
            for value in held.get(f"/subscriptions/{number}", ())
        )

    def _indexed(self) -> dict[str, list[RunningResource]]:
        if self._by_subscription is None:
            found: dict[str, list[RunningResource]] = defaultdict(list)
            for identity, (scope, kind, name) in sorted(self._types.items()):
                if identity in self._running:
                    # A policy assignment may be at a management group.
                    account = self._account(scope) or ""
                    found[account.removeprefix(_SUBSCRIPTION)].append(
                        RunningResource(identity, scope, kind, name)
                    )
            self._by_subscription = dict(found)
        return self._by_subscription

    def _account(self, scope: str) -> str | None:
        parts = scope.strip("/").split("/")
        if parts[0] == "subscriptions" and len(parts) > 1:
            return f"{_SUBSCRIPTION}{parts[1]}"
        if "managementgroups" in parts[:-1]:
            return f"{_GROUP}{parts[parts.index('managementgroups') + 1]}"
        return None

    def _subscriptions(self, scope: str) -> frozenset[str] | None:
        """Return the subscriptions and management groups at or below a scope; None for all of them."""
        account = self._account(scope.lower().rstrip("/"))
        if account is None:
            return None
        if account.startswith(_SUBSCRIPTION):
            return frozenset((account.removeprefix(_SUBSCRIPTION),))
        if account not in self._below:
            self._below[account] = frozenset(
                one.removeprefix(_SUBSCRIPTION)
                for one in (account, *self._parents)
                if one == account
                or (one.startswith((_SUBSCRIPTION, _GROUP)) and self._is_below(one, account))
            )
        return self._below[account]

    def _is_below(self, account: str, top: str) -> bool:
        for _ in range(64):
            parent = self._parents.get(account)
            if parent is None or parent == top:
                return parent == top
            account = parent
        return False


def _within(scope: str, top: str) -> bool:
    return scope == top or scope.startswith(f"{top}/")
