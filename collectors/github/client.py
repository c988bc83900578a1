"""The one way to GitHub: GET, GraphQL queries, and the exchange that gives an App its token. Nothing else.

PyGithub signs requests, exchanges App keys for tokens and keeps connections (its ``Requester``). Its paged lists
are not used: they keep every element in memory, and turn a 304 into an empty list. Its rate-limit retry is not
used: it sleeps up to an hour inside a call, and does not know a 429 without ``Retry-After`` or the GraphQL limit
inside a 200. `Limiter` is the one place that waits.
https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
import requests

from collectors.github.failures import GitHubError, QueryError, StatusError
from collectors.github.tokens import API_VERSION
from scanner.collect.limiter import Limiter

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping

    from github.Requester import Requester

    from collectors.github.config import Config
    from collectors.github.tokens import HeldToken, Token
    from scanner.collect.collector import Run
    from scanner.collect.memory import Memory
    from scanner.records import Record


TRIES = 5
"""How often one request is sent again after a rate limit, before its listing is given up as throttled."""
_NEXT = re.compile(r'<([^>]+)>\s*;[^,]*\brel="?next"?')
_WRITES = re.compile(r"\b(?:mutation|subscription)\b")
_SECONDARY = ("secondary rate limit", "please retry your request again later", "please wait a few minutes")


class RestAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What one REST request gave: ``body`` is None for a 304."""

    status: int
    headers: dict[str, str]
    body: Any


class Queried(msgspec.Struct, frozen=True, kw_only=True):
    """What one GraphQL query gave; ``errors`` beside data tell which parts of the data are missing."""

    data: dict[str, Any]
    errors: list[dict[str, Any]]


