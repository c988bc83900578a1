"""Who may go around branch protection: a hundred rules a query; to ask beside the rules would cost many times more."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from collectors.github.queries import BYPASS_PARTS, bypass
from scanner.collect.failures import SourceError
from scanner.collect.graphql import PartsQuery
from scanner.collect.listings import with_coverage
from scanner.records import Control

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

    from collectors.github.scope import OrganizationScope
    from scanner.records import Record

BATCH = 100
"""Rules a query."""


class BypassBatches:
    """Holds branch protection rules back until there are enough of them to ask about."""

    def __init__(self, scope: OrganizationScope) -> None:
        self._scope = scope
        self._held: list[tuple[str, Control]] = []
        self._asked = 0
        self._query = PartsQuery(scope.client.graphql, bypass, BYPASS_PARTS, largest=BATCH)

    def through(self, records: Iterable[Record], rules: Mapping[str, str]) -> Iterator[Record]:
        """Pass records on, but for the controls of ``rules`` (`Control.id` -> GraphQL id), which come later."""
        for record in records:
            if isinstance(record, Control) and record.id in rules:
                self._held.append((rules[record.id], record))
            else:
                yield record
            if len(self._held) >= BATCH:
                yield from self.rest()

    def rest(self) -> Iterator[Record]:
        """Yield the rules that are held back, with who may bypass them. A failure is a Gap; the rules are kept."""
        if not self._held:
            return
        held, self._held = self._held, []
        self._asked += 1
        shown = set()
        for record in with_coverage(
            _with_bypass(self._query, held),
            self._scope.request(
                "controls",
                f"POST /graphql nodes.bypassPullRequestAllowances ({self._asked})",
                kind="branch-protection-bypass",
                needs="administration: read",
            ),
        ):
            shown.add(record.id)
            yield record
        yield from (control for _, control in held if control.id not in shown)


def _with_bypass(query: PartsQuery, held: Sequence[tuple[str, Control]]) -> Generator[Record, None, None]:
    """Yield the rules of which GitHub shows who may bypass them."""
    hidden = dict(held)
    numbers = list(hidden)
    while numbers:
        answer = query.ask(partial(_first, numbers))
        nodes = answer.data.get("nodes") or []
        if not nodes:
            raise SourceError(
                "malformed", "who may bypass branch protection rules was asked, and nothing came"
            )
        numbers = numbers[len(nodes) :]
        for node in nodes:
            allowances = (node or {}).get("bypassPullRequestAllowances")
            if allowances is not None and (rule := hidden.pop(str(node["id"]), None)):
                names = sorted(
                    _name(item.get("actor") or {}) for item in allowances["nodes"] if item is not None
                )
                more = int(allowances["totalCount"]) - len(names)
                names += [f"{more} more"] if more > 0 else []
                yield msgspec.structs.replace(rule, bypass=[*rule.bypass, *names])
    if hidden:
        raise SourceError("denied", f"who may bypass {len(hidden)} branch protection rules is not visible")


def _first(numbers: Sequence[str], size: int) -> dict[str, Any]:
    return {"ids": list(numbers[:size])}


def _name(actor: dict[str, Any]) -> str:
    return str(actor.get("login") or actor.get("combinedSlug") or f"App {actor.get('slug')}")
