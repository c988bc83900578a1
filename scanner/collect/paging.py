"""Pagination. Each paginator is a small record of parameter names; `read_pages` implements the common rules.

The common rules: a response without the list is malformed, never an empty list; a repeated page or link is a loop; the
client rejects links to other hosts; empty pages can have a next page, but only a limited number of times; fewer items
than the source's own total means a truncated list.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import msgspec

from scanner.collect.answers import Answer  # noqa: TC001  msgspec reads the annotations at run time
from scanner.collect.failures import SourceError
from scanner.records import Record  # noqa: TC001

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from scanner.collect.memory import KeptPage


_LINK_TOKEN = re.compile(r'<[^<>]*>|"(?:[^"\\]|\\.)*+"?|[;,=]|[^\s<>";,=]+')
EMPTY_PAGES = 20
"""The maximum number of consecutive empty pages with a next page."""


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One page that was read."""

    path: str
    """Its path with query."""
    parameters: dict[str, str]
    """The query."""
    answer: Answer
    items: list[dict[str, Any]]
    """Empty if the page comes from the cache."""
    count: int
    """How many items it has."""
    before: int
    """The number of items on the pages before."""
    total: int | None
    """The source's total."""
    remembered: list[Record] | None = None
    """The cached records of an unchanged page (304)."""
    following: str | None = None
    """The link to the next page."""


class Paginator(msgspec.Struct, frozen=True, kw_only=True):
    """Base class of paginators, and the paginator of lists that are not paged."""

    at: str = ""
    """The place of the list in the body: ``value``, ``data/items``; empty if the body is the list."""
    total: str = ""
    """The place of the total: a header (``x-total``) or a place in the body (``total_count``)."""

    page_count: str = ""
    """The place in the body of the number of items on this page (Azure DevOps ``count``)."""
    omits_empty: bool = False
    """Whether the source leaves out an empty list, as JSON of protocol buffers does (Google Cloud).
    https://protobuf.dev/programming-guides/json/"""

    def first(self, parameters: Mapping[str, str | int]) -> dict[str, str | int]:
        """Return the query of the first page."""
        return dict(parameters)

    def following(self, page: Page) -> str | dict[str, str] | None:  # noqa: ARG002  what subclasses need
        """Return the link to the next page, or the changed query parameters; None after the last page."""
        return None


class LinkHeader(Paginator, frozen=True, kw_only=True):
    """``Link: <https://...>; rel="next"`` (GitHub, GitLab, Okta). https://www.rfc-editor.org/rfc/rfc8288"""

    size: int = 100
    size_parameter: str = "per_page"
    query_only: bool = False
    """Use only the query of the link: behind a proxy, some servers write links with an internal address."""

    def first(self, parameters: Mapping[str, str | int]) -> dict[str, str | int]:
        """Return the query of the first page."""
        return {self.size_parameter: self.size, **parameters}

    def following(self, page: Page) -> str | dict[str, str] | None:
        """Return the link, or its query."""
        link = next_link(page.answer.headers.get("link", ""))
        if link is None or not self.query_only:
            return link
        url = urlsplit(link)
        if url.path.rsplit("/", 1)[-1] != page.path.partition("?")[0].rsplit("/", 1)[-1]:
            raise SourceError("malformed", f"the next link points to another list: {url.netloc}{url.path}")
        return dict(parse_qsl(url.query, keep_blank_values=True))


class NextLink(Paginator, frozen=True, kw_only=True):
    """A link in the body (OData: Microsoft Graph, Azure Resource Manager)."""

    at: str = "value"
    link: str = "@odata.nextLink"

    def following(self, page: Page) -> str | dict[str, str] | None:
        """Return the link."""
        return _text(page.answer.body, self.link)


class TokenInBody(Paginator, frozen=True, kw_only=True):
    """A continuation token in the body (Google Cloud, Kubernetes ``metadata/continue``, Slack)."""

    at: str = "items"
    token: str = "nextPageToken"  # noqa: S105  a place in the answer
    parameter: str = "pageToken"

    def following(self, page: Page) -> str | dict[str, str] | None:
        """Return the token as a parameter."""
        token = _text(page.answer.body, self.token)
        return {self.parameter: token} if token else None


