"""Returns the requested page of a list, and the ``Link`` header.

https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.kit.http import RefusedError
from sandbox.kit.paging import link_header, numbered, offset, position, token_at, whole_number

if TYPE_CHECKING:
    from sandbox.github.route import Items
    from sandbox.github.shapes import Json


def page(items: Items, query: dict[str, str], url: str) -> tuple[Json | list[Json], str | None]:
    """Return the page as JSON and the ``Link`` header, or None for it where all fits on one page.

    ``url`` is the address of the list without its query.
    """
    size = whole_number(query.get("per_page"), items.usual, items.largest)
    number = whole_number(query.get("page"), 1)
    if items.cursor:
        try:
            start = position(query.get("after"))
        except RefusedError as refused:
            raise RefusedError(422, refused.message) from None
        cut = offset(items.rows, start, size)
    else:
        cut = numbered(items.rows, number, size)
    rows = [items.write(row) for row in cut.rows]
    body: Json | list[Json] = rows
    if items.wrap is not None:
        body = {"total_count": cut.total, **items.extra, items.wrap: rows}
    links: dict[str, dict[str, str]] = {}
    if items.cursor:
        if cut.more:
            links["next"] = {"after": token_at(cut.end)}
        if cut.start:
            links["prev"] = {"before": token_at(cut.start)}
    else:
        last = max(1, -(-cut.total // size))
        if number > 1:
            links["prev"] = {"page": str(min(number - 1, last))}
        if cut.more:
            links["next"] = {"page": str(number + 1)}
            links["last"] = {"page": str(last)}
        if number > 1:
            links["first"] = {"page": "1"}
    kept = {key: value for key, value in query.items() if key not in {"page", "after", "before"}}
    return body, link_header(url, kept, links) or None
