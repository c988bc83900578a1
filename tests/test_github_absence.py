"""A trust in a repository that is not there: found when GitHub was read in full, and not claimed when it was not.

Each night is collected over HTTP, and analyzed together with a role of AWS that trusts the repository.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from sandbox.github.organization import GitHubRepository, Organization, Repositories, User
from sandbox.github.server import GitHubSandbox
from scanner.analyze.rule_files import load_rules
from scanner.analyze.steps import AnalyzeSettings, analyze
from scanner.records import Test, Trust
from tests.github_night import collected, config
from tests.nights import run
from tests.sealed_night import ACCOUNT, account, everything, role, rows, seal_night

if TYPE_CHECKING:
    from pathlib import Path

OLD = datetime(2025, 1, 1, tzinfo=UTC)
ISSUER = "https://token.actions.githubusercontent.com"


def acme(*names: str, **changes: Any) -> Organization:
    repositories = [
        msgspec.structs.replace(
            GitHubRepository(id=number, name=name, created_at=OLD, pushed_at=OLD), **changes
        )
        for number, name in enumerate(names, 11)
    ]
    return Organization(
        id=1,
        login="acme",
        name="Acme",
        created_at=OLD,
        updated_at=OLD,
        repositories=Repositories.of(repositories),
        users=(User(id=1, login="ann", created_at=OLD, role="admin"),),
    )


def trusting(repository: str) -> list[Any]:
    test = Test(claim="sub", operator="glob", values=[f"repo:acme/{repository}:*"])
    trust = Trust(
        id="aws:trust:1",
        provider="aws",
        account_id=ACCOUNT,
        identity_id="aws:iam-role:deploy",
        kind="oidc",
        issuer=ISSUER,
        tests=[test],
    )
    return [account(), role("deploy"), trust, *everything()]


def evaluated(
    state: Path, records: list[Any], repository: str = "old", night: int = 1
) -> tuple[list[str], str]:
    """Return the findings, and whether the rule was evaluated for the AWS account."""
    only = [
        rule.id
        for rule in load_rules()
        if rule.id != "trust-repository-deleted" and rule.category != "exception"
    ]
    run_id = seal_night(state, night, trusting(repository), records)
    analyze(state, run_id, settings=AnalyzeSettings(disabled=only))
    found = rows(state, night, "SELECT subject FROM findings WHERE rule = 'trust-repository-deleted'")
    ((status,),) = rows(
        state,
        night,
        f"SELECT status FROM rule_results WHERE rule = 'trust-repository-deleted' AND account_id = '{ACCOUNT}'",
    )
    return [row[0] for row in found], status


@pytest.mark.parametrize(
    ("repository", "found"), [("old", ["aws:trust:1"]), ("app", []), ("APP", []), ("app*", [])]
)
def test_a_night_that_saw_everything_says_what_is_gone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, repository: str, found: list[str]
) -> None:
    with GitHubSandbox(organization=acme("app")) as sandbox:
        records = collected(config(sandbox, monkeypatch), run(tmp_path))
    assert evaluated(tmp_path, records, repository) == (found, "evaluated")


def test_a_repository_that_the_configuration_leaves_out_is_not_gone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with GitHubSandbox(organization=acme("app", "old")) as sandbox:
        section = config(sandbox, monkeypatch, repositories={"exclude": ["old"]})
        records = collected(section, run(tmp_path))
    assert evaluated(tmp_path, records)[0] == []


@pytest.mark.parametrize("permissions", [{"metadata": "read"}, {"organization_administration": "read"}])
def test_a_token_that_sees_some_repositories_claims_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, permissions: dict[str, str]
) -> None:
    with GitHubSandbox(organization=acme("app", "old")) as sandbox:
        token = sandbox.fine_grained_token(permissions, repositories=["app"])
        records = collected(config(sandbox, monkeypatch, token=token), run(tmp_path))
    assert evaluated(tmp_path, records) == ([], "incomplete")


@pytest.mark.parametrize("path", ["/orgs/acme", "/graphql"])
def test_a_night_on_which_github_did_not_answer_claims_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, path: str
) -> None:
    with GitHubSandbox(organization=acme("app")) as sandbox:
        sandbox.fail(path, 403)
        records = collected(config(sandbox, monkeypatch), run(tmp_path))
    assert evaluated(tmp_path, records) == ([], "not-evaluated")


def test_a_night_without_github_claims_nothing(tmp_path: Path) -> None:
    assert evaluated(tmp_path, []) == ([], "not-evaluated")


@pytest.mark.parametrize("seen", ["some", "none", "refused"])
def test_what_was_gone_is_not_back_because_less_was_seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seen: str
) -> None:
    with GitHubSandbox(organization=acme("app")) as sandbox:
        assert evaluated(tmp_path, collected(config(sandbox, monkeypatch), run(tmp_path)))[0] == [
            "aws:trust:1"
        ]
        records: list[Any] = []
        if seen == "some":
            token = sandbox.fine_grained_token({"metadata": "read"}, repositories=["app"])
            records = collected(config(sandbox, monkeypatch, token=token), run(tmp_path, 1))
        elif seen == "refused":
            sandbox.fail("/graphql", 403)
            records = collected(config(sandbox, monkeypatch), run(tmp_path, 1))
    assert evaluated(tmp_path, records, night=2)[0] == ["aws:trust:1"]
    assert rows(tmp_path, 2, "SELECT status FROM findings WHERE rule = 'trust-repository-deleted'") == [
        ("unobserved",)
    ]
