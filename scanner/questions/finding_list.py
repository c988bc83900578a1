"""The findings of a night as a list: filtered, as a table, JSON, CSV, Markdown or SARIF."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from scanner.findings import COUNTS_AS_NEW, OPEN, SEVERITIES
from scanner.safe_text import FORMULA, NAME, plain
from scanner.sarif import REPORTED, by_severity, sarif_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from scanner.night import Night

Format: TypeAlias = Literal["table", "json", "csv", "markdown"]

FIELDS = (
    "id",
    "severity",
    "status",
    "rule",
    "title",
    "subject_name",
    "account_name",
    "owner",
    "due_at",
    "detail",
    "fix",
    "url",
)
NO_OWNER = "none"
"""Stands for findings without an owner."""


class FindingFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which findings; an empty list does not filter."""

    severities: Sequence[str] = ()
    rules: Sequence[str] = ()
    owners: Sequence[str] = ()
    """Names, or ``none`` for findings without an owner."""
    accounts: Sequence[str] = ()
    """Names or ids of accounts."""
    statuses: Sequence[str] = ()
    """Open findings if empty."""
    new: bool = False
    """Only what counts as new in this run."""


def find(night: Night, chosen: FindingFilter) -> list[dict[str, Any]]:
    """Return the findings, most urgent first."""
    query = (
        f"SELECT {', '.join(FIELDS)} FROM findings WHERE {_condition(chosen, OPEN)} ORDER BY rank DESC, id"
    )
    return list(night.dicts(query, _params(chosen)))


def find_sarif(night: Night, chosen: FindingFilter) -> Iterator[bytes]:
    """Yield the parts of a SARIF file of the findings.

    Without a status, also those that are accepted or were not observed: an importer closes what is missing.
    """
    where, params = _condition(chosen, REPORTED), _params(chosen)
    yield from sarif_file(night, by_severity(night, where, params), "findings")


def _condition(chosen: FindingFilter, otherwise: str) -> str:
    """Return the SQL condition; ``otherwise`` is that of the status if none is chosen."""
    where = ["list_contains($statuses, status)" if chosen.statuses else otherwise]
    if chosen.severities:
        where.append("list_contains($severities, severity)")
    if chosen.rules:
        where.append("list_contains($rules, rule)")
    if chosen.owners:
        where.append(f"list_contains($owners, coalesce(owner, '{NO_OWNER}'))")
    if chosen.accounts:
        where.append("(list_contains($accounts, account_id) OR list_contains($accounts, account_name))")
    if chosen.new:
        where.append(COUNTS_AS_NEW)
    return " AND ".join(where)


def _params(chosen: FindingFilter) -> dict[str, Any]:
    names = ("severities", "rules", "owners", "accounts", "statuses")
    return {name: list(getattr(chosen, name)) for name in names}


def rules_of(night: Night) -> list[str]:
    """Return the ids of the rules that ran, and of those that have findings."""
    query = "SELECT rule FROM findings UNION SELECT rule FROM rule_results ORDER BY 1"
    return [row[0] for row in night.rows(query)]


def owners_of(night: Night) -> list[str]:
    """Return the owners of findings, and ``none``."""
    query = "SELECT DISTINCT owner FROM findings WHERE owner IS NOT NULL ORDER BY 1"
    return [*(row[0] for row in night.rows(query)), NO_OWNER]


def accounts_of(night: Night) -> list[str]:
    """Return the names and ids of accounts, and of accounts that findings still name."""
    query = """
        SELECT unnest([name, id]) AS known FROM accounts UNION SELECT unnest([account_name, account_id]) FROM findings ORDER BY 1
    """
    return [row[0] for row in night.rows(query) if row[0] is not None]


def as_table(rows: list[dict[str, Any]]) -> str:
    """Return one line for each finding, and a last line that counts them."""
    lines = []
    for row in rows:
        due = f"; due {row['due_at']:%Y-%m-%d}" if row["due_at"] else ""
        where = f"{plain(row['account_name'] or '', NAME)}; {plain(row['owner'] or 'no owner', NAME)}{due}"
        what = f"{plain(row['title'], NAME)}: {plain(row['subject_name'], NAME)}"
        lines.append(f"{row['severity']:8}  {what}  [{where}]  {row['id']}")
    return "\n".join([*lines, _counted(rows)])


def _counted(rows: list[dict[str, Any]]) -> str:
    counts = {name: sum(row["severity"] == name for row in rows) for name in SEVERITIES}
    parts = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    return f"{len(rows)} finding{'' if len(rows) == 1 else 's'}{f': {parts}' if parts else ''}"


def as_json(rows: list[dict[str, Any]]) -> str:
    """Return a JSON array with an object for each finding."""
    return msgspec.json.format(msgspec.json.encode(rows), indent=1).decode()


def as_csv(rows: list[dict[str, Any]]) -> str:
    """Return CSV with a header; cells that a spreadsheet would evaluate begin with an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(FIELDS)
    for row in rows:
        writer.writerow(_cell(row[name]) for name in FIELDS)
    return out.getvalue().removesuffix("\r\n")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if hasattr(value, "strftime"):
        return str(value.strftime("%Y-%m-%dT%H:%M:%SZ"))
    text = plain(str(value))
    return f"'{text}" if re.match(FORMULA, text) else text


def as_markdown(rows: list[dict[str, Any]]) -> str:
    """Return a Markdown table."""
    lines = ["| severity | finding | subject | account | owner | due |", "|---|---|---|---|---|---|"]
    for row in rows:
        cells = [row["severity"], row["title"], row["subject_name"], row["account_name"] or "", row["owner"] or "no owner",
                 f"{row['due_at']:%Y-%m-%d}" if row["due_at"] else ""]  # fmt: skip
        lines.append(f"| {' | '.join(_escaped(cell) for cell in cells)} |")
    return "\n".join([*lines, "", _counted(rows)])


def _escaped(text: str) -> str:
    """Return text that Markdown shows as it is: names from providers could be links or HTML."""
    return "".join(
        f"\\{letter}" if letter in r"\`*_{}[]<>()#+!|~" else letter for letter in plain(text, NAME)
    )


FORMATS: dict[Format, Callable[[list[dict[str, Any]]], str]] = {
    "table": as_table, "json": as_json, "csv": as_csv, "markdown": as_markdown,
}  # fmt: skip
