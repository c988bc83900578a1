"""Paces and pauses requests. The only place that waits for a source's rate limits.

Each credential has one limiter, shared by every client and thread that uses it. A limiter has buckets, one for each
limit that the source counts separately (REST, GraphQL, search).
"""

from __future__ import annotations

import threading
import time

from scanner.collect.failures import SourceError

_CLOSED_AFTER = 10


class Limiter:
    """Paces and pauses all requests of one credential, over all threads."""

    def __init__(self, *, spacing: float, longest_wait: float, stopping: threading.Event) -> None:
        """``spacing`` and ``longest_wait`` are seconds."""
        self._spacing = spacing
        self._longest_wait = longest_wait
        self._stopping = stopping
        self._lock = threading.Lock()
        self._next = 0.0
        self._until: dict[str, float] = {}
        self._given_up: dict[str, int] = {}

    def admit(self, bucket: str) -> None:
        """Wait for this request's turn. Raises `SourceError` when the run stops or the wait is too long."""
        if self._given_up.get(bucket, 0) >= _CLOSED_AFTER:
            raise SourceError(
                "throttled", f"the rate limit of {bucket} did not reset; no more requests are sent"
            )
        while True:
            with self._lock:
                now = time.monotonic()
                wait = max(self._next, self._until.get(bucket, 0.0)) - now
                if wait <= 0 and not self._stopping.is_set():
                    self._next = now + self._spacing
                    return
            if wait > self._longest_wait:
                raise SourceError("throttled", f"the rate limit of {bucket} resets only in {wait:.0f} s")
            self.sleep(min(wait, 5.0))

    def sleep(self, seconds: float) -> None:
        """Wait. Raises `SourceError` as soon as the run stops."""
        if self._stopping.wait(max(seconds, 0.0)):
            raise SourceError("deadline", "the run was stopped before this was read")

    def pause(self, bucket: str, seconds: float) -> None:
        """Block all requests of a bucket for this many seconds."""
        with self._lock:
            self._until[bucket] = max(self._until.get(bucket, 0.0), time.monotonic() + seconds)

    def gave_up(self, bucket: str) -> None:
        """Count a request that failed by throttling. After ten in a row the bucket is closed."""
        with self._lock:
            self._given_up[bucket] = self._given_up.get(bucket, 0) + 1

    def passed(self, bucket: str) -> None:
        """Note a request that was not throttled."""
        self._given_up[bucket] = 0
