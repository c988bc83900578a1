"""What a second night asks again, what it carries forward, and what it never writes down."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest

from sandbox.github.organization import (
    AuditEvent,
    DeployKey,
    Environment,
    GitHubRepository,
    GitHubSecret,
    Hook,
    Organization,
    Repositories,
    User,
    Variable,
)
from sandbox.github.server import GitHubSandbox
from sandbox.github.shapes import Site
from scanner.records import Coverage, Gap
from tests.github_night import app_config, collected, config, gaps, of
from tests.nights import NIGHT, run

if TYPE_CHECKING:
    from pathlib import Path

    from scanner.records import Record

OLD = datetime(2025, 1, 1, tzinfo=UTC)
HOOKS = "/repos/{owner}/{repo}/hooks"
WORKFLOW = """
on: push
permissions: {id-token: write}
jobs:
  deploy:
    runs-on: ubuntu-24.04
    steps: [{run: "echo CANARY-TEXT-5f1d"}]
"""
VALUE = "AKIAQYLPMN5HCANARYZQ"


def repository(number: int) -> GitHubRepository:
    return GitHubRepository(
        id=number,
        name=f"app-{number}",
        created_at=OLD,
        pushed_at=OLD,
        archived=number % 7 == 0,
        files={".github/workflows/deploy.yml": WORKFLOW, "CODEOWNERS": "* @acme/owners\n"},
        secrets=(GitHubSecret(name="TOKEN", created_at=OLD, updated_at=OLD),),
        variables=(Variable(name="AWS_ACCESS_KEY_ID", value=VALUE, created_at=OLD, updated_at=OLD),),
        environments=(Environment(id=number * 10, name="production", created_at=OLD, updated_at=OLD),),
        deploy_keys=(DeployKey(id=number * 10, title="old server", created_at=OLD),),
        hooks=(Hook(id=number, url="https://hooks.example/t0k3n-in-path", created_at=OLD, updated_at=OLD),),
    )


def acme(count: int = 21, **changes: object) -> Organization:
    organization = Organization(
        id=1,
        login="acme",
        name="Acme",
        created_at=OLD,
        updated_at=OLD,
        repositories=Repositories.of([repository(number) for number in range(1, count + 1)]),
        users=(User(id=1, login="ann", created_at=OLD, role="admin"),),
    )
    return msgspec.structs.replace(organization, **changes)


def changed(organization: Organization, number: int, **changes: object) -> Organization:
    return msgspec.structs.replace(
        organization,
        repositories=Repositories.of(
            [
                msgspec.structs.replace(one, **changes) if one.id == number else one
                for one in organization.repositories
            ]
        ),
    )


def asked_for(sandbox: GitHubSandbox, since: int = 0) -> list[str]:
    """Names of the repositories whose webhooks were asked for."""
    return [call.path.split("?")[0].split("/")[3] for call in sandbox.log[since:] if call.template == HOOKS]


def facts(records: list[Record]) -> set[bytes]:
    """Records without the rows about coverage."""
    return {msgspec.json.encode(row) for row in records if not isinstance(row, Coverage | Gap)}


def test_a_second_night_gives_the_same_and_asks_a_seventh(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with GitHubSandbox(organization=acme()) as sandbox:
        options = config(sandbox, monkeypatch, rotate_above=10, audit_log=False)
        first = collected(options, run(tmp_path))
        sent = len(sandbox.log)
        assert len(asked_for(sandbox)) == 21
        second = collected(options, run(tmp_path, 1))
        again = asked_for(sandbox, sent)
    assert facts(second) == facts(first)
    assert len(again) == 3
    (row,) = [row for row in gaps(second) if row.kind == "carried-forward"]
    assert "18 repositories" in row.detail
    assert "2026-11-22" in row.detail
    carried = [
        row
        for row in of(second, Coverage)
        if row.carried_from is not None and row.carried_from.date().isoformat() == "2026-11-22"
    ]
    assert {row.account_id for row in carried} == {f"github:repo:{number}" for number in range(1, 22)} - {
        f"github:repo:{name.removeprefix('app-')}" for name in again
    }
    assert not any(row.kind == "carried-forward" for row in gaps(first))


def test_every_repository_is_asked_again_within_a_week(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with GitHubSandbox(organization=acme()) as sandbox:
        options = config(sandbox, monkeypatch, rotate_above=10, audit_log=False)
        collected(options, run(tmp_path))
        sent = len(sandbox.log)
        for night in range(1, 8):
            collected(options, run(tmp_path, night))
        again = asked_for(sandbox, sent)
    assert sorted(again) == sorted(f"app-{number}" for number in range(1, 22))


def test_nights_that_were_missed_are_made_up_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with GitHubSandbox(organization=acme()) as sandbox:
        options = config(sandbox, monkeypatch, rotate_above=10, audit_log=False)
        collected(options, run(tmp_path))
        sent = len(sandbox.log)
        collected(options, run(tmp_path, 30))
        assert len(asked_for(sandbox, sent)) == 21


def test_a_small_organization_is_read_in_full_every_night(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with GitHubSandbox(organization=acme()) as sandbox:
        options = config(sandbox, monkeypatch)
        collected(options, run(tmp_path))
        sent = len(sandbox.log)
        second = collected(options, run(tmp_path, 1))
        assert len(asked_for(sandbox, sent)) == 21
    assert not any(row.kind == "carried-forward" for row in gaps(second))


@pytest.mark.parametrize(
    "change",
    [
        {"name": "renamed"},
        {"archived": True},
        {"visibility": "public"},
        {"deploy_keys": ()},
        {"environments": ()},
        {"files": {".github/workflows/deploy.yml": WORKFLOW + "# more"}},
    ],
)
def test_a_repository_that_changed_visibly_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, change: dict[str, object]
) -> None:
    night = NIGHT + timedelta(days=1)
    quiet = next(number for number in range(1, 7) if number % 7 != night.toordinal() % 7)
    later = changed(acme(), quiet, **change)
    with GitHubSandbox(organization=acme()) as sandbox:
        options = config(sandbox, monkeypatch, rotate_above=10, audit_log=False)
        collected(options, run(tmp_path))
        sent = len(sandbox.log)
        sandbox.organization = later
        sandbox.site = Site(later, sandbox.url, sandbox.url)
        collected(options, run(tmp_path, 1))
        again = asked_for(sandbox, sent)
    assert later.repositories[quiet - 1].name in again
    assert len(again) == 4


def test_a_reading_with_holes_is_not_carried_forward(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with GitHubSandbox(organization=acme()) as sandbox:
        options = config(sandbox, monkeypatch, rotate_above=10, audit_log=False)
        for number in range(1, 22):
            sandbox.fail(f"/repos/acme/app-{number}/hooks", 403)
        collected(options, run(tmp_path))
        sandbox.faults.clear()
        sent = len(sandbox.log)
        second = collected(options, run(tmp_path, 1))
        assert len(asked_for(sandbox, sent)) == 21
    assert not [row for row in gaps(second) if row.account_id.startswith("github:repo:")]


def test_the_audit_log_names_what_changed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    night = NIGHT + timedelta(days=1)
    quiet = [number for number in range(1, 22) if number % 28 != night.toordinal() % 28]
    log = tuple(
        AuditEvent(
            id=str(number),
            action=action,
            actor="ann",
            at=NIGHT + timedelta(hours=12),
            repository=f"app-{name}",
        )
        for number, (action, name) in enumerate(
            [("hook.create", quiet[0]), ("git.clone", quiet[1]), ("repo.actions_secret_created", quiet[2])]
        )
    )
    with GitHubSandbox(organization=acme(audit_log=log)) as sandbox:
        options = config(sandbox, monkeypatch, rotate_above=10)
        collected(options, run(tmp_path))
        sent = len(sandbox.log)
        collected(options, run(tmp_path, 1))
        again = set(asked_for(sandbox, sent))
    assert {f"app-{quiet[0]}", f"app-{quiet[2]}"} <= again
    assert len(again) <= 3


def test_without_an_audit_log_the_rotation_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with GitHubSandbox(organization=acme(), shape="team") as sandbox:
        options = config(sandbox, monkeypatch, rotate_above=10)
        collected(options, run(tmp_path))
        sent = len(sandbox.log)
        second = collected(options, run(tmp_path, 1))
        assert len(asked_for(sandbox, sent)) == 3
    assert [row.reason for row in gaps(second) if row.kind == "audit-log"] == ["unsupported"]


def test_a_stable_token_asks_with_etags_and_an_app_does_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with GitHubSandbox(organization=acme()) as sandbox:
        options = config(sandbox, monkeypatch)
        first = collected(options, run(tmp_path / "token"))
        sent = len(sandbox.log)
        second = collected(options, run(tmp_path / "token", 1))
        lists = [call for call in sandbox.log[sent:] if call.template == HOOKS]
        assert {call.status for call in lists} == {304}
    assert facts(second) == facts(first)
    with GitHubSandbox(night=1) as sandbox:
        options = app_config(sandbox, monkeypatch)
        for night in (0, 1):
            collected(options, run(tmp_path / "app", night))
        assert not any(call.conditional for call in sandbox.log)


def test_files_are_fetched_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with GitHubSandbox(organization=acme()) as sandbox:
        options = config(sandbox, monkeypatch)
        collected(options, run(tmp_path))
        first = sandbox.calls["POST /graphql"]
        collected(options, run(tmp_path, 1))
        assert sandbox.calls["POST /graphql"] - first == 1
    assert first == 2  # one page of repositories, one batch of files


def test_archived_repositories_keep_their_keys_and_hooks_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with GitHubSandbox(organization=acme(7)) as sandbox:
        collected(config(sandbox, monkeypatch), run(tmp_path))
        asked = {call.template for call in sandbox.log if "/app-7/" in call.path}
    assert asked == {"/repos/{owner}/{repo}/keys", HOOKS}


def test_a_memory_that_is_damaged_or_gone_is_read_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with GitHubSandbox(organization=acme()) as sandbox:
        options = config(sandbox, monkeypatch, rotate_above=10)
        first = collected(options, run(tmp_path))
        memory = next(tmp_path.glob("*.sqlite"))
        for damage in (b"", b"no database at all" * 100):
            memory.write_bytes(damage)
            sent = len(sandbox.log)
            assert facts(collected(options, run(tmp_path, 1))) == facts(first)
            assert len(asked_for(sandbox, sent)) == 21


def test_neither_records_nor_memory_hold_a_value_or_a_text(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with GitHubSandbox(organization=acme()) as sandbox:
        options = config(sandbox, monkeypatch)
        records = [row for night in (0, 1) for row in collected(options, run(tmp_path, night))]
        token = sandbox.token
    written = msgspec.json.encode([row for row in records if type(row).__name__ != "Secret"])
    memory = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for held in (written, memory):
        for canary in (b"CANARY-TEXT-5f1d", b"t0k3n-in-path", token.encode()):
            assert canary not in held
    assert VALUE.encode() not in written
    assert any(getattr(row, "credential_id", None) == f"aws:access-key:{VALUE}" for row in records)


def test_what_was_deleted_last_is_seen_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its list is reported as complete under the same name, so that its findings are resolved."""

    def listings(records: list[Record]) -> set[str]:
        return {
            row.id
            for row in of(records, Coverage)
            if row.account_id == "github:repo:1" and row.kind in {"deploy-key", "environment-approval"}
        }

    with GitHubSandbox(organization=acme()) as sandbox:
        options = config(sandbox, monkeypatch)
        before = listings(collected(options, run(tmp_path)))
        emptied = changed(acme(), 1, deploy_keys=(), environments=())
        sandbox.organization, sandbox.site = emptied, Site(emptied, sandbox.url, "https://github.com")
        sent = len(sandbox.log)
        after = listings(collected(options, run(tmp_path, 1)))
        paths = [call.path.split("?")[0] for call in sandbox.log[sent:]]
    assert len(before) == 2
    assert after == before
    assert "/repos/acme/app-1/keys" not in paths
    assert "/repos/acme/app-1/environments" not in paths