class GitHubClient:
    """Reads one GitHub with one token. Thread-safe; each thread has its own connection."""

    def __init__(self, config: Config, run: Run, *, token: Token, memory: Memory | None = None) -> None:
        self._config = config
        self._run = run
        self._make_token = token
        self._memory = memory
        self._limiter = Limiter(
            spacing=config.seconds_between_requests,
            longest_wait=config.longest_wait_seconds,
            stopping=run.stopping,
        )
        base = urlsplit(config.base_url)
        self._origin = (base.scheme, base.netloc)
        self._prefix = base.path.rstrip("/")
        self._threads = threading.local()
        self._open: list[Requester] = []
        self._lock = threading.Lock()
        self._token: HeldToken | None = None
        self.requests = 0
        """How many requests were sent."""

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            for requester in self._open:
                requester.close()
            self._open.clear()

    def _held(self) -> HeldToken:
        """Return a token that is good for some minutes more."""
        with self._lock:
            if self._token is None or time.monotonic() >= self._token.until:
                self._token = self._make_token(self._config)
            return self._token

    def _renewed(self) -> bool:
        """Drop a token that GitHub refused, if another can be made: an installation's may end early."""
        refused: HeldToken = self._threads.mine[0]
        with self._lock:
            if self._token is refused and refused.until != float("inf"):
                self._token = None
            return refused.until != float("inf")

    @property
    def permissions(self) -> dict[str, str]:
        """What the App's installation was granted; empty for other tokens."""
        return self._held().permissions

    def _requester(self) -> Requester:
        """Return this thread's connection: PyGithub keeps a request's state on the connection object."""
        import github
        from urllib3.util.retry import Retry

        token = self._held()
        mine: tuple[HeldToken, Requester] | None = getattr(self._threads, "mine", None)
        if mine is not None and mine[0] is token:
            return mine[1]
        retry = Retry(
            total=self._config.retries,
            backoff_factor=0.5,
            status_forcelist=[500, 502, 503, 504],
            allowed_methods={"GET"},
            respect_retry_after_header=False,
            raise_on_status=False,
        )
        hub = github.Github(
            base_url=self._config.base_url,
            auth=token.auth,
            lazy=True,
            per_page=100,
            timeout=self._config.timeout_seconds,
            user_agent="sprawlscan",
            verify=str(self._config.ca_bundle) if self._config.ca_bundle else True,
            retry=retry,
            seconds_between_requests=0,
            seconds_between_writes=0,
            api_version=API_VERSION,
        )
        with self._lock:
            self._open.append(hub.requester)
        self._threads.mine = (token, hub.requester)
        return hub.requester

    def get(self, path: str, parameters: Mapping[str, str | int] | None = None, etag: str = "") -> RestAnswer:
        """GET one path (``/orgs/acme``). Raises `GitHubError` and what ``requests`` raises."""
        resource = "audit_log" if path.partition("?")[0].endswith("/audit-log") else "core"
        cut = 0
        for attempt in range(TRIES):
            self._limiter.admit(resource)
            self.requests += 1
            headers = {"If-None-Match": etag} if etag else {}
            try:
                status, answered, text = self._requester().requestJson(
                    "GET", path, dict(parameters or {}), headers
                )
            except requests.exceptions.ChunkedEncodingError:
                # A body that ends too early is met after urllib3 has counted the request as done.
                cut += 1
                if cut > self._config.retries or attempt == TRIES - 1:
                    raise
                continue
            if status == 401 and attempt == 0 and self._renewed():
                continue
            wait = self._throttled(status, answered, text, attempt)
            if wait is None:
                break
            self._limiter.pause(resource, wait)
        else:
            self._limiter.gave_up(resource)
            raise GitHubError("throttled", f"HTTP {status}: {_message(text)}")
        self._limiter.passed(resource)
        self._heed(resource, answered)
        if status == 304 and etag:
            return RestAnswer(status=304, headers=answered, body=None)
        if status != 200:
            raise StatusError(status, _message(text), answered)
        return RestAnswer(status=status, headers=answered, body=_json(text))

    def one(self, path: str, parameters: Mapping[str, str | int] | None = None) -> dict[str, Any]:
        """GET one object."""
        body = self.get(path, parameters).body
        if not isinstance(body, dict):
            raise GitHubError("malformed", f"{path}: expected an object, got {type(body).__name__}")
        return body

    def items(
        self, path: str, parameters: Mapping[str, str | int] | None = None, *, inside: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield the items of a list, page by page; ``inside`` names the key of a wrapped list."""
        for _, items in self._pages(path, parameters, inside):
            yield from items

    def records(
        self,
        path: str,
        convert: Callable[[dict[str, Any]], Iterable[Record]],
        parameters: Mapping[str, str | int] | None = None,
        *,
        inside: str | None = None,
        salt: str = "",
    ) -> Generator[Record, None, None]:
        """Yield what ``convert`` makes of each item of a list; ``salt`` names what else its records depend on.

        With a token that stays the same over nights, a page that GitHub calls unchanged (304, free of the primary
        limit) is not converted again: its records come from the memory, which never holds an answer itself.
        https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api
        """
        memory = self._memory
        for page, items in self._pages(path, parameters, inside, salt if memory is not None else None):
            if page.remembered is not None:
                yield from page.remembered
                continue
            records = [record for item in items for record in convert(item)]
            if memory is not None and page.etag:
                memory.keep_page(self._key(page.path, salt), page.etag, page.next, page.count, records)
            yield from records

    def _key(self, path: str, salt: str) -> str:
        """Name a page in the memory: an ETag is good for one token and one server only."""
        return f"{self._config.base_url} {self._run.fingerprint(self._held().auth.token)} {salt} {path}"

    def _pages(
        self,
        path: str,
        parameters: Mapping[str, str | int] | None,
        inside: str | None,
        salt: str | None = None,
    ) -> Iterator[tuple[_Page, list[dict[str, Any]]]]:
        asked: dict[str, str | int] = {"per_page": 100, **(parameters or {})}
        query = "&".join(f"{key}={asked[key]}" for key in sorted(asked))
        following: str | None = f"{path}?{query}"
        seen: set[str] = set()
        bodies: set[bytes] = set()
        total: int | None = None
        count = 0
        while following is not None:
            if following in seen:
                raise GitHubError("malformed", f"{path}: the next link points to a page already read")
            seen.add(following)
            known = None
            if self._memory is not None and salt is not None:
                known = self._memory.page(self._key(following, salt))
            answer = self.get(following, None, known.etag if known else "")
            if answer.body is None:
                if known is None:
                    raise GitHubError("malformed", f"{path}: 304 to an unconditional request")
                count += known.count
                yield (
                    _Page(
                        path=following,
                        etag=known.etag,
                        next=known.next,
                        count=known.count,
                        remembered=known.records,
                    ),
                    [],
                )
                following = known.next
                continue
            items, total_here = _items(path, answer.body, inside)
            total = total_here if total_here is not None else total
            digest = hashlib.sha256(msgspec.msgpack.encode(items)).digest()
            if items and digest in bodies:
                raise GitHubError("malformed", f"{path}: the same page was returned twice")
            bodies.add(digest)
            count += len(items)
            page = _Page(
                path=following,
                etag=answer.headers.get("etag", ""),
                next=self._next_path(path, answer.headers.get("link", "")),
                count=len(items),
                remembered=None,
            )
            yield page, items
            following = page.next
            if not items and following is not None:
                raise GitHubError("malformed", f"{path}: an empty page with a next link")
        if total is not None and count < total:
            raise GitHubError("truncated", f"{path}: {count} of {total} items were returned")

    def _next_path(self, path: str, link: str) -> str | None:
        """Return the path of the next page. A link to another host is refused: it would be sent our token."""
        match = _NEXT.search(link)
        if match is None:
            return None
        url = urlsplit(match.group(1))
        if (url.scheme, url.netloc) != self._origin or not url.path.startswith(f"{self._prefix}/"):
            raise GitHubError("malformed", f"{path}: the next link points to another host: {url.netloc}")
        return f"{url.path[len(self._prefix) :]}?{url.query}"

    def query(self, document: str, variables: Mapping[str, Any]) -> Queried:
        """POST one GraphQL query. Raises ValueError for anything but a query.

        Data that comes beside errors is kept: GitHub answers so when one node of many is forbidden.
        """
        if _WRITES.search(document):
            raise ValueError("only queries are sent to GitHub")
        for attempt in range(TRIES):
            self._limiter.admit("graphql")
            self.requests += 1
            requester = self._requester()
            status, headers, text = requester.requestJson(
                "POST",
                requester.graphql_url,
                input={"query": document, "variables": dict(variables)},
            )
            if status == 401 and attempt == 0 and self._renewed():
                continue
            wait = self._throttled(status, headers, text, attempt)
            if wait is not None:
                self._limiter.pause("graphql", wait)
                continue
            self._limiter.passed("graphql")
            self._heed("graphql", headers)
            if status != 200:
                raise StatusError(status, _message(text), headers)
            body = _json(text)
            errors = body.get("errors") or [] if isinstance(body, dict) else []
            if any(error.get("type") in {"RATE_LIMITED", "RATE_LIMIT"} for error in errors):
                self._limiter.pause("graphql", self._wait(headers, attempt))
                continue
            data = body.get("data") if isinstance(body, dict) else None
            if not isinstance(data, dict):
                types = sorted({str(error.get("type") or "") for error in errors})
                raise QueryError(
                    types, "; ".join(str(error.get("message")) for error in errors[:3]) or "no data"
                )
            return Queried(data=data, errors=errors)
        self._limiter.gave_up("graphql")
        raise GitHubError("throttled", "the GraphQL rate limit did not reset in time")

    def _throttled(self, status: int, headers: Mapping[str, str], text: str, attempt: int) -> float | None:
        """Return how long to wait when this answer is a rate limit: primary or secondary, 403 or 429."""
        if status not in {403, 429}:
            return None
        message = _message(text).lower()
        limited = (
            status == 429
            or "retry-after" in headers
            or headers.get("x-ratelimit-remaining") == "0"
            or message.startswith("api rate limit exceeded")
            or any(words in message for words in _SECONDARY)
        )
        return self._wait(headers, attempt) if limited else None

    def _wait(self, headers: Mapping[str, str], attempt: int) -> float:
        """Return seconds to wait: what GitHub names, or a minute, then two, then four."""
        after = headers.get("retry-after", "")
        if after.isdigit():
            return float(after)
        if headers.get("x-ratelimit-remaining") == "0":
            reset = _until_reset(headers)
            if reset is not None:
                return reset
        return float(self._config.secondary_wait_seconds * 2**attempt)

    def _heed(self, resource: str, headers: Mapping[str, str]) -> None:
        """Stop before the limit is hit: to go on at zero is what earns a secondary limit."""
        if headers.get("x-ratelimit-remaining") == "0":
            reset = _until_reset(headers)
            if reset is not None:
                self._limiter.pause(resource, reset)


class _Page(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    etag: str
    next: str | None
    count: int
    remembered: list[Any] | None


def _items(path: str, body: Any, inside: str | None) -> tuple[list[dict[str, Any]], int | None]:
    total = None
    if inside is not None:
        if not isinstance(body, dict) or inside not in body:
            raise GitHubError("malformed", f"{path}: the response has no {inside}")
        total = body.get("total_count")
        body = body[inside]
    if not isinstance(body, list) or not all(isinstance(item, dict) for item in body):
        raise GitHubError("malformed", f"{path}: expected a list of objects")
    return body, total if isinstance(total, int) else None


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError) as exc:
        raise GitHubError("malformed", f"the response is not JSON: {exc}") from None


def _message(text: str) -> str:
    """Return GitHub's own words out of an error's body; never the body itself."""
    try:
        body = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError):
        return "no message"
    return str(body.get("message", "no message"))[:500] if isinstance(body, dict) else "no message"


def _until_reset(headers: Mapping[str, str]) -> float | None:
    """Return the seconds from the answer's own Date to its X-RateLimit-Reset, and one more."""
    try:
        reset = float(headers["x-ratelimit-reset"])
        date = parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError, TypeError):
        return None
    return max(reset - date, 0.0) + 1.0
