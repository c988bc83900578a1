"""The records of a snapshot as rules see them: without duplicates, addresses resolved to ids, owners resolved.

- A record listed by two targets is taken from the first file in the order of the manifest.
- A reference by `Identity.address` is replaced by that identity's id.
- Owners: ownership file, then the record's own, then its identity's (credentials, secrets), then its account's. An
  account without an owner inherits that of its nearest parent with one, with the source ``account:acme``.

Tables that differ from the snapshot are written to ``records/`` in the analysis folder. The rest is read in place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanner.parquet import sql_columns
from scanner.records import TABLES
from scanner.tables import read_parquet, typed

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
"""Tables with an owner, in dependency order: address, identity's owner, joins."""


BY_ACCOUNT = """CASE WHEN starts_with({0}.owner_source, 'account:') THEN {0}.owner_source
                     WHEN {0}.owner IS NOT NULL THEN 'account:' || coalesce({0}.address, {0}.name) END"""
"""SQL for the source of an inherited owner: the account that has it."""

MOST_LEVELS = 32
"""Maximum number of parent levels."""

_INHERITING = f"""
    WITH RECURSIVE owned AS MATERIALIZED ({{accounts}}), up AS (
        SELECT id, parent_id, 1 AS levels FROM owned WHERE owner IS NULL AND parent_id IS NOT NULL
        UNION ALL
        SELECT up.id, a.parent_id, levels + 1 FROM up JOIN owned AS a ON a.id = up.parent_id
        WHERE a.owner IS NULL AND a.parent_id IS NOT NULL AND levels < {MOST_LEVELS}
    ), inherited AS (
        SELECT up.id, a.owner, {BY_ACCOUNT.format("a")} AS owner_source
        FROM up JOIN owned AS a ON a.id = up.parent_id WHERE a.owner IS NOT NULL
    )
    SELECT {{columns}} FROM owned AS t LEFT JOIN inherited AS o ON o.id = t.id
"""
"""Accounts of a query; those without an owner get the owner of the nearest parent."""


def resolve(
    tables: Tables, snapshot: Path, manifest: Manifest, owners: list[OwnerLine], records: Path
) -> None:
    """Create the resolved view of every record table. ``records`` is the folder for tables that must be written.
    ``given_<table>`` is each table as collected, without duplicates.
    """
    records.mkdir(mode=0o700, exist_ok=True)
    given: dict[str, list[Path]] = {}
    for name, record in TABLES.items():
        files = [snapshot / file.path for file in manifest.files if file.table == name]
        given[name] = _once(tables, name, files, records)
        tables.view(f"given_{name}", record, given[name])
    _load_owners(tables, owners)
    tables.table_of("addresses", _addresses(tables))
    for name in dict.fromkeys([*_OWNED, *TABLES]):
        path = records / f"{name}.parquet"
        once = [file for file in given[name] if file.parent == records]
        query = _resolved(tables, name) if f"given_{name}" not in tables.empty else None
        if query is not None:
            tables.copy(f"{query} ORDER BY t.id", path)
            tables.view(name, TABLES[name], [path])
            tables.drop(f"given_{name}")
            for file in once:
                file.unlink()
        elif once:
            once[0].replace(path)
            tables.view(name, TABLES[name], [path])
            tables.drop(f"given_{name}")
        else:
            tables.rename(f"given_{name}", name)
    tables.drop("addresses")


def _once(tables: Tables, name: str, files: list[Path], records: Path) -> list[Path]:
    """Return the files of a table without duplicate records; the first of several in the snapshot is used."""
    if len(files) < 2:
        return files
    twice = f"SELECT id FROM {read_parquet(files)} GROUP BY id HAVING count(*) > 1 LIMIT 1"
    if tables.one(twice) is None:
        return files
    chosen = ", ".join(f'"{column}"' for column in sql_columns(TABLES[name]))
    rows = typed(TABLES[name], files, ", filename=true, file_row_number=true")
    query = f"""
        SELECT {chosen} FROM (
            SELECT *, row_number() OVER (PARTITION BY id ORDER BY filename, file_row_number) AS place FROM ({rows})
        ) WHERE place = 1 ORDER BY id
    """
    path = records / f"{name}.once.parquet"
    tables.copy(query, path)
    return [path]


def _load_owners(tables: Tables, owners: list[OwnerLine]) -> None:
    columns = {
        "line": "BIGINT",
        "match": "VARCHAR",
        "pattern": "VARCHAR",
        "owner": "VARCHAR",
        "environment": "VARCHAR",
    }
    rows = [(line.line, line.match, line.like, line.owner, line.environment) for line in owners]
    tables.table_of_rows("owner_lines", columns, rows)


def _addresses(tables: Tables) -> str:
    """Return the query for the addresses that records refer to."""
    used = [
        f'SELECT "{column}" AS address FROM given_{name}'
        for name, columns in REFERENCES.items()
        if f"given_{name}" not in tables.empty
        for column in columns
    ]
    return f"""
        SELECT i.address, min(i.id) AS id FROM given_identities AS i
        WHERE i.address IN (SELECT u.address FROM ({" UNION ALL ".join(used) or "SELECT NULL AS address"}) AS u
                            WHERE u.address IS NOT NULL AND u.address NOT IN (SELECT id FROM given_identities))
        GROUP BY i.address
    """


def _by_file(tables: Tables, name: str, address: str) -> str:
    """Return a SELECT of id, owner and environment from the ownership file for a table's rows."""
    exact = f"""
        SELECT t.id, true AS exact, o.line, o.owner, o.environment
        FROM given_{name} AS t JOIN owner_lines AS o ON o.pattern IS NULL AND o."match" = t.id
    """
    if address != "NULL":
        exact += f"""
            UNION ALL SELECT t.id, true, o.line, o.owner, o.environment
            FROM given_{name} AS t JOIN owner_lines AS o ON o.pattern IS NULL AND o."match" = {address}
        """
    if tables.one("SELECT count(*) FROM owner_lines WHERE pattern IS NOT NULL"):
        exact += f"""
            UNION ALL SELECT t.id, false, o.line, o.owner, o.environment
            FROM given_{name} AS t JOIN owner_lines AS o
                 ON o.pattern IS NOT NULL AND (t.id LIKE o.pattern ESCAPE '\\'
                                               OR {address} LIKE o.pattern ESCAPE '\\')
        """
    order = "{'glob': NOT exact, 'line': line}"
    return f"""
        SELECT id, arg_min(owner, {order}) AS owner, arg_min(environment, {order}) AS environment
        FROM ({exact}) GROUP BY id
    """


def _resolved(tables: Tables, name: str) -> str | None:
    """Return the query of a table whose rows, ``t``, differ from the collected ones; None if none does."""
    joins = ""
    changed: dict[str, str] = {}
    for number, column in enumerate(REFERENCES.get(name, ()) if "addresses" not in tables.empty else ()):
        if tables.one(
            f'SELECT 1 FROM given_{name} WHERE "{column}" IN (SELECT address FROM addresses) LIMIT 1'
        ):
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
        if "owner_lines" not in tables.empty:
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
        return None
    columns = ", ".join(
        f'{changed[column]} AS "{column}"' if column in changed else f't."{column}"'
        for column in sql_columns(TABLES[name])
    )
    query = f"SELECT {columns} FROM given_{name} AS t{joins}"
    if name != "accounts":
        return query
    inherited = ", ".join(
        f'coalesce(t."{column}", o."{column}") AS "{column}"'
        if column in ("owner", "owner_source")
        else f't."{column}"'
        for column in sql_columns(TABLES["accounts"])
    )
    return _INHERITING.format(accounts=query, columns=inherited)
