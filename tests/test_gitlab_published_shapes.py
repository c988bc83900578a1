"""Whatever GitLab's own description allows is read: nulls, fields left out, empty lists, every word of an enumeration."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import graphql
import pytest

import collectors.gitlab
from sandbox.kit.http import Reply, reply
from scanner.records import Gap
from scanner.yaml_data import read_yaml
from tests.drawn_answers import Draw, served
from tests.nights import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.kit.server import Answerer

DESCRIPTION: dict[str, Any] = read_yaml(Path(__file__).parent / "data/gitlab-openapi.yaml")
SCHEMA = graphql.build_schema((files("sandbox.gitlab") / "schema.graphql").read_text(encoding="utf-8"))
ROUTES = [
    (re.compile("/api/v4" + re.sub(r":\w+", "[^/]+", operation.removeprefix("GET "))), answers["200"])
    for operation, answers in DESCRIPTION["operations"].items()
]


def answerer(seed: int) -> Answerer:
    def answer(method: str, target: str, _headers: dict[str, str], body: bytes) -> Reply:
        path = target.partition("?")[0]
        draw = Draw(f"{seed} {target} {body.decode()}", DESCRIPTION["components"], SCHEMA)
        if method == "POST" and path == "/api/graphql":
            return draw.queried(json.loads(body))
        if path.endswith("/raw"):
            return reply(404, {"message": "404 File Not Found"})
        for pattern, schema in ROUTES:
            if pattern.fullmatch(path):
                found = draw.of(schema)
                own = {"id": 77, "full_path": "acme"} if path == "/api/v4/groups/acme" else {}
                return reply(200, {**found, **own} if own else found)
        return reply(404, {"message": "404 Not Found"})

    return answer


@pytest.fixture(params=range(12))
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    with served(answerer(request.param)) as url:
        yield url


def test_whatever_gitlab_describes_is_read(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_GITLAB_TOKEN", "glpat-x")
    config = collectors.gitlab.Config.model_validate(
        {"token": "${env:TEST_GITLAB_TOKEN}", "groups": ["acme"], "base_url": server, "retries": 0}
    )
    night = run(tmp_path)
    records = [
        record
        for target in collectors.gitlab.targets(config, night)
        for record in collectors.gitlab.collect(target, config, night)
    ]
    wrong = [
        f"{row.call} {row.table}/{row.kind}: {row.detail}"
        for row in records
        if isinstance(row, Gap) and row.reason in {"bug", "malformed"}
    ]
    assert not wrong, "\n\n".join(wrong)
    assert len(records) > 50
