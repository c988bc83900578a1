"""GitHub's rate limits, in real or scaled time.

- https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
- https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api
"""

from __future__ import annotations

import math
import time
from threading import Lock
from typing import Literal

import msgspec

Resource = Literal["core", "graphql", "audit_log"]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much one token may ask. ``scale`` shortens every window: 60 makes an hour pass in a minute."""

    core: int = 15_000
    """REST requests an hour; an App on an Enterprise Cloud organization has 15,000, a person 5,000."""
    graphql: int = 10_000
    """GraphQL points an hour."""
    audit_log: int = 1_750
    """Audit log requests an hour."""
    rest_points: int = 900
    """Secondary limit: REST points a minute; a GET is one."""
    graphql_points: int = 2_000
    """Secondary limit: GraphQL points a minute; a query is one."""
    concurrent: int = 100
    """Secondary limit: requests at once, REST and GraphQL together."""
    scale: float = 1.0


class Window(msgspec.Struct, kw_only=True):
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


class Limiter:
    """Counts what each token used. Thread-safe."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._windows: dict[tuple[str, str], Window] = {}
        self._lock = Lock()
        self._running = 0

    def _window(self, token: str, resource: str, limit: int, seconds: float) -> Window:
        now = time.time()
        window = self._windows.get((token, resource))
        if window is None or window.ends_at <= now:
            window = Window(limit=limit, ends_at=now + seconds / self.limits.scale)
            self._windows[token, resource] = window
        return window

    def primary(self, token: str, resource: Resource) -> Window:
        """Return the hourly window of a token."""
        with self._lock:
            return self._window(token, resource, getattr(self.limits, resource), 3600)

    def spend(self, token: str, resource: Resource, points: int) -> Window | None:
        """Take points from the hourly window; None when they are not there."""
        with self._lock:
            window = self._window(token, resource, getattr(self.limits, resource), 3600)
            if window.remaining < max(points, 1):
                return None
            window.used += points
            return window

    def refund(self, token: str, resource: Resource) -> None:
        """Give one request back: a 304 does not count against the primary limit."""
        with self._lock:
            window = self._windows.get((token, resource))
            if window is not None and window.used:
                window.used -= 1

    def burst(self, token: str, *, graphql: bool) -> int | None:
        """Count one request against the secondary limit; the seconds to wait when it is used up."""
        limit = self.limits.graphql_points if graphql else self.limits.rest_points
        with self._lock:
            window = self._window(token, "graphql-burst" if graphql else "rest-burst", limit, 60)
            if window.remaining < 1:
                return max(1, math.ceil(window.ends_at - time.time()))
            window.used += 1
            return None

    def enter(self) -> bool:
        """Begin a request; False when too many run already."""
        with self._lock:
            if self._running >= self.limits.concurrent:
                return False
            self._running += 1
            return True

    def leave(self) -> None:
        """End a request that `enter` let in."""
        with self._lock:
            self._running -= 1

    def exhaust(self, token: str, resource: Resource) -> None:
        """Use up a token's hourly window: what a test does to see a client wait."""
        with self._lock:
            window = self._window(token, resource, getattr(self.limits, resource), 3600)
            window.used = window.limit
