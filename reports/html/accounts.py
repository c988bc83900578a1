"""Coverage by account: what was read in full, in part, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from reports.html.labels import provider_label
from reports.html.queries import Cut, cut
from scanner.findings import OPEN

if TYPE_CHECKING:
    from scanner.night import Night

TILES = 60
"""Complete accounts of a provider that have a tile each; more share one."""
NAMED = 24
"""Unread and partial accounts of a provider that have a tile each."""


class ProviderTiles(NamedTuple):
    """The accounts of one provider, as small bars."""

    name: str
    complete: int
    total: int
    tiles: list[dict[str, Any]]
    """Rows of ``target_coverage``: unread and partial ones first."""
    more_missing: int
    """Unread and partial accounts without a tile."""
    more_complete: int
    """Complete accounts without a tile."""


class AccountCoverage(NamedTuple):
    """The accounts of a night."""

    complete: int
    partial: int
    unread: int
    not_requested: int
    providers: list[ProviderTiles]
    missing: Cut
    """Unread and partial accounts, each with its open findings, failed calls and missing permissions."""
    full: Cut
    """Complete accounts."""

    @property
    def total(self) -> int:
        """Accounts that were to be read."""
        return self.complete + self.partial + self.unread


_ROWS = f"""
    SELECT t.id, coalesce(t.name, t.target) AS name, t.kind, t.provider, t.state, t.account_id, t.collector, t.target,
           t.listings_expected, t.listings_answered, t.listings_never_shown, t.reason, t.needs, t.last_read_in,
           coalesce(f.found, 0) AS open
    FROM target_coverage AS t
         LEFT JOIN (SELECT account_id, count(*) AS found FROM findings WHERE {OPEN} GROUP BY 1) AS f ON f.account_id = t.account_id
"""
_PLACE = "list_position(['unread', 'partial', 'complete', 'not-requested'], state)"

_CALLS = """
    SELECT collector, target,
           list(DISTINCT {'call': coalesce(call, 'everything'), 'reason': reason}
                ORDER BY {'call': coalesce(call, 'everything'), 'reason': reason}) AS calls,
           list(DISTINCT needs ORDER BY needs) FILTER (WHERE needs IS NOT NULL) AS permissions
    FROM gaps WHERE reason <> 'unsupported' GROUP BY collector, target
"""
"""What was not answered, by target. What a provider never shows needs no permission."""


def read_accounts(night: Night) -> AccountCoverage:
    """Return the coverage of a night's accounts."""
    missing = cut(
        night,
        f"""
        SELECT r.*, coalesce(g.calls, []) AS calls, coalesce(g.permissions, []) AS permissions
        FROM ({_ROWS}) AS r LEFT JOIN ({_CALLS}) AS g ON g.collector = r.collector AND g.target = r.target
        WHERE r.state IN ('unread', 'partial')
        ORDER BY {_PLACE.replace("state", "r.state")}, r.provider, r.listings_expected DESC, r.name, r.id
        """,
        100,
    )
    full = cut(night, f"{_ROWS} WHERE t.state = 'complete' ORDER BY t.provider, name, t.id", 400)
    coverage = night.coverage
    return AccountCoverage(
        coverage.complete,
        coverage.partial,
        coverage.unread,
        coverage.not_requested or 0,
        [_tiles(night, provider, count) for provider, count in night.rows(
            "SELECT provider, count(*) FROM target_coverage WHERE state <> 'not-requested' GROUP BY 1 ORDER BY 1"
        )],
        missing,
        full,
    )  # fmt: skip


def _tiles(night: Night, provider: str, total: int) -> ProviderTiles:
    given = {"provider": provider}
    states = dict(
        night.rows("SELECT state, count(*) FROM target_coverage WHERE provider = $provider GROUP BY 1", given)
    )
    complete = states.get("complete", 0)
    order = f"ORDER BY {_PLACE}, listings_expected DESC, name, id"
    chosen = f"{_ROWS} WHERE t.provider = $provider AND t.state"
    missing = list(night.dicts(f"{chosen} IN ('unread', 'partial') {order} LIMIT {NAMED}", given))
    full = (
        list(night.dicts(f"{chosen} = 'complete' {order} LIMIT {TILES}", given)) if complete <= TILES else []
    )
    return ProviderTiles(
        provider_label(provider),
        complete,
        total,
        [*missing, *full],
        total - complete - len(missing),
        complete - len(full),
    )
