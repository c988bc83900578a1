"""Requests for a hundred projects at once and for each one; an empty answer is trusted only if it is reliable."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from sandbox.gitlab import GitLabSandbox, build
from sandbox.gitlab.entities import (
    access,
    agent_token,
    approval_rule,
    protected_branch,
)
from sandbox.gitlab.estate import FRAUD, HANDBOOK, RISK, TEMPLATES
from sandbox.gitlab.instance import DEVELOPER
from sandbox.gitlab.large import LargeInstance, build_large
from scanner.records import Coverage, Credential, Identity
from tests.github_night import gaps, of
from tests.gitlab_night import collected, config
from tests.nights import run

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.gitlab.instance import Instance
    from sandbox.kit.faults import Trouble
    from sandbox.kit.http import Json
    from scanner.records import Record

EACH = {
    "hooks": 180,
    "environments": 180,
    "deploy_tokens": 200,
    "deploy_keys": 200,
    "members": 40,
    "access_tokens": 40,
    "variables": 40,
    "deployments": 40,
    "protected_environments": 40,
    "integrations": 14,
    "pipeline_schedules": 10,
    "pipeline_schedules/:schedule_id": 10,
}
"""Requests by list for 200 projects, 20 of them archived. No other request is sent for a project."""
BY_GRAPHQL = [
    "access_tokens",
    "approval_rules",
    "cluster_agents",
    "integrations",
    "job_token_scope",
    "job_token_scope/allowlist",
    "job_token_scope/groups_allowlist",
    "members",
    "pipeline_schedules",
    "protected_branches",
    "triggers",
    "variables",
]
"""Lists of a project that are not read by REST if GraphQL returns them or shows that they are empty."""


def each(sandbox: GitLabSandbox) -> dict[str, int]:
    """How often each list of a project was asked for."""
    prefix = "GET /projects/:id/"
    return {
        call.removeprefix(prefix): count for call, count in sandbox.calls.items() if call.startswith(prefix)
    }


def untimed(records: list[Record]) -> set[bytes]:
    """Records as text, without the creation time of triggers, which only REST returns."""
    return {
        msgspec.json.encode(
            msgspec.structs.replace(row, created_at=None)
            if isinstance(row, Identity | Credential) and "trigger" in row.kind
            else row
        )
        for row in records
    }


def rich() -> Instance:
    """Lantern's GitLab, with one object of each kind that GraphQL formats differently."""
    instance = build()
    base = f"/projects/{RISK}"
    instance.lists[f"{base}/protected_branches"] = [
        protected_branch(1, "main", push=0, allow_force_push=True),
        {
            **protected_branch(2, "release/*", push=40),
            "push_access_levels": [
                {**access(40), "deploy_key_id": None},
                {**access(40, user_id=102), "access_level_description": "Finn Data", "deploy_key_id": None},
                {**access(40, group_id=8002), "access_level_description": "Research", "deploy_key_id": None},
                {**access(40), "access_level_description": "mirror", "deploy_key_id": 521},
            ],
        },
    ]
    release = instance.lists[f"{base}/protected_branches"][1]
    instance.lists[f"{base}/approval_rules"] = [
        approval_rule(1, "All", 1, rule_type="any_approver"),
        approval_rule(2, "Release", 4, release),
        approval_rule(3, "Protected", 2, applies_to_all_protected_branches=True),
    ]
    instance.lists[f"/projects/{FRAUD}/approval_rules"] = [
        approval_rule(4, "Scan", 3, rule_type="report_approver", report_type="scan_finding")
    ]
    instance.lists[f"{base}/job_token_scope/allowlist"].append(instance.projects[FRAUD])
    instance.lists[f"{base}/job_token_scope/groups_allowlist"] = [
        {"id": 8002, "web_url": "https://gitlab.com/groups/lantern/research", "name": "Research"}
    ]
    return instance


