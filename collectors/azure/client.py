"""The client for Azure Resource Manager: GET, batches of GETs, and queries of Azure Resource Graph.

https://learn.microsoft.com/azure/governance/resource-graph/concepts/work-with-data,
https://learn.microsoft.com/azure/governance/resource-graph/concepts/guidance-for-throttled-requests
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors._microsoft.sign_in import MicrosoftAuth
from collectors.azure.calls import BATCH, GRAPH, PARTS
from scanner.collect.answers import AnswerObject
from scanner.collect.dialect import Dialect
from scanner.collect.failures import SourceError
from scanner.collect.paging import NextLink
from scanner.collect.rest import RestClient

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from collectors.azure.config import Config
    from scanner.collect.collector import Run

ROWS = 1000
"""The largest page of a query."""


class ArmDialect(Dialect):
    """Queries have a rate limit of their own."""

    def bucket(self, method: str, path: str) -> str:
        """Return ``queries``, ``batches`` or ``requests``."""
        if method == "GET":
            return "requests"
        return "batches" if path == BATCH else "queries"


class ArmClient(RestClient):
    """Reads what one application sees of one tenant."""

    def __init__(self, config: Config, run: Run) -> None:
        self._batch_from = config.batch_from
        self.sign_in = MicrosoftAuth(config, config.management_url, run)
        super().__init__(
            config.management_url,
            config,
            run,
            auth=self.sign_in,
            dialect=ArmDialect(),
            posts=[GRAPH, BATCH],
            paginator=NextLink(link="nextLink"),
        )

    def close(self) -> None:
        """Close every connection."""
        super().close()
        self.sign_in.close()

    def lists(self, paths: Iterable[str]) -> Iterator[tuple[str, list[dict[str, Any]] | SourceError]]:
        """Read several lists, and yield each with its items, or with why it could not be read.

        ``paths`` are relative to the host, with their query. From ``batch_from`` of them on they are sent in batches of GETs;
        where batches are refused, one by one.
        """
        every = list(paths)
        batched = 0 < self._batch_from <= len(every)
        for start in range(0, len(every), PARTS):
            part = every[start : start + PARTS]
            answers: dict[str, Any] = {}
            if batched:
                try:
                    answers = self._batch(part)
                except SourceError:
                    batched = False
            for path in part:
                yield path, self._all(path, answers.get(path))

    def _all(self, path: str, body: Any) -> list[dict[str, Any]] | SourceError:
        """Return the items of a list, whose first page may have come in a batch."""
        try:
            if body is None:
                return list(self.items(path))
            items = body.get("value") if isinstance(body, dict) else None
            if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
                return SourceError("malformed", f"{path}: expected a list of objects in value")
            link = body.get("nextLink")
            return [
                *(AnswerObject(item) for item in items),
                *(self.items(self.local(str(link))) if link else ()),
            ]
        except SourceError as exc:
            return exc

    def _batch(self, paths: Sequence[str]) -> dict[str, Any]:
        """Send up to `PARTS` GETs in one request, and return the answers that came. What is missing is asked for alone."""
        requests = [
            {"httpMethod": "GET", "name": str(number), "relativeUrl": path, "requestHeaderDetails": {}}
            for number, path in enumerate(paths)
        ]
        body = self.post(f"{BATCH}?api-version=2020-06-01", {"requests": requests}).body
        responses = body.get("responses") if isinstance(body, dict) else None
        if not isinstance(responses, list):
            raise SourceError("malformed", "the batch's response has no list of responses")
        found: dict[str, Any] = {}
        for part in responses:
            number = part.get("name") if isinstance(part, dict) else None
            if not isinstance(number, str) or not number.isdigit() or int(number) >= len(paths):
                raise SourceError("malformed", "the batch's response answers a request that was not sent")
            if part.get("httpStatusCode") == 200:
                found[paths[int(number)]] = part.get("content")
        return found

    def query(self, text: str) -> Iterator[dict[str, Any]]:
        """Yield the rows of a query over the whole tenant, management groups and the root included.

        Raises `SourceError`: truncated if fewer rows came than the service counts.
        """
        path = f"{GRAPH}?api-version=2024-04-01"
        options: dict[str, Any] = {
            "resultFormat": "objectArray",
            "$top": ROWS,
            "authorizationScopeFilter": "AtScopeAboveAndBelow",
        }
        seen: set[str] = set()
        count = 0
        while True:
            answer = self.post(path, {"query": text, "options": options})
            body = answer.body
            rows = body.get("data") if isinstance(body, dict) else None
            if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                raise SourceError("malformed", "the query's response has no list of rows in data")
            for row in rows:
                count += 1
                yield AnswerObject(row)
            token = body.get("$skipToken")
            total = body.get("totalRecords")
            if not token:
                cut = str(body.get("resultTruncated", "false")).lower() == "true"
                if cut or (isinstance(total, int) and count < total):
                    raise SourceError("truncated", f"{count} of {total} rows were returned")
                return
            if token in seen or len(seen) >= self.config.max_pages:
                raise SourceError("malformed", "the query's response leads to a page already read")
            seen.add(str(token))
            options = {**options, "$skipToken": token}
