"""Paces and pauses requests: the one place that waits for GitHub.

https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
"""

from __future__ import annotations

import threading
import time

from collectors.github.failures import GitHubError


class Limiter:
    """Paces and pauses all requests of one token, over all threads, for each of GitHub's rate-limit resources."""

    def __init__(self, *, spacing: float, longest_wait: float, stopping: threading.Event) -> None:
        self._spacing = spacing
        self._longest_wait = longest_wait
        self._stopping = stopping
        self._lock = threading.Lock()
        self._next = 0.0
        self._until: dict[str, float] = {}
        self._given_up: dict[str, int] = {}

    def admit(self, resource: str) -> None:
        """Wait for this request's turn. Raises `GitHubError` when the run stops or the wait is too long."""
        if self._given_up.get(resource, 0) >= 10:
            raise GitHubError(
                "throttled", f"the {resource} rate limit did not end; no more requests are sent"
            )
        while True:
            if self._stopping.is_set():
                raise GitHubError("deadline", "stopped before this was read")
            with self._lock:
                now = time.monotonic()
                wait = max(self._next, self._until.get(resource, 0.0)) - now
                if wait <= 0:
                    self._next = now + self._spacing
                    return
            if wait > self._longest_wait:
                raise GitHubError("throttled", f"the {resource} rate limit ends only in {wait:.0f} s")
            self._stopping.wait(min(wait, 5.0))

    def pause(self, resource: str, seconds: float) -> None:
        """Let nothing pass for so many seconds."""
        with self._lock:
            self._until[resource] = max(self._until.get(resource, 0.0), time.monotonic() + seconds)

    def gave_up(self, resource: str) -> None:
        """Count a request that was throttled to the end; after ten in a row the resource is closed."""
        with self._lock:
            self._given_up[resource] = self._given_up.get(resource, 0) + 1

    def passed(self, resource: str) -> None:
        """Note a request that was not throttled."""
        self._given_up[resource] = 0
