"""DuckDB, locked down: views over Parquet files, queries and copies. The only module that speaks DuckDB's Python API."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from scanner.parquet import sql_columns
from scanner.records import TABLES
from scanner.renamed import todays_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    import msgspec

_TABLE_OF: dict[type[msgspec.Struct], str] = {record: name for name, record in TABLES.items()}
_PARAMETER = re.compile(r"\$([A-Za-z_]\w*)")


class Tables:
    """A locked-down DuckDB connection with one view a table over Parquet files.

    What it uses is in both DuckDB 1.5 and 2.0.
    Its settings refuse files outside the given folders, extensions and configuration changes, see
    https://duckdb.org/docs/stable/operations_manual/securing_duckdb/overview.
    """

    def __init__(self, folders: list[Path], *, memory: str = "1GB", threads: int = 2) -> None:
        self.temp = Path(tempfile.mkdtemp(prefix="sprawlscan-"))
        self.con = duckdb.connect(
            config={
                "threads": threads,
                "memory_limit": memory,
                "temp_directory": str(self.temp),
                "preserve_insertion_order": "false",
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "allow_community_extensions": "false",
                "allow_persistent_secrets": "false",
            }
        )
        allowed = ", ".join(quoted(str(folder.resolve())) for folder in [*folders, self.temp])
        self.con.execute(f"set allowed_directories=[{allowed}]")
        self.con.execute("set enable_external_access=false")

    def view(self, name: str, record: type[msgspec.Struct], files: list[Path]) -> None:
        """Make a view of Parquet files with exactly the record's columns.

        What older files lack is NULL, and what had another name when they were written has today's.
        """
        columns = sql_columns(record)
        today = todays_names(_TABLE_OF.get(record), columns)
        empty = ", ".join(f'NULL::{kind} AS "{column}"' for column, kind in columns.items())
        chosen = ", ".join(
            f'{today[column]} AS "{column}"' if column in today else f'"{column}"' for column in columns
        )
        query = f"SELECT {empty} WHERE false"
        if files:
            paths = ", ".join(quoted(str(path.resolve())) for path in files)
            read = f"SELECT * FROM read_parquet([{paths}], union_by_name=true)"
            query = f"SELECT {chosen} FROM ({query} UNION ALL BY NAME {read})"
        self.con.execute(f'CREATE OR REPLACE VIEW "{name}" AS {query}')

    def lock(self) -> None:
        """Refuse every further change of settings. Call before a rule's SQL runs."""
        self.con.execute("set lock_configuration=true")

    def rows(
        self, query: str, params: dict[str, Any] | None = None, batch: int = 10_000
    ) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query, in batches. Uses a cursor of its own, so that queries may be nested.

        Parameters that the query does not name are left out, here and in the other ways to ask.
        """
        cursor = self.con.cursor()
        try:
            cursor.execute(query, _given(query, params))
            while chunk := cursor.fetchmany(batch):
                yield from chunk
        finally:
            cursor.close()

    def dicts(self, query: str, params: dict[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """Yield the rows of a query as dicts."""
        cursor = self.con.cursor()
        try:
            cursor.execute(query, _given(query, params))
            names = [column[0] for column in cursor.description or []]
            while chunk := cursor.fetchmany(10_000):
                for row in chunk:
                    yield dict(zip(names, row, strict=True))
        finally:
            cursor.close()

    def one(self, query: str, params: dict[str, Any] | None = None) -> Any:
        """Return the first column of the first row, or None."""
        for row in self.rows(query, params):
            return row[0]
        return None

    def copy(self, query: str, path: Path, params: dict[str, Any] | None = None) -> None:
        """Write a query's rows to a Parquet file, whole or not at all. The query's order is the file's order."""
        temporary = path.with_suffix(".tmp")
        temporary.touch(mode=0o600)
        options = "FORMAT parquet, COMPRESSION zstd, PRESERVE_ORDER true"
        self.con.execute(f"COPY ({query}) TO {quoted(str(temporary))} ({options})", _given(query, params))
        temporary.chmod(0o600)  # DuckDB makes the file anew.
        temporary.replace(path)

    def close(self) -> None:
        """Close the connection and delete its temporary folder."""
        self.con.close()
        shutil.rmtree(self.temp, ignore_errors=True)


def _given(query: str, params: dict[str, Any] | None) -> dict[str, Any]:
    """Return the parameters that a query names: DuckDB refuses those that it does not."""
    named = set(_PARAMETER.findall(query)) if params else set()
    return {name: value for name, value in (params or {}).items() if name in named}


def quoted(text: str) -> str:
    """Return text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"
