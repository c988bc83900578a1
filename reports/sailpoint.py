"""Files for delimited file sources of SailPoint Identity Security Cloud: ``sailpoint-accounts.csv`` and
``sailpoint-entitlements.csv``.

The source reads accounts and entitlements from files (https://developer.sailpoint.com/docs/api/v2024/import-accounts/,
https://developer.sailpoint.com/docs/api/v2025/import-entitlements) whose headers are the attributes of its schema
(https://developer.sailpoint.com/docs/api/v3/import-accounts-schema/): here ``id`` is the native identity and ``name`` the account
name. An account has a row for each entitlement, all rows of an account together. A file holds at most 400,000 lines (SailPoint's
documentation of flat file sources); more accounts go
into ``sailpoint-accounts.2.csv`` and so on, each for a source of its own.

An aggregation removes accounts and entitlements that the file lacks. So those that the run could not list are in it, with
``observed`` false, until a complete listing shows that they are gone.
"""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from reports.grc_rows import ENTITLEMENTS, csv_parts
from reports.stream import write_parts
from scanner.config import Section

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scanner.night import Night

_ACCOUNTS = (
    "id", "name", "nativeId", "displayName", "type", "kind", "provider", "accountId", "accountName", "owner", "disabled",
    "observed", "groups",
)  # fmt: skip
_ENTITLEMENTS = ("id", "name", "displayName", "description", "observed")
LINES = 400_000
"""The most lines of a file, the header included."""

_EACH_ENTITLEMENT = f"""
    SELECT scope, role, arg_min(level, list_position(['admin', 'escalation', 'write', 'unknown', 'read'], level)) AS level, bool_or(grant_observed) AS observed FROM ({ENTITLEMENTS})
    WHERE role IS NOT NULL GROUP BY scope, role ORDER BY scope, role
"""


class Config(Section):
    """Files for delimited file sources of SailPoint."""

    max_lines: int = LINES
    """Lines of a file, the header included."""


def write(night: Night, folder: Path, config: Config) -> list[Path]:
    """Write the files. Returns their paths."""
    written: list[Path] = []
    accounts = groupby(night.dicts(ENTITLEMENTS), key=itemgetter("id"))
    waiting: list[tuple[object, ...]] = []

    def rows() -> Iterator[tuple[object, ...]]:
        """Yield whole accounts until the file is full; the one that does not fit waits for the next."""
        nonlocal waiting
        lines = 1 + len(waiting)
        yield from waiting
        waiting = []
        for _, found in accounts:
            account = [_account(row) for row in found]
            if lines > 1 and lines + len(account) > config.max_lines:
                waiting = account
                return
            lines += len(account)
            yield from account

    while not written or waiting:
        name = "sailpoint-accounts.csv" if not written else f"sailpoint-accounts.{len(written) + 1}.csv"
        write_parts(folder / name, csv_parts(_ACCOUNTS, rows()))
        written.append(folder / name)
    entitlements = folder / "sailpoint-entitlements.csv"
    write_parts(entitlements, csv_parts(_ENTITLEMENTS, map(_entitlement, night.dicts(_EACH_ENTITLEMENT))))
    return [*written, entitlements]


def _account(row: dict[str, Any]) -> tuple[object, ...]:
    disabled = None if row["enabled"] is None else not row["enabled"]
    return (
        row["id"], row["name"], row["native_id"], row["name"], row["surface"], row["kind"], row["provider"],
        row["account_id"], row["account_name"], row["owner"], disabled, row["observed"],
        f"{row['scope']}/{row['role']}" if row["role"] is not None else None,
    )  # fmt: skip


def _entitlement(row: dict[str, Any]) -> tuple[object, ...]:
    name = f"{row['scope']}/{row['role']}"
    return name, name, row["role"], f"Level {row['level'] or 'unknown'} in {row['scope']}", row["observed"]
