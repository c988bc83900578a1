"""Interrupts queries that must end: when the run stops, and at the time limit of a rule."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from scanner.stop import StoppedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from scanner.stop import Stop
    from scanner.tables import Tables

_TICK = 0.2


class QueryWatch:
    """Watches the queries over some tables, from a thread of its own.

    A context manager, which raises `StoppedError` in place of an interruption because the run stops.
    """

    def __init__(self, tables: Tables, stop: Stop | None, rule_seconds: float = 0.0) -> None:
        self._tables = tables
        self._stop = stop
        self.rule_seconds = rule_seconds
        """How long the query of one rule may take."""
        self._deadline: float | None = None
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="query-watch")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        if kind is not None:
            import duckdb

            if issubclass(kind, duckdb.InterruptException):
                self.check()

    @contextmanager
    def one_rule(self) -> Iterator[None]:
        """Limit the time of the queries inside."""
        with self._lock:
            self._deadline = time.monotonic() + self.rule_seconds
        try:
            yield
        finally:
            with self._lock:
                self._deadline = None

    def check(self) -> None:
        """Raise `scanner.stop.StoppedError` if the run must end."""
        if self._stop is not None and self._stop.ending.is_set():
            raise StoppedError from None

    def _run(self) -> None:
        while not self._done.wait(_TICK):
            with self._lock:
                late = self._deadline is not None and time.monotonic() > self._deadline
                # Again and again: an interruption between two queries stops neither.
                if late or (self._stop is not None and self._stop.ending.is_set()):
                    self._tables.interrupt()
