"""The simulated GitLab's GraphQL, its limits, and its group of any size."""

from __future__ import annotations

import hashlib
import json
import time
from typing import TYPE_CHECKING

import pytest
from graphql import parse

from sandbox.gitlab import GitLabSandbox
from sandbox.gitlab.complexity import complexity as complexity_of
from sandbox.gitlab.instance import REPORTER
from sandbox.gitlab.large import build_large
from sandbox.gitlab.limits import GitLabLimits
from tests.test_sandbox_gitlab import ask, get

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def sandbox() -> Iterator[GitLabSandbox]:
    with GitLabSandbox() as served:
        yield served


def test_graphql_hides_each_list_in_its_own_way(sandbox: GitLabSandbox) -> None:
    fields = """ciVariables { nodes { id } } services { nodes { active } } ciCdSettings { inboundJobTokenScopeEnabled }
        ciJobTokenScope { inboundAllowlistCount } pipelineScheduleStatusCounts { total }
        clusterAgents { nodes { id } } branchRules { nodes { name } }"""
    query = f'{{ projects(ids: ["gid://gitlab/Project/9001"], first: 1) {{ nodes {{ {fields} }} }} }}'
    (seen,) = ask(sandbox, query)["data"]["projects"]["nodes"]
    assert len(seen["ciVariables"]["nodes"]) == 2
    assert seen["pipelineScheduleStatusCounts"] == {"total": 1}
    assert [rule["name"] for rule in seen["branchRules"]["nodes"]] == ["All branches", "main"]
    reporter = ask(sandbox, query, sandbox.make_token("reporter", 104, REPORTER))
    (unseen,) = reporter["data"]["projects"]["nodes"]
    assert unseen == {
        "ciVariables": None,
        "services": None,
        "ciCdSettings": None,
        "ciJobTokenScope": None,
        "pipelineScheduleStatusCounts": None,
        "clusterAgents": {"nodes": []},
        "branchRules": {"nodes": [{"name": "All branches"}]},
    }
    assert [error["path"] for error in reporter["errors"]] == [
        ["projects", "nodes", 0, "ciJobTokenScope"],
        ["projects", "nodes", 0, "pipelineScheduleStatusCounts"],
    ]


def test_graphql_knows_projects_by_id_and_files_by_path(sandbox: GitLabSandbox) -> None:
    ids = ["gid://gitlab/Project/9002", "gid://gitlab/Project/1", "gid://gitlab/Project/9003"]
    blobs = """repository { blobs(paths: [".gitlab-ci.yml", "none"]) { nodes { path oid rawSize rawTextBlob } } }"""
    answer = ask(sandbox, f"{{ projects(ids: {json.dumps(ids)}, first: 100) {{ nodes {{ id {blobs} }} }} }}")
    found = answer["data"]["projects"]["nodes"]
    assert [node["id"] for node in found] == [ids[2], ids[0]]
    ((file,), (other,)) = (node["repository"]["blobs"]["nodes"] for node in found)
    assert file["rawSize"] == str(len(file["rawTextBlob"].encode()))
    git = b"blob " + file["rawSize"].encode() + b"\0" + file["rawTextBlob"].encode()
    assert file["oid"] == hashlib.sha1(git, usedforsecurity=False).hexdigest()
    assert file["oid"] != other["oid"]


@pytest.mark.parametrize(
    ("query", "complexity"),
    [
        ("{ project(fullPath: 1) { id } }", 2),
        ("{ projects(first: 100) { nodes { id } } }", 6),
        ("{ projects(first: 1) { nodes { id } } }", 3),
        ("{ projects(first: 500) { nodes { ciVariables { nodes { key } pageInfo { hasNextPage } } } } }", 24),
        ("query($n: Int) { projects(first: $n) { nodes { id } } }", 4),
    ],
)
def test_a_resolver_costs_more_with_each_node_that_it_may_give(query: str, complexity: int) -> None:
    assert complexity_of(parse(query), {"n": 50}) == complexity


def test_graphql_refuses_what_is_too_much() -> None:
    inside = "variables: ciVariables { nodes { id key } }"
    query = (
        "{ projects { nodes { "
        + " ".join(f"a{n}: ciVariables {{ nodes {{ id key }} }}" for n in range(20))
        + " } } }"
    )
    with GitLabSandbox() as sandbox:
        assert "data" in ask(sandbox, f"{{ projects {{ nodes {{ {inside} }} }} }}")
        answer = ask(sandbox, query)
        assert "exceeds max complexity of 250" in answer["errors"][0]["message"]
        assert ask(sandbox, query + "#" * 10_000)["errors"] == [{"message": "Query too large"}]


def test_the_instance_lists_each_deploy_key_with_its_projects(sandbox: GitLabSandbox) -> None:
    rows = get(sandbox, "/deploy_keys").json()
    basic = "id title key fingerprint fingerprint_sha256 created_at expires_at last_used_at usage_type"
    both = "projects_with_write_access projects_with_readonly_access"
    assert {tuple(sorted(row)) for row in rows} == {tuple(sorted(f"{basic} {both}".split()))}
    shown = {row["id"]: [[one["id"] for one in row[name]] for name in both.split()] for row in rows}
    assert shown == {521: [[], [9001]], 522: [[9002], []]}


def test_rate_limits_hold_in_scaled_time() -> None:
    with GitLabSandbox(limits=GitLabLimits(minute=5, scale=60)) as sandbox:
        codes = [get(sandbox, "/version").status_code for _ in range(7)]
        answer = get(sandbox, "/version")
        assert codes == [200] * 5 + [429] * 2
        assert (answer.headers["ratelimit-limit"], answer.headers["retry-after"]) == ("5", "1")
        assert "errors" in ask(sandbox, "{ project(fullPath: 1) { id } }")
        assert get(sandbox, "/version", sandbox.owner_token).status_code == 200
        time.sleep(1.1)
        assert get(sandbox, "/version").status_code == 200


def test_a_large_group_is_made_when_it_is_asked_for() -> None:
    with GitLabSandbox(instance=build_large(1_000_000, people=2)) as sandbox:
        page = get(sandbox, "/groups/8001/projects", include_subgroups="true", per_page=100, page=9_000)
        assert [row["id"] for row in page.json()] == list(range(999_900, 1_000_000))
        assert "x-total" not in page.headers
        assert get(sandbox, "/projects/999999/hooks").json() == []
        assert get(sandbox, "/projects/1100000/hooks").status_code == 404
