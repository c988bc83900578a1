"""Listings of tonight that are in doubt: they answered, but with so little that it proves nothing yet.

A provider that answers an empty list where it listed hundreds of rows a night ago has most often failed without
saying so. Such a listing resolves nothing until a second night gives the same answer. In the analysis it becomes a
`Gap` with the reason ``unconfirmed``; the sealed snapshot stays as it is. docs/architecture.md, "A sudden drop proves
nothing until a second night confirms it", is the definition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanner.analyze.listing_history import LISTING
from scanner.analyze.resolve import REFERENCES
from scanner.parquet import sql_columns
from scanner.records import TABLES, Coverage, Gap

if TYPE_CHECKING:
    from pathlib import Path

    from scanner.tables import Tables

_FELL = """
    SELECT t.*, b.items AS items_before, b.read_in
    FROM listings_tonight AS t JOIN listings_before AS b ON b.id = t.id
    -- Weaknesses are what the scanner concludes from a file, not what a provider lists: to fix them all is no failure.
    -- Coverage and gaps are about the scanner too.
    WHERE t.complete AND NOT t.carried AND t.items < b.items AND t."table" NOT IN ('weaknesses', 'coverage', 'gaps')
"""

_NAMED: dict[str, tuple[tuple[str, str], ...]] = {
    "identities": (
        *((table, column) for table, columns in REFERENCES.items() for column in columns),
        ("weaknesses", "subject_id"),
    ),
    "credentials": (("secrets", "credential_id"),),
    "accounts": (
        ("accounts", "parent_id"),
        *(
            (table, "account_id")
            for table in ("identities", "credentials", "secrets", "grants", "trusts", "controls")
        ),
    ),
}
"""The columns by which records name others: by id, identities also by address."""

_STILL_DOUBTED = """
    SELECT t.id, 'what was carried forward was in doubt when it was read; not confirmed by a second reading yet' AS why
    FROM listings_tonight AS t JOIN listings_before AS b ON b.id = t.id WHERE t.complete AND t.carried AND b.doubted
"""

_DOUBTED = """
    WITH together AS (
        SELECT t.collector, t.target, t.call, t."table", t.kind, sum(t.items) AS now, sum(b.items) AS before
        FROM listings_tonight AS t JOIN listings_before AS b ON b.id = t.id
        WHERE t.complete AND NOT t.carried GROUP BY ALL
        HAVING sum(b.items) - sum(t.items) >= $rows AND sum(b.items) - sum(t.items) > $share * sum(b.items)
    )
    SELECT f.id, 'gave ' || f.items || ' rows, after ' || f.items_before || ' on the last night that read it; '
           || CASE WHEN f.items_before - f.items >= $rows AND f.items_before - f.items > $share * f.items_before THEN ''
                   WHEN s.id IS NOT NULL THEN 'other answers still name what is missing, such as ' || s.missing || '; '
                   ELSE 'in all ' || g.now || ' rows after ' || g.before || '; ' END
           || 'not confirmed by a second night yet' AS why
    FROM fell AS f
         LEFT JOIN together AS g ON g.collector = f.collector AND g.target = f.target AND g.call = f.call
              AND g."table" = f."table" AND g.kind IS NOT DISTINCT FROM f.kind
         LEFT JOIN still_named AS s ON s.id = f.id
    WHERE f.items_before - f.items >= $rows AND f.items_before - f.items > $share * f.items_before
          OR g.call IS NOT NULL OR s.id IS NOT NULL
    UNION ALL
    FROM still_doubted
"""

_MISSING = """
    SELECT f.id, b.id AS missing, {address} AS address
    FROM fell AS f JOIN {table}_before AS b
         ON f."table" = '{table}' AND f.account_id = {within} AND (f.kind IS NULL OR b.kind IS NULL OR f.kind = b.kind)
    JOIN nights AS n ON n.run_id = b.last_seen AND n.number >= f.read_in
    WHERE {known} AND b.id NOT IN (SELECT id FROM "{table}")
"""


def _still_named(tables: Tables) -> str:
    """Return the query for listings that fell, with a record that they lack and that others of tonight name."""
    parts = []
    for table, columns in _NAMED.items():
        named = [
            f'SELECT "{column}" AS name FROM "{other}"'
            for other, column in columns
            if other not in tables.empty
        ]
        if not named or f"{table}_before" in tables.empty:
            continue
        missing = _MISSING.format(
            table=table,
            within="b.parent_id" if table == "accounts" else "b.account_id",
            address="b.address" if table == "identities" else "NULL::VARCHAR",
            known="NOT b.removed" if table == "accounts" else "b.removed_at IS NULL",
        )
        parts.append(
            f"""
            SELECT m.id, min(m.missing) AS missing FROM ({missing}) AS m
            WHERE m.missing IN (SELECT name FROM ({" UNION ALL ".join(named)}))
               OR m.address IN (SELECT name FROM ({" UNION ALL ".join(named)}))
            GROUP BY m.id
            """
        )
    return " UNION ALL ".join(parts) or "SELECT NULL::VARCHAR AS id, NULL::VARCHAR AS missing WHERE false"


def doubt(tables: Tables, *, share: float, rows: int, records: Path) -> None:
    """Make the table ``doubted`` (the listing's id, and why), and turn the coverage of such listings into gaps.

    ``share`` and ``rows`` are how much a listing must fall. ``records`` is the folder of resolved records. Reads
    ``listings_tonight`` and ``listings_before``, the record tables, ``accounts_before`` and the members that the base
    knew.
    """
    tables.table_of("fell", _FELL)
    tables.table_of("still_doubted", _STILL_DOUBTED)
    if {"fell", "still_doubted"} <= tables.empty:
        tables.table_of("doubted", "SELECT NULL::VARCHAR AS id, NULL::VARCHAR AS why WHERE false")
        return
    tables.table_of("still_named", _still_named(tables))
    tables.table_of("doubted", _DOUBTED, {"share": share, "rows": rows})
    if "doubted" in tables.empty:
        return
    shared = sql_columns(Coverage)
    given = {
        "id": "replace(c.id, ':coverage:', ':gap:')",
        "reason": "'unconfirmed'",
        "detail": "d.why",
    }
    columns = ", ".join(
        f'{given.get(name, f"c.{chr(34)}{name}{chr(34)}" if name in shared else "NULL")} AS "{name}"'
        for name in sql_columns(Gap)
    )
    listing = f"(SELECT {LISTING} AS listing, * FROM coverage)"
    gaps = f"FROM gaps UNION ALL BY NAME SELECT {columns} FROM {listing} AS c JOIN doubted AS d ON d.id = c.listing"
    answered = f"FROM coverage WHERE {LISTING} NOT IN (SELECT id FROM doubted)"
    for table, query in (("gaps", gaps), ("coverage", answered)):
        tables.copy(f"FROM ({query}) ORDER BY id", records / f"{table}.parquet")
    for table in ("gaps", "coverage"):
        tables.view(table, TABLES[table], [records / f"{table}.parquet"], replace=True)
