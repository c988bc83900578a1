"""Values drawn at random from published descriptions: JSON Schema as in OpenAPI, and GraphQL types."""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import graphql

from sandbox.kit.http import Reply, reply
from sandbox.kit.server import LoopbackServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.kit.server import Answerer

TEXTS = {
    "date-time": ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.678+02:00"],
    "date": ["2026-01-02"],
    "uri": ["https://github.com/acme/app"],
    "email": ["a@example.com"],
    "content": ["b246IHB1c2gKam9iczoge30K"],
}
ALWAYS = {"id", "name", "number", "repository"}
"""What makes an id, and what a list is wrapped in, is always there, required or not."""
WORDS = ["a", "main", "acme", "Ünïcode", "x" * 300, "0"]


class Draw:
    """Random values of a JSON Schema and of GraphQL fields: the same for the same seed, whichever thread asks."""

    def __init__(self, seed: str, components: dict[str, Any], types: graphql.GraphQLSchema) -> None:
        self._random = random.Random(seed)
        self._components = components
        self._types = types

    def of(self, schema: dict[str, Any], depth: int = 0, name: str = "") -> Any:
        if "$ref" in schema:
            return self.of(self._components["schemas"][schema["$ref"].rpartition("/")[2]], depth, name)
        for word in ("anyOf", "oneOf"):
            if word in schema:
                rest = {key: value for key, value in schema.items() if key != word}
                chosen = self.of(self._random.choice(schema[word]), depth, name)
                return {**self.of(rest, depth), **chosen} if "properties" in rest and chosen else chosen
        if "allOf" in schema:
            rest = {key: value for key, value in schema.items() if key != "allOf"}
            parts = [
                self.of(part, depth)
                for part in [*schema["allOf"], rest if "properties" in rest else {"type": "object"}]
            ]
            return {key: value for part in parts for key, value in part.items()}
        if "enum" in schema:
            return self._random.choice(schema["enum"])
        kind = schema.get("type", "object" if "properties" in schema else "string")
        match self._random.choice(kind) if isinstance(kind, list) else kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                few = 0 if depth > 6 else self._random.randint(max(schema.get("minItems", 0), 0), 2)
                return [self.of(schema.get("items", {}), depth + 1) for _ in range(few)]
            case "integer" | "number":
                return self._next()
            case "boolean":
                return self._random.random() < 0.5
            case "null":
                return None
            case _:
                # Many times are described as a mere string.
                said = "date-time" if name.endswith(("_at", "last_used")) else schema.get("format", name)
                return self._random.choice(TEXTS.get(said, WORDS))

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        required = set(schema.get("required", []))
        found = {
            name: self.of(inside, depth + 1, name)
            for name, inside in schema.get("properties", {}).items()
            if name in required | ALWAYS or depth == 0 or (depth < 6 and self._random.random() < 0.5)
        }
        extra = schema.get("additionalProperties")
        if isinstance(extra, dict) and extra:
            found["more"] = self.of(extra, depth + 1)
        return found

    def _next(self) -> int:
        return self._random.randrange(1_000, 2**40)

    def field(self, source: Any, info: graphql.GraphQLResolveInfo[Any], **_arguments: Any) -> Any:
        """Return a value of a GraphQL field."""
        if isinstance(source, dict) and info.field_name in source:
            return source[info.field_name]
        fixed = {"hasNextPage": False, "totalCount": 2, "organization": {}, "isFork": False}
        if info.field_name in fixed:
            return fixed[info.field_name]
        return self._typed(info.return_type, info.field_name)

    def _typed(self, kind: Any, name: str) -> Any:
        if isinstance(kind, graphql.GraphQLNonNull):
            return self._typed_inside(kind.of_type, name)
        always = name in {"repositories", "nodes", "databaseId"}
        return None if not always and self._random.random() < 0.25 else self._typed_inside(kind, name)

    def _typed_inside(self, kind: Any, name: str) -> Any:
        match kind:
            case graphql.GraphQLList():
                return [
                    self._typed(kind.of_type, "nodes" if name == "nodes" else name)
                    for _ in range(self._random.randint(1, 2))
                ]
            case graphql.GraphQLEnumType():
                return self._random.choice(sorted(kind.values))
            case graphql.GraphQLUnionType() | graphql.GraphQLInterfaceType():
                possible = self._types.get_possible_types(kind)
                return {"__typename": self._random.choice(sorted(one.name for one in possible))}
            case graphql.GraphQLObjectType():
                return {}
            case graphql.GraphQLScalarType(name="Int" | "BigInt" | "Float"):
                return self._next()
            case graphql.GraphQLScalarType(name="Boolean"):
                return self._random.random() < 0.5
            case graphql.GraphQLScalarType(name="DateTime" | "Time"):
                return self._random.choice(TEXTS["date-time"])
            case graphql.GraphQLScalarType(name="ID" | "GitObjectID"):
                return f"{self._next():040x}"
            case _:
                return self._random.choice(WORDS)

    def queried(self, asked: dict[str, Any]) -> Reply:
        """Answer a GraphQL query."""
        result = graphql.graphql_sync(
            self._types,
            asked["query"],
            variable_values=asked.get("variables"),
            field_resolver=self.field,
            type_resolver=lambda value, *_: value["__typename"],
        )
        assert not result.errors, result.errors
        return reply(200, {"data": result.data})


@contextmanager
def served(answer: Answerer) -> Iterator[str]:
    """Serve answers on 127.0.0.1; gives the base URL."""
    with LoopbackServer(answer, "drawn") as running:
        yield running.origin
