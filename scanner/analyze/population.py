"""When each identity, credential, grant and stored secret was first listed, and which were removed: `Member` rows.

``analysis/<run_id>/population/<table>.parquet`` contains tonight's, and ``history/<run_id>.<table>.parquet`` the same
for the next night, so that both dates outlive pruned snapshots. Like a finding, a member counts as removed only if
tonight's listing of its table and kind in its account is complete, and so is every listing that was complete when it
was last seen; or if its account is removed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanner.analyze.listing_history import NOT_THERE_AGAIN
from scanner.findings import Member
from scanner.parquet import sql_columns, write_table

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from scanner.tables import Tables

COUNTED = {
    "identities": {
        "native_id": "native_id", "substitute_id": "NULL", "kind": "kind", "name": "name", "identity_id": "id", "surface": "surface",
        "address": "address",
    },
    "credentials": {
        "native_id": "native_id", "substitute_id": "substitute_id", "kind": "kind", "name": "name", "identity_id": "identity_id", "surface": "NULL",
        "address": "NULL",
    },
    "grants": {
        "native_id": "NULL", "substitute_id": "NULL", "kind": "NULL", "name": "role", "identity_id": "identity_id", "surface": "NULL",
        "address": "NULL",
    },
    "secrets": {
        "native_id": "NULL", "substitute_id": "NULL", "kind": "store", "name": "name", "identity_id": "holder_id", "surface": "NULL",
        "address": "NULL",
    },
}  # fmt: skip
"""The columns kept of each table's records, enough to name removed ones."""

KEPT_DAYS = 400
"""How long removed members stay listed: long enough for a yearly review."""

_PROVEN = """
    SELECT b.account_id, coalesce(b.kind, '') AS kind, b.last_seen
    FROM (SELECT DISTINCT account_id, kind, last_seen FROM {table}_before WHERE removed_at IS NULL) AS b
         LEFT JOIN nights AS n0 ON n0.run_id = b.last_seen
    WHERE EXISTS (FROM listed AS l WHERE l.covered AND l.account_id = b.account_id AND l."table" = '{table}'
                  AND (l.kind IS NULL OR b.kind IS NULL OR l.kind = b.kind))
      AND NOT EXISTS (FROM listed AS l WHERE l.gapped AND l.account_id = b.account_id AND l."table" = '{table}'
                      AND (l.kind IS NULL OR b.kind IS NULL OR l.kind = b.kind))
      AND NOT EXISTS (FROM listings AS l WHERE l.account_id = b.account_id AND l."table" = '{table}'
                      AND (l.kind IS NULL OR b.kind IS NULL OR l.kind = b.kind) AND {not_there_again})
      OR b.account_id IN (SELECT id FROM removed_accounts)
"""
"""The accounts and kinds whose listings are complete tonight."""


def _members(table: str) -> str:
    """Return the query for tonight's members of a table, by id. Parameters: ``$run_id``, ``$as_of``."""
    kept = {"account_id": "account_id", "provider": "provider", **COUNTED[table]}
    now = ", ".join(f"{sql} AS {name}" for name, sql in kept.items())
    columns = {
        "table": f"'{table}'",
        "id": "coalesce(n.id, b.id)",
        **{name: f"CASE WHEN n.id IS NULL THEN b.{name} ELSE n.{name} END" for name in kept},
        "first_seen": "coalesce(b.first_seen, $as_of)",
        "last_seen": "CASE WHEN n.id IS NULL THEN b.last_seen ELSE $run_id END",
        "removed_at": f"""CASE WHEN n.id IS NULL THEN coalesce(b.removed_at, CASE
            WHEN (b.account_id, coalesce(b.kind, ''), b.last_seen) IN (FROM {table}_proven_gone) THEN $as_of END) END""",
    }
    chosen = ", ".join(
        f'CAST({columns[name]} AS {kind}) AS "{name}"' for name, kind in sql_columns(Member).items()
    )
    return f"""
        SELECT {chosen} FROM (SELECT id, {now} FROM "{table}") AS n
        FULL JOIN (FROM {table}_before WHERE removed_at IS NULL OR removed_at > $as_of - to_days({KEPT_DAYS})) AS b
             ON b.id = n.id
        ORDER BY id
    """


def load_members(tables: Tables, past: Path, baseline: str | None) -> None:
    """Make ``<table>_before``, the members that the base knew, from the history folder ``past``."""
    for table in COUNTED:
        before = past / f"{baseline}.{table}.parquet"
        tables.view(f"{table}_before", Member, [before] if baseline and before.is_file() else [])


def count_population(tables: Tables, *, run_id: str, as_of: datetime, out: Path) -> None:
    """Write tonight's members into a folder and create the view ``population`` of them.

    ``as_of`` is without a zone. Reads the record tables, ``<table>_before``, ``listed``
    (`scanner.analyze.completeness`), ``listings`` and ``nights`` (`scanner.analyze.listing_history`) and
    ``removed_accounts``; on the way comes ``<table>_proven_gone``.
    """
    out.mkdir(mode=0o700)
    night = {"run_id": run_id, "as_of": as_of}
    for table in COUNTED:
        if {table, f"{table}_before"} <= tables.empty:
            write_table(out / f"{table}.parquet", Member, [])
            continue
        tables.table_of(f"{table}_proven_gone", _PROVEN.format(table=table, not_there_again=NOT_THERE_AGAIN))
        tables.copy(_members(table), out / f"{table}.parquet", night)
    tables.view("population", Member, sorted(out.glob("*.parquet")))
