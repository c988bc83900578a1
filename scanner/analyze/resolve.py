"""The records of a snapshot as rules see them: each once, addresses resolved to ids, owners found.

- A record that two targets listed is taken from the first file, in the order of the manifest.
- A reference that is an `Identity.address` becomes that identity's id.
- Owners: ownership file, then the record's own, then its identity's (credentials, secrets), then its account's. An
  account without an owner has that of the nearest account above it which has one, and says so: ``account:acme``.

What differs from the snapshot is written to ``records/`` in the analysis folder; the rest is read where it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanner.parquet import sql_columns
from scanner.records import TABLES

if TYPE_CHECKING:
    from pathlib import Path

    from scanner.analyze.owners import OwnerLine
    from scanner.snapshot import Manifest
    from scanner.tables import Tables

REFERENCES: dict[str, tuple[str, ...]] = {
    "credentials": ("identity_id",),
    "secrets": ("holder_id",),
    "grants": ("identity_id",),
    "trusts": ("identity_id",),
    "links": ("source_id", "target_id"),
    "artifacts": ("builder_id",),
    "deployments": ("pipeline_id", "workload_id"),
    "rollouts": ("workload_id",),
}
"""Columns that refer to an identity, by id or by address."""

_OWNED: dict[str, tuple[str, str, str]] = {
    "accounts": ("t.address", "NULL", ""),
    "identities": ("t.address", "NULL", "LEFT JOIN accounts AS a ON a.id = t.account_id"),
    "credentials": (
        "NULL",
        "i.owner",
        "LEFT JOIN accounts AS a ON a.id = t.account_id LEFT JOIN identities AS i ON i.id = t.identity_id",
    ),
    "secrets": (
        "t.location",
        "i.owner",
        "LEFT JOIN accounts AS a ON a.id = t.account_id LEFT JOIN identities AS i ON i.id = t.holder_id",
    ),
}
"""Tables with an owner, in the order in which they depend on one another: address, identity's owner, joins."""


BY_ACCOUNT = """CASE WHEN starts_with({0}.owner_source, 'account:') THEN {0}.owner_source
                     WHEN {0}.owner IS NOT NULL THEN 'account:' || coalesce({0}.address, {0}.name) END"""
"""SQL for the source of an owner that an account passes on: the account that names it."""

MOST_LEVELS = 32
"""Accounts above one another that are looked at."""

_INHERITED = f"""
    WITH RECURSIVE up AS (
        SELECT id, parent_id, 1 AS levels FROM accounts WHERE owner IS NULL AND parent_id IS NOT NULL
        UNION ALL
        SELECT up.id, a.parent_id, levels + 1 FROM up JOIN accounts AS a ON a.id = up.parent_id
        WHERE a.owner IS NULL AND a.parent_id IS NOT NULL AND levels < {MOST_LEVELS}
    )
    SELECT up.id, a.owner, {BY_ACCOUNT.format("a")} AS owner_source
    FROM up JOIN accounts AS a ON a.id = up.parent_id WHERE a.owner IS NOT NULL
"""


def resolve(
    tables: Tables, snapshot: Path, manifest: Manifest, owners: list[OwnerLine], records: Path
) -> None:
    """Make the view of every record table, resolved. ``records`` is the folder for what has to be written."""
    records.mkdir(mode=0o700, exist_ok=True)
    for name, record in TABLES.items():
        files = [snapshot / file.path for file in manifest.files if file.table == name]
        tables.view(name, record, files)
        if len(files) > 1:
            _once(tables, name, files, records)
    _load_owners(tables, owners)
    _load_addresses(tables)
    for name in dict.fromkeys([*_OWNED, *REFERENCES]):
        _rewrite(tables, name, records)
        if name == "accounts":
            _inherit(tables, records)
    for path in sorted(records.glob("*.once.parquet")):
        name = path.name.removesuffix(".once.parquet")
        final = records / f"{name}.parquet"
        if final.exists():
            path.unlink()
        else:
            path.replace(final)
            tables.view(name, TABLES[name], [final])


def _once(tables: Tables, name: str, files: list[Path], records: Path) -> None:
    """Keep the first of records that several targets listed."""
    if tables.one(f'SELECT id FROM "{name}" GROUP BY id HAVING count(*) > 1 LIMIT 1') is None:
        return
    columns = sql_columns(TABLES[name])
    empty = ", ".join(f'NULL::{kind} AS "{column}"' for column, kind in columns.items())
    chosen = ", ".join(f'"{column}"' for column in columns)
    paths = ", ".join("'" + str(path.resolve()).replace("'", "''") + "'" for path in files)
    # Schemas of older files are unified, as in `Tables.view`.
    query = f"""
        SELECT {chosen} FROM (
            SELECT {empty}, NULL::BIGINT AS place WHERE false
            UNION ALL BY NAME
            SELECT *, row_number() OVER (PARTITION BY id ORDER BY filename, file_row_number) AS place
            FROM read_parquet([{paths}], union_by_name=true, filename=true, file_row_number=true)
        ) WHERE place = 1 ORDER BY id
    """
    path = records / f"{name}.once.parquet"
    tables.copy(query, path)
    tables.view(name, TABLES[name], [path])


