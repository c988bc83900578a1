"""Pagination styles of APIs: each function returns one page and the position of the next.

| Way | Used by |
|---|---|
| `numbered` | GitHub, GitLab: ``page`` and ``per_page`` |
| `offset` | SCIM, Azure DevOps: ``$skip`` and ``$top`` |
| `keyset` | GitLab: everything after the last key seen |
| `continued` | AWS, GCP, Azure DevOps, Kubernetes: an opaque token in the body or in a header |
| `connection` | GraphQL: ``first`` and ``after`` (https://relay.dev/graphql/connections.htm) |

`link_header` and `next_link` build the link to the next page.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence  # noqa: TC003  msgspec reads the annotations at run time
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import urlencode

import msgspec

from sandbox.kit.http import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")


class CutPage(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One page of a list."""

    rows: Sequence[T]
    start: int
    """The position of its first row in the whole list."""
    total: int
    """Rows of the whole list."""
    more: bool
    """Whether rows follow."""

    @property
    def end(self) -> int:
        """The position after its last row."""
        return self.start + len(self.rows)


def whole_number(text: str | None, usual: int, most: int | None = None) -> int:
    """Parse a positive number in a query; anything else becomes the default."""
    number = int(text) if text and text.isdigit() and int(text) > 0 else usual
    return number if most is None else min(number, most)


def offset(rows: Sequence[T], start: int, size: int) -> CutPage[T]:
    """Return ``size`` rows from ``start`` on."""
    page = rows[start : start + size]
    return CutPage(rows=page, start=start, total=len(rows), more=start + size < len(rows))


def numbered(rows: Sequence[T], number: int, size: int) -> CutPage[T]:
    """Return the ``number``-th page, counted from 1."""
    return offset(rows, (number - 1) * size, size)


def keyset(rows: Sequence[T], key: Callable[[T], str], after: str | None, size: int) -> CutPage[T]:
    """Return the first rows whose key is greater than ``after``. ``rows`` are sorted by that key."""
    start = 0
    if after is not None:
        start = next((place for place, row in enumerate(rows) if key(row) > after), len(rows))
    return offset(rows, start, size)


def continued(rows: Sequence[T], token: str | None, size: int) -> tuple[CutPage[T], str | None]:
    """Return the page of a token, and the token of the next page; None at the end.

    Raises `RefusedError` 400 for an unknown token.
    """
    page = offset(rows, position(token), size)
    return page, token_at(page.end) if page.more else None


def connection(
    rows: Sequence[T], first: int | None, after: str | None, write: Callable[[T], Any]
) -> dict[str, Any]:
    """Return a GraphQL connection with ``totalCount``, ``nodes``, ``edges`` and ``pageInfo``."""
    page, following = continued(rows, after, first or 100)
    nodes = [write(row) for row in page.rows]
    return {
        "totalCount": page.total,
        "nodes": nodes,
        "edges": [
            {"cursor": token_at(page.start + place + 1), "node": node} for place, node in enumerate(nodes)
        ],
        "pageInfo": {
            "hasNextPage": page.more,
            "hasPreviousPage": page.start > 0,
            "startCursor": token_at(page.start) if nodes else None,
            "endCursor": following or (token_at(page.end) if nodes else None),
        },
    }


def token_at(place: int) -> str:
    """Return the opaque token of a position in a list."""
    return base64.urlsafe_b64encode(b"cursor:%d" % place).decode()


def position(token: str | None) -> int:
    """Return the position of a token; 0 without a token. Raises `RefusedError` 400 for an unknown token."""
    if not token:
        return 0
    try:
        kind, _, place = base64.urlsafe_b64decode(token).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise RefusedError(400, "Invalid cursor") from None
    if kind != "cursor" or not place.isdigit():
        raise RefusedError(400, "Invalid cursor")
    return int(place)


def next_link(url: str, query: Mapping[str, str], **changed: str) -> str:
    """Return a list's URL with changed query parameters (``nextLink``, ``@odata.nextLink``)."""
    return f"{url}?{urlencode({**query, **changed})}"


def link_header(url: str, query: Mapping[str, str], places: Mapping[str, Mapping[str, str]]) -> str:
    """Return the ``Link`` header (RFC 8288): relation -> changed query parameters."""
    return ", ".join(
        f'<{next_link(url, query, **changed)}>; rel="{relation}"' for relation, changed in places.items()
    )
