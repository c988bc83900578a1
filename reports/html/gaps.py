"""What the section of coverage says beside the accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reports.html.queries import Cut, cut

if TYPE_CHECKING:
    from scanner.night import Night


class Gaps(NamedTuple):
    """Missing permissions and affected rules."""

    needs: list[str]
    rules: Cut
    not_started: list[str]


def read_gaps(night: Night) -> Gaps:
    """Return the missing permissions, the affected rules and the targets that were not started."""
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
    return Gaps([f"{provider}: {need}" for provider, need in needs], rules, night.manifest.not_started)