def _load_owners(tables: Tables, owners: list[OwnerLine]) -> None:
    tables.con.execute(
        "CREATE OR REPLACE TABLE owner_lines("
        'line BIGINT, "match" VARCHAR, pattern VARCHAR, owner VARCHAR, environment VARCHAR)'
    )
    rows = [(line.line, line.match, line.like, line.owner, line.environment) for line in owners]
    if rows:
        tables.con.executemany("INSERT INTO owner_lines VALUES (?, ?, ?, ?, ?)", rows)


def _load_addresses(tables: Tables) -> None:
    """Make the table ``addresses`` of those that some record refers to."""
    used = " UNION ALL ".join(
        f'SELECT "{column}" AS address FROM "{name}"'
        for name, columns in REFERENCES.items()
        for column in columns
    )
    tables.con.execute(f"""
        CREATE OR REPLACE TABLE addresses AS
        SELECT i.address, min(i.id) AS id FROM identities AS i
        WHERE i.address IN (SELECT u.address FROM ({used}) AS u
                            WHERE u.address IS NOT NULL AND u.address NOT IN (SELECT id FROM identities))
        GROUP BY i.address
    """)


def _by_file(tables: Tables, name: str, address: str) -> str:
    """Return a SELECT of id, owner and environment that the ownership file gives to a table's rows."""
    exact = f"""
        SELECT t.id, true AS exact, o.line, o.owner, o.environment
        FROM "{name}" AS t JOIN owner_lines AS o ON o.pattern IS NULL AND o."match" = t.id
    """
    if address != "NULL":
        exact += f"""
            UNION ALL SELECT t.id, true, o.line, o.owner, o.environment
            FROM "{name}" AS t JOIN owner_lines AS o ON o.pattern IS NULL AND o."match" = {address}
        """
    if tables.one("SELECT count(*) FROM owner_lines WHERE pattern IS NOT NULL"):
        exact += f"""
            UNION ALL SELECT t.id, false, o.line, o.owner, o.environment
            FROM "{name}" AS t JOIN owner_lines AS o
                 ON o.pattern IS NOT NULL AND (t.id LIKE o.pattern ESCAPE '\\'
                                               OR {address} LIKE o.pattern ESCAPE '\\')
        """
    order = "{'glob': NOT exact, 'line': line}"
    return f"""
        SELECT id, arg_min(owner, {order}) AS owner, arg_min(environment, {order}) AS environment
        FROM ({exact}) GROUP BY id
    """


def _rewrite(tables: Tables, name: str, records: Path) -> None:
    joins = ""
    changed: dict[str, str] = {}
    for number, column in enumerate(REFERENCES.get(name, ())):
        if tables.one(f'SELECT 1 FROM "{name}" WHERE "{column}" IN (SELECT address FROM addresses) LIMIT 1'):
            joins += f' LEFT JOIN addresses AS r{number} ON r{number}.address = t."{column}"'
            changed[column] = f'coalesce(r{number}.id, t."{column}")'
    if name in _OWNED:
        address, through, more = _OWNED[name]
        by_account = "NULL" if name == "accounts" else "a.owner"
        # References are resolved before owners are looked up through them.
        for column, sql in changed.items():
            more = more.replace(f"t.{column}", sql)
        joins += f" {more}"
        owner = f"coalesce({{file}}t.owner, {through}, {by_account})"
        if tables.one("SELECT count(*) FROM owner_lines"):
            joins += f" LEFT JOIN ({_by_file(tables, name, address)}) AS f ON f.id = t.id"
            owner = owner.format(file="f.owner, ")
            source, environment = "f.owner IS NOT NULL", "f.environment, "
        else:
            owner = owner.format(file="")
            source, environment = "false", ""
        changed["owner"] = owner
        if name in ("accounts", "identities"):
            inherited = "NULL" if name == "accounts" else "a.environment"
            by = "NULL" if name == "accounts" else BY_ACCOUNT.format("a")
            changed["environment"] = f"coalesce({environment}t.environment, {inherited})"
            changed["owner_source"] = f"""
                CASE WHEN {source} THEN 'file' WHEN t.owner IS NOT NULL THEN t.owner_source ELSE {by} END
            """
    if not changed:
        return
    columns = ", ".join(
        f'{changed[column]} AS "{column}"' if column in changed else f't."{column}"'
        for column in sql_columns(TABLES[name])
    )
    path = records / f"{name}.parquet"
    tables.copy(f'SELECT {columns} FROM "{name}" AS t{joins} ORDER BY t.id', path)
    tables.view(name, TABLES[name], [path])


def _inherit(tables: Tables, records: Path) -> None:
    """Give accounts without an owner the nearest one above them."""
    if tables.one(f"SELECT 1 FROM ({_INHERITED}) LIMIT 1") is None:
        return
    columns = ", ".join(
        f'coalesce(t."{column}", o."{column}") AS "{column}"'
        if column in ("owner", "owner_source")
        else f't."{column}"'
        for column in sql_columns(TABLES["accounts"])
    )
    path = records / "accounts.parquet"
    tables.copy(
        f"SELECT {columns} FROM accounts AS t LEFT JOIN ({_INHERITED}) AS o ON o.id = t.id ORDER BY t.id",
        path,
    )
    tables.view("accounts", TABLES["accounts"], [path])
