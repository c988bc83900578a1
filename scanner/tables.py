"""A locked-down DuckDB: views over Parquet files, queries and copies. The only module that uses DuckDB's Python API."""

from __future__ import annotations

import os
import re
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from scanner.parquet import sql_columns
from scanner.private_files import create_private
from scanner.records import TABLES
from scanner.renamed import todays_names
from scanner.scratch import Scratch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import duckdb
    import msgspec

_TABLE_OF: dict[type[msgspec.Struct], str] = {record: name for name, record in TABLES.items()}
_PARAMETER = re.compile(r"\$([A-Za-z_]\w*)")


KEPT_BYTES = 262_144
"""Parquet files up to this size together are read once and kept in memory: about ten thousand rows."""


class DefinedTwiceError(Exception):
    """A view, table or macro is defined twice. Each name has one meaning."""


class Tables:
    """A locked-down DuckDB connection, with views over Parquet files and tables from queries. It uses only features of
    both DuckDB 1.5 and 2.0. Its settings block files outside the given folders, extensions and configuration changes,
    see https://duckdb.org/docs/stable/operations_manual/securing_duckdb/overview.

    Each name can be defined only once, even after `drop`, so that a query means the same everywhere; otherwise
    `DefinedTwiceError` is raised.
    """

    def __init__(
        self, folders: list[Path], *, state: Path | None = None, memory: str = "1GB", threads: int = 2
    ) -> None:
        """``state`` is the folder that holds the temporary files; the system's if there is none."""
        import duckdb

        self._scratch = Scratch(state)
        assert self._scratch.path is not None
        self.temp = self._scratch.path
        self._running: set[duckdb.DuckDBPyConnection] = set()
        self._running_lock = threading.Lock()
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
        self._kinds: dict[str, str] = {}
        self._later: dict[str, tuple[type[msgspec.Struct], list[Path]]] = {}
        """Views that no query has named yet."""
        self._later_lock = threading.RLock()
        self.empty: set[str] = set()
        """Tables known to be empty."""
        self.large = False
        """Whether any view reads files larger than `KEPT_BYTES`."""

    def _define(self, kind: str, name: str, what: str, params: dict[str, Any] | None = None) -> None:
        if name in self._kinds or name in self._later:
            raise DefinedTwiceError(f"{name} is defined already")
        self._kinds[name] = kind
        made = self.con.execute(f'CREATE {kind} "{name}"{what}', _given(what, params))
        if kind == "TABLE" and (0,) in made.fetchall():
            self.empty.add(name)

    def view(
        self, name: str, record: type[msgspec.Struct], files: list[Path], *, replace: bool = False
    ) -> None:
        """Create a view of Parquet files with exactly the record's columns. Columns that older files lack are NULL, and
        renamed values have their current names. Rows of small files are kept in memory, because opening a file takes
        longer than reading them. ``replace`` is for the examples of rules, which run the same query on other rows.
        """
        if replace:
            self.drop(name)
            self._kinds.pop(name, None)
            self.empty.discard(name)
        columns = sql_columns(record)
        if not files:
            # A table without rows: no query to plan.
            listed = ", ".join(f'"{column}" {kind}' for column, kind in columns.items())
            self._define("TABLE", name, f" ({listed})")
            self.empty.add(name)
            return
        today = todays_names(_TABLE_OF.get(record), columns)
        values = {column: today.get(column, f'"{column}"') for column in columns}
        small = _size(files) <= KEPT_BYTES
        self.large |= not small
        kind = "TABLE" if small else "VIEW"
        try:
            # A file of today's code has every column: half the time of a query that must look for each.
            cast = ", ".join(
                f'CAST({value} AS {columns[column]}) AS "{column}"' for column, value in values.items()
            )
            self._define(kind, name, f" AS SELECT {cast} FROM {read_parquet(files)}")
        except _missing_column():
            del self._kinds[name]
            chosen = ", ".join(f'{value} AS "{column}"' for column, value in values.items())
            self._define(kind, name, f" AS SELECT {chosen} FROM ({typed(record, files)})")

    def view_later(self, name: str, record: type[msgspec.Struct], files: list[Path]) -> None:
        """Like `view`, but open the files only when a query names the view: most questions need few of the tables."""
        if not files:
            self.view(name, record, files)
            return
        if name in self._kinds or name in self._later:
            raise DefinedTwiceError(f"{name} is defined already")
        self._later[name] = (record, files)
        self.large |= _size(files) > KEPT_BYTES

    def _make_named(self, query: str) -> None:
        """Create the views of `view_later` that a query may name: those whose name is in its text, in upper or lower case."""
        with self._later_lock:
            if not self._later:
                return
            text = query.casefold()
            for name in [name for name in self._later if name in text]:
                self.view(name, *self._later.pop(name))

    def is_empty(self, name: str) -> bool:
        """Return whether a table is known to be empty."""
        self._make_named(name)
        return name in self.empty

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a cursor for queries that are not known here. It sees every view."""
        self._make_named(" ".join(self._later))
        return self.con.cursor()

    def view_of(self, name: str, query: str) -> None:
        """Create a view of a query."""
        self._make_named(query)
        self._define("VIEW", name, f" AS {query}")

    def table_of(self, name: str, query: str, params: dict[str, Any] | None = None) -> None:
        """Run a query and store its rows as a table."""
        self._make_named(query)
        self._define("TABLE", name, f" AS {query}", params)

    def table_of_rows(self, name: str, columns: dict[str, str], rows: Sequence[tuple[Any, ...]]) -> None:
        """Store rows as a table. ``columns`` are names and DuckDB types, in the order of the rows' values."""
        values = {f"column{number}": [row[number] for row in rows] for number in range(len(columns))}
        chosen = ", ".join(
            f'unnest(${parameter}::{kind}[]) AS "{column}"'
            for parameter, (column, kind) in zip(values, columns.items(), strict=True)
        )
        self.table_of(name, f"SELECT {chosen}", values)

    def append(self, name: str, query: str, params: dict[str, Any] | None = None) -> int:
        """Append a query's rows to a table, and return their number."""
        self._make_named(query)
        added = self.con.execute(f'INSERT INTO "{name}" {query}', _given(query, params))
        return int(added.fetchall()[0][0])

    def macro(self, name: str, parameters: str, body: str) -> None:
        """Define a macro; with a body that starts with ``TABLE``, a table macro."""
        self._make_named(body)
        self._define("MACRO", name, f"({parameters}) AS {body}")

    def rename(self, name: str, final: str) -> None:
        """Rename a table or view. The old name stays reserved."""
        if final in self._kinds:
            raise DefinedTwiceError(f"{final} is defined already")
        self._kinds[final] = self._kinds[name]
        self.con.execute(f'ALTER {self._kinds[name]} "{name}" RENAME TO "{final}"')
        if name in self.empty:
            self.empty.add(final)

    def drop(self, *names: str) -> None:
        """Free the memory of tables that no later step reads. Their names stay reserved."""
        for name in names:
            if name in self._kinds:
                self.con.execute(f'DROP {self._kinds[name]} "{name}"')

    def lock(self) -> None:
        """Reject every further change of settings. Call before a rule's SQL runs."""
        self.con.execute("set lock_configuration=true")

    def rows(
        self, query: str, params: dict[str, Any] | None = None, batch: int = 10_000
    ) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query, read in batches. Uses its own cursor, so queries can be nested.

        Parameters that the query does not use are ignored, here and in the other query methods.
        """
        for chunk in self.batches(query, params, batch):
            yield from chunk

    def batches(
        self, query: str, params: dict[str, Any] | None = None, batch: int = 10_000
    ) -> Iterator[list[tuple[Any, ...]]]:
        """Yield the rows of a query in lists of at most ``batch``."""
        self._make_named(query)
        with self._cursor() as cursor:
            cursor.execute(query, _given(query, params))
            while chunk := cursor.fetchmany(batch):
                yield chunk

    def dicts(self, query: str, params: dict[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """Yield the rows of a query as dicts."""
        self._make_named(query)
        with self._cursor() as cursor:
            cursor.execute(query, _given(query, params))
            names = [column[0] for column in cursor.description or []]
            while chunk := cursor.fetchmany(10_000):
                for row in chunk:
                    yield dict(zip(names, row, strict=True))

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        cursor = self.con.cursor()
        with self._running_lock:
            self._running.add(cursor)
        try:
            yield cursor
        finally:
            with self._running_lock:
                self._running.discard(cursor)
            cursor.close()

    def interrupt(self) -> None:
        """Stop the queries that run now, from another thread: they raise ``duckdb.InterruptException``."""
        self.con.interrupt()
        with self._running_lock:
            for cursor in self._running:
                cursor.interrupt()

    def one(self, query: str, params: dict[str, Any] | None = None) -> Any:
        """Return the first column of the first row, or None."""
        for row in self.rows(query, params):
            return row[0]
        return None

    def copy(self, query: str, path: Path, params: dict[str, Any] | None = None) -> int:
        """Write a query's rows to a Parquet file atomically, in the query's order, and return their number."""
        self._make_named(query)
        temporary = path.with_suffix(".tmp")
        os.close(create_private(temporary))
        # Few rows are written in half the time without the tables of a strong compression.
        compression = "zstd" if self.large else "snappy"
        options = f"FORMAT parquet, COMPRESSION {compression}, PRESERVE_ORDER true"
        copied = self.con.execute(
            f"COPY ({query}) TO {quoted(str(temporary))} ({options})", _given(query, params)
        )
        rows = int(copied.fetchall()[0][0])
        temporary.chmod(0o600)  # DuckDB creates a new file.
        temporary.replace(path)
        return rows

    def close(self) -> None:
        """Close the connection and delete its temporary folder."""
        self.con.close()
        self._scratch.close()


def _missing_column() -> type[Exception]:
    import duckdb

    missing: type[Exception] = duckdb.BinderException
    return missing


def _size(files: list[Path]) -> int:
    return sum(path.stat().st_size for path in files)


def _given(query: str, params: dict[str, Any] | None) -> dict[str, Any]:
    """Return the given parameters that the query uses: DuckDB rejects others."""
    named = set(_PARAMETER.findall(query)) if params else set()
    return {name: value for name, value in (params or {}).items() if name in named}


def typed(record: type[msgspec.Struct], files: list[Path], more: str = "") -> str:
    """Return a SELECT over Parquet files with at least a record's columns; columns that older files lack are NULL.
    ``more`` are further arguments of ``read_parquet``, for columns such as ``filename``.
    """
    empty = ", ".join(f'NULL::{kind} AS "{column}"' for column, kind in sql_columns(record).items())
    query = f"SELECT {empty} WHERE false"
    return f"{query} UNION ALL BY NAME SELECT * FROM {read_parquet(files, more)}" if files else query


def read_parquet(files: list[Path], more: str = "") -> str:
    """Return the table function that reads Parquet files, with columns matched by name."""
    paths = ", ".join(quoted(str(path.resolve())) for path in files)
    by_name = ", union_by_name=true" if len(files) > 1 else ""
    return f"read_parquet([{paths}]{by_name}{more})"


def quoted(text: str) -> str:
    """Return text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"