class TokenInHeader(Paginator, frozen=True, kw_only=True):
    """A continuation token in a header (Azure DevOps ``x-ms-continuationtoken``, Oracle ``opc-next-page``)."""

    header: str
    parameter: str

    def following(self, page: Page) -> str | dict[str, str] | None:
        """Return the token as a parameter."""
        token = page.answer.headers.get(self.header.lower())
        return {self.parameter: token} if token else None


class PageNumber(Paginator, frozen=True, kw_only=True):
    """``?page=2``. The last page is the empty one, or the one that reaches the total. A short page proves nothing, because
    servers cap the requested size.
    """

    page: str = "page"
    size_parameter: str = "per_page"
    size: int = 100
    start: int = 1

    def first(self, parameters: Mapping[str, str | int]) -> dict[str, str | int]:
        """Return the query of the first page."""
        return {self.page: self.start, self.size_parameter: self.size, **parameters}

    def following(self, page: Page) -> str | dict[str, str] | None:
        """Return the next number."""
        if not page.items or _reached(page):
            return None
        return {self.page: str(int(page.parameters[self.page]) + 1)}


class Offset(Paginator, frozen=True, kw_only=True):
    """``?offset=100`` (SCIM ``startIndex``, from 1). Ends like `PageNumber`."""

    offset: str = "offset"
    size_parameter: str = "limit"
    size: int = 100
    start: int = 0

    def first(self, parameters: Mapping[str, str | int]) -> dict[str, str | int]:
        """Return the query of the first page."""
        return {self.offset: self.start, self.size_parameter: self.size, **parameters}

    def following(self, page: Page) -> str | dict[str, str] | None:
        """Return the next offset."""
        if not page.items or _reached(page):
            return None
        return {self.offset: str(self.start + page.before + len(page.items))}


class Keyset(Paginator, frozen=True, kw_only=True):
    """``?id_after=...``: the key of the last item. Ends with the empty page, or with the one that reaches the total."""

    key: str = "id"
    parameter: str = "id_after"
    size_parameter: str = "per_page"
    size: int = 100

    def first(self, parameters: Mapping[str, str | int]) -> dict[str, str | int]:
        """Return the query of the first page."""
        return {self.size_parameter: self.size, **parameters}

    def following(self, page: Page) -> str | dict[str, str] | None:
        """Return the last item's key."""
        if not page.items or _reached(page):
            return None
        last = page.items[-1].get(self.key)
        if last is None:
            raise SourceError("malformed", f"the last item has no {self.key}")
        return {self.parameter: str(last)}


class PageSource(Protocol):
    """What `read_pages` needs from the client and its cache."""

    def get(self, path: str, *, etag: str = "") -> Answer: ...  # noqa: D102
    def local(self, link: str) -> str: ...  # noqa: D102
    def remembered(self, path: str) -> KeptPage | None: ...  # noqa: D102


def read_pages(
    source: PageSource,
    path: str,
    parameters: Mapping[str, str | int],
    paginator: Paginator,
    max_pages: int,
) -> Iterator[Page]:
    """Yield the pages of a list. Raises `SourceError`: truncated if there are fewer items than the source's total."""
    asked = with_query(path, paginator.first(parameters))
    seen: set[str] = set()
    digests: set[bytes] = set()
    total: int | None = None
    count = empty = 0
    while True:
        if asked in seen:
            raise SourceError("malformed", f"{path}: the next link points to a page already read")
        if len(seen) >= max_pages:
            raise SourceError("truncated", f"{path}: more than {max_pages} pages")
        seen.add(asked)
        page = _read_page(source, path, asked, paginator, before=count, total=total)
        total = page.total
        digest = hashlib.sha256(msgspec.msgpack.encode(page.items)).digest()
        if page.items and digest in digests:
            raise SourceError("malformed", f"{path}: the same page was returned twice")
        digests.add(digest)
        count += page.count
        empty = 0 if page.count else empty + 1
        yield page
        if page.following is None:
            break
        if empty > EMPTY_PAGES:
            raise SourceError("malformed", f"{path}: {empty} empty pages in a row, each with a next page")
        asked = page.following
    if total is not None and count < total:
        raise SourceError("truncated", f"{path}: {count} of {total} items were returned")


