"""Files for import sets of ServiceNow: ``servicenow-findings.csv`` and ``servicenow-identities.csv``.

The columns of a staging table come from the header; the transform map updates a record whose coalesce field has the same
value, and skips one that did not change
(https://www.servicenow.com/docs/r/australia/integrate-applications/system-import-sets/c_ImportSetsKeyConcepts.html,
https://www.servicenow.com/docs/r/australia/integrate-applications/system-import-sets/c_ImportSetCoalesce.html). The first
column, ``correlation_id``, is that field. No column changes by itself, because each would update every record every night.
The names without ``u_`` are those of the table ``task``: ``priority`` is 1 (critical) to 5 (planning), times are UTC.

An import set deletes nothing, and this file closes nothing by leaving it out: a finding has ``active`` false when it is
resolved, and an identity that was not observed keeps its record. ``u_observed`` says which rows are as last seen.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from reports.grc_rows import FINDINGS, IDENTITIES, csv_parts
from reports.stream import write_parts
from scanner.config import Section

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from scanner.night import Night


class Config(Section):
    """Files for import sets of ServiceNow."""

    max_rows: int = 100_000
    """Rows of a file; more go into ``servicenow-findings.2.csv`` and so on. ServiceNow advises against very large imports."""


_PRIORITY = {"critical": 1, "high": 2, "medium": 3, "low": 4, "info": 5}
SHORT = 160
"""The length of a task's short description."""

_FINDING_HEADER = (
    "correlation_id", "short_description", "description", "priority", "active", "due_date", "assignment_group",
    "u_status", "u_observed", "u_not_observed", "u_severity", "u_rule", "u_account_id", "u_account", "u_subject",
    "u_identity_id", "u_fix", "u_controls", "u_exception", "u_first_seen", "u_url",
)  # fmt: skip
_IDENTITY_HEADER = (
    "correlation_id", "u_name", "u_native_id", "u_type", "u_kind", "u_provider", "u_account_id", "u_account", "u_owner",
    "u_environment", "u_enabled", "u_created", "u_observed", "u_url",
)  # fmt: skip


def write(night: Night, folder: Path, config: Config) -> list[Path]:
    """Write the files. Returns their paths."""
    findings = (_finding(row) for row in night.dicts(FINDINGS))
    identities = (_identity(row) for row in night.dicts(IDENTITIES))
    return [
        *_write(folder, "servicenow-findings", _FINDING_HEADER, findings, config.max_rows),
        *_write(folder, "servicenow-identities", _IDENTITY_HEADER, identities, config.max_rows),
    ]


def _write(
    folder: Path, name: str, header: tuple[str, ...], rows: Iterator[Sequence[object]], most: int
) -> Iterator[Path]:
    number = 1
    part = list(islice(rows, 1))
    while part or number == 1:
        path = folder / (f"{name}.csv" if number == 1 else f"{name}.{number}.csv")
        write_parts(path, csv_parts(header, _first_then(part, rows, most)))
        yield path
        part = list(islice(rows, 1))
        number += 1


def _first_then(
    first: list[Sequence[object]], rows: Iterator[Sequence[object]], most: int
) -> Iterator[Sequence[object]]:
    yield from first
    yield from islice(rows, most - 1)


def _finding(row: dict[str, Any]) -> tuple[object, ...]:
    title = f"{row['title']}: {row['subject_name']}"
    return (
        row["id"], title if len(title) <= SHORT else f"{title[: SHORT - 1]}…", row["detail"], _PRIORITY[row["severity"]],
        row["status"] != "resolved", row["due_at"], row["owner"], row["status"], row["observed"], row["not_observed"],
        row["severity"], row["rule"], row["account_id"], row["account_name"], row["subject"], row["identity_id"],
        row["fix"], "|".join(row["controls"]), row["exception_id"] if row["status"] == "excepted" else None,
        row["first_seen"], row["url"],
    )  # fmt: skip


def _identity(row: dict[str, Any]) -> tuple[object, ...]:
    return (
        row["id"], row["name"], row["native_id"], row["surface"], row["kind"], row["provider"], row["account_id"],
        row["account_name"], row["owner"], row["environment"], row["enabled"], row["created_at"], row["observed"],
        row["url"],
    )  # fmt: skip
