"""Executes GraphQL queries over the official schema, with GitHub's cost formula and limits.

https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api
"""

from __future__ import annotations

from functools import cache, lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from graphql import (
    DocumentNode,
    ExecutionResult,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLSyntaxError,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    VariableNode,
    build_schema,
    execute_sync,
    get_named_type,
    parse,
    validate,
)

from sandbox.github.graphql_nodes import NodeGraph, refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sandbox.github.access import GitHubToken
    from sandbox.github.shapes import Json, Site
    from sandbox.kit.limits import RateWindow

NODE_LIMIT = 500_000
PAGE_LIMIT = 100


@cache
def schema() -> GraphQLSchema:
    """Return the part of GitHub's schema that the sandbox answers."""
    return build_schema((files("sandbox.github") / "schema.graphql").read_text())


@lru_cache(maxsize=64)
def _parsed(query: str) -> tuple[DocumentNode, tuple[GraphQLError, ...]]:
    document = parse(query, no_location=False)
    return document, tuple(validate(schema(), document))


class Price:
    """What a query costs: requests for connections, divided by a hundred, at least one point; and its nodes."""

    def __init__(self, document: DocumentNode, variables: Mapping[str, Any]) -> None:
        self.requests = 0
        self.nodes = 0
        self.errors: list[GraphQLError] = []
        self._variables = variables
        self._fragments = {
            one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)
        }
        self._defaults: dict[str, Any] = {}
        for operation in document.definitions:
            if isinstance(operation, OperationDefinitionNode):
                for variable in operation.variable_definitions or ():
                    if isinstance(variable.default_value, IntValueNode):
                        self._defaults[variable.variable.name.value] = int(variable.default_value.value)
                if operation.operation is not OperationType.QUERY:
                    self.errors.append(refused("FORBIDDEN", "The sandbox answers queries only."))
                    continue
                self._walk(operation.selection_set, schema().query_type, 1)
        if self.nodes > NODE_LIMIT:
            self.errors.append(
                refused(
                    "MAX_NODE_LIMIT_EXCEEDED",
                    f"This query requests up to {self.nodes:,} possible nodes which exceeds the maximum limit"
                    f" of {NODE_LIMIT:,}.",
                )
            )

    @property
    def points(self) -> int:
        return max(1, round(self.requests / 100))

    def _walk(self, selection: SelectionSetNode | None, parent: GraphQLNamedType | None, times: int) -> None:
        for one in selection.selections if selection else ():
            match one:
                case FieldNode():
                    self._field(one, parent, times)
                case InlineFragmentNode():
                    name = one.type_condition.name.value if one.type_condition else None
                    self._walk(one.selection_set, schema().get_type(name) if name else parent, times)
                case FragmentSpreadNode():
                    fragment = self._fragments[one.name.value]
                    kind = schema().get_type(fragment.type_condition.name.value)
                    self._walk(fragment.selection_set, kind, times)

    def _field(self, field: FieldNode, parent: GraphQLNamedType | None, times: int) -> None:
        if not isinstance(parent, (GraphQLObjectType, GraphQLInterfaceType)):
            return
        known = parent.fields.get(field.name.value)
        if known is None:
            return
        kind = get_named_type(known.type)
        if not kind.name.endswith("Connection"):
            self._walk(field.selection_set, kind, times)
            return
        bound = next(
            (
                self._number(argument.value)
                for argument in field.arguments or ()
                if argument.name.value in {"first", "last"}
            ),
            None,
        )
        if bound is None:
            self.errors.append(
                refused(
                    "MISSING_PAGINATION_BOUNDARIES",
                    f"You must provide a `first` or `last` value to properly paginate the"
                    f" `{field.name.value}` connection.",
                )
            )
            return
        if bound > PAGE_LIMIT:
            self.errors.append(
                refused(
                    "EXCESSIVE_PAGINATION",
                    f"Requesting {bound} records on the `{field.name.value}` connection exceeds the `first`"
                    f" limit of {PAGE_LIMIT} records.",
                )
            )
            return
        self.requests += times
        self.nodes += times * bound
        self._walk(field.selection_set, kind, times * bound)

    def _number(self, value: object) -> int | None:
        match value:
            case IntValueNode():
                return int(value.value)
            case VariableNode():
                given = self._variables.get(value.name.value, self._defaults.get(value.name.value))
                return given if isinstance(given, int) else None
        return None


def _written(errors: Iterable[GraphQLError]) -> list[Json]:
    """Write errors as GitHub does: with ``type`` beside the message."""
    rows: list[Json] = []
    for error in errors:
        row: Json = dict(error.formatted)
        extensions = dict(row.pop("extensions", {}))
        kind = extensions.pop("type", None)
        if kind is not None:
            row = {"type": kind, **row}
        if extensions:
            row["extensions"] = extensions
        rows.append(row)
    return rows


def execute(
    query: str,
    variables: dict[str, Any],
    site: Site,
    token: GitHubToken,
    window: RateWindow,
    *,
    forbidden: bool = False,
) -> tuple[Json, int]:
    """Return the answer and its cost in points. ``forbidden`` refuses the first repository of each list."""
    try:
        document, invalid = _parsed(query)
    except GraphQLSyntaxError as error:
        return {"errors": _written([error])}, 1
    if invalid:
        return {"errors": _written(invalid)}, 1
    price = Price(document, variables)
    if price.errors:
        return {"errors": _written(price.errors)}, 1
    graph = NodeGraph(site, token, window, forbidden=forbidden)
    graph.cost, graph.nodes = price.points, price.nodes
    result: ExecutionResult = execute_sync(schema(), document, graph.root(), variable_values=variables)
    answer: Json = {"data": result.data}
    if result.errors:
        answer["errors"] = _written(result.errors)
        if result.data is None:
            del answer["data"]
    return answer, price.points
