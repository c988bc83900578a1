"""The section of coverage gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reports.html.queries import Cut, cut

if TYPE_CHECKING:
    from scanner.night import Night


class Gaps(NamedTuple):
    """Failed listings, missing permissions and affected rules."""

    groups: Cut
    needs: list[str]
    rules: Cut
    not_started: list[str]


def read_gaps(night: Night) -> Gaps:
    """Return failed listings grouped by collector, call, reason and missing permission, and the affected rules."""
    groups = cut(
        night,
        """
        SELECT g.collector, g.call, g.reason, g.needs, min(g.detail) AS detail,
               list_sort(list(DISTINCT CASE WHEN g.table = '*' THEN 'everything' ELSE concat_ws('/', g.table, g.kind) END)) AS missing,
               list(DISTINCT g.region ORDER BY g.region) FILTER (WHERE g.region IS NOT NULL) AS regions,
               count(DISTINCT g.account_id) AS accounts,
               list_slice(list(DISTINCT coalesce(a.name, g.account_id) ORDER BY coalesce(a.name, g.account_id)), 1, 4) AS names
        FROM gaps g LEFT JOIN accounts a ON a.id = g.account_id
        GROUP BY g.collector, g.call, g.reason, g.needs
        ORDER BY accounts DESC, g.collector, g.call, g.reason, g.needs
        """,
        100,
    )
    needs = night.rows(
        "SELECT DISTINCT provider, needs FROM gaps WHERE needs IS NOT NULL ORDER BY ALL LIMIT 200"
    )
    rules = cut(
        night,
        """
        SELECT r.status, r.reason, count(DISTINCT r.rule) AS rules, count(DISTINCT r.account_id) AS accounts,
               list_slice(list(DISTINCT r.rule ORDER BY r.rule), 1, 12) AS rule_ids,
               list_slice(list(DISTINCT coalesce(a.name, r.account_id) ORDER BY coalesce(a.name, r.account_id)), 1, 4) AS names
        FROM rule_results r LEFT JOIN accounts a ON a.id = r.account_id WHERE r.status <> 'evaluated'
        GROUP BY r.status, r.reason
        ORDER BY list_position(['error', 'not-evaluated', 'incomplete'], r.status), rules DESC, r.reason
        """,
        100,
    )
    return Gaps(
        groups, [f"{provider}: {need}" for provider, need in needs], rules, night.manifest.not_started
    )
