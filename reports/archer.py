"""Files for data feeds of Archer: accounts, identities and findings, one file for each application.

A data feed reads delimited text (https://help.archerirm.cloud/platform_2024_09/en-us/content/platform/integration/int_dfm_js.htm).
It matches records by a key field, and a cross-reference field takes the key of a record of the other application: the first
column of each file is its key, and columns named after a file's key refer to it. Import accounts first, then identities, then
findings. Several values of a cell are separated by semicolons.

A feed can delete records that its file lacks. That is safe here: only what is gone for certain has no row. A resolved finding has
the status ``resolved``, and what was not observed has a row with ``Observed`` false.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reports.grc_rows import ACCOUNTS, FINDINGS, IDENTITIES, csv_parts
from reports.stream import write_parts

if TYPE_CHECKING:
    from pathlib import Path

    from scanner.night import Night

_ACCOUNT_HEADER = (
    "Account ID", "Name", "Type", "Provider", "Parent Account ID", "Owner", "Environment", "Coverage", "Coverage Reason",
    "Missing Permission", "Observed",
)  # fmt: skip
_IDENTITY_HEADER = (
    "Identity ID", "Account ID", "Name", "Native ID", "Type", "Kind", "Provider", "Owner", "Environment", "Enabled",
    "Created", "Observed",
)  # fmt: skip
_FINDING_HEADER = (
    "Finding ID", "Account ID", "Identity ID", "Title", "Description", "Severity", "Status", "Observed", "Not Observed Because",
    "Rule", "Owner", "Due Date", "First Found", "Remediation", "Controls", "Exception ID",
)  # fmt: skip


def write(night: Night, folder: Path) -> list[Path]:
    """Write the files. Returns their paths."""
    accounts, identities, findings = (
        folder / f"archer-{name}.csv" for name in ("accounts", "identities", "findings")
    )
    write_parts(accounts, csv_parts(_ACCOUNT_HEADER, map(_account, night.dicts(ACCOUNTS))))
    write_parts(identities, csv_parts(_IDENTITY_HEADER, map(_identity, night.dicts(IDENTITIES))))
    # A cross-reference to a record that does not exist makes the feed skip the row.
    known = f"SELECT f.* REPLACE (i.id AS identity_id) FROM ({FINDINGS}) AS f LEFT JOIN (SELECT id FROM ({IDENTITIES})) AS i ON i.id = f.identity_id"
    write_parts(findings, csv_parts(_FINDING_HEADER, map(_finding, night.dicts(known))))
    return [accounts, identities, findings]


def _account(row: dict[str, Any]) -> tuple[object, ...]:
    return (
        row["id"], row["name"], row["kind"], row["provider"], row["parent_id"], row["owner"], row["environment"],
        row["state"], row["reason"], row["needs"], row["observed"],
    )  # fmt: skip


def _identity(row: dict[str, Any]) -> tuple[object, ...]:
    return (
        row["id"], row["account_id"], row["name"], row["native_id"], row["surface"], row["kind"], row["provider"],
        row["owner"], row["environment"], row["enabled"], row["created_at"], row["observed"],
    )  # fmt: skip


def _finding(row: dict[str, Any]) -> tuple[object, ...]:
    return (
        row["id"], row["account_id"], row["identity_id"], f"{row['title']}: {row['subject_name']}", row["detail"],
        row["severity"], row["status"], row["observed"], row["not_observed"], row["rule"], row["owner"], row["due_at"],
        row["first_seen"], row["fix"], ";".join(row["controls"]),
        row["exception_id"] if row["status"] == "excepted" else None,
    )  # fmt: skip
