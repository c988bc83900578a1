"""The findings that the HTML report carries for its table: columns, dictionary-encoded, gzip, base64.

A column with few distinct values is a dictionary and an index a row. Names that a sentence repeats from its own row
are replaced by one control character each (`plain` leaves none in a text). So 200,000 findings fit in 10 MB, and base64
leaves nothing that could end the element that holds it.
"""

from __future__ import annotations

import base64
import gzip
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from reports.plain import NAME, SENTENCE, plain, web_address

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from scanner.night import Night

MOST = 200_000
"""Findings embedded at the most: about 7 MB."""

URGENT = "status IN ('new', 'reopened') OR (status = 'open' AND severity IN ('critical', 'high'))"
"""What is embedded when there are more than that."""

NAMES = ("subject_name", "identity_name", "account_name")
"""Columns whose value is replaced in a row's sentences, by the characters U+0001, U+0002, U+0003."""
SENTENCES = ("detail", "fix", "blast", "path", "evidence", "url", "subject", "resource")
"""Columns in which it is replaced."""
SHORTEST = 4
"""Names shorter than this are not worth replacing."""
FIELDS = (
    "id", "rule", "title", "severity", "status", "confidence", "category", "provider", "account_name", "subject",
    "subject_kind", "subject_name", "identity_name", "surface", "resource", "owner", "environment", "detail", "fix",
    "blast", "path", "evidence", "url", "first_seen", "changed_at", "due_at", "exception_id", "gone_in", "account_id",
)  # fmt: skip
_LONGEST = dict.fromkeys(FIELDS, NAME) | dict.fromkeys(SENTENCES, SENTENCE)


class Payload(NamedTuple):
    """The embedded findings."""

    text: str
    """base64 of gzip of JSON: ``{"rows", "columns": {name: {"values", "index"?}}, "rules"}``."""
    shown: int
    total: int


def payload(night: Night, rules: Mapping[str, Mapping[str, str]], most: int = MOST) -> Payload:
    """Return the findings of a night, most urgent first, and the texts of their rules, once each."""
    total = int(night.one("SELECT count(*) FROM findings"))
    where = f"WHERE {URGENT}" if total > most else ""
    query = f"SELECT {', '.join(FIELDS)} FROM findings {where} ORDER BY rank DESC, id LIMIT {most}"
    columns: dict[str, list[str | None]] = {name: [] for name in FIELDS}
    appends = [columns[name].append for name in FIELDS]
    for row in night.rows(query):
        for append, value in zip(appends, _texts(dict(zip(FIELDS, row, strict=True))), strict=True):
            append(value)
    shown = len(columns["id"])
    data = {
        "rows": shown,
        "columns": {name: _encoded(values) for name, values in columns.items()},
        "rules": rules,
    }
    raw = json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()
    packed = gzip.compress(raw, compresslevel=9, mtime=0)
    return Payload(base64.b64encode(packed).decode("ascii"), shown, total)


def _texts(row: dict[str, Any]) -> list[str | None]:
    """Return a row's cells as the page needs them: plain text, days, lines of steps and of evidence."""
    row["path"] = "\n".join(plain(step, NAME) for step in row["path"] or [])
    row["evidence"] = "\n".join(
        f"{plain(key, NAME)}\t{plain(value, NAME)}" for key, value in sorted((row["evidence"] or {}).items())
    )
    row["url"] = web_address(row["url"])
    for name in ("first_seen", "changed_at", "due_at"):
        row[name] = _day(row[name])
    for name in FIELDS:
        if row[name] is not None and name not in ("path", "evidence"):
            row[name] = plain(row[name], _LONGEST[name])
    for mark, name in enumerate(NAMES, start=1):
        value = row[name]
        if value is None or len(value) < SHORTEST:
            continue
        for column in SENTENCES:
            if row[column]:
                row[column] = row[column].replace(value, chr(mark))
    return [row[name] or None for name in FIELDS]


def _day(moment: datetime | None) -> str | None:
    return None if moment is None else moment.strftime("%Y-%m-%d")


def _encoded(values: list[str | None]) -> dict[str, list[str | None] | list[int]]:
    """Encode a column as a dictionary when fewer than an eighth of its values are distinct."""
    places: dict[str | None, int] = {}
    index = [places.setdefault(value, len(places)) for value in values]
    if len(places) * 8 > len(values) > 64:
        return {"values": values}
    return {"values": list(places), "index": index}
