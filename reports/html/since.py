"""The section of changes since the previous run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from reports.html.queries import Cut, cut, plural, utc
from scanner.findings import COUNTS_AS_NEW

if TYPE_CHECKING:
    from scanner.night import Night

EXPIRING_DAYS = 14
"""Exceptions that expire within this many days are counted."""


class Since(NamedTuple):
    """Changes since the previous run."""

    baseline: str | None
    rows: list[dict[str, Any]]
    arrived: Cut
    gone: Cut
    expiring: int
    unseen: Cut
    """Findings that were open and could not be checked in this run."""
    population: list[str]
    """Records added to and removed from the inventory, one phrase for each table."""
    moved: Cut
    """Identities, credentials and grants that were added or removed."""


_BRIEF = "id, severity, status, title, subject_name, account_name, owner, gone_in, previous_status, counts_as_new, first_seen"


TRANSITIONS = (
    ("open_before", "open", "Open in the previous run", ""),
    ("became_new", "new", "+ new", "first found in this run"),
    ("became_reopened", "reopened", "+ reopened", "resolved earlier, found again"),
    ("became_unexcepted", "open", "+ no longer excepted", "its exception ended or no longer matches"),
    ("became_observed", "open", "+ checked again", "not checked in the previous run"),
    ("became_resolved", "resolved", "- resolved", "no longer found, with complete inputs"),
    ("became_excepted", "excepted", "- excepted", "accepted by an exception since this run"),
    ("became_unobserved", "unobserved", "- not checked", "not checked in this run, so not resolved"),
    ("became_error", "error", "- failed", "its rule failed"),
    ("open_findings", "open", "Open in this run", ""),
)
"""Figure, status, label and meaning. The rows add up, from top to bottom."""


def read_since(night: Night) -> Since:
    """Return the changes of findings since the previous run."""
    rows = []
    for figure, status, label, meaning in TRANSITIONS:
        counts = night.figures.by_severity(figure)
        total = night.figures.count(figure)
        rows.append(
            {
                "figure": figure,
                "status": status,
                "label": label,
                "meaning": meaning,
                "counts": counts,
                "total": total,
            }
        )
    order = "ORDER BY rank DESC, id"
    arrived = f"SELECT {_BRIEF} FROM findings WHERE {COUNTS_AS_NEW} {order}"
    gone = f"SELECT {_BRIEF} FROM findings WHERE status = 'resolved' {order}"
    unseen = f"SELECT {_BRIEF} FROM findings WHERE status = 'unobserved' AND NOT out_of_scope {order}"
    expiring = (
        "SELECT count(*) FROM exceptions WHERE state IN ('active', 'expiring') AND expires_at >= $as_of "
        f"AND expires_at < $as_of + to_days({EXPIRING_DAYS})"
    )
    return Since(
        baseline=night.previous_run_id,
        rows=rows,
        arrived=cut(night, arrived, 8),
        gone=cut(night, gone, 8),
        expiring=int(night.one(expiring, {"as_of": utc(night.as_of)})),
        unseen=cut(night, unseen, 8),
        population=_population(night),
        moved=cut(night, _MOVED, 12, {"as_of": utc(night.as_of)}),
    )


_MOVED = """
    SELECT p.removed_at IS NOT NULL AS gone, p."table", p.kind, p.name, p.identity_id, p.id, coalesce(a.name, p.account_id) AS account
    FROM population AS p LEFT JOIN accounts AS a ON a.id = p.account_id
    WHERE p.first_seen = $as_of OR p.removed_at = $as_of
    ORDER BY gone DESC, list_position(['identities', 'credentials', 'secrets', 'grants'], p."table"), p.name, p.id
"""


def _population(night: Night) -> list[str]:
    query = """
        SELECT "table", count(*) FILTER (WHERE first_seen = $as_of) AS came, count(*) FILTER (WHERE removed_at = $as_of) AS went
        FROM population GROUP BY "table" ORDER BY list_position(['identities', 'credentials', 'grants', 'secrets'], "table")
    """
    nouns = {
        "identities": ("identity", "identities"),
        "credentials": ("credential", None),
        "grants": ("grant", None),
        "secrets": ("stored secret", None),
    }
    return [
        f"{plural(came, *nouns[table])} added, {went:,} removed"
        for table, came, went in night.rows(query, {"as_of": utc(night.as_of)})
    ]
