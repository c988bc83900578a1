"""Who may go around branch protection: a hundred rules a query; to ask beside the rules would cost many times more.

https://docs.github.com/en/graphql/reference/objects#bypasspullrequestallowance
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from collectors.github.failures import GitHubError
from scanner.records import Control

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from collectors.github.scope import Scope
    from scanner.records import Record

BATCH = 100
_DOCUMENT = """
query Bypass($ids: [ID!]!) {
  nodes(ids: $ids) {
    ... on BranchProtectionRule {
      id
      bypassPullRequestAllowances(first: 10) {
        totalCount
        nodes { actor { ... on User { login } ... on Team { combinedSlug } ... on App { slug } } }
      }
    }
  }
}
"""


class Bypass:
    """Holds branch protection rules back until there are enough of them to ask about."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._held: list[tuple[str, Control]] = []
        self._asked = 0

    def through(self, records: Iterable[Record], rules: dict[str, str]) -> Iterator[Record]:
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
        found: dict[str, list[str]] = {}
        yield from self._scope.told(
            self._read(found, [number for number, _ in held]),
            self._scope.asked(
                "controls",
                f"POST /graphql nodes.bypassPullRequestAllowances ({self._asked})",
                kind="branch-protection-bypass",
                needs="administration: read",
            ),
        )
        for number, control in held:
            yield msgspec.structs.replace(control, bypass=[*control.bypass, *found.get(number, [])])

    def _read(self, found: dict[str, list[str]], ids: list[str]) -> Iterator[Record]:
        answer = self._scope.client.query(_DOCUMENT, {"ids": ids})
        hidden = 0
        for node in answer.data.get("nodes") or []:
            allowances = (node or {}).get("bypassPullRequestAllowances")
            if allowances is None:
                hidden += 1
                continue
            names = [_name(item.get("actor") or {}) for item in allowances["nodes"] if item is not None]
            more = int(allowances["totalCount"]) - len(names)
            found[str(node["id"])] = sorted(names) + ([f"{more} more"] if more > 0 else [])
        if hidden:
            raise GitHubError("denied", f"who may bypass {hidden} branch protection rules is not shown")
        yield from ()


def _name(actor: dict[str, Any]) -> str:
    return str(actor.get("login") or actor.get("combinedSlug") or f"App {actor.get('slug')}")
