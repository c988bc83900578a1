"""Which records must be there for a rule's query to find anything: a rule about what a night lacks need not run.

Only what is certain counts: a table behind a LEFT JOIN, a NOT EXISTS or one side of a UNION may be empty, and the query
still finds something.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from scanner.analyze.rule_kinds import comparison, constants, syntax_tree
from scanner.kinds import KIND_COLUMN

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet

    from scanner.analyze.rule import Rule
    from scanner.tables import Tables


class Source(NamedTuple):
    """Records of which at least one must be there."""

    table: str
    kinds: frozenset[str] = frozenset()
    """Of one of these kinds; of any, when empty."""


class Present(NamedTuple):
    """What records a night has."""

    empty: AbstractSet[str]
    """Tables without rows."""
    kinds: dict[str, set[str]]
    """The kinds of the records of each table that has any."""

    def lacks(self, sources: Iterable[Source]) -> bool:
        """Whether the records of some source are not there."""
        return any(
            source.table in self.empty
            or (source.kinds and source.kinds.isdisjoint(self.kinds.get(source.table, source.kinds)))
            for source in sources
        )


def present_in(tables: Tables) -> Present:
    """Return what records there are."""
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
    """Whether a rule surely finds nothing. A custom rule is always run: nobody has tested that it can be."""
    if rule.custom:
        return False
    if rule.subject in present.empty:
        return True
    # Parsing takes a third of the time that running takes over few rows: most rules can be told by their text.
    telling = bool(_OF_KIND.search(rule.query)) or not present.empty.isdisjoint(_WORD.findall(rule.query))
    return telling and present.lacks(sources_of(rule.query))


def sources_of(query: str) -> set[Source]:
    """Return the records without which a query gives no rows."""
    return {source for statement in syntax_tree(query) for source in _of_query(statement["node"], {})}


def _of_query(node: dict[str, Any], named: dict[str, set[Source]]) -> set[Source]:
    """Return what a SELECT needs; ``named`` is what the WITH clauses around it need."""
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
    """Return what a FROM needs, and note the names that it gives to the tables that it needs rows of."""
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
    """Return the conditions of inner joins, which hold of every row."""
    if node.get("type") != "JOIN" or node["join_type"] != "INNER":
        return []
    return [node.get("condition") or {}, *_join_conditions(node["left"]), *_join_conditions(node["right"])]


def _of_condition(
    node: dict[str, Any], named: dict[str, set[Source]], aliases: dict[str, str]
) -> set[Source]:
    """Return what a condition needs in order to hold: EXISTS, IN (SELECT ...), and the kind of a table that is needed."""
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
    """Whether a SELECT gives one row for no rows: an aggregate over all of them."""
    columns = [not _AGGREGATES.isdisjoint(_functions(column)) for column in node["select_list"]]
    if node.get("aggregate_handling") == "FORCE_AGGREGATES":
        return all(columns)
    return not node.get("group_expressions") and any(columns)


def _functions(node: Any) -> set[str]:
    if isinstance(node, list):
        return {name for item in node for name in _functions(item)}
    if not isinstance(node, dict) or node.get("class") == "SUBQUERY":
        return set()
    found = {name for value in node.values() for name in _functions(value)}
    name = node.get("function_name")
    return found | {name} if isinstance(name, str) else found
