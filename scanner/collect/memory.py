"""The cache of a collector between nights: pages by ETag, full readings of objects, parsed definitions.

It contains records and digests, never a provider's response: no variable value and no workflow text is written to disk.
It can be deleted at any time; the next night then reads everything.

An object (a repository, a project) that shows no change is not read again every night: its last reading is carried
forward and marked, and all objects are read again in rotation.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import threading
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from scanner.collect.failures import Failure
from scanner.collect.listings import ListingRequest, gap
from scanner.records import TABLE_OF, TABLES, Coverage, Gap, Record
from scanner.secrets.masking import masked
from scanner.secrets.redact import mask

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from scanner.secrets.detectors import Fingerprint

_SCHEMA = """
create table if not exists pages (key text primary key, etag text, next text, count integer, records blob, used text);
create table if not exists readings (id integer primary key, read_at text, digest text, facts blob, records blob);
create table if not exists definitions (key text primary key, records blob, used text);
create table if not exists blobs (oid text primary key, facts blob, used text);
create table if not exists notes (name text primary key, value text);
"""
_KEPT_DAYS = 30
"""How long an unused page or definition is kept."""


class KeptPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a list, as records."""

    etag: str
    next: str | None
    count: int
    records: list[Record]


T = TypeVar("T")


class KeptReading(msgspec.Struct, frozen=True, kw_only=True):
    """One full reading of an object."""

    read_at: datetime
    digest: str
    """A digest of its visible state. A different digest means that it changed."""
    facts: bytes
    records: list[Record]

    def carried(self) -> Iterator[Record]:
        """Yield the records of this reading. The Coverage of its listings names the night that read them."""
        for record in self.records:
            yield carried_forward(record, self.read_at) if isinstance(record, Coverage) else record

    def stale(self, number: int, digest: str, *, as_of: datetime, days: int) -> bool:
        """Return whether the object with this number must be read: it changed, or its turn in the rotation has come.

        Each night ``1/days`` of all objects are read again, and any that are ``days`` old because nights were missed.
        """
        age = (as_of.date() - self.read_at.date()).days
        turn = number % days == as_of.toordinal() % days
        return digest != self.digest or age >= days or (age > 0 and turn)


def carried_forward(coverage: Coverage, read_at: datetime) -> Coverage:
    """Return the coverage of a listing read on an earlier night."""
    return msgspec.structs.replace(coverage, carried_from=read_at)


class Carried:
    """Counts objects carried forward tonight, with the oldest reading. Thread-safe."""

    def __init__(self) -> None:
        self._count = 0
        self._oldest: datetime | None = None
        self._lock = threading.Lock()

    def note(self, read_at: datetime) -> None:
        """Count one object last read at this time."""
        with self._lock:
            self._count += 1
            self._oldest = min(self._oldest or read_at, read_at)

    def gaps(self, request: ListingRequest, things: str) -> Iterator[Gap]:
        """Yield the Gap with the number of ``things`` that were not read again, if any."""
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
    """Return a digest of the code in these folders and of the engine code that creates records.

    Records made by older code are not carried forward.
    """
    engine = Path(__file__).resolve().parents[1]
    files = [
        *(file for folder in folders for file in sorted(folder.rglob("*.py"))),
        *sorted((engine / "collect").glob("*.py")),
        *sorted((engine / "secrets").glob("*.py")),
        engine / "records.py",
    ]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def encode(records: Iterable[Record], fingerprint: Fingerprint) -> bytes:
    """Return records as msgpack, with secrets masked."""
    records = masked(list(records), fingerprint)
    return msgspec.msgpack.encode([(TABLE_OF[type(record)], record) for record in records])


_DECODERS: dict[str, msgspec.msgpack.Decoder[Any]] = {
    name: msgspec.msgpack.Decoder(kind) for name, kind in TABLES.items()
}
_PAIRS = msgspec.msgpack.Decoder(list[tuple[str, msgspec.Raw]])


def decode(packed: bytes) -> list[Record]:
    """Return the records packed by `encode`."""
    return [_DECODERS[table].decode(raw) for table, raw in _PAIRS.decode(packed)]


