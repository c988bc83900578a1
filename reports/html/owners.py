"""The section of owners: open findings by owner, as a work list for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reports.html.queries import Cut, cut, utc
from scanner.analyze.metrics import OVERDUE
from scanner.findings import OPEN, SEVERITIES

if TYPE_CHECKING:
    from scanner.night import Night

OWNERS = 20


def read_owners(night: Night) -> Cut:
    """Return the number of open findings by owner, those without an owner first."""
    counts = ", ".join(f"count(*) FILTER (WHERE severity = '{name}') AS {name}" for name in SEVERITIES)
    query = f"""
        SELECT owner, count(*) AS total, {counts}, min(due_at) AS due,
               count(*) FILTER (WHERE {OVERDUE}) AS overdue, count(*) FILTER (WHERE status <> 'open') AS new
        FROM findings WHERE {OPEN} GROUP BY owner
        ORDER BY owner IS NULL DESC, critical DESC, high DESC, medium DESC, low DESC, info DESC, owner
    """
    found = cut(night, query, OWNERS, {"as_of": utc(night.as_of)})
    for row in found.rows:
        row["counts"] = {name: row[name] for name in SEVERITIES}
    return found
