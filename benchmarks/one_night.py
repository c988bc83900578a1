"""One night of a collector in the measuring process, from an empty cache."""

from __future__ import annotations

import threading
import time
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from scanner.collect.collector import Run
from scanner.secrets.detectors import Fingerprint

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType


def collect_night(collector: ModuleType, config: Any, cache: Path) -> tuple[float, Counter[str]]:
    """Return the seconds that a night took, and the number of its records by class."""
    tonight = Run(
        as_of=datetime(2026, 11, 22, 2, tzinfo=UTC),
        fingerprint=Fingerprint(b"k" * 32),
        cache=cache,
        stopping=threading.Event(),
    )
    started = time.perf_counter()
    kinds: Counter[str] = Counter()
    for target in collector.targets(config, tonight):
        for record in collector.collect(target, config, tonight):
            kinds[type(record).__name__] += 1
    return time.perf_counter() - started, kinds
