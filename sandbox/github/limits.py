"""GitHub's rate limits.

- https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
- https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api
"""

from __future__ import annotations

from typing import Literal

import msgspec

from sandbox.kit.limits import RateBuckets, RateWindow

Resource = Literal["core", "graphql", "audit_log"]
_HOUR, _MINUTE = 3600, 60


class GitHubLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The rate limits of one token. ``scale`` shortens every window: with 60, an hour takes a minute."""

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


UNLIMITED = GitHubLimits(core=10**6, graphql=10**6, rest_points=10**6, graphql_points=10**6, concurrent=10**3)


class GitHubLimiter:
    """The usage of each token by resource. Thread-safe."""

    def __init__(self, limits: GitHubLimits) -> None:
        self.limits = limits
        self._buckets = RateBuckets(limits.scale, limits.concurrent)

    def _limit(self, resource: Resource) -> int:
        limit: int = getattr(self.limits, resource)
        return limit

    def primary(self, token: str, resource: Resource) -> RateWindow:
        """Return the hourly window of a token."""
        return self._buckets.window(token, resource, self._limit(resource), _HOUR)

    def spend(self, token: str, resource: Resource, points: int) -> RateWindow | None:
        """Take points from the hourly window; None if there are not enough."""
        window, there = self._buckets.spend(token, resource, self._limit(resource), _HOUR, points)
        return window if there else None

    def refund(self, token: str, resource: Resource) -> None:
        """Give one request back: a 304 does not count against the primary limit."""
        self._buckets.refund(token, resource)

    def burst(self, token: str, *, graphql: bool) -> int | None:
        """Count one request against the secondary limit; the seconds to wait if it is exhausted."""
        limit = self.limits.graphql_points if graphql else self.limits.rest_points
        bucket = "graphql-burst" if graphql else "rest-burst"
        window, there = self._buckets.spend(token, bucket, limit, _MINUTE)
        return None if there else window.retry_after

    def enter(self) -> bool:
        """Begin a request; False if too many are running."""
        return self._buckets.enter()

    def leave(self) -> None:
        """End a request that `enter` admitted."""
        self._buckets.leave()

    def exhaust(self, token: str, resource: Resource) -> None:
        """Exhaust a token's hourly window, to test that a client waits."""
        self._buckets.exhaust(token, resource, self._limit(resource), _HOUR)


def limit_headers(window: RateWindow, resource: Resource) -> dict[str, str]:
    """Return the rate limit headers."""
    return {
        "X-RateLimit-Limit": str(window.limit),
        "X-RateLimit-Remaining": str(window.remaining),
        "X-RateLimit-Used": str(window.used),
        "X-RateLimit-Reset": str(window.reset),
        "X-RateLimit-Resource": resource,
    }
