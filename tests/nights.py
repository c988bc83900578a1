"""One night of a collector in a test: the run it gets, and everything that it yields."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from scanner.collect.collector import Run
from scanner.kinds import declared_by
from scanner.records import Gap
from scanner.secrets.detectors import Fingerprint

if TYPE_CHECKING:
    from pathlib import Path

    from scanner.collect.collector import Collector
    from scanner.records import Record

NIGHT = datetime(2026, 11, 22, 2, tzinfo=UTC)


def run(cache: Path, nights_later: int = 0) -> Run:
    return Run(
        as_of=NIGHT + timedelta(days=nights_later),
        fingerprint=Fingerprint(b"k" * 32),
        cache=cache,
        stopping=threading.Event(),
    )


def collected_by(collector: Collector, config: Any, night: Run) -> list[Record]:
    """Return the records of a night. An undeclared kind or a bug fails the test."""
    records = [
        record
        for target in collector.targets(config, night)
        for record in collector.collect(target, config, night)
    ]
    undeclared = declared_by(collector).undeclared(records)
    assert not undeclared, undeclared
    bugs = [row.detail for row in records if isinstance(row, Gap) and row.reason == "bug"]
    assert not bugs, bugs[0]
    return records
