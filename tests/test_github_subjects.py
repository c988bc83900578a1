"""Prefixes of workflow tokens' subjects, as GitHub's API reports them: with names, with ids, by template."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import pytest

from sandbox.github.organization import GitHubRepository, Organization, Repositories, Subject, User
from sandbox.github.server import GitHubSandbox
from scanner.records import Identity
from tests.github_night import collected, config, gaps, of
from tests.nights import run

if TYPE_CHECKING:
    from pathlib import Path

OLD = datetime(2025, 1, 1, tzinfo=UTC)
DEPLOY = (
    "on: {push: {branches: [main]}}\npermissions: {id-token: write}\n"
    "jobs: {a: {runs-on: ubuntu-24.04, steps: [{run: make}]}}\n"
)
CALLER = (
    "on: {push: {branches: [main]}}\npermissions: {id-token: write}\n"
    "jobs: {a: {uses: ./.github/workflows/called.yml}}\n"
)
CALLED = (
    "on: workflow_call\njobs: {a: {runs-on: ubuntu-24.04, environment: production, steps: [{run: make}]}}\n"
)
APP = GitHubRepository(
    id=11, name="app", created_at=OLD, pushed_at=OLD, files={".github/workflows/deploy.yml": DEPLOY}
)
NAMES, IDS = "repo:acme/app:ref:refs/heads/main", "repo:acme@1/app@11:ref:refs/heads/main"
OWNER = "repository_owner:acme:ref:refs/heads/main"


def acme(subject: Subject, *, organization: Subject | None = None, **changes: object) -> Organization:
    return Organization(
        id=1,
        login="acme",
        name="Acme",
        created_at=OLD,
        updated_at=OLD,
        subject=organization or Subject(claims=("repo", "context")),
        repositories=Repositories.of([msgspec.structs.replace(APP, subject=subject, **changes)]),
        users=(User(id=1, login="ann", created_at=OLD, role="admin"),),
    )


def subjects(sandbox: GitHubSandbox, monkeypatch: pytest.MonkeyPatch, folder: Path) -> dict[str, list[str]]:
    records = collected(config(sandbox, monkeypatch), run(folder))
    assert not [row for row in gaps(records) if row.reason == "bug"]
    return {row.native_id.rpartition("/")[2]: row.subjects for row in of(records, Identity) if row.subjects}


@pytest.mark.parametrize(
    ("subject", "organization", "expected"),
    [
        (Subject(), None, [NAMES]),
        (Subject(immutable=True), None, [IDS]),
        # New repositories have ids although the setting says no: the prefix is more reliable.
        (Subject(immutable=True, opted_in=False), None, [IDS]),
        (Subject(use_default=True, claims=("actor",)), None, [NAMES]),
        (Subject(use_default=False), Subject(claims=("repository_owner", "context")), [OWNER]),
        (Subject(use_default=True), Subject(claims=("repository_owner", "context")), [NAMES]),
        (Subject(use_default=False, claims=("repo",), immutable=True), None, ["repo:acme@1/app@11"]),
    ],
)
def test_subjects(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    subject: Subject,
    organization: Subject | None,
    expected: list[str],
) -> None:
    with GitHubSandbox(organization=acme(subject, organization=organization)) as sandbox:
        assert subjects(sandbox, monkeypatch, tmp_path) == {"deploy.yml": expected}


def test_where_the_template_is_not_shown_every_form_is_possible(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    custom = Subject(claims=("repository_owner", "context"))
    with GitHubSandbox(organization=acme(Subject(), organization=custom)) as sandbox:
        sandbox.fail("/repos/acme/app/actions/oidc/customization/sub", 403)
        assert subjects(sandbox, monkeypatch, tmp_path) == {"deploy.yml": [NAMES, IDS, OWNER]}


def test_a_server_has_no_ids_in_subjects(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with GitHubSandbox(organization=acme(Subject()), shape="ghes") as sandbox:
        assert subjects(sandbox, monkeypatch, tmp_path) == {"deploy.yml": [NAMES]}


def test_a_called_workflow_gives_its_caller_its_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    files = {".github/workflows/deploy.yml": CALLER, ".github/workflows/called.yml": CALLED}
    with GitHubSandbox(organization=acme(Subject(), files=files)) as sandbox:
        first = subjects(sandbox, monkeypatch, tmp_path)
        # The second night remembers both files, and fetches neither.
        assert subjects(sandbox, monkeypatch, tmp_path) == first
    assert first == {"deploy.yml": ["repo:acme/app:environment:production"]}
