"""Writes the records of one target into an unsealed snapshot (`scanner.snapshot`)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from scanner.parquet import BATCH_ROWS, UNWRITABLE, arrow_schema, batch_of, opened
from scanner.private_files import flush_to_disk, write_private
from scanner.records import TABLE_OF, TABLES, Gap, Record
from scanner.secrets.masking import masked
from scanner.secrets.redact import mask, redact
from scanner.snapshot import ShardFile, TargetDone, file_name, sha256_of

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow.parquet as pq

    from scanner.secrets.detectors import Fingerprint


class TargetWriter:
    """Writes the records of one target in batches, with secrets masked. Drops records whose id was written before.

    A record that cannot be written costs itself: it becomes a `Gap`.
    """

    def __init__(
        self, folder: Path, collector: str, target: str, account_id: str, *, fingerprint: Fingerprint
    ) -> None:
        self._folder = folder
        self._fingerprint = fingerprint
        target, account_id = mask(target, fingerprint), mask(account_id, fingerprint)
        self._name = file_name(collector, target)
        self._collector, self._target, self._account_id = collector, target, account_id
        self._batches: dict[str, list[Record]] = {}
        self._writers: dict[str, pq.ParquetWriter] = {}
        self._rows: dict[str, int] = {}
        self._seen: dict[str, set[str]] = {}
        self.gaps = 0

    def write(self, record: Record) -> None:
        """Add one record."""
        table = TABLE_OF[type(record)]
        seen = self._seen.setdefault(table, set())
        if record.id in seen:
            return
        seen.add(record.id)
        self.gaps += table == "gaps"
        batch = self._batches.setdefault(table, [])
        batch.append(record)
        if len(batch) >= BATCH_ROWS:
            self._flush(table)

    def _flush(self, table: str) -> None:
        batch = self._batches.pop(table, [])
        if not batch:
            return
        schema = arrow_schema(TABLES[table])
        batch = masked(batch, self._fingerprint)
        try:
            columns = batch_of(schema, batch)
        except UNWRITABLE:
            batch = [record for record in batch if self._can_be_written(table, record)]
            columns = batch_of(schema, batch)
        if not batch:
            return
        if table not in self._writers:
            self._writers[table] = opened(self._folder / table / f"{self._name}.parquet", schema)
        self._writers[table].write_batch(columns)
        self._rows[table] = self._rows.get(table, 0) + len(batch)

    def _can_be_written(self, table: str, record: Record) -> bool:
        """Return whether a record fits its table; if not, leave a Gap in its place."""
        try:
            batch_of(arrow_schema(TABLES[table]), [record])
        except UNWRITABLE as exc:
            digest = hashlib.sha256(
                f"{self._name}\x1f{table}\x1f{record.id}".encode(errors="replace")
            ).hexdigest()
            self.write(
                Gap(
                    id=f"{self._collector}:gap:{digest[:24]}",
                    provider=self._collector,
                    account_id=self._account_id,
                    collector=self._collector,
                    target=self._target,
                    table=table,
                    call="write",
                    reason="bug",
                    detail=redact(
                        f"{str(record.id)[:200]} could not be written: {type(exc).__name__}: {exc}"
                    )[:2000],
                )
            )
            return False
        return True

    def finish(self, seconds: float) -> TargetDone:
        """Close the files and write the marker that makes a resumed run skip this target."""
        # Gaps last: a record that cannot be written adds one.
        for table in sorted(self._batches, key=lambda table: table == "gaps"):
            self._flush(table)
        self._flush("gaps")
        files = []
        for table, writer in sorted(self._writers.items()):
            writer.close()
            path = self._folder / table / f"{self._name}.parquet"
            flush_to_disk(path)
            files.append(
                ShardFile(
                    path=str(path.relative_to(self._folder)),
                    table=table,
                    rows=self._rows[table],
                    sha256=sha256_of(path),
                )
            )
        done = TargetDone(
            collector=self._collector,
            target=self._target,
            account_id=self._account_id,
            complete=self.gaps == 0,
            gaps=self.gaps,
            records=sum(self._rows.values()),
            seconds=round(seconds, 3),
            files=files,
        )
        write_private(self._folder / "targets" / f"{self._name}.json", msgspec.json.encode(done))
        return done

    def discard(self) -> None:
        """Close the files of an unfinished target."""
        for writer in self._writers.values():
            writer.close()
