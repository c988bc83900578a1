"""The traps between a client and GitLab, each met over HTTP."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

import collectors.gitlab
from collectors.gitlab.client import GitLabClient
from sandbox.gitlab import GitLabSandbox, build
from sandbox.gitlab.entities import variable
from scanner.collect.failures import SourceError, classify_error
from scanner.collect.graphql import GraphqlError, QueryError
from tests.gitlab_night import client, config
from tests.nights import run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandbox.kit.faults import Trouble

MANY = 250
VARIABLES = "/projects/9003/variables"
QUERY = "query($path: ID!) { project(fullPath: $path) { id } }"


@pytest.fixture
def sandbox() -> Iterator[GitLabSandbox]:
    """A GitLab with more variables than fit on a page."""
    instance = build()
    instance.lists[VARIABLES] = [variable(f"NAME_{number}", "x") for number in range(MANY)]
    with GitLabSandbox(instance=instance, total=200) as served:
        yield served


def names(reader: GitLabClient, path: str = VARIABLES, **parameters: str | int) -> list[str]:
    return [str(item["key"]) for item in reader.items(path, parameters)]


def test_a_list_is_read_to_its_end_though_its_total_is_not_reported(
    sandbox: GitLabSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert len(names(client(sandbox, monkeypatch, tmp_path))) == MANY
    assert sandbox.calls["GET /projects/:id/variables"] == 3


def test_keyset_pages_are_followed_and_asked_for_where_they_are_offered_only(
    sandbox: GitLabSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    reader = client(sandbox, monkeypatch, tmp_path)
    parameters: dict[str, str | int] = {"pagination": "keyset", "order_by": "id", "per_page": 2}
    found = [item["id"] for item in reader.items("/users", parameters)]
    assert found == sorted(sandbox.instance.users)
    assert sandbox.calls["GET /users"] == -(-len(found) // 2)
    names(reader)
    assert not any("keyset" in call.path for call in sandbox.log if "/variables" in call.path)


@pytest.mark.parametrize("trouble", ["too-many", "too-many-bare", "too-many-reset", 500, 502, 503, "cut"])
def test_a_passing_trouble_is_waited_out(
    sandbox: GitLabSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, trouble: Trouble
) -> None:
    sandbox.fail(VARIABLES, trouble, times=1)
    assert len(names(client(sandbox, monkeypatch, tmp_path, retries=2))) == MANY


@pytest.mark.parametrize("trouble", ["too-many", "too-many-bare", "too-many-reset"])
def test_a_graphql_limit_with_a_json_body_is_waited_out(
    sandbox: GitLabSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, trouble: Trouble
) -> None:
    sandbox.fail("/api/graphql", trouble, times=1)
    data = client(sandbox, monkeypatch, tmp_path, retries=2).graphql.query(
        QUERY, {"path": "lantern/handbook"}
    )
    assert data.data == {"project": {"id": "gid://gitlab/Project/9003"}}
    assert sandbox.calls["POST /api/graphql"] == 2


def test_a_limit_that_one_thread_meets_holds_for_all(
    sandbox: GitLabSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sandbox.fail(VARIABLES, "too-many", times=1)
    reader = client(sandbox, monkeypatch, tmp_path, retries=2)
    other = threading.Thread(target=names, args=(reader,))
    other.start()
    time.sleep(0.3)
    begun = time.monotonic()
    reader.one("/user")
    assert 0.4 < time.monotonic() - begun < 5
    other.join()
    assert [call.line.split("?")[0] for call in sandbox.log].count("GET /api/v4/user") == 1


def test_a_limit_without_end_is_throttled_not_empty(
    sandbox: GitLabSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sandbox.fail(VARIABLES, "too-many-bare")
    with pytest.raises(SourceError) as raised:
        names(client(sandbox, monkeypatch, tmp_path, retries=1))
    assert raised.value.reason == "throttled"
    assert sandbox.calls["GET /projects/:id/variables"] == 5


def test_a_limit_that_ends_too_late_is_given_up_at_once(
    sandbox: GitLabSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sandbox.fail(VARIABLES, "too-many")
    with pytest.raises(SourceError, match="resets only in"):
        names(client(sandbox, monkeypatch, tmp_path, retries=5, longest_wait_seconds=0.5))
    assert sandbox.calls["GET /projects/:id/variables"] == 1


def test_stopping_ends_a_wait(
    sandbox: GitLabSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sandbox.fail(VARIABLES, "too-many")
    night = run(tmp_path)
    reader = GitLabClient(config(sandbox, monkeypatch, retries=5), night)
    threading.Timer(0.2, night.stopping.set).start()
    begun = time.monotonic()
    with pytest.raises(SourceError) as raised:
        names(reader)
    assert raised.value.reason == "deadline"
    assert time.monotonic() - begun < 5


def test_a_next_link_that_leads_back_is_noticed(
    sandbox: GitLabSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sandbox.fail(VARIABLES, "looping-next")
    with pytest.raises(SourceError) as raised:
        names(client(sandbox, monkeypatch, tmp_path))
    assert raised.value.reason == "malformed"
    assert sandbox.calls["GET /projects/:id/variables"] == 1


def test_a_next_link_to_another_host_gets_no_token(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sandbox: GitLabSandbox
) -> None:
    with GitLabSandbox() as elsewhere:
        reader = client(sandbox, monkeypatch, tmp_path)
        # What a server behind a proxy writes: its own idea of its address. The other host must never be asked.
        sandbox.url = elsewhere.url
        assert len(names(reader)) == MANY
        assert not elsewhere.log
    sandbox.fail(VARIABLES, "foreign-next")
    with pytest.raises(SourceError):
        names(reader)


def test_a_redirect_to_another_host_is_not_followed(
    sandbox: GitLabSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sandbox.fail(VARIABLES, "foreign-redirect")
    with pytest.raises(SourceError, match="redirected: points to another host") as raised:
        names(client(sandbox, monkeypatch, tmp_path))
    assert raised.value.reason == "malformed"


def test_a_list_without_end_is_truncated(
    sandbox: GitLabSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(SourceError) as raised:
        names(client(sandbox, monkeypatch, tmp_path, max_pages=2))
    assert raised.value.reason == "truncated"


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 422, 500, 501, 520])
def test_no_status_is_an_empty_list(
    sandbox: GitLabSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: int
) -> None:
    sandbox.fail(VARIABLES, status)
    with pytest.raises(SourceError) as raised:
        names(client(sandbox, monkeypatch, tmp_path))
    assert raised.value.status == status
    failure = classify_error(raised.value)
    assert failure is not None
    assert (failure.reason == "denied") == (status in {401, 402, 403, 404})


def test_data_beside_errors_is_kept_with_them(
    sandbox: GitLabSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sandbox.broken = {9002: "branchRules"}
    query = "query($ids: [ID!]) { projects(ids: $ids) { nodes { id branchRules { nodes { name } } } } }"
    ids = {"ids": ["gid://gitlab/Project/9002", "gid://gitlab/Project/9003"]}
    answer = client(sandbox, monkeypatch, tmp_path).graphql.query(query, ids)
    assert [node.get("branchRules") is None for node in answer.data["projects"]["nodes"]] == [False, True]
    assert [(error.too_slow, error.message[:18]) for error in answer.errors] == [(True, "Timeout on Project")]
    assert QueryError(answer.errors).reason == "unreachable"


def test_only_queries_are_sent(
    sandbox: GitLabSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="only queries"):
        client(sandbox, monkeypatch, tmp_path).graphql.query("mutation { destroy }", {})
    assert not sandbox.log


def test_a_field_that_this_gitlab_lacks_is_distinguished(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with GitLabSandbox(without=frozenset({"lastUsed"})) as old:
        reader = client(old, monkeypatch, tmp_path)
        document = (
            'query { project(fullPath: "lantern/handbook") { pipelineTriggers { nodes { lastUsed } } } }'
        )
        with pytest.raises(QueryError) as raised:
            reader.graphql.query(document, {})
        assert raised.value.lacks


@pytest.mark.parametrize(
    "words",
    [
        "Field 'lastUsed' doesn't exist on type 'PipelineTrigger'",
        "Field 'runners' doesn't accept argument 'membership'",
        "ALL_AVAILABLE isn't a defined input type",
        "Argument 'relations' on Field 'projectMembers' has an invalid value ([DIRECT]).",
    ],
)
def test_gitlabs_own_words_for_what_it_lacks_are_known(words: str) -> None:
    def error(message: str) -> QueryError:
        return QueryError([GraphqlError(message=message, type="", path=[], field="")])

    assert error(words).lacks
    assert not error(words).too_complex
    assert not error("The resource that you are attempting to access does not exist").lacks


def test_a_person_is_asked_for_with_the_token_in_its_own_header(
    sandbox: GitLabSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    client(sandbox, monkeypatch, tmp_path).one("/user")
    assert sandbox.log[0].headers["private-token"] == sandbox.token
    assert sandbox.log[0].headers["user-agent"] == "sprawlscan"


def test_the_module_needs_no_sdk() -> None:
    code = (
        "import sys, collectors.gitlab; assert 'gitlab' not in sys.modules and 'requests' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://gitlab.acme.example/", "https://gitlab.acme.example"),
        ("https://acme.example/gitlab/api/v4", "https://acme.example/gitlab"),
    ],
)
def test_a_base_url_is_kept_without_the_api(url: str, kept: str) -> None:
    settings = collectors.gitlab.Config.model_validate({"base_url": url, "token": "${env:X}"})
    assert settings.base_url == kept
    assert settings.issuer == kept
