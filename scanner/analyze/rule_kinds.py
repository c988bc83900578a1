"""Finds which kinds of records a rule's query names, and whether it reads every kind of its subject's table."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import duckdb

from scanner.kinds import KIND_COLUMN
from scanner.records import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanner.analyze.rule import Rule

_COMPARED = frozenset(("COMPARE_EQUAL", "COMPARE_NOTEQUAL", "COMPARE_IN", "COMPARE_NOT_IN"))
_MACROS = {"weak_identities": "weaknesses"}
"""Table macros that take a list of kinds, with the table of these kinds."""


def syntax_tree(query: str) -> list[dict[str, Any]]:
    """Return the statements of a query as DuckDB parses them."""
    parsed = duckdb.execute("SELECT json_serialize_sql($query)", {"query": query}).fetchall()[0][0]
    statements: list[dict[str, Any]] = json.loads(parsed).get("statements", [])
    return statements


def named_kinds(query: str) -> set[tuple[frozenset[str], str]]:
    """Return the kinds that a query compares with, each with the tables it can belong to."""
    found: set[tuple[frozenset[str], str]] = set()
    tree = syntax_tree(query)
    nodes = [node for statement in tree for node in _nodes(statement["node"])]
    aliases: dict[str, str] = {}
    for node in nodes:
        if node.get("type") == "BASE_TABLE":
            aliases[node["alias"] or node["table_name"]] = node["table_name"]
    for node in nodes:
        if node.get("type") in _COMPARED:
            column, values = comparison(node)
            tables = _tables_of(column, aliases)
            found |= {(tables, value) for value in values if tables}
        function = node.get("function_name")
        arguments = node.get("arguments", node.get("children", []))
        if function in _MACROS:
            found |= {(frozenset((_MACROS[function],)), value) for value in constants(arguments)}
        elif function == "complete":
            match [list(constants(argument)) for argument in arguments]:
                case [_, [table], [kind]] if table in TABLES:
                    found.add((frozenset((table,)), kind))
                case _:
                    pass
    return found


def reads_every_kind(rule: Rule) -> bool:
    """Return whether a rule reads all records of its subject's table, regardless of kind."""
    column = KIND_COLUMN.get(rule.subject)
    named = {table for tables, _ in named_kinds(rule.query) for table in tables}
    return column is not None and rule.subject not in named


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, list):
        for item in node:
            yield from _nodes(item)
    elif isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _nodes(value)


def comparison(node: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Return the column of a comparison, split into its parts, and the values it is compared with."""
    sides = [node["left"], node["right"]] if "left" in node else list(node["children"])
    columns: list[list[str]] = [side["column_names"] for side in sides if side.get("class") == "COLUMN_REF"]
    values = [text for side in sides if side.get("class") == "CONSTANT" for text in constants(side)]
    return (columns[0] if len(columns) == 1 else []), values


def _tables_of(column: list[str], aliases: dict[str, str]) -> frozenset[str]:
    """Return the record tables whose kind a column can be: the table it names, or else all tables of the query."""
    if not column:
        return frozenset()
    name = column[-1]
    if len(column) > 1:
        table = aliases.get(column[-2], "")
        if table in TABLES:
            return frozenset((table,)) if KIND_COLUMN.get(table) == name else frozenset()
        if table == "edges":
            # Their kinds are the analysis's own.
            return frozenset()
    return frozenset(table for table in aliases.values() if KIND_COLUMN.get(table) == name)


def constants(node: Any) -> Iterator[str]:
    """Yield the text constants in a part of a syntax tree."""
    for one in _nodes(node):
        if one.get("class") == "CONSTANT":
            # DuckDB 2 writes {"literal": {"text": ...}}, DuckDB 1.5 {"value": {"value": ...}}.
            text = one["literal"].get("text") if "literal" in one else one["value"].get("value")
            if isinstance(text, str):
                yield text
