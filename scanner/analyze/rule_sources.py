"""Determines which records a rule's query needs to find anything: a rule about records that a night does not have need
not run. Only certain requirements count: a table behind a LEFT JOIN, a NOT EXISTS or one side of a UNION may be empty,
and the query can still find something.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from scanner.analyze.rule_kinds import comparison, constants, syntax_tree
from scanner.kinds import KIND_COLUMN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from collections.abc import Set as AbstractSet

    from scanner.analyze.rule import Rule
    from scanner.tables import Tables


class Source(NamedTuple):
    """Records of which at least one must exist."""

    table: str
    kinds: frozenset[str] = frozenset()
    """One of these kinds; any kind if empty."""


class Present(NamedTuple):
    """The tables and kinds of a night's records."""

    empty: AbstractSet[str]
    """Tables without rows."""
    kinds: dict[str, set[str]]
    """The kinds of the records of each table that has any."""

    def lacks(self, sources: Iterable[Source]) -> bool:
        """Return whether any of the sources has no records."""
        return any(
            source.table in self.empty
            or (source.kinds and source.kinds.isdisjoint(self.kinds.get(source.table, source.kinds)))
            for source in sources
        )


def present_in(tables: Tables) -> Present:
    """Return the tables and kinds of existing records."""
    queries = [
        f'SELECT DISTINCT \'{table}\', "{column}" FROM "{table}"'
        for table, column in KIND_COLUMN.items()
        if table not in tables.empty
    ]
    kinds: dict[str, set[str]] = {table: set() for table in KIND_COLUMN}
    for table, kind in tables.rows(" UNION ALL ".join(queries)) if queries else ():
        kinds[table].add(kind)
    return Present(frozenset(tables.empty), kinds)


_WORD = re.compile(r"\w+")
_OF_KIND = re.compile(r"\b(?:kind|store|code)\b\s*(?:=|IN\b)|\bweak_identities\(")


def finds_nothing(rule: Rule, present: Present) -> bool:
    """Return whether a rule certainly finds nothing. Custom rules always run, to detect those that fail."""
    if rule.custom:
        return False
    if rule.subject in present.empty:
        return True
    # Parsing takes a third of the time of running the query over few rows, and the text is sufficient for most rules.
    telling = bool(_OF_KIND.search(rule.query)) or not present.empty.isdisjoint(_WORD.findall(rule.query))
    return telling and present.lacks(sources_of(rule.query))


@cache
def sources_of(query: str) -> frozenset[Source]:
    """Return the records without which a query returns no rows. A process that analyzes many nights asks once."""
    return frozenset(
        source for statement in syntax_tree(query) for source in _of_query(statement["node"], {})
    )


def _of_query(node: dict[str, Any], named: dict[str, set[Source]]) -> set[Source]:
    """Return the records that a SELECT needs; ``named`` has those of the surrounding WITH clauses."""
    named = dict(named)
    for one in node.get("cte_map", {}).get("map", []):
        query = one["value"].get("query_node") or one["value"]["query"]["node"]
        named[one["key"]] = _of_query(query, named)
    if node["type"] != "SELECT_NODE" or _is_total(node):
        return set()
    source = node.get("from_table") or {}
    aliases: dict[str, str] = {}
    found = _of_source(source, named, aliases)
    conditions = [node.get("where_clause") or {}, *_join_conditions(source)]
    return found | {one for condition in conditions for one in _of_condition(condition, named, aliases)}


def _of_source(node: dict[str, Any], named: dict[str, set[Source]], aliases: dict[str, str]) -> set[Source]:
    """Return the records that a FROM needs, and add the aliases of these tables."""
    match node.get("type"):
        case "BASE_TABLE":
            name = node["table_name"]
            if name in named:
                return named[name]
            aliases[node["alias"] or name] = name
            return {Source(name)}
        case "SUBQUERY":
            return _of_query(node["subquery"]["node"], named)
        case "TABLE_FUNCTION" if node["function"].get("function_name") == "weak_identities":
            return {Source("identities"), Source("weaknesses", frozenset(constants(node["function"])))}
        case "JOIN" if node["ref_type"] in {"REGULAR", "CROSS", "NATURAL"}:
            match node["join_type"]:
                case "INNER" | "SEMI":
                    return _of_source(node["left"], named, aliases) | _of_source(
                        node["right"], named, aliases
                    )
                case "LEFT" | "ANTI":
                    return _of_source(node["left"], named, aliases)
                case "RIGHT":
                    return _of_source(node["right"], named, aliases)
    return set()


def _join_conditions(node: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the conditions of inner joins, which every row meets."""
    if node.get("type") != "JOIN" or node["join_type"] != "INNER":
        return []
    return [node.get("condition") or {}, *_join_conditions(node["left"]), *_join_conditions(node["right"])]


def _of_condition(
    node: dict[str, Any], named: dict[str, set[Source]], aliases: dict[str, str]
) -> set[Source]:
    """Return the records that a condition needs: for EXISTS, IN (SELECT ...), and comparisons of the kind of a needed
    table.
    """
    match node.get("type"):
        case "CONJUNCTION_AND":
            return {one for part in node["children"] for one in _of_condition(part, named, aliases)}
        case "SUBQUERY" if node["subquery_type"] in {"EXISTS", "ANY"}:
            return _of_query(node["subquery"]["node"], named)
        case "COMPARE_EQUAL" | "COMPARE_IN":
            column, values = comparison(node)
            table = aliases.get(column[0]) if len(column) == 2 else None
            if table is not None and values and KIND_COLUMN.get(table) == column[1]:
                return {Source(table, frozenset(values))}
    return set()


_AGGREGATES = frozenset(
    [
        "any_value",
        "arg_max",
        "arg_min",
        "array_agg",
        "avg",
        "bool_and",
        "bool_or",
        "count",
        "count_star",
        "first",
        "group_concat",
        "histogram",
        "last",
        "list",
        "listagg",
        "max",
        "max_by",
        "median",
        "min",
        "min_by",
        "mode",
        "product",
        "quantile_cont",
        "quantile_disc",
        "string_agg",
        "sum",
    ]
)


def _is_total(node: dict[str, Any]) -> bool:
    """Return whether a SELECT returns a row even without input rows: an aggregate without GROUP BY."""
    columns = (not _AGGREGATES.isdisjoint(_functions(column)) for column in node["select_list"])
    if node.get("aggregate_handling") == "FORCE_AGGREGATES":
        return all(columns)
    return not node.get("group_expressions") and any(columns)


def _functions(node: Any) -> Iterator[str]:
    """Yield the functions that an expression calls, without those in its subqueries."""
    if isinstance(node, list):
        for item in node:
            yield from _functions(item)
    elif isinstance(node, dict) and node.get("class") != "SUBQUERY":
        if isinstance(name := node.get("function_name"), str):
            yield name
        for value in node.values():
            if isinstance(value, dict | list):
                yield from _functions(value)
