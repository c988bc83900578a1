"""The findings embedded in the HTML report's table: columns, dictionary-encoded, gzip, base64.

A column with few distinct values is stored as a dictionary with an index for each row. Names repeated in the sentences
of the same row are replaced by one control character each (`plain` removes these from texts). So 200,000 findings fit
in 10 MB, and base64 cannot close the element that contains it.
"""

from __future__ import annotations

import base64
import gzip
import json
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from reports.html.links import web_address
from reports.html.queries import utc
from scanner.analyze.metrics import OVERDUE
from scanner.safe_text import NAME, SENTENCE, plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scanner.night import Night

MOST = 200_000
"""Maximum number of embedded findings, about 7 MB."""

URGENT = "counts_as_new IS NOT NULL OR (status = 'open' AND severity IN ('critical', 'high'))"
"""The findings to embed if there are more."""

NAMES = ("subject_name", "identity_name", "account_name")
"""Columns whose value is replaced in a row's sentences, by the characters U+0001, U+0002, U+0003."""
SENTENCES = ("detail", "fix", "blast", "path", "evidence", "url", "subject", "resource", "not_observed")
"""Columns in which they are replaced."""
SHORTEST = 4
"""Names shorter than this are not worth replacing."""
FIELDS = (
    "id", "rule", "title", "severity", "status", "confidence", "category", "provider", "account_name", "subject",
    "subject_kind", "subject_name", "identity_name", "surface", "resource", "owner", "environment", "detail", "fix",
    "blast", "path", "evidence", "url", "first_seen", "changed_at", "due_at", "exception_id", "gone_in", "not_observed", "account_id",
)  # fmt: skip
DAYS = ("first_seen", "changed_at", "due_at")
BATCH = 10_000


class EmbeddedFindings(NamedTuple):
    """The embedded findings."""

    text: str
    """base64 of gzip of JSON: ``{"rows", "columns": {name: {"values", "index"?}}, "fixes": {rule: text}}``."""
    shown: int
    total: int


def embed_findings(night: Night, fixes: Mapping[str, str], most: int = MOST) -> EmbeddedFindings:
    """Return the findings of a night, most urgent first, and the fix of each rule once."""
    total = int(night.one("SELECT count(*) FROM findings"))
    where = f"WHERE {URGENT}" if total > most else ""
    chosen = {**{name: name for name in FIELDS}, "overdue": f"CASE WHEN {OVERDUE} THEN 'yes' END"}
    asked = ", ".join(f"{sql} AS {name}" for name, sql in chosen.items())
    query = f"SELECT {asked} FROM findings {where} ORDER BY rank DESC, id LIMIT {most}"
    columns = {name: _Column() for name in chosen}
    rows = night.rows(query, {"as_of": utc(night.as_of)})
    while batch := list(islice(rows, BATCH)):
        for name, values in _texts(dict(zip(chosen, zip(*batch, strict=True), strict=True))).items():
            columns[name].extend(values)
    shown = len(columns["id"].index)
    found = columns["rule"].places
    data = {
        "rows": shown,
        "columns": {name: column.encoded() for name, column in columns.items()},
        "fixes": {rule: fix for rule, fix in fixes.items() if rule in found},
    }
    raw = json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()
    packed = gzip.compress(raw, compresslevel=9, mtime=0)
    return EmbeddedFindings(base64.b64encode(packed).decode("ascii"), shown, total)


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


class _Column:
    """A column stored as a dictionary from the start, so that equal values are kept once."""

    def __init__(self) -> None:
        self.places: dict[str | None, int] = {}
        self.index: list[int] = []

    def extend(self, values: list[str | None]) -> None:
        places = self.places
        self.index += [places.setdefault(value, len(places)) for value in values]

    def encoded(self) -> dict[str, list[str | None] | list[int]]:
        """Drop the index if more than an eighth of the values are distinct, because it would cost more than it saves."""
        values = list(self.places)
        if len(values) * 8 > len(self.index) > 64:
            return {"values": [values[place] for place in self.index]}
        return {"values": values, "index": self.index}
