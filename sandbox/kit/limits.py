"""Rate limits: what each token has used of each bucket, in real or scaled time."""

from __future__ import annotations

import math
import time
from threading import Lock

import msgspec


class RateWindow(msgspec.Struct, kw_only=True):
    """What is left of one allowance."""

    limit: int
    used: int = 0
    ends_at: float = 0.0
    """Seconds since the epoch."""

    @property
    def remaining(self) -> int:
        return max(0, self.limit - self.used)

    @property
    def reset(self) -> int:
        """Whole seconds since the epoch, rounded up: a client that waits until then finds a fresh window."""
        return math.ceil(self.ends_at)

    @property
    def retry_after(self) -> int:
        """Whole seconds until the window ends, at least one."""
        return max(1, math.ceil(self.ends_at - time.time()))


class RateBuckets:
    """Counts what each token used of each bucket. Thread-safe.

    ``scale`` shortens every window: 60 makes a minute pass in a second. ``concurrent`` is the most requests at once.
    """

    def __init__(self, scale: float = 1.0, concurrent: int | None = None) -> None:
        self.scale = scale
        self._concurrent = concurrent
        self._windows: dict[tuple[str, str], RateWindow] = {}
        self._lock = Lock()
        self._running = 0

    def _window(self, token: str, bucket: str, limit: int, seconds: float) -> RateWindow:
        now = time.time()
        window = self._windows.get((token, bucket))
        if window is None or window.ends_at <= now:
            window = RateWindow(limit=limit, ends_at=now + seconds / self.scale)
            self._windows[token, bucket] = window
        return window

    def window(self, token: str, bucket: str, limit: int, seconds: float) -> RateWindow:
        """Return a token's window of a bucket."""
        with self._lock:
            return self._window(token, bucket, limit, seconds)

    def spend(
        self, token: str, bucket: str, limit: int, seconds: float, points: int = 1
    ) -> tuple[RateWindow, bool]:
        """Take points from a window. Returns the window, and whether the points were there."""
        with self._lock:
            window = self._window(token, bucket, limit, seconds)
            if window.remaining < max(points, 1):
                return window, False
            window.used += points
            return window, True

    def refund(self, token: str, bucket: str) -> None:
        """Give one request back: a 304 does not count everywhere."""
        with self._lock:
            window = self._windows.get((token, bucket))
            if window is not None and window.used:
                window.used -= 1

    def exhaust(self, token: str, bucket: str, limit: int, seconds: float) -> None:
        """Use up a window: what a test does to see a client wait."""
        with self._lock:
            window = self._window(token, bucket, limit, seconds)
            window.used = window.limit

    def enter(self) -> bool:
        """Begin a request; False when too many are running already."""
        with self._lock:
            if self._concurrent is not None and self._running >= self._concurrent:
                return False
            self._running += 1
            return True

    def leave(self) -> None:
        """End a request that `enter` let in."""
        with self._lock:
            self._running -= 1
