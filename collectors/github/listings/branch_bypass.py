"""Who may bypass branch protection, for a hundred rules per query. Reading this together with the rules would cost many
times more.
"""

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
"""Rules per query."""


class BypassBatches:
    """Collects branch protection rules until there are enough for one query."""

    def __init__(self, scope: OrganizationScope) -> None:
        self._scope = scope
        self._held: list[tuple[str, Control]] = []
        self._queries = 0
        self._query = PartsQuery(scope.client.graphql, bypass, BYPASS_PARTS, largest=BATCH)

    def without_rules(self, records: Iterable[Record], rules: Mapping[str, str]) -> Iterator[Record]:
        """Yield records, except the controls of ``rules`` (`Control.id` -> GraphQL id), which are yielded later."""
        for record in records:
            if isinstance(record, Control) and record.id in rules:
                self._held.append((rules[record.id], record))
            else:
                yield record
            if len(self._held) >= BATCH:
                yield from self.rest()

    def rest(self) -> Iterator[Record]:
        """Yield the collected rules, with who may bypass them. If that fails, the rules are yielded without it, and a
        Gap.
        """
        if not self._held:
            return
        held, self._held = self._held, []
        self._queries += 1
        shown = set()
        for record in with_coverage(
            _with_bypass(self._query, held),
            self._scope.request(
                "controls",
                f"POST /graphql nodes.bypassPullRequestAllowances ({self._queries})",
                kind="branch-protection-bypass",
                needs="administration: read",
            ),
        ):
            shown.add(record.id)
            yield record
        yield from (control for _, control in held if control.id not in shown)


def _with_bypass(query: PartsQuery, held: Sequence[tuple[str, Control]]) -> Generator[Record, None, None]:
    """Yield the rules for which GitHub shows who may bypass them."""
    hidden = dict(held)
    numbers = list(hidden)
    while numbers:
        answer = query.ask(partial(_first, numbers))
        nodes = answer.data.get("nodes") or []
        if not nodes:
            raise SourceError(
                "malformed", "the query for bypass allowances of branch protection rules returned nothing"
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
        raise SourceError(
            "denied", f"bypass allowances of {len(hidden)} branch protection rules are not visible"
        )


def _first(numbers: Sequence[str], size: int) -> dict[str, Any]:
    return {"ids": list(numbers[:size])}


def _name(actor: dict[str, Any]) -> str:
    return str(actor.get("login") or actor.get("combinedSlug") or f"App {actor.get('slug')}")
