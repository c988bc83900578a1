"""What a second night asks again, what it carries forward, and what it never writes down."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

import collectors.gitlab
from sandbox.gitlab import GitLabSandbox
from sandbox.gitlab import entities as give
from sandbox.gitlab.instance import DEVELOPER, MAINTAINER, Instance
from sandbox.kit.issued import ISSUED
from scanner.records import Coverage, Credential, Gap, Identity, Link, Secret
from tests.github_night import gaps, of
from tests.gitlab_night import collected, config
from tests.nights import NIGHT, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from collectors.gitlab import Config
    from scanner.records import Record

HOOKS = "/projects/{}/hooks"
CANARY = "CANARY-TEXT-5f1d"
DEFINITION = f"""
deploy:
  environment: {{name: production}}
  id_tokens: {{AWS: {{aud: https://gitlab.com}}}}
  script: ['aws sts assume-role --role-arn "$DEPLOY_ROLE"', 'echo {CANARY}']
"""
FIRST = 2_000
COUNT = 21


def acme(count: int = COUNT) -> Instance:
    """A group of projects that all look the same."""
    top = give.group(8001, "lantern", "Lantern Pay")
    out = Instance(
        users={1: give.user(1, "root", "Root", is_admin=True), 101: give.user(101, "maya.ops", "Maya Ops")},
        groups={8001: top},
    )
    out.lists["/groups/8001/members"] = [give.member(out.users[101], 50)]
    for number in range(FIRST, FIRST + count):
        base = f"/projects/{number}"
        out.projects[number] = give.project(number, f"app-{number}", top)
        out.files[f"{number}/.gitlab-ci.yml"] = DEFINITION
        out.lists[f"{base}/variables"] = [
            give.variable("DEPLOY_ROLE", f"arn:aws:iam::100000000001:role/deploy-{number}"),
            give.variable("TOKEN", f"s3cret-value-of-{number}-which-nobody-writes", masked=True),
        ]
        out.lists[f"{base}/members"] = [give.member(out.users[101], MAINTAINER)]
        out.lists[f"{base}/hooks"] = [
            give.hook(number, "https://hooks.example/t0k3n-in-path", ("project", number))
        ]
        out.objects[f"{base}/job_token_scope"] = {"inbound_enabled": True, "outbound_enabled": False}
    return out


def rotating(sandbox: GitLabSandbox, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Config:
    return config(sandbox, monkeypatch, rotate_above=10, instance=False, **options)


def asked_for(sandbox: GitLabSandbox, since: int = 0) -> list[int]:
    """Projects whose webhooks were asked for."""
    paths = [call.path.split("?")[0].split("/") for call in sandbox.log[since:]]
    return [int(path[4]) for path in paths if path[-1] == "hooks" and path[3] == "projects"]


def facts(records: list[Record]) -> set[bytes]:
    """Records without the rows about coverage."""
    return {msgspec.json.encode(row) for row in records if not isinstance(row, Coverage | Gap)}


def quiet(nights_later: int = 1) -> int:
    """A project whose turn it is not on that night."""
    night = NIGHT + timedelta(days=nights_later)
    return next(number for number in range(FIRST, FIRST + 7) if number % 7 != night.toordinal() % 7)


def test_a_second_night_gives_the_same_and_asks_a_seventh(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with GitLabSandbox(instance=acme()) as sandbox:
        options = rotating(sandbox, monkeypatch)
        first = collected(options, run(tmp_path))
        sent = len(sandbox.log)
        assert len(asked_for(sandbox)) == COUNT
        second = collected(options, run(tmp_path, 1))
        again = asked_for(sandbox, sent)
    assert facts(second) == facts(first)
    assert len(again) == 3
    (row,) = [row for row in gaps(second) if row.kind == "carried-forward"]
    assert "18 projects" in row.detail
    assert "2026-11-22" in row.detail
    assert row.needs == "rotation_days: 1 reads all of them every night"
    carried = {
        row.account_id
        for row in of(second, Coverage)
        if row.carried_from is not None and row.carried_from.date().isoformat() == "2026-11-22"
    }
    assert carried == {
        f"gitlab:project:{number}" for number in range(FIRST, FIRST + COUNT) if number not in again
    }
    assert not any(row.kind == "carried-forward" for row in gaps(first))
    # Each listing is covered on both nights, by the same name but for the mark.
    names = [
        {(row.account_id, row.kind, row.call.split(" [")[0]) for row in of(night, Coverage)}
        for night in (first, second)
    ]
    assert names[0] == names[1]


def test_every_project_is_asked_again_within_a_week(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with GitLabSandbox(instance=acme()) as sandbox:
        options = rotating(sandbox, monkeypatch)
        collected(options, run(tmp_path))
        sent = len(sandbox.log)
        for night in range(1, 8):
            collected(options, run(tmp_path, night))
        again = asked_for(sandbox, sent)
    assert sorted(again) == list(range(FIRST, FIRST + COUNT))


def test_nights_that_were_missed_are_made_up_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with GitLabSandbox(instance=acme()) as sandbox:
        options = rotating(sandbox, monkeypatch)
        collected(options, run(tmp_path))
        sent = len(sandbox.log)
        collected(options, run(tmp_path, 30))
        assert len(asked_for(sandbox, sent)) == COUNT


def test_a_small_group_is_read_in_full_every_night(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with GitLabSandbox(instance=acme()) as sandbox:
        options = config(sandbox, monkeypatch, instance=False)
        collected(options, run(tmp_path))
        sent = len(sandbox.log)
        second = collected(options, run(tmp_path, 1))
        assert len(asked_for(sandbox, sent)) == COUNT
    assert not any(row.kind == "carried-forward" for row in gaps(second))


CHANGES: dict[str, Callable[[Instance, int], object]] = {
    "renamed": lambda held, n: held.projects[n].update(path_with_namespace="lantern/renamed"),
    "archived": lambda held, n: held.projects[n].update(archived=True),
    "made public": lambda held, n: held.projects[n].update(visibility="public"),
    "active": lambda held, n: held.projects[n].update(last_activity_at=give.ago(-0.5)),
    "pipeline": lambda held, n: held.files.update({f"{n}/.gitlab-ci.yml": DEFINITION + "# more"}),
    "variable": lambda held, n: held.lists[f"/projects/{n}/variables"].append(give.variable("B", "x")),
    "unprotected": lambda held, n: held.lists[f"/projects/{n}/variables"][1].update(masked=False),
    "member": lambda held, n: held.lists[f"/projects/{n}/members"].clear(),
    "schedule": lambda held, n: (
        held.lists.update(
            {f"/projects/{n}/pipeline_schedules": [give.schedule(1, "nightly", held.users[101])]}
        )
        or held.objects.update(
            {
                f"/projects/{n}/pipeline_schedules/1": {
                    **give.schedule(1, "nightly", held.users[101]),
                    "variables": [],
                }
            }
        )
    ),
    "integration": lambda held, n: held.lists.update(
        {f"/projects/{n}/integrations": [give.integration(1, "slack", "Slack")]}
    ),
    "branch": lambda held, n: held.lists.update(
        {f"/projects/{n}/protected_branches": [give.protected_branch(1, "main", push=0)]}
    ),
    "job token": lambda held, n: held.objects[f"/projects/{n}/job_token_scope"].update(inbound_enabled=False),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_project_that_changed_visibly_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, change: str
) -> None:
    with GitLabSandbox(instance=acme()) as sandbox:
        options = rotating(sandbox, monkeypatch, archived=True)
        collected(options, run(tmp_path))
        sent = len(sandbox.log)
        CHANGES[change](sandbox.instance, quiet())
        collected(options, run(tmp_path, 1))
        again = asked_for(sandbox, sent)
    assert quiet() in again
    assert len(again) == 4


def test_what_nothing_shows_is_found_when_its_turn_comes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A change of a value, a key or a webhook changes nothing else that GitLab shows."""
    with GitLabSandbox(instance=acme()) as sandbox:
        options = rotating(sandbox, monkeypatch)
        collected(options, run(tmp_path))
        for number in range(FIRST, FIRST + COUNT):
            sandbox.instance.lists[f"/projects/{number}/variables"][1]["value"] = "another-value-of-the-token"
            sandbox.instance.lists[f"/projects/{number}/hooks"] = []
        prints = []
        for night in range(1, 8):
            records = collected(options, run(tmp_path, night))
            hooks = len([row for row in of(records, Identity) if row.kind == "gitlab-webhook"])
            prints.append((hooks, len({row.fingerprint for row in of(records, Secret)})))
    assert [hooks for hooks, _ in prints] == [18, 15, 12, 9, 6, 3, 0]
    assert [different for _, different in prints] == [19, 16, 13, 10, 7, 4, 1]


def test_an_administrator_sees_a_new_deploy_key_the_next_night(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with GitLabSandbox(instance=acme(110)) as sandbox:
        for token, night in ((sandbox.token, 0), (sandbox.owner_token, 10)):
            options = rotating(sandbox, monkeypatch, token=token, workers=8)
            collected(options, run(tmp_path / str(night), night))
            sandbox.instance.lists[f"/projects/{quiet(night + 1)}/deploy_keys"] = [
                give.deploy_key(night, "new", can_push=True, created=0)
            ]
            second = collected(options, run(tmp_path / str(night), night + 1))
            found = [row.native_id for row in of(second, Credential) if row.name == "new"]
            assert (str(night) in found) == (token == sandbox.token)


def test_a_reading_with_holes_is_not_carried_forward(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with GitLabSandbox(instance=acme()) as sandbox:
        options = rotating(sandbox, monkeypatch)
        sandbox.fail("GET /projects/:id/hooks", 403)
        collected(options, run(tmp_path))
        sandbox.faults.clear()
        sent = len(sandbox.log)
        second = collected(options, run(tmp_path, 1))
        assert len(asked_for(sandbox, sent)) == COUNT
        # A hole in a later reading makes that of the night before worthless, too.
        sandbox.fail("GET /projects/:id/hooks", 500)
        third = collected(options, run(tmp_path, 2))
        sandbox.faults.clear()
        sent = len(sandbox.log)
        collected(options, run(tmp_path, 3))
        again = asked_for(sandbox, sent)
    assert not [row for row in gaps(second) if row.account_id.startswith("gitlab:project:")]
    lost = {row.account_id for row in gaps(third) if row.kind == "webhook-tls"}
    assert len(lost) == 3
    assert lost <= {f"gitlab:project:{number}" for number in again}
    assert len(again) == 6


def test_a_token_with_fewer_rights_carries_nothing_forward(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with GitLabSandbox(instance=acme()) as sandbox:
        collected(rotating(sandbox, monkeypatch, token=sandbox.owner_token), run(tmp_path))
        less = sandbox.make_token("developer", 101, DEVELOPER)
        sent = len(sandbox.log)
        second = collected(rotating(sandbox, monkeypatch, token=less), run(tmp_path, 1))
        assert len(asked_for(sandbox, sent)) == COUNT
    assert {row.account_id for row in gaps(second) if row.kind == "webhook-tls"} >= {
        f"gitlab:project:{number}" for number in range(FIRST, FIRST + COUNT)
    }


def test_another_version_of_the_code_reads_everything_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with GitLabSandbox(instance=acme()) as sandbox:
        options = rotating(sandbox, monkeypatch)
        first = collected(options, run(tmp_path))
        sent = len(sandbox.log)
        elsewhere = tmp_path / "code"
        elsewhere.mkdir()
        (elsewhere / "another.py").write_text("")
        monkeypatch.setattr(collectors.gitlab, "_HERE", elsewhere)
        second = collected(options, run(tmp_path, 1))
        assert len(asked_for(sandbox, sent)) == COUNT
    assert facts(second) == facts(first)


def test_a_memory_that_is_damaged_or_gone_is_read_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with GitLabSandbox(instance=acme()) as sandbox:
        options = rotating(sandbox, monkeypatch)
        first = collected(options, run(tmp_path))
        (memory,) = tmp_path.glob("*.sqlite")
        for damage in (b"", b"no database at all" * 100):
            memory.write_bytes(damage)
            sent = len(sandbox.log)
            assert facts(collected(options, run(tmp_path, 1))) == facts(first)
            assert len(asked_for(sandbox, sent)) == COUNT


def test_what_a_carried_variable_names_is_found_in_a_new_pipeline(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The group's variables are read every night: with another, every pipeline is parsed again."""
    with GitLabSandbox(instance=acme()) as sandbox:
        options = rotating(sandbox, monkeypatch)
        collected(options, run(tmp_path))
        sandbox.instance.lists["/groups/8001/variables"] = [give.variable("REGION", "eu-central-1")]
        sent = len(sandbox.log)
        second = collected(options, run(tmp_path, 1))
        assert len(asked_for(sandbox, sent)) == 3
    used = {row.target_id for row in of(second, Link) if row.relation == "uses"}
    assert used == {
        f"arn:aws:iam::100000000001:role/deploy-{number}" for number in range(FIRST, FIRST + COUNT)
    }


LINT = "GET /projects/:id/ci/lint"


def texts(sandbox: GitLabSandbox) -> tuple[int, int]:
    """How many requests a night sent for texts: by GraphQL, beside four for what there is and one for runners; by REST."""
    graphql = sandbox.calls["POST /api/graphql"] - 5
    rest = sandbox.calls["GET /projects/:id/repository/files/:file_path/raw"]
    sandbox.calls.clear()
    return graphql, rest


def test_a_text_is_fetched_once_and_again_when_it_changed_or_includes_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with GitLabSandbox(instance=acme()) as sandbox:
        held = sandbox.instance
        held.files[f"{FIRST + 1}/.gitlab-ci.yml"] = "include: {local: other.yml}\n"
        held.files[f"{FIRST + 1}/other.yml"] = DEFINITION
        options = rotating(sandbox, monkeypatch)
        collected(options, run(tmp_path))
        assert sandbox.calls[LINT] == 1
        assert texts(sandbox) == (1, 1)
        # Nothing else changed here: the includes are carried forward.
        collected(options, run(tmp_path, 1))
        assert sandbox.calls[LINT] == 0
        assert texts(sandbox) == (1, 0)
        held.files[f"{FIRST + 1}/.gitlab-ci.yml"] = DEFINITION
        collected(options, run(tmp_path, 2))
        assert texts(sandbox) == (1, 0)
        collected(options, run(tmp_path, 3))
        assert texts(sandbox) == (0, 0)
        held.files[f"{FIRST + 2}/.gitlab-ci.yml"] = DEFINITION + "# " + "x" * 500_000
        collected(options, run(tmp_path, 4))
        assert texts(sandbox) == (0, 1)
        collected(options, run(tmp_path, 5))
        assert texts(sandbox) == (0, 0)


def test_definitions_with_names_of_their_own_are_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with GitLabSandbox(instance=acme()) as sandbox:
        held = sandbox.instance
        for number in range(FIRST, FIRST + 12):
            path = f"ci/{number % 7}.yml"
            held.projects[number]["ci_config_path"] = path
            held.files[f"{number}/{path}"] = held.files.pop(f"{number}/.gitlab-ci.yml")
        del held.files[f"{FIRST}/ci/{FIRST % 7}.yml"]
        records = collected(rotating(sandbox, monkeypatch), run(tmp_path))
        # Five different paths are asked for at once; those of four projects are not among them.
        assert texts(sandbox) == (1, 4)
    pipelines = {row.native_id for row in of(records, Identity) if row.kind == "gitlab-pipeline"}
    assert len(pipelines) == COUNT - 1
    assert not [row for row in gaps(records) if row.kind == "gitlab-pipeline"]


def test_neither_records_nor_memory_hold_a_value_or_a_text(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with GitLabSandbox(instance=acme()) as sandbox:
        options = rotating(sandbox, monkeypatch)
        records = [row for night in (0, 1) for row in collected(options, run(tmp_path, night))]
        token = sandbox.token
    written = msgspec.json.encode(records)
    memory = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert memory
    for held in (written, memory):
        for canary in (CANARY.encode(), b"t0k3n-in-path", b"s3cret-value-of", token.encode()):
            assert canary not in held
    with GitLabSandbox() as sandbox:
        collected(config(sandbox, monkeypatch), run(tmp_path / "lantern"))
        values = {value for value in ISSUED if len(value) >= 16}
    memory = b"".join(path.read_bytes() for path in (tmp_path / "lantern").iterdir())
    assert [value[:4] for value in values if value.encode() in memory] == []
