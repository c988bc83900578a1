"""Everything that GitHub's own descriptions allow can be read: nulls, missing fields, empty lists, every enumeration
value.

The sandbox tells one consistent story; this server tells none. Each answer is drawn at random from the published
OpenAPI and GraphQL descriptions, and no answer that they allow may be called malformed or be a bug of ours.
"""

from __future__ import annotations

import gzip
import json
import re
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import graphql
import pytest

import collectors.github
from sandbox.kit.http import Reply, reply
from scanner.records import Gap
from tests.drawn_answers import Draw, served
from tests.nights import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.kit.server import Answerer

DESCRIPTION: dict[str, Any] = json.loads(
    gzip.decompress((Path(__file__).parent / "data/github-openapi.json.gz").read_bytes())
)
SCHEMA = graphql.build_schema((files("sandbox.github") / "schema.graphql").read_text(encoding="utf-8"))
ROUTES = [
    (re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(operation.removeprefix("GET ")))), answers["200"])
    for operation, answers in DESCRIPTION["operations"].items()
    if operation.startswith("GET ") and "200" in answers
]


def answerer(seed: int) -> Answerer:
    def answer(method: str, target: str, _headers: dict[str, str], body: bytes) -> Reply:
        path = target.partition("?")[0]
        draw = Draw(f"{seed} {target} {body.decode()}", DESCRIPTION["components"], SCHEMA)
        if method == "POST" and path == "/graphql":
            return draw.queried(json.loads(body))
        for pattern, schema in ROUTES:
            if pattern.fullmatch(path):
                found = draw.of(schema)
                return reply(200, {**found, "login": "acme", "id": 77} if path == "/orgs/acme" else found)
        return reply(404, {"message": "Not Found", "documentation_url": "https://docs.github.com/rest"})

    return answer


@pytest.fixture(params=range(12))
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    with served(answerer(request.param)) as url:
        yield url


def test_whatever_github_describes_is_read(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_GITHUB_TOKEN", "ghp_x")
    config = collectors.github.Config.model_validate(
        {
            "token": "${env:TEST_GITHUB_TOKEN}",
            "organizations": ["acme"],
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
