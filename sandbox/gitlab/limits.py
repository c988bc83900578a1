"""GitLab.com's rate limits, in real or scaled time.

https://docs.gitlab.com/security/rate_limits/ https://docs.gitlab.com/administration/settings/user_and_ip_rate_limits/
"""

from __future__ import annotations

import math
import time
from threading import Lock

import msgspec

ROUTES: dict[str, tuple[int, float]] = {
    "/projects": (2000, 600),
    "/projects/:id": (400, 60),
    "/projects/:id/repository/files/:file_path/raw": (500, 60),
    "/groups/:id": (400, 60),
    "/groups/:id/projects": (600, 60),
}
"""Requests, and the seconds in which a user may send them, of the routes that have limits of their own."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much one token may ask. ``scale`` shortens every window: 60 makes a minute pass in a second."""

    minute: int = 2_000
    """Requests a minute, of all kinds together."""
    scale: float = 1.0


class Limiter:
    """Counts what each token used. Thread-safe."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._windows: dict[tuple[str, str], tuple[float, int]] = {}
        self._lock = Lock()

    def refused(self, token: str, template: str) -> dict[str, str] | None:
        """Count one request; the headers of the 429 when its allowance is used up."""
        own = ROUTES.get(template)
        with self._lock:
            for name, (limit, seconds) in {
                "": (self._limits.minute, 60.0),
                **({template: own} if own else {}),
            }.items():
                now = time.time()
                ends, used = self._windows.get((token, name), (0.0, 0))
                if ends <= now:
                    ends, used = now + seconds / self._limits.scale, 0
                self._windows[token, name] = (ends, used + 1)
                if used >= limit:
                    return {
                        "RateLimit-Limit": str(limit),
                        "RateLimit-Observed": str(used + 1),
                        "RateLimit-Remaining": "0",
                        "RateLimit-Reset": str(math.ceil(ends)),
                        "Retry-After": str(max(1, math.ceil(ends - now))),
                    }
        return None
