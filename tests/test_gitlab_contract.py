"""Whatever GitLab answers, a night ends with Gaps: never an exception, never an empty success."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

import collectors.gitlab
from sandbox import gitlab as gitlab_sandbox
from sandbox.gitlab import GitLabSandbox
from sandbox.gitlab.large import build_large
from sandbox.kit.contract import standard_collector_tests
from scanner.records import Coverage, Gap, Identity
from tests.github_night import gaps, of
from tests.gitlab_night import collected, config
from tests.nights import run

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.kit.faults import Trouble

TROUBLES: list[Trouble] = [403, 404, "too-many-bare", 500, "cut", "malformed"]
MAY_APPEAR = {
    "weaknesses": "Where GitLab does not merge a definition, the project's own file is read instead.",
    "secrets/ci-file": "The same: what stands in that file has no id of the merged definition.",
}
TestContract = standard_collector_tests(collectors.gitlab, gitlab_sandbox, may_appear=MAY_APPEAR)
TestContractOfAnOldServer = standard_collector_tests(
    collectors.gitlab, gitlab_sandbox, variant="old", turns=1, may_appear=MAY_APPEAR
)


def listing(row: Gap | Coverage) -> str:
    """The route that a row speaks of."""
    return row.call.split(" (")[0]


@pytest.mark.parametrize("trouble", TROUBLES)
def test_without_graphql_runners_are_a_gap_and_projects_are_read_by_rest(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, trouble: Trouble
) -> None:
    with GitLabSandbox() as sandbox:
        whole = {
            (row.call, row.kind)
            for row in of(collected(config(sandbox, monkeypatch), run(tmp_path)), Coverage)
        }
        sandbox.fail("/api/graphql", trouble)
        records = collected(config(sandbox, monkeypatch), run(tmp_path))
    assert {(row.call, row.table, row.kind) for row in gaps(records)} == {
        ("POST /api/graphql group.runners", "identities", "gitlab-runner"),
        ("POST /api/graphql group.runners", "controls", "runner-exposure"),
        ("GET /users/:id/keys", "credentials", "ssh-key"),
    }
    assert {(row.call, row.kind) for row in of(records, Coverage)} == {
        (call, kind) for call, kind in whole if call != "POST /api/graphql group.runners"
    }


@pytest.mark.parametrize("trouble", [403, "cut"])
def test_an_instances_list_of_deploy_keys_that_fails_is_read_project_by_project(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, trouble: Trouble
) -> None:
    with GitLabSandbox(instance=build_large(110)) as sandbox:
        options = config(sandbox, monkeypatch, instance=False, workers=8)
        whole = collected(options, run(tmp_path / "whole"))
        assert sandbox.calls["GET /projects/:id/deploy_keys"] == 0
        sandbox.fail("GET /deploy_keys", trouble)
        records = collected(options, run(tmp_path / "failed"))
        assert sandbox.calls["GET /projects/:id/deploy_keys"] == 110
    assert {msgspec.json.encode(row) for row in records} == {msgspec.json.encode(row) for row in whole}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_definitions_that_gitlab_does_not_merge_are_gaps_and_keep_their_own_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, trouble: Trouble
) -> None:
    with GitLabSandbox() as sandbox:
        sandbox.fail("GET /projects/:id/ci/lint", trouble)
        records = collected(config(sandbox, monkeypatch), run(tmp_path))
    lost = {
        (row.account_id, row.table, row.kind) for row in gaps(records) if listing(row).endswith("/ci/lint")
    }
    assert lost == {
        (f"gitlab:project:{number}", table, kind)
        for number in (9002, 9003)
        for table, kind in (
            ("identities", "gitlab-pipeline"),
            ("grants", "gitlab-pipeline"),
            ("links", "gitlab-pipeline"),
            ("secrets", "ci-file"),
            ("weaknesses", None),
        )
    }
    assert not any(row.call.endswith("/ci/lint") for row in of(records, Coverage))
    pipelines = {row.id: row for row in of(records, Identity) if row.kind == "gitlab-pipeline"}
    assert len(pipelines) == 4
    assert "aws:static" in pipelines["gitlab:pipeline:9002"].logins


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("route", ["GET /groups/:id", "GET /user"])
def test_what_cannot_be_entered_is_one_gap_for_everything(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, trouble: Trouble, route: str
) -> None:
    with GitLabSandbox() as sandbox:
        sandbox.fail(route, trouble)
        # Whether or not the configuration includes the instance.
        records = collected(config(sandbox, monkeypatch), run(tmp_path))
    whole = [row for row in gaps(records) if row.table == "*"]
    assert [row.call for row in whole] == [route]
    assert not any(row.table == "*" for row in of(records, Coverage))


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("route", ["GET /groups/:id/projects", "GET /groups/:id/descendant_groups"])
def test_projects_that_cannot_be_listed_leave_every_table_in_doubt(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, trouble: Trouble, route: str
) -> None:
    with GitLabSandbox() as sandbox:
        sandbox.fail(route, trouble)
        records = collected(config(sandbox, monkeypatch), run(tmp_path))
    assert {row.table for row in gaps(records) if row.call == route} == {
        "accounts",
        "identities",
        "credentials",
        "secrets",
        "grants",
        "links",
        "controls",
        "weaknesses",
        "deployments",
    }


def test_groups_that_cannot_be_listed_are_a_gap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with GitLabSandbox() as sandbox:
        sandbox.fail("GET /groups", 500)
        records = collected(config(sandbox, monkeypatch, groups=[], instance=False), run(tmp_path))
    assert [(row.table, row.reason) for row in gaps(records)] == [("*", "unreachable")]
    assert len(records) == 1


def test_without_names_every_top_level_group_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with GitLabSandbox() as sandbox:
        named = collected(config(sandbox, monkeypatch), run(tmp_path))
        seen = collected(config(sandbox, monkeypatch, groups=[]), run(tmp_path))
    assert {msgspec.json.encode(row) for row in seen} == {msgspec.json.encode(row) for row in named}


DEVELOPER = {
    ("secrets", "gitlab-variable"): "Maintainer of the project",
    ("credentials", "deploy-token"): "Maintainer of the project",
    ("credentials", "deploy-key"): "Maintainer of the project",
    ("credentials", "project-access-token"): "Maintainer of the project",
    ("credentials", "trigger-token"): "Maintainer of the project",
    ("controls", "job-token-scope"): "Maintainer of the project",
    ("controls", "webhook-tls"): "Maintainer of the project",
    ("controls", "environment-approval"): "Maintainer of the project (GitLab Premium)",
    ("secrets", "gitlab-schedule-variable"): "Maintainer of the project, or the schedule's owner",
}
"""What a Developer's token cannot see of a project, and the role that would."""


