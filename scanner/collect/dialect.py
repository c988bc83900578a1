"""What is particular to a source: its headers, rate limits, and the meaning of its refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scanner.collect.failures import reason_of
from scanner.collect.paging import place_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scanner.collect.answers import Answer
    from scanner.records import Reason

_LIMITED = {"RATE_LIMITED", "RATE_LIMIT", "THROTTLED", "TOO_MANY_REQUESTS"}


class Dialect:
    """Source-specific behavior. Subclass it if the defaults do not fit."""

    headers: Mapping[str, str] = {"Accept": "application/json"}
    """Sent with every request."""

    def bucket(self, method: str, path: str) -> str:  # noqa: ARG002  what subclasses need
        """Return the rate limit bucket of a request. ``path`` is without its query."""
        return "requests"

    def throttled(self, answer: Answer) -> bool:
        """Return whether a response is a rate limit, by its status or by a GraphQL error in a 200."""
        headers = answer.headers
        left = headers.get("x-ratelimit-remaining", headers.get("ratelimit-remaining"))
        return (
            answer.status == 429
            or (answer.status in {403, 503} and ("retry-after" in headers or left == "0"))
            or _is_limited_inside(answer.body)
        )

    def reason(self, status: int) -> Reason:
        """Return the reason for an HTTP status."""
        return reason_of(status)

    def needs(self, answer: Answer) -> str | None:  # noqa: ARG002  what subclasses need
        """Return the permission named in a denied response."""
        return None


def _is_limited_inside(body: Any) -> bool:
    errors = body.get("errors") if isinstance(body, dict) else None
    return isinstance(errors, list) and any(
        isinstance(error, dict) and str(error.get("type") or place_in(error, "extensions/code")) in _LIMITED
        for error in errors
    )
