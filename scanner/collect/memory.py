"""What earlier nights left a collector: pages by ETag, things that were read in full, definitions that were parsed.

Holds records and digests, never a provider's answer: no variable value and no workflow text is written to disk. May be
deleted at any time; the next night then reads everything.

A thing (a repository, a project) that shows no change is not read again every night: its last reading is carried
forward and marked, and all are read in turn.
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

from scanner.collect.failures import Failure
from scanner.collect.listings import ListingRequest, gap
from scanner.records import TABLE_OF, TABLES, Coverage, Gap, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SCHEMA = """
create table if not exists pages (key text primary key, etag text, next text, count integer, records blob, used text);
create table if not exists readings (id integer primary key, read_at text, digest text, facts blob, records blob);
create table if not exists definitions (key text primary key, records blob, used text);
create table if not exists blobs (oid text primary key, facts blob, used text);
create table if not exists notes (name text primary key, value text);
"""
_KEPT_DAYS = 30
"""How long a page or definition that no night asked for is kept."""


class KeptPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a list, as records."""

    etag: str
    next: str | None
    count: int
    records: list[Record]


class KeptReading(msgspec.Struct, frozen=True, kw_only=True):
    """One thing, as it was read in full."""

    read_at: datetime
    digest: str
    """What could be seen of it without reading it: another digest says that it changed."""
    facts: bytes
    records: list[Record]

    def carried(self) -> Iterator[Record]:
        """Yield the records of this reading; the Coverage of its listings says which night read them."""
        for record in self.records:
            yield carried_forward(record, self.read_at) if isinstance(record, Coverage) else record

    def stale(self, number: int, digest: str, *, as_of: datetime, days: int) -> bool:
        """Tell whether the thing of this number is due: it changed visibly, or its turn has come.

        Each night a ``1/days`` part of all is read again, and whatever is ``days`` old because nights were missed.
        """
        age = (as_of.date() - self.read_at.date()).days
        turn = number % days == as_of.toordinal() % days
        return digest != self.digest or age >= days or (age > 0 and turn)


def carried_forward(coverage: Coverage, read_at: datetime) -> Coverage:
    """Return the coverage of a listing that an earlier night read."""
    return msgspec.structs.replace(coverage, carried_from=read_at)


class Carried:
    """How much was carried forward tonight, and since when. Thread-safe."""

    def __init__(self) -> None:
        self._count = 0
        self._oldest: datetime | None = None
        self._lock = threading.Lock()

    def note(self, read_at: datetime) -> None:
        """Count one thing that was last read then."""
        with self._lock:
            self._count += 1
            self._oldest = min(self._oldest or read_at, read_at)

    def gaps(self, request: ListingRequest, things: str) -> Iterator[Gap]:
        """Yield the Gap that says how many ``things`` were not asked again, if there are any."""
        if self._oldest is not None:
            yield gap(
                request,
                Failure(
                    reason="truncated",
                    detail=f"{self._count} {things} were not read again tonight because "
                    f"they show no change; the oldest was read on {self._oldest:%Y-%m-%d}.",
                    needs="rotation_days: 1 reads all of them every night",
                ),
            )


@cache
def code_version(*folders: Path) -> str:
    """Return a digest of the code in these folders, and of the engine's that makes records.

    What older code made is not carried forward.
    """
    engine = Path(__file__).resolve().parents[1]
    files = [
        *(file for folder in folders for file in sorted(folder.rglob("*.py"))),
        *sorted((engine / "collect").glob("*.py")),
        *sorted((engine / "secrets").glob("*.py")),
        engine / "records.py",
    ]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


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

    def __init__(self, folder: Path, collector: str, name: str, *, as_of: datetime, version: str) -> None:
        """``name`` is the target's; what was kept under another ``version`` is forgotten."""
        folder.mkdir(parents=True, exist_ok=True)
        stem = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)
        suffix = hashlib.sha256(name.encode()).hexdigest()[:8]
        self._path = folder / f"{collector}-{stem}-{suffix}.sqlite"
        self._lock = threading.Lock()
        self._night = as_of.isoformat()
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
            for table in ("pages", "readings", "definitions", "blobs", "notes"):
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

    def page(self, key: str) -> KeptPage | None:
        """Return what is known of a page."""
        with self._lock:
            row = self._base.execute(
                "select etag, next, count, records from pages where key = ?", (key,)
            ).fetchone()
            if row is not None:
                self._base.execute("update pages set used = ? where key = ?", (self._night, key))
        return (
            None if row is None else KeptPage(etag=row[0], next=row[1], count=row[2], records=decode(row[3]))
        )

    def keep_page(
        self, key: str, etag: str, following: str | None, count: int, records: list[Record]
    ) -> None:
        """Remember a page's records under its ETag."""
        with self._lock:
            self._base.execute(
                "insert or replace into pages values (?, ?, ?, ?, ?, ?)",
                (key, etag, following, count, encode(records), self._night),
            )

    def reading(self, number: int) -> KeptReading | None:
        """Return the last full reading of a thing."""
        with self._lock:
            row = self._base.execute(
                "select read_at, digest, facts, records from readings where id = ?", (number,)
            ).fetchone()
        if row is None:
            return None
        return KeptReading(
            read_at=datetime.fromisoformat(row[0]), digest=row[1], facts=row[2], records=decode(row[3])
        )

    def keep_reading(self, number: int, digest: str, facts: bytes, records: list[Record]) -> None:
        """Remember a thing that was read tonight, unless the reading has holes: then the next night reads it again.

        What the provider does not offer is no hole.
        """
        with self._lock:
            if any(isinstance(record, Gap) and record.reason != "unsupported" for record in records):
                self._base.execute("delete from readings where id = ?", (number,))
            else:
                self._base.execute(
                    "insert or replace into readings values (?, ?, ?, ?, ?)",
                    (number, self._night, digest, facts, encode(records)),
                )

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