def test_a_project_costs_about_five_requests(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with GitLabSandbox(instance=build_large(200, people=20)) as sandbox:
        options = config(sandbox, monkeypatch, token=sandbox.owner_token, workers=8)
        records = collected(options, run(tmp_path))
        assert each(sandbox) == EACH
        # Four queries and one for texts, of each hundred projects; runners are two pages of the group.
        assert sandbox.calls["POST /api/graphql"] == 12
        assert sandbox.calls["GET /groups/:id/projects"] == 2
    assert {row.reason for row in gaps(records)} == {"unsupported"}


def test_an_answer_without_a_user_does_not_say_that_there_is_no_administrator(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with GitLabSandbox() as sandbox:
        sandbox.fail("GET /user", "empty-object")
        records = collected(config(sandbox, monkeypatch), run(tmp_path))
    (lost,) = [row for row in gaps(records) if row.call == "GET /user" and row.table == "*"]
    assert lost.reason == "malformed"


def test_an_administrator_reads_all_deploy_keys_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with GitLabSandbox(instance=build_large(200, people=20)) as sandbox:
        options = config(sandbox, monkeypatch, instance=False, workers=8)
        records = collected(options, run(tmp_path / "admin"))
        assert each(sandbox) == {name: count for name, count in EACH.items() if name != "deploy_keys"}
        assert sandbox.calls["GET /deploy_keys"] == 1
        owner = collected(
            config(sandbox, monkeypatch, instance=False, workers=8, token=sandbox.owner_token),
            run(tmp_path / "owner"),
        )
    ours = [
        {row for row in untimed(night) if b"deploy-key" in row or b"deploy_keys" in row}
        for night in (records, owner)
    ]
    assert len(ours[0]) > 200
    assert ours[0] == ours[1]


class OlderInstance(LargeInstance, kw_only=True):
    """Before GitLab 16, the list of all deploy keys named the projects only that a key may write to."""

    def deploy_keys(self) -> list[Json]:
        return [
            {name: value for name, value in key.items() if name != "projects_with_readonly_access"}
            for key in super().deploy_keys()
        ]


def test_a_list_of_deploy_keys_without_those_that_only_read_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    large = build_large(110, people=3)
    older = OlderInstance(**{name: getattr(large, name) for name in large.__struct_fields__})
    with GitLabSandbox(instance=older) as sandbox:
        collected(config(sandbox, monkeypatch, instance=False, workers=8), run(tmp_path))
        assert each(sandbox)["deploy_keys"] == 110


def test_graphql_and_rest_tell_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nights: list[set[bytes]] = []
    for without in (frozenset[str](), frozenset({"projects"})):
        with GitLabSandbox(instance=rich(), without=without) as sandbox:
            options = config(sandbox, monkeypatch, token=sandbox.owner_token)
            nights.append(untimed(collected(options, run(tmp_path / str(len(nights))))))
            assert ("protected_branches" in each(sandbox)) == bool(without)
    assert nights[0] == nights[1]
    assert len(nights[0]) > 200


@pytest.mark.parametrize("name", BY_GRAPHQL)
def test_an_empty_list_is_not_believed_where_the_right_to_see_it_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    """Of four projects, each with other lists: what cannot be read of one is a Gap, whatever GraphQL shows of it."""
    route = f"/projects/:id/{name}"
    call = {"triggers": "POST /api/graphql project.pipelineTriggers"}.get(name, f"GET {route}")
    with GitLabSandbox() as sandbox:
        sandbox.deny = {route}
        records = collected(config(sandbox, monkeypatch, token=sandbox.owner_token), run(tmp_path))
        assert each(sandbox)[name] == 4
    lost = {row.account_id for row in gaps(records) if row.call.split(" (")[0] == call}
    assert lost == {f"gitlab:project:{number}" for number in (RISK, FRAUD, HANDBOOK, TEMPLATES)}
    assert not [row for row in of(records, Coverage) if row.call.split(" (")[0] == call]


def test_a_lesser_role_is_reported_every_list_that_it_may_not_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with GitLabSandbox(instance=build_large(120, people=3)) as sandbox:
        token = sandbox.make_token("developer", 1000, DEVELOPER)
        records = collected(config(sandbox, monkeypatch, token=token, workers=8), run(tmp_path))
        # Nothing shows that a project has none of these, so each of the 108 active ones is read.
        for name in BY_GRAPHQL:
            archived = 12 if name in {"members", "access_tokens"} else 0
            # The number of schedules is visible to users who may read them, and an error for others.
            asked = 6 if name == "pipeline_schedules" else 108 + archived
            assert each(sandbox)[name] == asked, name
    denied = {
        row.account_id for row in gaps(records) if row.kind == "gitlab-variable" and row.reason == "denied"
    }
    assert len([one for one in denied if one.startswith("gitlab:project:")]) == 108


@pytest.mark.parametrize(
    ("field", "names"),
    [
        ("ciVariables", {"variables"}),
        ("projectMembers", {"members", "access_tokens"}),
        ("pipelineScheduleStatusCounts", {"pipeline_schedules"}),
        ("services", {"integrations"}),
        ("lastUsed", {"triggers"}),
        ("lastUsedAt", {"cluster_agents"}),
        ("inboundJobTokenScopeEnabled", {"job_token_scope"}),
        ("inboundAllowlistCount", {"job_token_scope/allowlist", "job_token_scope/groups_allowlist"}),
        ("deployKey", {"protected_branches"}),
        ("approvalRules", {"approval_rules"}),
        ("rawSize", {"repository/files/:file_path/raw"}),
    ],
)
def test_only_what_a_gitlab_cannot_tell_is_asked_by_rest(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, field: str, names: set[str]
) -> None:
    with GitLabSandbox() as sandbox:
        collected(config(sandbox, monkeypatch, token=sandbox.owner_token), run(tmp_path / "new"))
        usual = each(sandbox)
    with GitLabSandbox(without=frozenset({field})) as sandbox:
        records = collected(config(sandbox, monkeypatch, token=sandbox.owner_token), run(tmp_path / "old"))
        found = each(sandbox)
    for name in names:
        # Included files are read by REST in any case.
        included = usual.get(name, 0) if name.endswith("/raw") else 0
        assert found[name] - included == 4 > usual.get(name, 0) - included
    # Tokens are read with their agents; a definition that is not known may deploy to a protected environment.
    within = {"lastUsedAt": "cluster_agents/", "rawSize": "protected_environments"}.get(field)
    others = {name for name in found if found[name] != usual.get(name, 0)} - names
    assert not {name for name in others if within is None or not name.startswith(within)}
    assert {row.reason for row in gaps(records)} == {"unsupported"}


def test_the_community_edition_has_neither_people_nor_code_owners_on_branches(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with GitLabSandbox(without=frozenset({"codeOwnerApprovalRequired", "approvalRules"})) as sandbox:
        collected(config(sandbox, monkeypatch, token=sandbox.owner_token), run(tmp_path))
        assert "protected_branches" not in each(sandbox)
        assert each(sandbox)["approval_rules"] == 4


@pytest.mark.parametrize(("most", "queries"), [(250, 12), (100, 18), (60, 37), (45, 137)])
def test_a_query_that_is_too_much_is_asked_in_parts_and_of_fewer_projects(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, most: int, queries: int
) -> None:
    with GitLabSandbox(instance=build_large(110, people=3)) as sandbox:
        options = config(sandbox, monkeypatch, token=sandbox.owner_token, workers=8)
        whole = collected(options, run(tmp_path / "whole"))
        rest = each(sandbox)
        sandbox.calls.clear()
        sandbox.complexity = most
        parts = collected(options, run(tmp_path / "parts"))
        assert each(sandbox) == rest
        assert sandbox.calls["POST /api/graphql"] == queries
    assert untimed(parts) == untimed(whole)


def test_a_query_that_is_too_much_for_one_project_is_left_to_rest(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with GitLabSandbox() as sandbox:
        sandbox.complexity = 5
        records = collected(config(sandbox, monkeypatch, token=sandbox.owner_token), run(tmp_path))
        assert {each(sandbox)[name] for name in BY_GRAPHQL} == {4}
    # The list of runners belongs to no single project: it is too complex, and becomes a Gap.
    assert {row.kind for row in gaps(records) if row.call.startswith("POST")} == {
        "gitlab-runner",
        "runner-exposure",
    }


def test_a_project_that_takes_too_long_takes_no_other_with_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with GitLabSandbox() as sandbox:
        options = config(sandbox, monkeypatch, token=sandbox.owner_token)
        whole = untimed(collected(options, run(tmp_path / "whole")))
        sandbox.broken = {FRAUD: "branchRules"}
        sandbox.calls.clear()
        assert untimed(collected(options, run(tmp_path / "a"))) == whole
        assert (each(sandbox)["protected_branches"], each(sandbox)["approval_rules"]) == (1, 1)
        # What may not be null takes its whole project with it, in every query.
        sandbox.broken = {FRAUD: "userPermissions"}
        sandbox.calls.clear()
        assert untimed(collected(options, run(tmp_path / "b"))) == whole
        assert {each(sandbox)[name] for name in BY_GRAPHQL if name not in SOME} == {1}
        assert {name: each(sandbox)[name] for name in SOME} == SOME


SOME = {"members": 2, "access_tokens": 2, "variables": 2, "integrations": 2, "pipeline_schedules": 2}
"""Lists that two of Lantern's three projects have, the slow one among them."""


@pytest.mark.parametrize("trouble", [500, 503, "cut", "malformed"])
def test_graphql_that_fails_for_many_is_asked_about_fewer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, trouble: Trouble
) -> None:
    with GitLabSandbox(instance=build_large(110, people=3)) as sandbox:
        options = config(sandbox, monkeypatch, token=sandbox.owner_token, workers=8, retries=1)
        whole = untimed(collected(options, run(tmp_path / "whole")))
        rest = each(sandbox)
        sandbox.calls.clear()
        # The list of runners is the first; it is sent again, unless the answer is none of GitLab's.
        sandbox.fail("/api/graphql", trouble, times=4)
        records = untimed(collected(options, run(tmp_path / "fewer")))
        assert each(sandbox) == rest
        assert sandbox.calls["POST /api/graphql"] == (17 if trouble == "malformed" else 16)
    assert all(b"runner" in row for row in records ^ whole)


def test_more_than_a_page_shows_is_read_by_rest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    instance = build()
    instance.lists[f"/projects/{RISK}/protected_branches"] = [
        protected_branch(number, f"release/{number}", push=40) for number in range(1, 61)
    ]
    agent = instance.lists[f"/projects/{RISK}/cluster_agents"][0]
    path = f"/projects/{RISK}/cluster_agents/{agent['id']}/tokens"
    for number in range(900, 925):
        token = agent_token(number, "spare", agent["id"], created=1, used=None)
        instance.lists[path].append({key: value for key, value in token.items() if key != "last_used_at"})
        instance.objects[f"{path}/{number}"] = token
    with GitLabSandbox(instance=instance) as sandbox:
        records = collected(config(sandbox, monkeypatch), run(tmp_path))
        assert each(sandbox)["protected_branches"] == 1
        assert each(sandbox)["cluster_agents/:agent_id/tokens"] == 1
    assert len([row for row in of(records, Credential) if row.kind == "agent-token"]) == 27
    assert not [row for row in gaps(records) if row.account_id == f"gitlab:project:{RISK}"]
