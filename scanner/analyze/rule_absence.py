"""Which tables a rule's query looks into for what is not there.

The rows of a query under NOT EXISTS, NOT IN or an anti join, and those of the right side of a LEFT JOIN that is
tested for NULL, find a subject by being absent. A listing that failed has no rows either, so such a rule must declare
``absence: true`` and name those tables in its needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scanner.analyze.rule import ANALYSIS_NEEDS
from scanner.analyze.rule_kinds import syntax_tree
from scanner.records import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator


def absent_tables(query: str) -> set[str]:
    """Return the tables whose missing rows make a query find something; of ``edges`` and its like, their inputs."""
    found: set[str] = set()
    for statement in syntax_tree(query):
        named = {
            one["key"]: _tables(one["value"])
            for node in _nodes(statement)
            for one in node.get("cte_map", {}).get("map", [])
        }
        for node in _nodes(statement):
            for table in _absent_of(node):
                found |= named.get(table, {table})
    return {
        one for table in found & {*TABLES, *ANALYSIS_NEEDS} for one in ANALYSIS_NEEDS.get(table, (table,))
    } - {
        "coverage",
        "gaps",
    }


def _absent_of(node: dict[str, Any]) -> set[str]:
    match node:
        case {"type": "OPERATOR_NOT", "children": [{"class": "SUBQUERY", "subquery": below}]}:
            return _tables(below)
        case {"type": "JOIN", "join_type": "ANTI", "right": right}:
            return _tables(right)
        case {"type": "SELECT_NODE", "from_table": source, "where_clause": where} if source and where:
            tested = set(_tested_for_null(where))
            return {table for alias, tables in _optional(source) if alias in tested for table in tables}
    return set()


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield every node of a syntax tree."""
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from _nodes(value)
    elif isinstance(tree, list):
        for item in tree:
            yield from _nodes(item)


def _tables(tree: Any) -> set[str]:
    return {node["table_name"] for node in _nodes(tree) if node.get("type") == "BASE_TABLE"}


def _optional(source: dict[str, Any]) -> Iterator[tuple[str, set[str]]]:
    """Yield the alias and tables of each right side of a LEFT JOIN."""
    for node in _nodes(source):
        if node.get("type") == "JOIN" and node.get("join_type") == "LEFT":
            right = node["right"]
            yield right.get("alias") or right.get("table_name") or "", _tables(right)


def _tested_for_null(where: dict[str, Any]) -> Iterator[str]:
    """Yield the aliases of which a column that is never NULL in a row, its id, is tested for NULL."""
    for node in _nodes(where):
        match node:
            case {
                "type": "OPERATOR_IS_NULL",
                "children": [{"type": "COLUMN_REF", "column_names": [str(alias), _]}],
            }:
                yield alias
