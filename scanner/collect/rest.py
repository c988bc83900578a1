"""A client for one source's REST API. It sends GET and the listed read-only POSTs, and nothing else.

A collector creates one client for each target, with a `scanner.collect.auth.Auth`::

    client = RestClient(config.base_url, config, run, auth=auth)
    for hook in client.items("/orgs/acme/hooks", paginator=LinkHeader()):
        yield webhook(hook)

Source-specific behavior (rate limit buckets, the meaning of a 403) is a `scanner.collect.dialect.Dialect`. The client
handles everything else: one limiter for each credential, requested waits, retries, token renewal, allowed hosts,
redirects and responses that are not JSON. Every failure is a `SourceError`.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import msgspec

from scanner.collect.allowed_origins import AllowedOrigins
from scanner.collect.answers import (
    Answer,
    AnswerObject,
    checked,
    is_page_for_people,
    named_wait,
    read_json,
    words_of,
)
from scanner.collect.dialect import Dialect
from scanner.collect.failures import SourceError
from scanner.collect.limiter import Limiter
from scanner.collect.paging import (
    Page,
    PageSource,
    Paginator,
    read_pages,
    with_query,
)
from scanner.collect.transport import CutError, RawAnswer, Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from scanner.collect.auth import Auth
    from scanner.collect.collector import Run
    from scanner.collect.http_config import HttpConfig
    from scanner.collect.memory import KeptPage, Memory
    from scanner.records import Reason, Record

USER_AGENT = "sprawlscan"
_THROTTLED_TRIES = 4
"""Maximum number of retries after a rate limit."""
_REDIRECTED = frozenset((301, 302, 303, 307, 308))
_REDIRECTS = 3
_BACKOFF_SECONDS = 0.5
_ONE_PAGE = Paginator()


class RestClient:
    """Reads one source with one credential. Thread-safe; each thread has its own connection."""

    def __init__(
        self,
        base_url: str,
        config: HttpConfig,
        run: Run,
        *,
        auth: Auth,
        dialect: Dialect | None = None,
        origins: Sequence[str] = (),
        posts: Collection[str] = (),
        paginator: Paginator = _ONE_PAGE,
        memory: Memory | None = None,
        limiter: Limiter | None = None,
        certificate: tuple[str, str] | None = None,
    ) -> None:
        """Paths are relative to ``base_url``. ``origins`` are further base URLs that may receive the same credential.

        ``posts`` are the paths of read-only POSTs, with placeholders where they vary: ``/{project}/_apis/query``. ``paginator`` is the default paginator. ``memory`` caches pages by
        ETag, if the credential is the same every night. ``limiter`` is shared by clients that use one credential.
        ``certificate`` are the paths of a client certificate and its key, in PEM.
        """
        self.config = config
        self.run = run
        self._allowed = AllowedOrigins(base_url, origins)
        self._auth = auth
        self._dialect = dialect or Dialect()
        self._posts = [re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path))) for path in posts]
        self._paginator = paginator
        self._memory = memory
        self._limiter = limiter or Limiter(
            spacing=config.seconds_between_requests,
            longest_wait=config.longest_wait_seconds,
            stopping=run.stopping,
        )
        self._transport = Transport(config, run.stopping, run.clock, certificate)
        self._lock = threading.Lock()
        self.requests = 0
        """The number of requests sent, including retries."""

    def close(self) -> None:
        """Close every connection."""
        self._transport.close()

    def get(
        self,
        path: str,
        parameters: Mapping[str, str | int] | None = None,
        *,
        etag: str = "",
        also: Collection[int] = (),
    ) -> Answer:
        """GET one path (``/orgs/acme``), or a URL at an allowed origin. Raises `SourceError` for any status but 200.

        ``also`` lists other statuses to accept, such as 204, or 404 if it means "none". Their body is None.
        """
        headers = {"If-None-Match": etag} if etag else {}
        expected = {200, *also, *({304} if etag else ())}
        return self._ask("GET", with_query(path, parameters or {}), headers=headers, expected=expected)

    def one(self, path: str, parameters: Mapping[str, str | int] | None = None) -> dict[str, Any]:
        """GET one object."""
        body = self.get(path, parameters).body
        if not isinstance(body, AnswerObject):
            raise SourceError("malformed", f"{path}: expected an object")
        return body

    def text(self, path: str, parameters: Mapping[str, str | int] | None = None, *, largest: int) -> str:
        """GET the raw content of one file of at most ``largest`` bytes."""
        answer = self._ask("GET", with_query(path, parameters or {}), text=True, largest=largest)
        try:
            return answer.content.decode("utf-8")
        except UnicodeDecodeError:
            raise SourceError("malformed", f"{path}: the file is not text") from None

    def post(
        self, path: str, body: Any, *, retries: int | None = None, expected: Collection[int] = (200,)
    ) -> Answer:
        """Send a read-only POST. Raises ValueError for a path that is not in ``posts``.

        ``retries`` replaces the configured number of retries after a server error; ``expected`` are the statuses of success.
        """
        if not any(known.fullmatch(path.partition("?")[0]) for known in self._posts):
            raise ValueError(f"POST {path} is not on the list of read-only requests")
        return self._ask(
            "POST",
            path,
            headers={"Content-Type": "application/json"},
            body=msgspec.json.encode(body),
            expected=expected,
            retries=retries,
        )

    def items(
        self,
        path: str,
        parameters: Mapping[str, str | int] | None = None,
        *,
        paginator: Paginator | None = None,
        at: str = "",
        limit: int | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Yield the items of a list page by page, at most ``limit`` if given.

        ``paginator`` replaces the client's default, ``at`` the place of the list in the body.
        """
        count = 0
        for page in self._pages(_Unremembered(self), path, parameters, paginator, at):
            for item in page.items:
                yield item
                count += 1
                if count == limit:
                    return

    def records(
        self,
        path: str,
        convert: Callable[[dict[str, Any]], Iterable[Record]],
        parameters: Mapping[str, str | int] | None = None,
        *,
        paginator: Paginator | None = None,
        at: str = "",
        salt: str = "",
    ) -> Iterator[Record]:
        """Yield the records that ``convert`` makes of each item of a list. ``salt`` names other inputs of these records.

        An unchanged page (304) is not converted again: its records come from the cache, which never contains a response.
        """
        memory = self._memory
        if memory is None:
            for item in self.items(path, parameters, paginator=paginator, at=at):
                yield from convert(item)
            return
        for page in self._pages(_Remembering(self, memory, salt), path, parameters, paginator, at):
            if page.remembered is not None:
                yield from page.remembered
                continue
            records = [record for item in page.items for record in convert(item)]
            etag = page.answer.headers.get("etag", "")
            if etag:
                key = self.page_key(page.path, salt)
                memory.keep_page(key, etag, page.following, page.count, records)
            yield from records

    def _pages(
        self,
        source: PageSource,
        path: str,
        parameters: Mapping[str, str | int] | None,
        paginator: Paginator | None,
        at: str,
    ) -> Iterator[Page]:
        way = paginator or self._paginator
        way = msgspec.structs.replace(way, at=at) if at else way
        return read_pages(source, path, parameters or {}, way, self.config.max_pages)

    def page_key(self, path: str, salt: str) -> str:
        """Return the cache key of a page. An ETag is valid for one credential and one server only."""
        credential = self.run.fingerprint(repr(sorted(self._auth.headers().items())))
        return f"{self._allowed.base} {credential} {salt} {path}"

    def local(self, link: str) -> str:
        """Return a link as a path relative to the base URL if possible. Raises `SourceError` for another host."""
        return self._allowed.local(link)

    def _ask(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        expected: Collection[int] = (200,),
        text: bool = False,
        largest: int | None = None,
        retries: int | None = None,
    ) -> Answer:
        """Send one request with retries."""
        url = self._allowed.url(path)
        sent = {"User-Agent": USER_AGENT, **self._dialect.headers, **(headers or {})}
        if text:
            sent["Accept"] = "*/*"
        bucket = self._dialect.bucket(method, urlsplit(path).path)
        left = self.config.retries if retries is None else retries
        repeated = throttled = redirects = 0
        waited = 0.0
        renewed = False
        while True:
            self._limiter.admit(bucket)
            credential = self._auth.headers()
            with self._lock:
                self.requests += 1
            try:
                raw = self._transport.send(
                    method,
                    url,
                    headers=sent,
                    credential=credential,
                    body=body,
                    largest=largest,
                )
            except CutError:
                if repeated >= left:
                    raise
                repeated += 1
                self._limiter.sleep(_BACKOFF_SECONDS * 2 ** (repeated - 1))
                continue
            if raw.status == 401 and not renewed and self._auth.renew(credential):
                renewed = True
                continue
            if raw.status in _REDIRECTED and method == "GET":
                if redirects >= _REDIRECTS:
                    words = f"HTTP {raw.status}: redirected more than {_REDIRECTS} times"
                    raise SourceError("malformed", words, status=raw.status)
                url = self._redirected(url, raw)
                redirects += 1
                continue
            answer = _read(raw, expected, text=text)
            if self._dialect.throttled(answer):
                named = named_wait(raw.headers, exhausted=True)
                wait = self.config.throttled_wait_seconds * 2**throttled if named is None else named
                throttled += 1
                waited += wait
                self._limiter.pause(bucket, wait)
                if throttled > _THROTTLED_TRIES or waited > self.config.longest_wait_seconds:
                    self._limiter.gave_up(bucket)
                    late = wait > self.config.longest_wait_seconds
                    more = (
                        f"; the rate limit resets only in {wait:.0f} s"
                        if late
                        else "; waiting did not end the rate limit"
                    )
                    raise self._failure(raw, answer, credential, "throttled", more)
                continue
            if raw.status >= 500 and repeated < left:
                repeated += 1
                self._limiter.sleep(_BACKOFF_SECONDS * 2 ** (repeated - 1))
                continue
            break
        self._limiter.passed(bucket)
        wait = named_wait(raw.headers, exhausted=False) or 0.0
        if wait > 0:
            self._limiter.pause(bucket, wait)
        if raw.status in expected:
            return answer
        raise self._failure(raw, answer, credential, self._dialect.reason(raw.status))

    def _redirected(self, url: str, raw: RawAnswer) -> str:
        """Return the target of a redirect to an allowed origin. Raises `SourceError` for any other."""
        try:
            return self._allowed.url(urljoin(url, raw.headers.get("location", "")))
        except (SourceError, ValueError) as exc:
            raise SourceError(
                "malformed", f"HTTP {raw.status}: redirected: {exc}", status=raw.status
            ) from None

    def _failure(
        self,
        raw: RawAnswer,
        answer: Answer,
        credential: Mapping[str, str],
        reason: Reason,
        more: str = "",
    ) -> SourceError:
        """Return the error of a response, with the source's message but without an echoed credential."""
        words = (
            "an HTML page instead of the API's response"
            if is_page_for_people(raw.headers)
            else words_of(raw.content)
        )
        for value in credential.values():
            for secret in value.split():
                words = words.replace(secret, "[credential]") if len(secret) >= 8 else words
        return SourceError(
            reason,
            f"HTTP {raw.status}: {words}{more}",
            status=raw.status,
            needs=self._dialect.needs(answer),
        )


