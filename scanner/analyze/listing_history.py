"""What each listing was on the nights that matter: requested, complete, and how many rows it had.

``history/<run_id>.listings.parquet`` has one row for each listing ever requested, and
``history/<run_id>.nights.parquet`` numbers the nights from 1, each one more than its base. A listing is known by
collector, account, table, kind, call and region. The target's name is no part of it: an organization that is renamed
has the same listings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanner.renamed import todays_names
from scanner.tables import read_parquet

if TYPE_CHECKING:
    from pathlib import Path

    from scanner.tables import Tables

LISTING = """md5(to_json([collector, account_id, "table", kind, call, region])::VARCHAR)"""
"""The id of the listing of a row of ``coverage`` or ``gaps``."""

_COLUMNS = {
    "id": "VARCHAR",
    "account_id": "VARCHAR",
    "table": "VARCHAR",
    "kind": "VARCHAR",
    "collector": "VARCHAR",
    "target": "VARCHAR",  # its name on the last night that requested it
    "call": "VARCHAR",
    "region": "VARCHAR",
    "of_item": "BOOLEAN",
    "items": "BIGINT",  # rows on the last night that read it completely, whether in doubt or not
    "read_in": "INTEGER",  # the number of that night
    "doubted": "BOOLEAN",  # whether it was in doubt then
    # Nights in a row on which it was requested and complete, or requested and not complete.
    "spells": 'STRUCT("first" INTEGER, "last" INTEGER, complete BOOLEAN)[]',
}

_TONIGHT = f"""
    SELECT {LISTING} AS id, min(account_id) AS account_id, min("table") AS "table", min(kind) AS kind,
           min(collector) AS collector, min(target) AS target, min(call) AS call, min(region) AS region,
           sum(items)::BIGINT AS items, NOT bool_or(gap) AS complete, bool_or(carried) AS carried,
           bool_or(NOT unsupported) AS requested, bool_or(coalesce(of_item, false)) AS of_item
    FROM (
        SELECT collector, target, account_id, "table", kind, call, region, of_item, items, false AS gap, false AS unsupported,
               carried_from IS NOT NULL AS carried
        FROM coverage WHERE "table" <> '*'
        UNION ALL
        SELECT collector, target, account_id, "table", kind, call, region, of_item, 0, true, reason = 'unsupported', false
        FROM gaps WHERE "table" <> '*'
    ) GROUP BY 1
"""
"""One row for each listing of tonight, as the provider answered it."""

_LISTINGS = """
    WITH night AS (
        SELECT coalesce(t.id, b.id) AS id,
               -- What a renamed kind is called today is what tonight calls it.
               coalesce(t.account_id, b.account_id) AS account_id, coalesce(t."table", b."table") AS "table",
               CASE WHEN t.id IS NULL THEN b.kind ELSE t.kind END AS kind,
               coalesce(t.collector, b.collector) AS collector, coalesce(t.target, b.target) AS target,
               coalesce(t.call, b.call) AS call, coalesce(t.of_item, b.of_item) AS of_item, CASE WHEN t.id IS NULL THEN b.region ELSE t.region END AS region,
               -- Rows that were carried forward are no reading.
               coalesce(t.complete AND (NOT t.carried OR b.read_in IS NULL), false) AS is_reading,
               t.items AS items_now, b.items, b.read_in, d.id IS NOT NULL AS doubted_now, b.doubted, coalesce(b.spells, []) AS spells,
               coalesce(t.complete AND d.id IS NULL, false) AS complete, coalesce(t.requested, false) AS requested,
               -- A target that was lost whole was requested with all its listings.
               t.id IS NULL AND (b.collector, b.target) IN (SELECT (collector, target) FROM gaps WHERE "table" = '*') AS lost
        FROM listings_tonight AS t FULL JOIN listings_before AS b ON b.id = t.id LEFT JOIN doubted AS d ON d.id = t.id
    )
    SELECT id, account_id, "table", kind, collector, target, call, region,
           CASE WHEN is_reading THEN items_now ELSE items END AS items,
           CASE WHEN is_reading THEN $number ELSE read_in END AS read_in,
           CASE WHEN is_reading THEN doubted_now ELSE coalesce(doubted, false) END AS doubted,
           CASE WHEN NOT requested AND NOT lost THEN spells
                WHEN spells[-1]."last" = $number - 1 AND spells[-1].complete = complete
                THEN list_append(spells[:-2], {'first': spells[-1]."first", 'last': $number, 'complete': complete})
                ELSE list_append(spells, {'first': $number, 'last': $number, 'complete': complete}) END AS spells,
           complete, requested,
           -- A file that could not be read and is gone: the listing of the files tells that.
           coalesce(of_item, false) AS of_item, call || coalesce(' in ' || region, '') AS what
    FROM night
"""


def load_listings(tables: Tables, past: Path, baseline: str | None, run_id: str) -> int:
    """Make ``nights`` (run_id, number), ``listings_before`` and ``listings_tonight``. Returns the number of this night.

    Reads ``coverage`` and ``gaps`` as they were collected. ``past`` is the folder of the history.
    """
    nights = past / f"{baseline}.nights.parquet"
    before = f"FROM {read_parquet([nights])}" if baseline and nights.is_file() else _NO_NIGHT
    number = int(tables.one(f"SELECT coalesce(max(number), 0) + 1 FROM ({before})"))
    tables.table_of(
        "nights",
        f"{before} UNION ALL SELECT $run_id, $number::INTEGER",
        {"run_id": run_id, "number": number},
    )
    listings = past / f"{baseline}.listings.parquet"
    kept = ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in _COLUMNS.items())
    kept = f"SELECT {kept} WHERE false"
    if baseline and listings.is_file():
        # What an older file lacks is NULL.
        kept = f"{kept} UNION ALL BY NAME SELECT * FROM {read_parquet([listings])}"
        names = ", ".join(
            f'{sql} AS "{column}"' for column, sql in todays_names(None, _COLUMNS).items() if column == "kind"
        )
        # A listing whose kind was renamed is the same listing: it is known by what it is called today.
        kept = f"SELECT * REPLACE ({names}) FROM ({kept})" if names else kept
        kept = f"SELECT * REPLACE ({LISTING} AS id) FROM ({kept})"
    tables.table_of("listings_before", kept)
    tables.table_of("listings_tonight", _TONIGHT)
    return number


_NO_NIGHT = "SELECT NULL::VARCHAR AS run_id, NULL::INTEGER AS number WHERE false"


def remember_listings(tables: Tables, number: int, folder: Path) -> None:
    """Make the table ``listings``, and write it and the nights into a folder for the next night.

    Reads ``doubted`` (`scanner.analyze.sudden_drop`).
    """
    tables.table_of("listings", _LISTINGS, {"number": number})
    columns = ", ".join(f'"{name}"' for name in _COLUMNS)
    tables.copy(f"SELECT {columns} FROM listings ORDER BY id", folder / "listings.parquet")
    tables.copy("FROM nights ORDER BY number", folder / "nights.parquet")


WAS_COMPLETE = """(list_filter(l.spells, lambda s: n0.number BETWEEN s."first" AND s."last")[1].complete)"""
"""Whether a listing ``l`` was complete on the night ``n0``; NULL if it was not requested."""

NOT_THERE_AGAIN = f"""
    coalesce(CASE {WAS_COMPLETE} WHEN true THEN NOT l.complete WHEN false THEN NOT l.requested AND NOT l.of_item END, false)
"""
"""Whether a listing ``l`` was complete on the night ``n0`` and is not tonight, or was requested then and is not
tonight."""
