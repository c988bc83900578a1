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
"""Requests, and the seconds in which a user may send them, of the routes that have limits of their own."""


class GitLabLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much one token may ask. ``scale`` shortens every window: 60 makes a minute pass in a second."""

    minute: int = 2_000
    """Requests a minute, of all kinds together."""
    scale: float = 1.0


class GitLabLimiter:
    """Counts what each token used. Thread-safe."""

    def __init__(self, limits: GitLabLimits) -> None:
        self._limits = limits
        self._buckets = RateBuckets(limits.scale)

    def refused(self, token: str, template: str) -> dict[str, str] | None:
        """Count one request; the headers of the 429 when its allowance is used up."""
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
