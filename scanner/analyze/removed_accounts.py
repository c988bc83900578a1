"""Accounts that earlier nights knew, and which of them are proven to be removed.

``history/<run_id>.accounts.parquet`` keeps every account ever listed. One that is no longer listed is removed if
nothing was requested in it and the listing of accounts of its kind in its parent is complete (each one that was ever
read), or if its parent is removed. What was in it is gone with it; an account that only was not looked at proves nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

    from scanner.tables import Tables


class KnownAccount(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An account of this or an earlier night."""

    id: str
    kind: str
    parent_id: str | None = None
    last_seen: str
    """The last run that listed it."""
    removed: bool
    """Whether it is proven to be removed."""


_REMOVED = """
    WITH RECURSIVE asked AS (
        SELECT account_id FROM coverage UNION SELECT account_id FROM gaps
    ), absent AS (
        SELECT b.id, b.kind, b.parent_id, b.removed FROM accounts_before AS b ANTI JOIN accounts AS a ON a.id = b.id
        UNION ALL
        -- A closed account is still listed for a while, but is no target any more.
        SELECT a.id, a.kind, coalesce(a.parent_id, b.parent_id), b.removed
        FROM accounts AS a JOIN accounts_before AS b ON b.id = a.id
        WHERE a.active = false AND a.id IN (SELECT account_id FROM targets_before)
    ), silent AS (
        FROM absent WHERE id NOT IN (SELECT account_id FROM asked)
    ), removed AS (
        SELECT id FROM silent AS s
        WHERE removed OR coalesce(complete(parent_id, 'accounts', kind), false)
              -- A list of accounts of this kind that was read before and is not complete tonight may still name it.
              AND NOT EXISTS (SELECT 1 FROM listings AS l WHERE l.account_id = s.parent_id AND l."table" = 'accounts'
                              AND l.kind = s.kind AND l.read_in IS NOT NULL AND NOT l.complete)
        UNION
        SELECT s.id FROM silent AS s JOIN removed AS r ON r.id = s.parent_id
    )
    SELECT id FROM removed
"""

_KNOWN = """
    SELECT a.id, a.kind, coalesce(a.parent_id, b.parent_id) AS parent_id, $run_id AS last_seen,
           a.id IN (SELECT id FROM removed_accounts) AS removed
    FROM accounts AS a LEFT JOIN accounts_before AS b ON b.id = a.id
    UNION ALL
    SELECT b.* REPLACE (b.id IN (SELECT id FROM removed_accounts) AS removed)
    FROM accounts_before AS b ANTI JOIN accounts AS a ON a.id = b.id
    ORDER BY id
"""


_RETIRED = """
    WITH RECURSIVE below AS (
        SELECT account_id AS id FROM retired_targets
        UNION
        SELECT b.id FROM accounts_before AS b JOIN below ON below.id = b.parent_id
    )
    SELECT id FROM below WHERE id NOT IN (SELECT account_id FROM coverage) AND id NOT IN (SELECT account_id FROM gaps)
"""


def load_accounts(tables: Tables, past: Path, baseline: str | None) -> None:
    """Make ``accounts_before`` from the history folder ``past``."""
    before = past / f"{baseline}.accounts.parquet"
    tables.view("accounts_before", KnownAccount, [before] if baseline and before.is_file() else [])


def find_removed_accounts(tables: Tables, run_id: str, out: Path) -> None:
    """Make ``removed_accounts`` and ``retired_accounts`` (those of retired targets), and write the accounts for the
    next night.

    Reads ``targets_before``, ``retired_targets``, ``listings`` and the macro ``complete``.
    """
    tables.table_of("retired_accounts", _RETIRED)
    tables.table_of("removed_accounts", _REMOVED)
    tables.copy(_KNOWN, out, {"run_id": run_id})
