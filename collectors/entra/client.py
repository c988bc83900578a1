"""The client for Microsoft Graph: GET, and ``$batch`` of GETs.

https://learn.microsoft.com/graph/paging, https://learn.microsoft.com/graph/json-batching,
https://learn.microsoft.com/graph/throttling
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from collectors._microsoft.sign_in import MicrosoftAuth
from scanner.collect.dialect import Dialect
from scanner.collect.failures import SourceError, reason_of
from scanner.collect.paging import NextLink
from scanner.collect.rest import RestClient

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from collectors.entra.config import Config
    from scanner.collect.answers import Answer
    from scanner.collect.collector import Run

BATCH = "/beta/$batch"
PARTS = 20
"""The largest number of requests in one batch."""
_ROUNDS = 4
"""How often the throttled requests of a batch are sent again."""


class GraphDialect(Dialect):
    """Reports and batches have rate limits of their own."""

    def bucket(self, method: str, path: str) -> str:
        """Return ``reports``, ``batch`` or ``requests``."""
        if "/reports/" in path:
            return "reports"
        return "batch" if method == "POST" else "requests"

    def needs(self, answer: Answer) -> str | None:  # noqa: ARG002  Graph names no permission
        """Return None: the listing names what it needs."""
        return None


class GraphClient(RestClient):
    """Reads one tenant."""

    def __init__(self, config: Config, run: Run) -> None:
        self._sign_in = MicrosoftAuth(config, config.graph_url, run)
        super().__init__(
            config.graph_url,
            config,
            run,
            auth=self._sign_in,
            dialect=GraphDialect(),
            posts=[BATCH],
            paginator=NextLink(),
        )

    def close(self) -> None:
        """Close every connection."""
        super().close()
        self._sign_in.close()

    def lists(self, paths: Iterable[str]) -> Iterator[tuple[str, list[dict[str, Any]] | SourceError]]:
        """Read several lists in batches, and yield each with its items, or with why it could not be read.

        ``paths`` are relative to ``/beta``: ``/groups/ID/transitiveMembers``. When a batch itself fails, so do all in it.
        """
        every = list(paths)
        for start in range(0, len(every), PARTS):
            part = every[start : start + PARTS]
            try:
                answers = self._batch(part)
            except SourceError as exc:
                answers = dict.fromkeys(part, exc)
            for path in part:
                answer = answers[path]
                yield path, answer if isinstance(answer, SourceError) else self._all(path, answer)

    def _all(self, path: str, body: Mapping[str, Any]) -> list[dict[str, Any]] | SourceError:
        """Return the items of a list whose first page came in a batch."""
        items = body.get("value")
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            return SourceError("malformed", f"{path}: expected a list of objects in value")
        link = body.get("@odata.nextLink")
        if link is None:
            return items
        try:
            return [*items, *self.items(self.local(str(link)))]
        except SourceError as exc:
            return exc

    def _batch(self, paths: Sequence[str]) -> dict[str, Mapping[str, Any] | SourceError]:
        """Send up to `PARTS` GETs in one request. Those that are throttled are sent again."""
        left = list(paths)
        found: dict[str, Mapping[str, Any] | SourceError] = {}
        for attempt in range(_ROUNDS + 1):
            requests = [{"id": str(number), "method": "GET", "url": path} for number, path in enumerate(left)]
            parts = list(_parts(self.post(BATCH, {"requests": requests}).body, left))
            answered = {path for path, *_ in parts}
            throttled: list[str] = []
            wait = 0.0
            for path, status, headers, body in parts:
                if status == 429 and attempt < _ROUNDS:
                    throttled.append(path)
                    wait = max(wait, _seconds(headers, self.config.throttled_wait_seconds))
                elif status == 200 and isinstance(body, dict):
                    found[path] = body
                else:
                    found[path] = _failure(status, body)
            for path in left:
                if path not in answered:
                    found[path] = SourceError("malformed", "the batch's response lacks this request")
            if not throttled:
                break
            if wait > self.config.longest_wait_seconds:
                for path in throttled:
                    found[path] = SourceError("throttled", f"the rate limit resets only in {wait:.0f} s")
                break
            self._limiter.pause("batch", wait)
            left = throttled
        return found


def _parts(body: Any, paths: Sequence[str]) -> Iterator[tuple[str, int, Mapping[str, Any], Any]]:
    responses = body.get("responses") if isinstance(body, dict) else None
    if not isinstance(responses, list):
        raise SourceError("malformed", "the batch's response has no list of responses")
    for part in responses:
        number = part.get("id") if isinstance(part, dict) else None
        status = part.get("status") if isinstance(part, dict) else None
        if not isinstance(number, str) or not number.isdigit() or int(number) >= len(paths):
            raise SourceError("malformed", "the batch's response answers a request that was not sent")
        headers = part.get("headers")
        yield (
            paths[int(number)],
            status if isinstance(status, int) else 0,
            headers if isinstance(headers, dict) else {},
            part.get("body"),
        )


def _seconds(headers: Mapping[str, Any], usual: float) -> float:
    for name, value in headers.items():
        if name.lower() == "retry-after":
            try:
                seconds = float(str(value))
            except ValueError:
                return usual
            return seconds if math.isfinite(seconds) and seconds >= 0 else usual
    return usual


def _failure(status: int, body: Any) -> SourceError:
    error = body.get("error") if isinstance(body, dict) else None
    words = error.get("message") if isinstance(error, dict) else None
    reason = reason_of(status) if status >= 400 else "malformed"
    return SourceError(reason, f"HTTP {status}: {words or 'no message'}", status=status)
