"""The tables embedded in the HTML report: dictionary-encoded columns, as JSON, gzip and base64.

A column with few distinct values is a list of values with an index for each row, which gzip and the page's script both
handle better. Base64 cannot close the element that contains it.
"""

from __future__ import annotations

import base64
import gzip
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Text = str | int | None


class Column:
    """A column stored as a dictionary from the start, so that equal values are kept once."""

    def __init__(self, values: Iterable[Text] = ()) -> None:
        self.places: dict[Text, int] = {}
        self.index: list[int] = []
        self.extend(values)

    def extend(self, values: Iterable[Text]) -> None:
        """Append the values of more rows."""
        places = self.places
        self.index += [places.setdefault(value, len(places)) for value in values]

    def encoded(self) -> dict[str, list[Text] | list[int]]:
        """Return ``{"v": values, "i": index}``, without an index where it would cost more than it saves."""
        values = list(self.places)
        if len(values) * 8 > len(self.index) > 64:
            return {"v": [values[place] for place in self.index]}
        return {"v": values, "i": self.index}


def table(columns: Sequence[str], rows: Iterable[Sequence[Text]]) -> dict[str, Any]:
    """Return an embedded table: the encoded columns by name. Each row has one value for each column."""
    made = {name: Column() for name in columns}
    for row in rows:
        for column, value in zip(made.values(), row, strict=True):
            column.extend((value,))
    return {name: column.encoded() for name, column in made.items()}


def packed(data: Mapping[str, Any]) -> str:
    """Return data for the page: base64 of gzip of JSON. Equal data give equal bytes."""
    raw = json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()
    return base64.b64encode(gzip.compress(raw, compresslevel=9, mtime=0)).decode("ascii")
