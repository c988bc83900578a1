"""The one way to GitLab: GET and GraphQL queries. Nothing else.

python-gitlab signs requests, keeps connections, obeys rate limits and repeats what a server failed to do. Its lists
are not used: by default they give twenty items, they follow a ``next`` link to wherever it leads, with the token, and
for ever when it leads back (https://python-gitlab.readthedocs.io/en/stable/api-usage.html#pagination). Pages are
followed here, on the configured origin only. https://docs.gitlab.com/api/rest/#pagination
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from collectors.gitlab.failures import GitLabError, reason_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import gitlab
    import requests

    from collectors.gitlab import Config
    from scanner.collect.collector import Run

API = "/api/v4"
_WRITES = re.compile(r"\b(?:mutation|subscription)\b")


_UNKNOWN = re.compile(
    r"doesn't exist|doesn't accept|Cannot query field|Unknown (?:argument|type)|isn't a defined|has an invalid value"
)
_TOO_MUCH = re.compile(r"exceeds max (?:complexity|depth)|query too large", re.IGNORECASE)
_TOO_SLOW = re.compile(r"\btimeout\b|timed out", re.IGNORECASE)


class QueryError(GitLabError):
    """A GraphQL query gave errors."""

    def __init__(self, messages: list[str]) -> None:
        text = "; ".join(messages[:3]) or "no data"
        self.unknown = any(_UNKNOWN.search(one) for one in messages)
        """This GitLab lacks a field or argument that was asked for."""
        self.too_much = any(_TOO_MUCH.search(one) for one in messages)
        """One query may not ask so much."""
        self.too_slow = any(_TOO_SLOW.search(one) for one in messages)
        """GitLab gave up after its 30 seconds."""
        super().__init__(
            "unsupported" if self.unknown or self.too_much else "unreachable" if self.too_slow else "denied",
            f"GraphQL: {text[:500]}",
        )


class Client:
    """Reads one GitLab with one token. Thread-safe; each thread has its own connection."""

    def __init__(self, config: Config, run: Run) -> None:
        self._config = config
        self._run = run
        self._threads = threading.local()
        self._open: list[requests.Session] = []
        self._lock = threading.Lock()
        self._token: str | None = None
        self._resumes = 0.0
        base = urlsplit(config.base_url)
        self._origin = (base.scheme, base.netloc)
        self.requests = 0
        """How many requests were sent, without repetitions."""

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            for session in self._open:
                session.close()
            self._open.clear()

    def _gitlab(self) -> gitlab.Gitlab:
        """Return this thread's connection."""
        mine: gitlab.Gitlab | None = getattr(self._threads, "mine", None)
        if mine is not None:
            return mine
        import gitlab
        import requests

        with self._lock:
            if self._token is None:
                self._token = self._config.token.read()
            session = requests.Session()
            self._open.append(session)
        session.hooks["response"].append(self._answered)
        made = gitlab.Gitlab(
            self._config.base_url,
            private_token=self._token,
            ssl_verify=str(self._config.ca_bundle) if self._config.ca_bundle else True,
            timeout=self._config.timeout_seconds,
            retry_transient_errors=True,
            keep_base_url=True,
            per_page=100,
            user_agent="sprawlscan",
            session=session,
        )
        self._threads.mine = made
        return made

    def _answered(self, response: requests.Response, **_options: object) -> None:
        """Look at each answer before python-gitlab does.

        A redirect to another host would be followed with the token in its header, and a rate limit would be slept
        through however long it is, deaf to the end of the run: so waiting is done here, and the library told to go on.
        """
        if response.is_redirect:
            to = urlsplit(response.headers.get("location", ""))
            if to.netloc and (to.scheme, to.netloc) != self._origin:
                raise GitLabError("malformed", f"redirected to another host: {to.netloc}")
        if response.status_code != 429:
            return
        wait = _wait(response.headers)
        if wait is None:
            response.headers.pop("Retry-After", None)
            response.headers.pop("RateLimit-Reset", None)
            return
        if wait > self._config.longest_wait_seconds:
            raise GitLabError("throttled", f"the rate limit ends only in {wait:.0f} s", 429)
        with self._lock:
            self._resumes = max(self._resumes, time.monotonic() + wait)
        self._pause()
        response.headers["Retry-After"] = "0"

    def _pause(self) -> None:
        """Wait until the rate limit that any thread met has ended: the limit is the token's, not a thread's."""
        wait = self._resumes - time.monotonic()
        if self._run.stopping.wait(wait) if wait > 0 else self._run.stopping.is_set():
            raise GitLabError("deadline", "stopped before this was read")

    def _send(
        self,
        verb: str,
        path: str,
        parameters: Mapping[str, str | int] | None = None,
        body: dict[str, Any] | None = None,
        *,
        repeat: bool = True,
    ) -> requests.Response:
        import gitlab

        self._pause()
        self.requests += 1
        try:
            return self._gitlab().http_request(
                verb,
                path,
                query_data=dict(parameters or {}),
                post_data=body,
                obey_rate_limit=True,
                retry_transient_errors=repeat,
                max_retries=self._config.retries,
            )
        except gitlab.exceptions.GitlabHttpError as exc:
            raise GitLabError(
                reason_of(exc.response_code), f"HTTP {exc.response_code}: {_words(exc)}", exc.response_code
            ) from None
        except gitlab.exceptions.GitlabAuthenticationError as exc:
            raise GitLabError("denied", f"HTTP 401: {_words(exc)}", 401) from None

    def one(self, path: str, parameters: Mapping[str, str | int] | None = None) -> dict[str, Any]:
        """GET one object."""
        body = _json(path, self._send("get", path, parameters).content)
        if not isinstance(body, dict):
            raise GitLabError("malformed", f"{path}: expected an object, got {type(body).__name__}")
        return body

    def text(self, path: str, parameters: Mapping[str, str | int] | None = None, *, largest: int) -> str:
        """GET one file's text."""
        content = self._send("get", path, parameters).content
        if len(content) > largest:
            raise GitLabError("truncated", f"the file is larger than {largest} bytes")
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError:
            raise GitLabError("malformed", "the file is not text") from None

    def items(
        self, path: str, parameters: Mapping[str, str | int] | None = None, *, limit: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield the items of a list, page by page; at most the first ``limit`` of them."""
        asked: dict[str, str | int] = {"per_page": 100, **(parameters or {})}
        seen: set[str] = set()
        bodies: set[bytes] = set()
        count = 0
        for _ in range(self._config.max_pages):
            response = self._send("get", path, asked)
            rows = _rows(path, response.content)
            digest = hashlib.sha256(response.content).digest()
            if rows and digest in bodies:
                raise GitLabError("malformed", f"{path}: the same page was returned twice")
            bodies.add(digest)
            for row in rows:
                yield row
                count += 1
                if count == limit:
                    return
            following = response.links.get("next", {}).get("url")
            if following is None:
                break
            if following in seen:
                raise GitLabError("malformed", f"{path}: the next link points to a page already read")
            seen.add(following)
            asked = self._next(path, following)
        else:
            raise GitLabError("truncated", f"{path}: more than {self._config.max_pages} pages")
        total = response.headers.get("x-total", "")
        if total.isdigit() and count < int(total):
            raise GitLabError("truncated", f"{path}: {count} of {total} items were returned")

    def _next(self, path: str, link: str) -> dict[str, str | int]:
        """Return the parameters of the next page. Only they are taken from the link: the token goes nowhere else.

        Behind a proxy, GitLab writes links with its own idea of its address; a link to another list is refused.
        """
        url = urlsplit(link)
        _, found, rest = url.path.partition(API)
        if not found or rest.rsplit("/", 1)[-1] != path.rsplit("/", 1)[-1]:
            raise GitLabError(
                "malformed", f"{path}: the next link points to another host: {url.netloc}{url.path}"
            )
        return dict(parse_qsl(url.query, keep_blank_values=True))

    def query(self, document: str, variables: Mapping[str, Any], *, partial: bool = False) -> dict[str, Any]:
        """POST one GraphQL query. Raises ValueError for anything but a query, and `QueryError` for any error.

        With ``partial``, data that comes beside errors is returned, null where it is missing, and what the server fails
        to do is raised at once: whoever asks of many things asks again of fewer.

        https://docs.gitlab.com/api/graphql/ : a rate limit there has a JSON body, which python-gitlab's own GraphQL
        client does not repeat; sent like this, it is waited out as any other.
        """
        if _WRITES.search(document):
            raise ValueError("only queries are sent to GitLab")
        url = f"{self._config.base_url}/api/graphql"
        response = self._send(
            "post", url, body={"query": document, "variables": dict(variables)}, repeat=not partial
        )
        body = _json("/api/graphql", response.content)
        errors = body.get("errors") if isinstance(body, dict) else None
        data = body.get("data") if isinstance(body, dict) else None
        if errors and not (partial and isinstance(data, dict)):
            raise QueryError(
                [str(error.get("message") if isinstance(error, dict) else error) for error in errors]
            )
        if not isinstance(data, dict):
            raise GitLabError("malformed", "GraphQL: the response has no data")
        return data


def _rows(path: str, content: bytes) -> list[dict[str, Any]]:
    body = _json(path, content)
    if not isinstance(body, list) or not all(isinstance(row, dict) for row in body):
        raise GitLabError("malformed", f"{path}: expected a list of objects")
    return body


def _json(path: str, content: bytes) -> Any:
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeError) as exc:
        raise GitLabError("malformed", f"{path}: the response is not JSON: {exc}") from None


def _words(exc: gitlab.exceptions.GitlabError) -> str:
    """Return GitLab's own words; never a whole body."""
    message = exc.error_message
    return message[:300] if isinstance(message, str) else "no message"


def _wait(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a 429 asks for, by Retry-After or by RateLimit-Reset and the answer's own Date.

    https://docs.gitlab.com/administration/settings/user_and_ip_rate_limits/#response-headers
    """
    from email.utils import parsedate_to_datetime

    after = headers.get("Retry-After", "")
    if after.isdigit():
        return float(after)
    try:
        reset = float(headers["RateLimit-Reset"])
        now = parsedate_to_datetime(headers["Date"]).timestamp()
    except (KeyError, ValueError, TypeError):
        return None
    return max(reset - now, 0.0) + 1.0
