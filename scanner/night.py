"""A read-only view of one analyzed night, for reports. Nothing is loaded until it is queried."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from scanner.figures import Figures, read_figures
from scanner.findings import RESULT_TABLES
from scanner.records import TABLES
from scanner.run_coverage import RunCoverage, read_run_coverage
from scanner.snapshot import SnapshotError, read_manifest
from scanner.tables import Tables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path


class Night:
    """One analyzed night: run id, manifest, and SQL over every record and result table.

    Views: the record tables (`scanner.records.TABLES`) and the result tables (`scanner.findings.RESULT_TABLES`).
    """

    def __init__(self, state: Path, run_id: str) -> None:
        self.state = state
        self.run_id = run_id
        self.snapshot = state / "snapshots" / run_id
        self.analysis = state / "analysis" / run_id
        self.manifest = read_manifest(self.snapshot)
        self.previous_run_id = _baseline(self.analysis)
        """The run it was compared with; None for the first run."""
        self.as_of: datetime = self.manifest.as_of
        # One thread: reports read wide rows, and a second would hold 60 MB more to save a second or two.
        self.tables = Tables([self.snapshot, self.analysis], state=state, threads=1)
        for name, record in TABLES.items():
            # The rows that analysis resolved (owners, addresses, duplicates) replace those of the snapshot.
            resolved = self.analysis / "records" / f"{name}.parquet"
            given = [self.snapshot / file.path for file in self.manifest.files if file.table == name]
            self.tables.view_later(name, record, [resolved] if resolved.is_file() else given)
        for name, result in RESULT_TABLES.items():
            path = self.analysis / f"{name}.parquet"
            files = [path] if path.is_file() else sorted((self.analysis / name).glob("*.parquet"))
            self.tables.view_later(name, result, files)
        self.tables.lock()
        self.rows = self.tables.rows
        self.dicts = self.tables.dicts
        self.one = self.tables.one

    @cached_property
    def coverage(self) -> RunCoverage:
        """How much of the targets was seen."""
        return read_run_coverage(self.tables)

    @cached_property
    def figures(self) -> Figures:
        """The figures of the night. Every output reads them here, so that they agree."""
        return read_figures(self.tables)

    def close(self) -> None:
        """Release the connection and its temporary files."""
        self.tables.close()


class _Summary(msgspec.Struct, frozen=True):
    """What is read of ``summary.json``."""

    baseline: str | None


_SUMMARY = msgspec.json.Decoder(_Summary)


def _baseline(analysis: Path) -> str | None:
    """Return the run that an analysis was compared with, as it says itself. Raises `SnapshotError` without an analysis."""
    path = analysis / "summary.json"
    try:
        return _SUMMARY.decode(path.read_bytes()).baseline
    except FileNotFoundError:
        raise SnapshotError(
            f"{analysis.name} is not analyzed. Run `sprawlscan analyze --run {analysis.name}`."
        ) from None
    except msgspec.MsgspecError as exc:
        raise SnapshotError(
            f"{path} is damaged ({exc}). Run `sprawlscan analyze --run {analysis.name}`."
        ) from None


@contextmanager
def open_night(state: Path, run_id: str) -> Iterator[Night]:
    """Open an analyzed night of a state folder as a context manager. Raises `SnapshotError`."""
    night = Night(state, run_id)
    try:
        yield night
    finally:
        night.close()
