"""A server that lacks what github.com has, and one that cannot answer as much at once: the night sees the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import requests

from sandbox.github.limits import GitHubLimits
from sandbox.github.server import GitHubSandbox
from sandbox.kit.http import Reply, reply
from scanner.records import Account, Control, Coverage
from tests.drawn_answers import served
from tests.github_night import collected, config, gaps, of
from tests.nights import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from scanner.records import Record

FREE = GitHubLimits(core=10**6, graphql=10**6, rest_points=10**6, graphql_points=10**6)
PASSED_ON = ("authorization", "accept", "content-type", "if-none-match")
BLOBS = "GET /repos/{owner}/{repo}/git/blobs/{file_sha}"


def night(
    sandbox: GitHubSandbox,
    patch: pytest.MonkeyPatch,
    folder: Path,
    graphql: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]],
) -> list[Record]:
    """A night against the sandbox, whose answers to GraphQL queries pass through ``graphql`` (query, answer)."""

    def answer(method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        passed = {name: value for name, value in headers.items() if name.lower() in PASSED_ON}
        response = requests.request(method, sandbox.url + target, headers=passed, data=body, timeout=30)
        if method == "POST" and target == "/graphql":
            return reply(200, graphql(json.loads(body), response.json()))
        kept = {name: value for name, value in response.headers.items() if name.lower() in {"etag", "date"}}
        return Reply(status=response.status_code, body=response.content, headers=kept)

    with served(answer) as url:
        return collected(config(sandbox, patch, base_url=url), run(folder))


def old(query: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """A server without rules of branches, enterprises as the source of rulesets, and Apps that bypass."""
    document = query["query"]
    if "rules(first" in document:
        extensions = {"code": "undefinedField", "typeName": "Ref", "fieldName": "rules"}
        return {
            "errors": [{"message": "Field 'rules' doesn't exist on type 'Ref'", "extensions": extensions}]
        }
    for kind in ("Enterprise", "App"):
        if f"... on {kind} " in document:
            message = f"Fragment on {kind} can't be spread inside its union"
            return {"errors": [{"message": message, "extensions": {"code": "cannotSpreadFragment"}}]}
    return answer


def test_what_an_older_server_lacks_costs_no_repository(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with GitHubSandbox(limits=FREE) as sandbox:
        whole = collected(config(sandbox, monkeypatch), run(tmp_path / "whole"))
        records = night(sandbox, monkeypatch, tmp_path / "old", old)
    assert {row.id for row in of(records, Account)} == {row.id for row in of(whole, Account)}
    for kind in ("ruleset", "branch-protection"):
        controls = [{row.id for row in of(rows, Control) if row.kind == kind} for rows in (records, whole)]
        assert controls[0] == controls[1] != set()
    listed = [{row.call for row in of(rows, Coverage)} for rows in (records, whole)]
    assert listed[1] <= listed[0]


def slow(query: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """A server that runs out of time after two repositories, files or rules, and answers for these."""
    size = query["variables"].get("size", len(query["variables"].get("ids", ())))
    if query["query"].count("object(oid") <= 2 and size <= 2:
        return answer
    error = {"type": "RESOURCE_LIMITS_EXCEEDED", "message": "Resource limits for this query exceeded."}
    data = answer["data"]
    if "ids" in query["variables"]:
        data["nodes"][2:] = [None] * len(data["nodes"][2:])
        return {"data": data, "errors": [{**error, "path": ["nodes", 2]}]}
    if "size" in query["variables"]:
        data["organization"]["repositories"]["nodes"][0]["environments"] = None
        path = ["organization", "repositories", "nodes", 0, "environments"]
        return {"data": data, "errors": [{**error, "path": path}]}
    return {"data": dict.fromkeys(data), "errors": [{**error, "path": ["r0"]}]}


def test_what_a_server_could_not_answer_at_once_is_asked_in_smaller_pieces(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with GitHubSandbox(limits=FREE) as sandbox:
        whole = collected(config(sandbox, monkeypatch), run(tmp_path / "whole"))
        before = sandbox.calls[BLOBS]
        records = night(sandbox, monkeypatch, tmp_path / "slow", slow)
        assert sandbox.calls[BLOBS] == before
    assert {msgspec.json.encode(row) for row in records} == {msgspec.json.encode(row) for row in whole}


def test_the_audit_log_has_a_limit_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with GitHubSandbox(limits=FREE) as sandbox:
        options = config(sandbox, monkeypatch, longest_wait_seconds=1)
        collected(options, run(tmp_path))
        sandbox.fail("GET /orgs/{org}/audit-log", "primary")
        records = collected(options, run(tmp_path, 1))
    throttled = {row.call for row in gaps(records) if row.reason == "throttled"}
    assert throttled == {"GET /orgs/{org}/audit-log"}
