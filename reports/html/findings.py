"""The findings embedded in the HTML report.

Names repeated in the sentences of the same row are replaced by one control character each (`plain` removes these from
texts). So 200,000 findings fit in 10 MB.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from reports.html.columns import Column
from reports.html.links import web_address
from reports.html.queries import PLACES
from scanner.safe_text import NAME, SENTENCE, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scanner.night import Night

MOST = 200_000
"""Maximum number of embedded findings, about 7 MB."""

URGENT = "counts_as_new IS NOT NULL OR (status = 'open' AND severity IN ('critical', 'high'))"
"""The findings to embed if there are more."""

NAMES = ("name", "iname", "account")
"""Columns whose value is replaced in a row's sentences, by the characters U+0001, U+0002, U+0003."""
SENTENCES = ("detail", "fix", "blast", "path", "evidence", "url", "subject", "resource", "unseen")
"""Columns in which they are replaced."""
SHORTEST = 4
"""Names shorter than this are not worth replacing."""
FIELDS = {
    "id": "id", "rule": "rule", "severity": "severity", "status": "status", "confidence": "confidence", "category": "category",
    "provider": "provider", "account": "coalesce(account_name, account_id)", "subject": "subject", "kind": "subject_kind",
    "name": "subject_name", "identity": "identity_id", "iname": "identity_name", "surface": "surface", "resource": "resource",
    "owner": "owner", "osource": "owner_source", "env": "environment", "detail": "detail", "fix": "fix", "blast": "blast",
    "path": "path", "evidence": "evidence", "url": "url", "first": "first_seen", "changed": "changed_at", "due": "due_at",
    "exception": "exception_id", "gone": "gone_in", "unseen": "not_observed",
    "place": "coalesce(place_name, account_name, account_id)",
}  # fmt: skip
"""SQL by the name of the column in the page."""
_FOUND = f"findings LEFT JOIN (SELECT account_id AS of_account, place_name FROM ({PLACES})) ON of_account = account_id"
DAYS = ("first", "changed", "due")
BATCH = 10_000


class EmbeddedFindings(NamedTuple):
    """The embedded findings."""

    columns: dict[str, Any]
    """Encoded columns by name, rows most urgent first."""
    rules: frozenset[str]
    """The rules they belong to."""
    shown: int
    total: int


def embed_findings(night: Night, most: int = MOST) -> EmbeddedFindings:
    """Return the findings of a night, most urgent first."""
    total = int(night.one("SELECT count(*) FROM findings"))
    where = f"WHERE {URGENT}" if total > most else ""
    asked = ", ".join(f'{sql} AS "{name}"' for name, sql in FIELDS.items())
    columns = {name: Column() for name in FIELDS}
    rows = night.rows(f"SELECT {asked} FROM {_FOUND} {where} ORDER BY rank DESC, id LIMIT {most}")
    while batch := list(islice(rows, BATCH)):
        for name, values in _texts(dict(zip(FIELDS, zip(*batch, strict=True), strict=True))).items():
            columns[name].extend(values)
    rules = frozenset(str(rule) for rule in columns["rule"].places)
    return EmbeddedFindings(
        {name: column.encoded() for name, column in columns.items()}, rules, len(columns["id"].index), total
    )


def _texts(batch: dict[str, Sequence[Any]]) -> dict[str, list[str | None]]:
    """Return the columns for the page: plain text, dates, and one line for each step and each item of evidence."""
    cells: dict[str, list[str | None]] = {}
    for name, values in batch.items():
        if name in DAYS:
            cells[name] = [None if moment is None else moment.strftime("%Y-%m-%d") for moment in values]
        elif name == "path":
            cells[name] = ["\n".join(plain(step) for step in steps or ()) or None for steps in values]
        elif name == "evidence":
            cells[name] = [_evidence(facts) for facts in values]
        elif name == "url":
            cells[name] = [web_address(address) for address in values]
        else:
            limit = SENTENCE if name in SENTENCES else NAME
            cells[name] = [plain(text, limit) if text else None for text in values]
    for mark, name in enumerate(NAMES, start=1):
        for column in SENTENCES:
            cells[column] = [
                text.replace(known, chr(mark))
                if text and known and len(known) >= SHORTEST and known in text
                else text
                for text, known in zip(cells[column], cells[name], strict=True)
            ]
    return cells


def _evidence(facts: dict[str, str] | None) -> str | None:
    lines = (f"{plain(key, NAME)}\t{plain(value, NAME)}" for key, value in sorted((facts or {}).items()))
    return "\n".join(lines) or None
