"""A small part of KQL, enough for the collector's queries: a table, ``where``, ``project`` and ``order by id asc``.

https://learn.microsoft.com/azure/governance/resource-graph/concepts/query-language
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sandbox.kit.http import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox.kit.http import Json

_IN = re.compile(r"where (\w+) in~ \((.*)\)")
_EQUALS = re.compile(r"where (\w+) =~ '([^']*)'")
_NOT_EMPTY = re.compile(r"where isnotempty\((\w+)\)")


def run(text: str, tables: dict[str, list[Json]]) -> list[Json]:
    """Return the rows of a query. Raises `RefusedError` 400 for what this part of the language lacks."""
    table, *steps = [part.strip() for part in text.split("|")]
    if table not in tables:
        raise RefusedError(400, f"InvalidQuery: table {table}")
    rows = list(tables[table])
    for step in steps:
        rows = _step(step, rows)
    return rows


def _step(step: str, rows: list[Json]) -> list[Json]:
    if match := _IN.fullmatch(step):
        wanted = {value.strip().strip("'").lower() for value in match[2].split(",")}
        return [row for row in rows if str(row.get(match[1], "")).lower() in wanted]
    if match := _EQUALS.fullmatch(step):
        return [row for row in rows if str(row.get(match[1], "")).lower() == match[2].lower()]
    if match := _NOT_EMPTY.fullmatch(step):
        return [row for row in rows if row.get(match[1])]
    if step.startswith("project "):
        return [_projected(row, step.removeprefix("project ").split(",")) for row in rows]
    if step == "order by id asc":
        return sorted(rows, key=lambda row: str(row["id"]))
    raise RefusedError(400, f"InvalidQuery: {step[:80]}")


def _projected(row: Json, columns: Iterable[str]) -> Json:
    shown: Json = {}
    for column in columns:
        name, equals, path = (part.strip() for part in column.partition("="))
        shown[name] = _place(row, path if equals else name)
    return shown


def _place(row: Any, path: str) -> Any:
    for key in path.split("."):
        row = row.get(key) if isinstance(row, dict) else None
    return row
