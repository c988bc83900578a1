"""Queries shared by the sections of the HTML report: single figures and truncated lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

    from scanner.night import Night

ROWS = 60
"""The default maximum number of rows of a list."""


PLACES = """
    WITH RECURSIVE up AS (
        SELECT id AS account_id, id AS top, name, parent_id, kind, 0 AS steps FROM accounts
        UNION ALL
        SELECT up.account_id, a.id, a.name, a.parent_id, a.kind, steps + 1
        FROM up JOIN accounts AS a ON a.id = up.parent_id AND a.provider = split_part(up.account_id, ':', 1)
        WHERE steps < 16 AND up.kind NOT IN ('aws-account', 'azure-subscription', 'gcp-project')
    )
    SELECT account_id, arg_max(top, steps) AS place, arg_max(name, steps) AS place_name FROM up GROUP BY account_id
"""
"""The organization or group of an account: cloud accounts stand for themselves."""


class Cut(NamedTuple):
    """The rows shown, and the total number."""

    rows: list[dict[str, Any]]
    total: int

    @property
    def more(self) -> int:
        """The number of rows left out."""
        return self.total - len(self.rows)


def plural(count: float, one: str, many: str | None = None) -> str:
    """Return a count with its noun: ``1 finding``, ``1,204 findings``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def cut(night: Night, query: str, limit: int = ROWS, params: dict[str, Any] | None = None) -> Cut:
    """Return the first rows of a query and the total number. The query must define a total order."""
    total = int(night.one(f"SELECT count(*) FROM ({query})", params))
    return Cut(list(night.dicts(f"{query} LIMIT {limit}", params)), total)


def first(night: Night, query: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the only row of an aggregate query."""
    return next(night.dicts(query, params))


def utc(moment: datetime) -> datetime:
    """Return a time as used in views: UTC without a time zone."""
    return moment.replace(tzinfo=None)
