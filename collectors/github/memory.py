"""What earlier nights left: pages by ETag, repositories that were read in full, definitions that were parsed.

Holds records and digests, never an answer of GitHub: no variable value and no workflow text is written to disk. May be
deleted at any time; the next night then reads everything.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import threading
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from scanner.records import TABLE_OF, TABLES, Record

if TYPE_CHECKING:
    from collections.abc import Iterable

_SCHEMA = """
create table if not exists pages (key text primary key, etag text, next text, count integer, records blob, used text);
create table if not exists repositories (id integer primary key, read_at text, digest text, facts blob, records blob);
create table if not exists definitions (key text primary key, records blob, used text);
create table if not exists blobs (oid text primary key, facts blob, used text);
create table if not exists notes (name text primary key, value text);
"""
_KEPT_DAYS = 30
"""How long a page or definition that no night asked for is kept."""


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a list, as records."""

    etag: str
    next: str | None
    count: int
    records: list[Record]


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One repository, as it was read in full."""

    read_at: datetime
    digest: str
    facts: bytes
    records: list[Record]


@cache
def code_version() -> str:
    """Return a digest of the code that makes records: what older code made is not carried forward."""
    here = Path(__file__).resolve().parent
    engine = here.parent.parent / "scanner"
    files = [
        *sorted(here.glob("*.py")),
        *sorted((here.parent / "ci_files").glob("*.py")),
        engine / "records.py",
        engine / "detectors.py",
    ]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files if file.exists())).hexdigest()[:16]


def encode(records: Iterable[Record]) -> bytes:
    """Return records as msgpack."""
    return msgspec.msgpack.encode([(TABLE_OF[type(record)], record) for record in records])


_DECODERS: dict[str, msgspec.msgpack.Decoder[Any]] = {
    name: msgspec.msgpack.Decoder(kind) for name, kind in TABLES.items()
}
_PAIRS = msgspec.msgpack.Decoder(list[tuple[str, msgspec.Raw]])


def decode(packed: bytes) -> list[Record]:
    """Return the records that `encode` packed."""
    return [_DECODERS[table].decode(raw) for table, raw in _PAIRS.decode(packed)]


class Memory:
    """One target's memory: a SQLite file. Thread-safe. A file that cannot be read is started anew."""

    def __init__(self, folder: Path, name: str, *, as_of: datetime, version: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        stem = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)
        suffix = hashlib.sha256(name.encode()).hexdigest()[:8]
        self._path = folder / f"github-{stem}-{suffix}.sqlite"
        self._lock = threading.Lock()
        self._night = as_of.isoformat()
        self._as_of = as_of
        try:
            self._base = self._opened(version)
        except sqlite3.DatabaseError:
            self._path.unlink(missing_ok=True)
            self._base = self._opened(version)

    def _opened(self, version: str) -> sqlite3.Connection:
        base = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
        base.execute("pragma journal_mode = wal")
        base.execute("pragma synchronous = off")
        base.executescript(_SCHEMA)
        held = base.execute("select value from notes where name = 'version'").fetchone()
        if held is None or held[0] != version:
            for table in ("pages", "repositories", "definitions", "blobs", "notes"):
                base.execute(f"delete from {table}")
            base.execute("insert into notes values ('version', ?)", (version,))
        base.execute("begin")
        return base

    def close(self) -> None:
        """Forget what no night asked for in a month, and close the file."""
        with self._lock, contextlib.suppress(sqlite3.Error):
            for table in ("pages", "definitions", "blobs"):
                self._base.execute(
                    f"delete from {table} where julianday(?) - julianday(used) > ?",
                    (self._night, _KEPT_DAYS),
                )
            self._base.execute("commit")
            self._base.close()

    def save(self) -> None:
        """Make what was kept so far outlive a crash."""
        with self._lock:
            self._base.execute("commit")
            self._base.execute("begin")

    def page(self, key: str) -> Page | None:
        """Return what is known of a page."""
        with self._lock:
            row = self._base.execute(
                "select etag, next, count, records from pages where key = ?", (key,)
            ).fetchone()
            if row is not None:
                self._base.execute("update pages set used = ? where key = ?", (self._night, key))
        return None if row is None else Page(etag=row[0], next=row[1], count=row[2], records=decode(row[3]))

    def keep_page(
        self, key: str, etag: str, following: str | None, count: int, records: list[Record]
    ) -> None:
        """Remember a page's records under its ETag."""
        with self._lock:
            self._base.execute(
                "insert or replace into pages values (?, ?, ?, ?, ?, ?)",
                (key, etag, following, count, encode(records), self._night),
            )

    def reading(self, repository: int) -> Reading | None:
        """Return the last full reading of a repository."""
        with self._lock:
            row = self._base.execute(
                "select read_at, digest, facts, records from repositories where id = ?", (repository,)
            ).fetchone()
        if row is None:
            return None
        return Reading(
            read_at=datetime.fromisoformat(row[0]), digest=row[1], facts=row[2], records=decode(row[3])
        )

    def keep_reading(self, repository: int, digest: str, facts: bytes, records: list[Record]) -> None:
        """Remember a repository that was read in full tonight."""
        with self._lock:
            self._base.execute(
                "insert or replace into repositories values (?, ?, ?, ?, ?)",
                (repository, self._night, digest, facts, encode(records)),
            )

    def forget_reading(self, repository: int) -> None:
        """Let the next night read a repository in full: tonight's reading has holes."""
        with self._lock:
            self._base.execute("delete from repositories where id = ?", (repository,))

    def blob(self, oid: str) -> bytes | None:
        """Return what is known of a file's content, by its object id."""
        with self._lock:
            row = self._base.execute("select facts from blobs where oid = ?", (oid,)).fetchone()
            if row is not None:
                self._base.execute("update blobs set used = ? where oid = ?", (self._night, oid))
        return None if row is None else bytes(row[0])

    def keep_blob(self, oid: str, facts: bytes) -> None:
        """Remember what a file's content says."""
        with self._lock:
            self._base.execute("insert or replace into blobs values (?, ?, ?)", (oid, facts, self._night))

    def definition(self, key: str) -> list[Record] | None:
        """Return the records of a definition file that was parsed before."""
        with self._lock:
            row = self._base.execute("select records from definitions where key = ?", (key,)).fetchone()
            if row is not None:
                self._base.execute("update definitions set used = ? where key = ?", (self._night, key))
        return None if row is None else decode(row[0])

    def keep_definition(self, key: str, records: list[Record]) -> None:
        """Remember the records of a definition file."""
        with self._lock:
            self._base.execute(
                "insert or replace into definitions values (?, ?, ?)", (key, encode(records), self._night)
            )

    def note(self, name: str) -> str | None:
        """Return a noted value."""
        with self._lock:
            row = self._base.execute("select value from notes where name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def keep_note(self, name: str, value: str) -> None:
        """Note a value."""
        with self._lock:
            self._base.execute("insert or replace into notes values (?, ?)", (name, value))