def _read_page(
    source: PageSource, path: str, asked: str, paginator: Paginator, *, before: int, total: int | None
) -> Page:
    known = source.remembered(asked)
    answer = source.get(asked, etag=known.etag if known is not None else "")
    query = dict(parse_qsl(urlsplit(asked).query, keep_blank_values=True))
    if answer.status == 304:
        if known is None:
            raise SourceError("malformed", f"{path}: 304 to an unconditional request")
        return Page(
            path=asked,
            parameters=query,
            answer=answer,
            items=[],
            count=known.count,
            before=before,
            total=total,
            remembered=known.records,
            following=known.next,
        )
    stated = _total(answer, paginator.total)
    omitted = paginator.omits_empty and isinstance(answer.body, dict) and paginator.at not in answer.body
    items = [] if omitted else list_in(answer.body, paginator.at, path)
    counted = place_in(answer.body, paginator.page_count) if paginator.page_count else None
    if isinstance(counted, int) and counted != len(items):
        raise SourceError("truncated", f"{path}: {len(items)} of the {counted} items of a page were returned")
    page = Page(
        path=asked,
        parameters=query,
        answer=answer,
        items=items,
        count=len(items),
        before=before,
        total=total if stated is None else stated,
    )
    following = paginator.following(page)
    if isinstance(following, dict):
        following = with_query(asked.partition("?")[0], {**query, **following})
    elif following is not None:
        following = source.local(following)
    return msgspec.structs.replace(page, following=following)


def next_link(header: str) -> str | None:
    """Return the link of a ``Link`` header that has the relation ``next``, or None.

    https://www.rfc-editor.org/rfc/rfc8288#section-3: a relation can be one of several (``rel="last next"``), parameters
    come in any order, and a quoted title may contain commas. Some servers write single quotes.
    """
    link: str | None = None
    name = relations = before = ""
    for part in [*_LINK_TOKEN.findall(header), ","]:
        if part == ",":
            if link is not None and "next" in relations.lower().split():
                return link
            link, relations = None, ""
        elif part.startswith("<") and before in {"", ","}:
            link = part[1:-1].strip()
        elif before == ";":
            name = part.lower()
        elif before == "=" and name == "rel" and not relations:
            relations = part.strip("\"'")
        before = part
    return None


def with_query(path: str, parameters: Mapping[str, str | int]) -> str:
    """Return a path with its query in a fixed order."""
    if not parameters:
        return path
    return f"{path}?{urlencode(sorted(parameters.items()), quote_via=quote)}"


def place_in(body: Any, at: str) -> Any:
    """Return the value at a place of a body (``metadata/continue``), or None."""
    for key in at.split("/") if at else ():
        body = body.get(key) if isinstance(body, dict) else None
    return body


def list_in(body: Any, at: str, path: str) -> list[dict[str, Any]]:
    """Return the list at a place of a body. Raises `SourceError` (malformed) if it is not a list of objects."""
    found = place_in(body, at)
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise SourceError(
            "malformed",
            f"{path}: expected a list of objects{f' in {at}' if at else ''}",
        )
    return found


def _text(body: Any, at: str) -> str | None:
    found = place_in(body, at)
    if found is not None and not isinstance(found, str):
        raise SourceError("malformed", f"{at} is not text")
    return found or None


def _total(answer: Answer, at: str) -> int | None:
    """Return the source's total, or None."""
    if not at:
        return None
    header = answer.headers.get(at.lower(), "")
    if header.isdigit():
        return int(header)
    found = place_in(answer.body, at)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def _reached(page: Page) -> bool:
    return page.total is not None and page.before + len(page.items) >= page.total
