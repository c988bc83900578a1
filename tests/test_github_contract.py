"""Whatever GitHub answers, a night ends with Gaps: never an exception, never an empty success."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import collectors.github
from collectors.github.client import GitHubClient
from collectors.github.listings.branch_bypass import BypassBatches
from collectors.github.scope import OrganizationScope
from collectors.github.tokens import UserAuth
from sandbox import github as github_sandbox
from sandbox.github.limits import UNLIMITED as FREE
from sandbox.github.server import GitHubSandbox
from sandbox.kit.contract import standard_collector_tests
from scanner.collect.memory import Memory
from scanner.records import Account, Control, Coverage, Gap
from tests.github_night import app_config, collected, config, gaps, of
from tests.nights import NIGHT, run
from tests.sealed_night import FINGERPRINT

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.kit.faults import Trouble

TROUBLES: list[Trouble] = [403, 404, "too-many-bare", 500, "cut", "malformed"]
SMALL = {"repositories": {"include": ["payments-api", "pr-preview"]}, "workers": 2, "timeout_seconds": 5}

TestContract = standard_collector_tests(collectors.github, github_sandbox)
TestContractOfAnApp = standard_collector_tests(collectors.github, github_sandbox, variant="app", turns=1)


def listing(row: Gap | Coverage) -> str:
    """The route that a row speaks of."""
    return row.call.split(" (")[0].split("?")[0].split(" [")[0]


@pytest.mark.parametrize("trouble", TROUBLES)
def test_an_organization_that_cannot_be_read_is_one_gap_for_everything(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, trouble: Trouble
) -> None:
    with GitHubSandbox(limits=FREE) as sandbox:
        sandbox.fail("GET /orgs/{org}", trouble)
        records = collected(config(sandbox, monkeypatch, throttled_wait_seconds=0.001), run(tmp_path))
    assert [(row.table, row.reason != "bug") for row in gaps(records)] == [("*", True)]
    assert len(records) == 1


@pytest.mark.parametrize("trouble", [*TROUBLES, "RATE_LIMITED", "RATE_LIMIT"])
def test_repositories_that_cannot_be_listed_leave_every_table_in_doubt(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, trouble: Trouble
) -> None:
    with GitHubSandbox(limits=FREE) as sandbox:
        sandbox.fail("/graphql", trouble)
        records = collected(
            config(sandbox, monkeypatch, throttled_wait_seconds=0.001, longest_wait_seconds=0.5),
            run(tmp_path),
        )
    doubted = {
        row.table
        for row in gaps(records)
        if row.call == "POST /graphql organization.repositories" and row.reason != "bug"
    }
    assert doubted == {
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
    assert not any(row.call.startswith("POST /graphql") for row in of(records, Coverage))


def test_a_repository_that_is_not_shown_is_a_gap_and_the_rest_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with GitHubSandbox(limits=FREE) as sandbox:
        sandbox.fail("/graphql", "FORBIDDEN")
        records = collected(config(sandbox, monkeypatch), run(tmp_path))
        there = len(sandbox.organization.repositories)
    read = {record.id for record in records if record.id.startswith("github:repo:")}
    assert len(read) == there - 1
    lost = [row for row in gaps(records) if row.call == "POST /graphql organization.repositories"]
    assert {row.table for row in lost} >= {"accounts", "secrets", "credentials"}
    assert "1 repositories are not visible" in lost[0].detail


PERMISSIONS = {
    "organization_hooks": "GET /orgs/{org}/hooks",
    "organization_secrets": "GET /orgs/{org}/actions/secrets",
    "organization_administration": "GET /orgs/{org}/installations",
    "organization_personal_access_tokens": "GET /orgs/{org}/personal-access-tokens",
    "members": "GET /orgs/{org}/members",
    "repository_hooks": "GET /repos/{owner}/{repo}/hooks",
    "secrets": "GET /repos/{owner}/{repo}/actions/secrets",
    "administration": "GET /repos/{owner}/{repo}/actions/permissions/workflow",
}


@pytest.mark.parametrize("permission", sorted(PERMISSIONS))
def test_a_permission_that_an_app_lacks_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, permission: str
) -> None:
    with GitHubSandbox(limits=FREE) as sandbox:
        sandbox.revoke(permission)
        records = collected(app_config(sandbox, monkeypatch, **SMALL), run(tmp_path))
    row = next(row for row in gaps(records) if listing(row) == PERMISSIONS[permission])
    assert permission in (row.needs or "").replace("-", "_")


def test_an_app_sees_all_but_what_apps_may_not_see(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with GitHubSandbox(limits=FREE) as sandbox:
        records = collected(app_config(sandbox, monkeypatch), run(tmp_path))
    assert {listing(row) for row in gaps(records) if row.reason == "denied"} == {
        "GET /orgs/{org}/rulesets",
        "GET /orgs/{org}/codespaces/secrets",
    }


def test_a_token_that_is_refused_is_a_gap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with GitHubSandbox(limits=FREE) as sandbox:
        records = collected(config(sandbox, monkeypatch, token="ghp_wrong"), run(tmp_path))
    assert [(row.table, row.reason) for row in gaps(records)] == [("*", "denied")]


def test_a_token_that_is_missing_is_a_gap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with GitHubSandbox(limits=FREE) as sandbox:
        options = config(sandbox, monkeypatch)
        monkeypatch.delenv("TEST_GITHUB_TOKEN")
        records = collected(options, run(tmp_path))
    assert [(row.table, row.reason) for row in gaps(records)] == [("*", "denied")]
    assert "TEST_GITHUB_TOKEN" in gaps(records)[0].detail


def test_an_app_key_that_cannot_sign_is_a_gap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with GitHubSandbox(limits=FREE) as sandbox:
        options = app_config(sandbox, monkeypatch, organizations=["lanternpay"])
        monkeypatch.setenv("TEST_GITHUB_KEY", "not a key")
        records = collected(options, run(tmp_path))
    assert [(row.table, row.reason) for row in gaps(records)] == [("*", "denied")]
    assert "not a key" not in gaps(records)[0].detail


def test_an_organization_without_the_app_is_a_gap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with GitHubSandbox(limits=FREE) as sandbox:
        records = collected(
            app_config(sandbox, monkeypatch, organizations=["lanternpay", "elsewhere"]), run(tmp_path)
        )
    assert [row.target for row in gaps(records) if row.table == "*"] == ["elsewhere"]


def test_without_environments_their_secrets_are_in_doubt(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with GitHubSandbox(limits=FREE) as sandbox:
        sandbox.fail("GET /repos/{owner}/{repo}/environments", 403)
        records = collected(config(sandbox, monkeypatch, **SMALL), run(tmp_path))
    assert {(row.table, row.kind) for row in gaps(records) if row.account_id == "github:repo:5001"} == {
        ("controls", "environment-approval"),
        ("controls", "environment-branch-policy"),
        ("controls", "environment-custom-rule"),
        ("controls", "environment-wait-timer"),
        ("secrets", "github-actions"),
        ("secrets", "github-variable"),
    }


REFUSED = {
    "administration": ("controls", "branch-protection"),
    "contents": ("identities", "github-workflow"),
    "deployments": ("deployments", None),
}


@pytest.mark.parametrize("permission", sorted(REFUSED))
def test_a_part_that_graphql_refuses_does_not_take_the_repositories_with_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, permission: str
) -> None:
    with GitHubSandbox(limits=FREE) as sandbox:
        sandbox.revoke(permission)
        records = collected(app_config(sandbox, monkeypatch), run(tmp_path))
        there = {f"github:repo:{repository.id}" for repository in sandbox.organization.repositories}
    assert {row.id for row in of(records, Account)} - {"github:org:7001001"} == there
    assert {row.account_id for row in gaps(records) if (row.table, row.kind) == REFUSED[permission]} == there


def test_rules_are_kept_when_their_bypass_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with GitHubSandbox(limits=FREE) as sandbox:
        whole = collected(config(sandbox, monkeypatch), run(tmp_path))
        sandbox.fail("/graphql", 500)
        options = config(sandbox, monkeypatch)
        bypass = BypassBatches(
            OrganizationScope(
                client=GitHubClient(options, run(tmp_path), auth=UserAuth(options)),
                run=run(tmp_path),
                target=next(collectors.github.targets(options, run(tmp_path))),
                config=options,
                memory=Memory(tmp_path, "github", "t", as_of=NIGHT, version="1", fingerprint=FINGERPRINT),
                login="lanternpay",
                number=7001001,
                account_id="github:org:7001001",
            )
        )
        rules = [row for row in of(whole, Control) if row.kind == "branch-protection"]
        records = [*bypass.without_rules(rules, {row.id: row.id for row in rules}), *bypass.rest()]
    assert of(records, Control) == rules
    assert [(row.kind, row.reason) for row in gaps(records)] == [("branch-protection-bypass", "unreachable")]


@pytest.mark.parametrize("shape", ["cloud", "team", "ghes"])
def test_nothing_but_reads_is_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shape: str) -> None:
    with GitHubSandbox(shape=shape, limits=FREE) as sandbox:  # type: ignore[arg-type]
        collected(config(sandbox, monkeypatch), run(tmp_path / "a"))
        collected(app_config(sandbox, monkeypatch), run(tmp_path / "b"))
        sent = {call.split(" ")[0] if call.startswith("GET") else call for call in sandbox.calls}
    assert sent == {"GET", "POST /graphql", "POST /app/installations/{installation_id}/access_tokens"}