class _Unremembered:
    """Adapts a client to `read_pages`, without a cache."""

    def __init__(self, client: RestClient) -> None:
        self._client = client
        self.local = client.local

    def get(self, path: str, *, etag: str = "") -> Answer:
        return self._client.get(path, etag=etag)

    def remembered(self, path: str) -> KeptPage | None:  # noqa: ARG002  the protocol's
        return None


class _Remembering(_Unremembered):
    """The same with cached pages."""

    def __init__(self, client: RestClient, memory: Memory, salt: str) -> None:
        super().__init__(client)
        self._memory = memory
        self._salt = salt

    def remembered(self, path: str) -> KeptPage | None:
        return self._memory.page(self._client.page_key(path, self._salt))


def _read(raw: RawAnswer, expected: Collection[int], *, text: bool) -> Answer:
    """Return a response with its JSON. Raises `SourceError` if it should have JSON but does not."""
    body: Any = None
    if raw.status in {200, 201} and raw.status in expected:
        if is_page_for_people(raw.headers):
            raise SourceError(
                "malformed",
                "an HTML page was returned instead of the API's response (a sign-in page or a proxy)",
            )
        if not text:
            body = checked(read_json(raw.content))
    elif raw.status == 203:
        # Azure DevOps uses this status to request a sign-in.
        raise SourceError(
            "denied", "HTTP 203: a sign-in page was returned instead of the API's response", status=203
        )
    return Answer(status=raw.status, headers=raw.headers, body=body, content=raw.content)
