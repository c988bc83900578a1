"""Cuts a list into the page that was asked for, and writes the ``Link`` header.

https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from sandbox.github.route import RefusedError

if TYPE_CHECKING:
    from sandbox.github.route import Items
    from sandbox.github.shapes import Json


def _number(text: str | None, usual: int) -> int:
    return int(text) if text and text.isdigit() and int(text) > 0 else usual


def page(items: Items, query: dict[str, str], url: str) -> tuple[Json | list[Json], str | None]:
    """Return the page as JSON and the ``Link`` header, or None for it where all fits on one page.

    ``url`` is the address of the list without its query.
    """
    size = min(_number(query.get("per_page"), items.usual), items.largest)
    total = len(items.rows)
    if items.cursor:
        start = _position(query.get("after"))
    else:
        start = (_number(query.get("page"), 1) - 1) * size
    rows = [items.write(row) for row in items.rows[start : start + size]]
    body: Json | list[Json] = rows
    if items.wrap is not None:
        body = {"total_count": total, **items.extra, items.wrap: rows}
    links: dict[str, dict[str, str]] = {}
    more = start + size < total
    if items.cursor:
        if more:
            links["next"] = {"after": _cursor(start + size)}
        if start:
            links["prev"] = {"before": _cursor(start)}
    else:
        number = start // size + 1
        last = max(1, -(-total // size))
        if number > 1:
            links["prev"] = {"page": str(min(number - 1, last))}
        if more:
            links["next"] = {"page": str(number + 1)}
            links["last"] = {"page": str(last)}
        if number > 1:
            links["first"] = {"page": "1"}
    kept = {key: value for key, value in query.items() if key not in {"page", "after", "before"}}
    header = ", ".join(
        f'<{url}?{urlencode({**kept, **where})}>; rel="{name}"' for name, where in links.items()
    )
    return body, header or None


def _cursor(position: int) -> str:
    return base64.urlsafe_b64encode(b"cursor:%d" % position).decode()


def _position(cursor: str | None) -> int:
    if not cursor:
        return 0
    try:
        kind, _, position = base64.urlsafe_b64decode(cursor).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise RefusedError(422, "Invalid cursor") from None
    if kind != "cursor" or not position.isdigit():
        raise RefusedError(422, "Invalid cursor")
    return int(position)
