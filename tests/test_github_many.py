"""What does not fit in the first page, the first token or the first text."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import msgspec
import pytest

from collectors.github.client import GitHubClient
from collectors.github.tokens import InstallationAuth
from sandbox.github.limits import GitHubLimits
from sandbox.github.organization import (
    Actions,
    GitHubRepository,
    Installation,
    Organization,
    Protection,
    Repositories,
    Ruleset,
    User,
    Variable,
)
from sandbox.github.server import GitHubSandbox
from scanner.records import Account, Control, Gap, Grant, Identity, Secret
from scanner.secrets.detectors import Fingerprint, inspect
from tests.github_night import app_config, collected, config, gaps, of
from tests.nights import run

if TYPE_CHECKING:
    from pathlib import Path

OLD = datetime(2025, 1, 1, tzinfo=UTC)
WORKFLOW = "on: push\njobs: {a: {runs-on: ubuntu-24.04, steps: [{run: make}]}}\n"


def organization(*repositories: GitHubRepository, people: int = 1) -> Organization:
    return Organization(
        id=1,
        login="acme",
        name="Acme",
        created_at=OLD,
        updated_at=OLD,
        repositories=Repositories.of(repositories),
        users=tuple(
            User(id=number, login=f"user-{number}", created_at=OLD, role="admin" if number == 1 else "member")
            for number in range(1, people + 1)
        ),
    )


def repository(**changes: object) -> GitHubRepository:
    return msgspec.structs.replace(
        GitHubRepository(id=11, name="app", created_at=OLD, pushed_at=OLD), **changes
    )


def test_more_rules_and_people_than_a_page_shows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    app = repository(
        protections=tuple(Protection(id=number, pattern=f"release/{number}") for number in range(1, 9)),
        rulesets=tuple(
            Ruleset(id=number, name=f"rules {number}", created_at=OLD, updated_at=OLD)
            for number in range(1, 9)
        ),
        collaborators={f"user-{number}": "write" for number in range(2, 40)},
        files={"README.md": "x"},
    )
    with GitHubSandbox(organization=organization(app, people=40)) as sandbox:
        records = collected(config(sandbox, monkeypatch), run(tmp_path))
    kinds = [row.kind for row in of(records, Control)]
    # None of them is about the default branch.
    assert (kinds.count("protected-branch"), kinds.count("branch-protection")) == (8, 0)
    assert kinds.count("ruleset") == 8
    assert len([row for row in of(records, Grant) if row.via == "repository collaborator"]) == 38


def test_a_list_of_allowed_actions_that_lets_all_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files = {".github/workflows/a.yml": WORKFLOW}
    own = repository(files=files, actions=Actions(allowed="selected", patterns=("acme/*", "*")))
    made = msgspec.structs.replace(organization(own), actions=Actions(allowed="all"))
    with GitHubSandbox(organization=made) as sandbox:
        records = collected(config(sandbox, monkeypatch), run(tmp_path))
    (row,) = [row for row in of(records, Control) if row.kind == "selected-actions"]
    assert (row.account_id, row.enforcement) == ("github:repo:11", "absent")


@pytest.mark.parametrize(
    "route", ["/orgs/{org}/actions/permissions", "/repos/{owner}/{repo}/actions/permissions"]
)
def test_an_empty_answer_does_not_say_that_all_actions_are_allowed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, route: str
) -> None:
    with GitHubSandbox(
        organization=organization(repository(files={".github/workflows/a.yml": WORKFLOW}))
    ) as sandbox:
        sandbox.fail(f"GET {route}", "empty-object")
        records = collected(config(sandbox, monkeypatch), run(tmp_path))
    assert {row.reason for row in gaps(records) if row.kind == "allowed-actions"} == {"malformed"}
    assert len([row for row in of(records, Control) if row.kind == "allowed-actions"]) == 1


def test_a_page_that_github_could_not_make_in_time_is_asked_for_again_smaller(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    many = [repository(id=number, name=f"app-{number}") for number in range(1, 61)]
    with GitHubSandbox(organization=organization(*many)) as sandbox:
        sandbox.fail("/graphql", "timeout", times=1)
        records = collected(config(sandbox, monkeypatch), run(tmp_path))
    assert len({row.account_id for row in records if row.account_id.startswith("github:repo:")}) == 60
    assert not [row for row in gaps(records) if "graphql" in row.call]


@pytest.mark.parametrize("rulesets", [1, 8])
@pytest.mark.parametrize(
    ("changes", "target"),
    [
        ({}, "branch"),
        ({"refs": ("refs/heads/release/*",)}, "branch-other"),
        ({"approvals": None}, "branch-other"),
        ({"approvals": None, "rules": ("required_status_checks",)}, "branch"),
        ({"target": "tag", "refs": ("~ALL",)}, "tag"),
    ],
)
def test_which_rulesets_are_a_gate_to_the_default_branch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, rulesets: int, changes: dict[str, object], target: str
) -> None:
    one = msgspec.structs.replace(Ruleset(id=1, name="r", created_at=OLD, updated_at=OLD), **changes)
    others = [
        Ruleset(id=number, name="t", created_at=OLD, updated_at=OLD, target="tag", refs=("~ALL",))
        for number in range(2, rulesets + 1)
    ]
    app = repository(rulesets=(one, *others), files={"README.md": "x"})
    with GitHubSandbox(organization=organization(app)) as sandbox:
        records = collected(config(sandbox, monkeypatch), run(tmp_path))
    assert {row.id: row.target for row in of(records, Control)}["github:ruleset:11/1"] == target


@pytest.mark.parametrize(
    ("pattern", "kind"),
    [
        ("main", "branch-protection"),
        ("ma*", "branch-protection"),
        ("**/main", "branch-protection"),
        ("release/*", "protected-branch"),
        ("*/main", "protected-branch"),
        ("maint", "protected-branch"),
    ],
)
def test_a_protection_of_another_branch_does_not_protect_the_default_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pattern: str, kind: str
) -> None:
    app = repository(protections=(Protection(id=1, pattern=pattern),), files={"README.md": "x"})
    with GitHubSandbox(organization=organization(app)) as sandbox:
        records = collected(config(sandbox, monkeypatch), run(tmp_path))
    assert [row.kind for row in of(records, Control) if row.name == pattern] == [kind]


def test_who_does_not_administer_a_repository_does_not_know_that_it_is_unprotected(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with GitHubSandbox(organization=organization(repository())) as sandbox:
        token = sandbox.fine_grained_token({"metadata": "read", "contents": "read"})
        records = collected(config(sandbox, monkeypatch, token=token), run(tmp_path))
    assert [row.reason for row in gaps(records) if row.kind == "branch-protection"] == ["denied"]


def test_more_repositories_than_a_page_shows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    many = [repository(id=number, name=f"app-{number}") for number in range(1, 121)]
    with GitHubSandbox(organization=organization(*many)) as sandbox:
        sandbox.fail("/graphql", 502, times=2)
        records = collected(config(sandbox, monkeypatch), run(tmp_path))
    assert len({row.account_id for row in records if row.account_id.startswith("github:repo:")}) == 120
    assert not [row for row in gaps(records) if "graphql" in row.call]


@pytest.mark.parametrize(
    ("permissions", "repositories", "detail"),
    [
        (
            {"organization_administration": "read"},
            ["app-1"],
            "1 of 3 repositories are visible to this token.",
        ),
        (
            {"metadata": "read"},
            ["app-1"],
            "1 repositories are visible; this token cannot see the total number.",
        ),
        (
            {"metadata": "read"},
            None,
            "3 repositories are visible; this token cannot see the total number.",
        ),
        ({"organization_administration": "read"}, None, None),
    ],
)
def test_repositories_that_a_token_is_not_shown(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    permissions: dict[str, str],
    repositories: list[str] | None,
    detail: str | None,
) -> None:
    apps = [repository(id=number, name=f"app-{number}") for number in (1, 2, 3)]
    with GitHubSandbox(organization=organization(*apps)) as sandbox:
        token = sandbox.fine_grained_token(permissions, repositories=repositories)
        records = collected(config(sandbox, monkeypatch, token=token), run(tmp_path))
    rows = [row for row in gaps(records) if row.call.endswith("totalCount")]
    assert [(row.table, row.kind, row.detail) for row in rows] == (
        [("accounts", "github-repository", detail)] if detail else []
    )


@pytest.mark.parametrize(("selection", "few"), [("all", False), ("selected", True)])
def test_an_app_knows_whether_it_was_given_all(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, selection: Literal["all", "selected"], few: bool
) -> None:
    made = organization(repository())
    own = Installation(
        id=9,
        app_id=90,
        slug="sprawlscan",
        client_id="Iv1.9",
        permissions={"metadata": "read"},
        created_at=OLD,
        updated_at=OLD,
        repository_selection=selection,
    )
    with GitHubSandbox(organization=msgspec.structs.replace(made, installations=(own,))) as sandbox:
        records = collected(app_config(sandbox, monkeypatch), run(tmp_path))
    assert [row.detail for row in gaps(records) if row.call.endswith("totalCount")] == (
        ["The App is installed on selected repositories only: 1 are visible."] if few else []
    )


@pytest.mark.parametrize(("chosen", "told"), [([], True), (["acme"], False)])
def test_an_app_that_is_installed_on_a_user_says_that_the_user_is_not_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, chosen: list[str], told: bool
) -> None:
    own = Installation(
        id=9,
        app_id=90,
        slug="sprawlscan",
        client_id="Iv1.9",
        permissions={"metadata": "read"},
        created_at=OLD,
        updated_at=OLD,
    )
    made = msgspec.structs.replace(
        organization(repository()),
        installations=(own,),
        personal_installations=(msgspec.structs.replace(own, id=10, user="ben"),),
    )
    with GitHubSandbox(organization=made) as sandbox:
        records = collected(app_config(sandbox, monkeypatch, organizations=chosen), run(tmp_path))
    unread = [row for row in gaps(records) if row.table == "*"]
    assert [(row.target, row.reason) for row in unread] == ([("user ben", "unsupported")] if told else [])
    assert all("the App is installed on the user ben" in (row.detail or "") for row in unread)
    # The organization itself is read in both cases.
    assert [row.name for row in of(records, Account) if row.kind == "github-repository"] == ["app"]


def test_texts_that_are_long_broken_or_no_text(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    app = repository(
        files={
            ".github/workflows/long.yml": WORKFLOW + "# " + "x" * 600_000,
            ".github/workflows/broken.yml": "on: [push\njobs: {",
            ".github/workflows/good.yml": WORKFLOW,
            ".github/workflows/README.md": "no workflow",
            "Jenkinsfile": "pipeline { agent any; stages { stage('x') { steps { sh 'make' } } } }",
        }
    )
    with GitHubSandbox(organization=organization(app)) as sandbox:
        records = collected(config(sandbox, monkeypatch), run(tmp_path))
        assert sandbox.calls["GET /repos/{owner}/{repo}/git/blobs/{file_sha}"] == 1
    workflows = {row.native_id for row in of(records, Identity) if row.kind == "github-workflow"}
    assert workflows == {"11:.github/workflows/long.yml", "11:.github/workflows/good.yml"}
    broken = [row for row in gaps(records) if "broken.yml" in row.call]
    assert {row.table for row in broken} == {"identities", "grants", "links", "secrets", "weaknesses"}
    assert {row.reason for row in broken} == {"malformed"}


def test_a_long_text_that_repositories_share_is_read_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    files = {".github/workflows/long.yml": WORKFLOW + "# " + "x" * 600_000}
    shared = [repository(id=number, name=f"app-{number}", files=files) for number in (11, 12, 13)]
    with GitHubSandbox(organization=organization(*shared)) as sandbox:
        records = collected(config(sandbox, monkeypatch, workers=1), run(tmp_path))
        assert sandbox.calls["GET /repos/{owner}/{repo}/git/blobs/{file_sha}"] == 1
    assert len([row for row in of(records, Identity) if row.kind == "github-workflow"]) == 3


def test_a_token_that_ends_is_made_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with GitHubSandbox(limits=GitHubLimits(scale=3600)) as sandbox:
        options = app_config(sandbox, monkeypatch)
        reader = GitHubClient(
            options, run(tmp_path), auth=InstallationAuth(options, run(tmp_path), sandbox.app.installation_id)
        )
        first = reader.one("/orgs/lanternpay")
        time.sleep(1.2)
        assert reader.one("/orgs/lanternpay") == first
        assert sandbox.calls["POST /app/installations/{installation_id}/access_tokens"] == 2


def test_no_planted_value_comes_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with GitHubSandbox() as sandbox:
        there = sandbox.organization
        records = collected(config(sandbox, monkeypatch), run(tmp_path))
    memory = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    variables: list[Variable] = list(there.variables)
    values = []
    for one in there.repositories:
        variables += [
            *one.variables,
            *(held for environment in one.environments for held in environment.variables),
        ]
        values += [alert.secret for alert in one.alerts]
    evaluated = [(one, inspect(one.name, one.value, Fingerprint(b"k" * 32))) for one in variables]
    public = {seen.key_id for _, seen in evaluated if seen}
    values += [one.value for one, seen in evaluated if seen and one.value not in public]
    assert values
    written = msgspec.json.encode(records)
    for value in values:
        assert value.encode() not in written
        assert value.encode() not in memory
    assert of(records, Secret)
    assert not [row for row in records if isinstance(row, Gap) and "ghp_" in row.detail]
