"""Rate limits: the usage of each token by bucket, in real or scaled time."""

from __future__ import annotations

import math
import time
from threading import Lock

import msgspec


class RateWindow(msgspec.Struct, kw_only=True):
    """The rest of one limit."""

    limit: int
    used: int = 0
    ends_at: float = 0.0
    """Seconds since the epoch."""

    @property
    def remaining(self) -> int:
        return max(0, self.limit - self.used)

    @property
    def reset(self) -> int:
        """Whole seconds since the epoch, rounded up: a client that waits until then gets a new window."""
        return math.ceil(self.ends_at)

    @property
    def retry_after(self) -> int:
        """Whole seconds until the window ends, at least one."""
        return max(1, math.ceil(self.ends_at - time.time()))


class RateBuckets:
    """Counts the usage of each token by bucket. Thread-safe. ``scale`` shortens every window: with 60, a minute takes a
    second. ``concurrent`` is the maximum number of concurrent requests.
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
        """Take points from a window. Returns the window, and whether it had enough points."""
        with self._lock:
            window = self._window(token, bucket, limit, seconds)
            if window.remaining < max(points, 1):
                return window, False
            window.used += points
            return window, True

    def refund(self, token: str, bucket: str) -> None:
        """Refund one request: some APIs do not count a 304."""
        with self._lock:
            window = self._windows.get((token, bucket))
            if window is not None and window.used:
                window.used -= 1

    def exhaust(self, token: str, bucket: str, limit: int, seconds: float) -> None:
        """Exhaust a window, to test that a client waits."""
        with self._lock:
            window = self._window(token, bucket, limit, seconds)
            window.used = window.limit

    def enter(self) -> bool:
        """Begin a request; False if too many are running."""
        with self._lock:
            if self._concurrent is not None and self._running >= self._concurrent:
                return False
            self._running += 1
            return True

    def leave(self) -> None:
        """End a request that `enter` admitted."""
        with self._lock:
            self._running -= 1