def test_a_developers_token_sees_less_and_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with GitLabSandbox() as sandbox:
        records = collected(config(sandbox, monkeypatch, token=sandbox.member_token), run(tmp_path))
    denied = {
        (row.table, row.kind): row.needs
        for row in gaps(records)
        if row.account_id == "gitlab:project:9002" and row.reason == "denied"
    }
    assert DEVELOPER.items() <= denied.items()
    covered = {
        (row.table, row.kind) for row in of(records, Coverage) if row.account_id == "gitlab:project:9002"
    }
    # The list of schedules is shown, without variables: that is no coverage of the variables.
    assert not covered & (set(DEVELOPER) - {("secrets", "gitlab-schedule-variable")})
    assert ("identities", "gitlab-pipeline") in covered
    settings = [row.needs for row in gaps(records) if row.call.endswith("(CI/CD settings)")]
    assert settings == ["Maintainer of the project"] * 4
    of_group = {row.kind: row.needs for row in gaps(records) if row.account_id == "gitlab:group:8001"}
    assert of_group["gitlab-runner"] == "Maintainer of the top-level group"
    assert of_group["group-access-token"] == "Owner of the group"
    assert of_group["personal-access-token"]


def test_an_owners_token_sees_the_whole_group_but_not_peoples_tokens(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with GitLabSandbox() as sandbox:
        records = collected(config(sandbox, monkeypatch, token=sandbox.owner_token), run(tmp_path))
    assert {(row.table, row.kind, row.reason) for row in gaps(records)} == {
        ("credentials", "personal-access-token", "unsupported"),
        ("credentials", "ssh-key", "unsupported"),
        ("identities", "project-service-account", "unsupported"),
        ("grants", "invited-group", "unsupported"),
    }
    assert {row.name for row in of(records, Identity) if row.kind == "gitlab-user"} >= {
        "maya.ops",
        "lena.left",
    }


def test_an_administrator_without_admin_mode_is_no_administrator(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with GitLabSandbox() as sandbox:
        ordinary = sandbox.make_token("no-admin-mode", 1, 0)
        records = collected(config(sandbox, monkeypatch, token=ordinary, groups=["lantern"]), run(tmp_path))
    lost = {(row.table, row.kind) for row in gaps(records)}
    # Every list of the instance, and the group, which this token cannot even enter.
    assert {
        ("identities", "gitlab-user"),
        ("grants", "administrator"),
        ("credentials", "personal-access-token"),
    } <= lost
    assert ("*", None) in lost
    covered = {(row.table, row.kind) for row in of(records, Coverage)}
    assert not covered & {("grants", "administrator"), ("identities", "gitlab-runner")}


@pytest.mark.parametrize("which", ["wrong", "missing"])
def test_a_token_that_is_refused_or_missing_is_a_gap(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, which: str
) -> None:
    with GitLabSandbox() as sandbox:
        options = config(sandbox, monkeypatch, token="glpat-wrong")
        if which == "missing":
            monkeypatch.delenv("TEST_GITLAB_TOKEN")
        records = collected(options, run(tmp_path))
    # The group, and the instance, which may be the token's to read.
    assert [(row.table, row.reason) for row in gaps(records)] == [("*", "denied")] * 2
    assert len(records) == 2