class Memory:
    """The cache of one target, a SQLite file. Thread-safe. An unreadable file is replaced by an empty one."""

    def __init__(
        self,
        folder: Path,
        collector: str,
        name: str,
        *,
        as_of: datetime,
        version: str,
        fingerprint: Fingerprint,
    ) -> None:
        """``name`` is the target's name. Content of a different ``version`` is discarded."""
        folder.mkdir(parents=True, exist_ok=True)
        self._fingerprint = fingerprint
        name = mask(name, fingerprint)
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

    def _shown(self, key: str) -> str:
        """Return a key as it is stored: providers tell what is in it."""
        return mask(key, self._fingerprint)

    def close(self) -> None:
        """Delete what was not used for a month, and close the file."""
        with self._lock, contextlib.suppress(sqlite3.Error):
            for table in ("pages", "definitions", "blobs"):
                self._base.execute(
                    f"delete from {table} where julianday(?) - julianday(used) > ?",
                    (self._night, _KEPT_DAYS),
                )
            self._base.execute("commit")
            self._base.close()

    def save(self) -> None:
        """Commit, so that the content so far survives a crash."""
        with self._lock:
            self._base.execute("commit")
            self._base.execute("begin")

    def page(self, key: str) -> KeptPage | None:
        """Return a cached page."""
        with self._lock:
            row = self._base.execute(
                "select etag, next, count, records from pages where key = ?", (self._shown(key),)
            ).fetchone()
            if row is not None:
                self._base.execute("update pages set used = ? where key = ?", (self._night, self._shown(key)))
        return (
            None if row is None else KeptPage(etag=row[0], next=row[1], count=row[2], records=decode(row[3]))
        )

    def keep_page(
        self, key: str, etag: str, following: str | None, count: int, records: list[Record]
    ) -> None:
        """Store a page's records with its ETag."""
        with self._lock:
            self._base.execute(
                "insert or replace into pages values (?, ?, ?, ?, ?, ?)",
                (self._shown(key), etag, following, count, encode(records, self._fingerprint), self._night),
            )

    def reading(self, number: int) -> KeptReading | None:
        """Return the last full reading of an object."""
        with self._lock:
            row = self._base.execute(
                "select read_at, digest, facts, records from readings where id = ?", (number,)
            ).fetchone()
        if row is None:
            return None
        return KeptReading(
            read_at=datetime.fromisoformat(row[0]), digest=row[1], facts=row[2], records=decode(row[3])
        )

    def kept(
        self, number: int, digest: str, reading: Generator[Record, None, T]
    ) -> Generator[Record, None, T]:
        """Yield what a reading of an object yields, return its value, and keep both for later nights.

        A reading with gaps is not kept, so that the next night reads the object again. Data that the provider does not
        offer is not a gap.
        """
        records: list[Record] = []
        while True:
            try:
                record = next(reading)
            except StopIteration as end:
                value: T = end.value
                break
            records.append(record)
            yield record
        self._keep_reading(number, digest, msgspec.json.encode(value), records)
        return value

    def _keep_reading(self, number: int, digest: str, facts: bytes, records: list[Record]) -> None:
        with self._lock:
            if any(isinstance(record, Gap) and record.reason != "unsupported" for record in records):
                self._base.execute("delete from readings where id = ?", (number,))
            else:
                self._base.execute(
                    "insert or replace into readings values (?, ?, ?, ?, ?)",
                    (number, self._night, digest, facts, encode(records, self._fingerprint)),
                )

    def blob(self, oid: str) -> bytes | None:
        """Return the cached facts about a file's content, by its object id."""
        with self._lock:
            row = self._base.execute("select facts from blobs where oid = ?", (self._shown(oid),)).fetchone()
            if row is not None:
                self._base.execute("update blobs set used = ? where oid = ?", (self._night, self._shown(oid)))
        return None if row is None else bytes(row[0])

    def keep_blob(self, oid: str, facts: bytes) -> None:
        """Store the facts about a file's content."""
        with self._lock:
            self._base.execute(
                "insert or replace into blobs values (?, ?, ?)", (self._shown(oid), facts, self._night)
            )

    def definition(self, key: str) -> list[Record] | None:
        """Return the cached records of a definition file."""
        with self._lock:
            row = self._base.execute(
                "select records from definitions where key = ?", (self._shown(key),)
            ).fetchone()
            if row is not None:
                self._base.execute(
                    "update definitions set used = ? where key = ?", (self._night, self._shown(key))
                )
        return None if row is None else decode(row[0])

    def keep_definition(self, key: str, records: list[Record]) -> None:
        """Store the records of a definition file."""
        with self._lock:
            self._base.execute(
                "insert or replace into definitions values (?, ?, ?)",
                (self._shown(key), encode(records, self._fingerprint), self._night),
            )

    def note(self, name: str) -> str | None:
        """Return a stored note."""
        with self._lock:
            row = self._base.execute("select value from notes where name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def keep_note(self, name: str, value: str) -> None:
        """Store a note."""
        with self._lock:
            self._base.execute("insert or replace into notes values (?, ?)", (name, value))
