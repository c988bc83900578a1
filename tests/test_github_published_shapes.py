"""Whatever GitHub's own descriptions allow is read: nulls, fields left out, empty lists, every word of an enumeration.

The sandbox tells one consistent story; this server tells none. Each answer is drawn at random from the published
OpenAPI and GraphQL descriptions, and no answer that they allow may be called malformed or be a bug of ours.
"""

from __future__ import annotations

import gzip
import json
import random
import re
import threading
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import graphql
import pytest

import collectors.github
from sandbox.http_server import Reply, Server, reply
from scanner.records import Gap
from tests.github_night import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DESCRIPTION: dict[str, Any] = json.loads(
    gzip.decompress((Path(__file__).parent / "data/github-openapi.json.gz").read_bytes())
)
SCHEMA = graphql.build_schema((files("sandbox.github") / "schema.graphql").read_text(encoding="utf-8"))
ROUTES = [
    (re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(operation.removeprefix("GET ")))), answers["200"])
    for operation, answers in DESCRIPTION["operations"].items()
    if operation.startswith("GET ") and "200" in answers
]
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

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)

    def of(self, schema: dict[str, Any], depth: int = 0, name: str = "") -> Any:
        if "$ref" in schema:
            return self.of(
                DESCRIPTION["components"]["schemas"][schema["$ref"].rpartition("/")[2]], depth, name
            )
        for word in ("anyOf", "oneOf"):
            if word in schema:
                rest = {key: value for key, value in schema.items() if key != word}
                chosen = self.of(self._random.choice(schema[word]), depth, name)
                return {**self.of(rest, depth), **chosen} if "properties" in rest and chosen else chosen
        if "allOf" in schema:
            parts = [self.of(part, depth) for part in schema["allOf"]]
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
                possible = SCHEMA.get_possible_types(kind)
                return {"__typename": self._random.choice(sorted(one.name for one in possible))}
            case graphql.GraphQLObjectType():
                return {}
            case graphql.GraphQLScalarType(name="Int" | "BigInt" | "Float"):
                return self._next()
            case graphql.GraphQLScalarType(name="Boolean"):
                return self._random.random() < 0.5
            case graphql.GraphQLScalarType(name="DateTime"):
                return self._random.choice(TEXTS["date-time"])
            case graphql.GraphQLScalarType(name="ID" | "GitObjectID"):
                return f"{self._next():040x}"
            case _:
                return self._random.choice(WORDS)


def answerer(seed: int) -> Callable[[str, str, dict[str, str], bytes], Reply]:
    def answer(method: str, target: str, _headers: dict[str, str], body: bytes) -> Reply:
        path = target.partition("?")[0]
        draw = Draw(f"{seed} {target} {body.decode()}")
        if method == "POST" and path == "/graphql":
            asked = json.loads(body)
            result = graphql.graphql_sync(
                SCHEMA,
                asked["query"],
                variable_values=asked.get("variables"),
                field_resolver=draw.field,
                type_resolver=lambda value, *_: value["__typename"],
            )
            assert not result.errors, result.errors
            return reply(200, {"data": result.data})
        for pattern, schema in ROUTES:
            if pattern.fullmatch(path):
                found = draw.of(schema)
                return reply(200, {**found, "login": "acme", "id": 77} if path == "/orgs/acme" else found)
        return reply(404, {"message": "Not Found", "documentation_url": "https://docs.github.com/rest"})

    return answer


@pytest.fixture(params=range(12))
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    running = Server(answerer(request.param), "github")
    thread = threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{running.server_address[1]}"
    running.shutdown()
    running.cut_all()
    running.server_close()
    thread.join()


def test_whatever_github_describes_is_read(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_GITHUB_TOKEN", "ghp_x")
    config = collectors.github.Config.model_validate(
        {
            "token": "${env:TEST_GITHUB_TOKEN}",
            "organisations": ["acme"],
            "base_url": server,
            "seconds_between_requests": 0,
            "rare_secrets": True,
        }
    )
    night = run(tmp_path)
    records = [
        record
        for target in collectors.github.targets(config, night)
        for record in collectors.github.collect(target, config, night)
    ]
    wrong = [
        f"{row.call} {row.table}/{row.kind}: {row.detail}"
        for row in records
        # The text of a definition is drawn, too, and seldom is one.
        if isinstance(row, Gap) and row.reason in {"bug", "malformed"} and "repository.object" not in row.call
    ]
    assert not wrong, "\n\n".join(wrong)
    assert len(records) > 50
