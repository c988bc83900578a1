"""GitLab.com's rate limits.

https://docs.gitlab.com/security/rate_limits/ https://docs.gitlab.com/administration/settings/user_and_ip_rate_limits/
"""

from __future__ import annotations

import msgspec

from sandbox.kit.limits import RateBuckets, RateWindow

ROUTES: dict[str, tuple[int, float]] = {
    "/projects": (2000, 600),
    "/projects/:id": (400, 60),
    "/projects/:id/repository/files/:file_path/raw": (500, 60),
    "/groups/:id": (400, 60),
    "/groups/:id/projects": (600, 60),
}
"""Routes with their own limits: number of requests, and the period in seconds."""


class GitLabLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The rate limits of one token. ``scale`` shortens every window: with 60, a minute takes a second."""

    minute: int = 2_000
    """All requests per minute."""
    scale: float = 1.0


class GitLabLimiter:
    """Counts the requests of each token. Thread-safe."""

    def __init__(self, limits: GitLabLimits) -> None:
        self._limits = limits
        self._buckets = RateBuckets(limits.scale)

    def refused(self, token: str, template: str) -> dict[str, str] | None:
        """Count one request; return the headers of the 429 if its limit is exceeded."""
        allowances = {"": (self._limits.minute, 60.0)}
        if template in ROUTES:
            allowances[template] = ROUTES[template]
        for bucket, (limit, seconds) in allowances.items():
            window, there = self._buckets.spend(token, bucket, limit, seconds)
            if not there:
                return _headers(window)
        return None


def _headers(window: RateWindow) -> dict[str, str]:
    return {
        "RateLimit-Limit": str(window.limit),
        "RateLimit-Observed": str(window.limit + 1),
        "RateLimit-Remaining": "0",
        "RateLimit-Reset": str(window.reset),
        "Retry-After": str(window.retry_after),
    }
