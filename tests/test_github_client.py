"""The traps between a client and GitHub, each met over HTTP."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import requests

from collectors.github.client import GitHubClient
from collectors.github.tokens import UserAuth
from sandbox.github.limits import GitHubLimits
from sandbox.github.server import GitHubSandbox
from scanner.collect.failures import SourceError, classify_error
from scanner.collect.graphql import QueryError
from scanner.collect.memory import Memory
from scanner.records import Account
from tests.github_night import client, config
from tests.nights import NIGHT, run
from tests.sealed_night import FINGERPRINT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from sandbox.kit.faults import Trouble
    from scanner.records import Record

HOOKS = "/orgs/lanternpay/hooks"
QUERY = "query($org: String!) { organization(login: $org) { login } }"


@pytest.fixture
def sandbox() -> Iterator[GitHubSandbox]:
    with GitHubSandbox() as served:
        yield served


def repositories(reader: GitHubClient) -> list[str]:
    return [item["name"] for item in reader.items("/orgs/lanternpay/repos", {"per_page": 3})]


@pytest.mark.parametrize(
    "trouble", ["secondary", "secondary-bare", "too-many", "too-many-bare", 500, 502, "cut"]
)
def test_a_passing_trouble_is_waited_out(
    sandbox: GitHubSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, trouble: Trouble
) -> None:
    whole = repositories(client(sandbox, monkeypatch, tmp_path))
    sandbox.fail("/orgs/{org}/repos", trouble, times=1)
    assert repositories(client(sandbox, monkeypatch, tmp_path)) == whole
    assert whole


@pytest.mark.parametrize("spelling", ["RATE_LIMITED", "RATE_LIMIT"])
def test_a_graphql_limit_inside_a_200_is_waited_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, spelling: Trouble
) -> None:
    with GitHubSandbox(limits=GitHubLimits(scale=3600)) as sandbox:
        sandbox.fail("/graphql", spelling, times=1)
        answer = client(sandbox, monkeypatch, tmp_path).graphql.query(QUERY, {"org": "lanternpay"})
        assert answer.data["organization"]["login"] == "lanternpay"
        assert sandbox.calls["POST /graphql"] == 2


def test_a_primary_limit_that_ends_too_late_is_given_up_at_once(
    sandbox: GitHubSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sandbox.fail("/orgs/{org}/hooks", "primary")
    begun = time.monotonic()
    with pytest.raises(SourceError, match="resets only in") as raised:
        list(client(sandbox, monkeypatch, tmp_path, longest_wait_seconds=1).items(HOOKS))
    assert raised.value.reason == "throttled"
    assert time.monotonic() - begun < 5


def test_stopping_ends_a_wait(
    sandbox: GitHubSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sandbox.fail("/orgs/{org}/hooks", "primary")
    night = run(tmp_path)
    options = config(sandbox, monkeypatch)
    reader = GitHubClient(options, night, auth=UserAuth(options))
    threading.Timer(0.3, night.stopping.set).start()
    begun = time.monotonic()
    with pytest.raises(SourceError) as raised:
        list(reader.items(HOOKS))
    assert raised.value.reason == "deadline"
    assert time.monotonic() - begun < 5


def test_a_limit_without_end_is_throttled_not_empty(
    sandbox: GitHubSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sandbox.fail("/orgs/{org}/hooks", "too-many-bare")
    with pytest.raises(SourceError) as raised:
        list(client(sandbox, monkeypatch, tmp_path, throttled_wait_seconds=0.001).items(HOOKS))
    assert raised.value.reason == "throttled"


def test_good_data_beside_a_forbidden_node_is_kept(
    sandbox: GitHubSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sandbox.fail("/graphql", "FORBIDDEN")
    document = (
        "query($org: String!) { organization(login: $org) { repositories(first: 50) { nodes { name } } } }"
    )
    answer = client(sandbox, monkeypatch, tmp_path).graphql.query(document, {"org": "lanternpay"})
    nodes = answer.data["organization"]["repositories"]["nodes"]
    assert nodes[0] is None
    assert all(node["name"] for node in nodes[1:])
    assert answer.errors[0].type == "FORBIDDEN"


def test_a_query_without_data_is_an_error(
    sandbox: GitHubSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(QueryError):
        client(sandbox, monkeypatch, tmp_path).graphql.query("query { nothing }", {})


@pytest.mark.parametrize(
    "document", ["mutation { x }", "query { a } subscription { b }", "\tmutation M { x }"]
)
def test_only_queries_are_sent(
    sandbox: GitHubSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, document: str
) -> None:
    with pytest.raises(ValueError, match="only queries"):
        client(sandbox, monkeypatch, tmp_path).graphql.query(document, {})
    assert not sandbox.log


def test_the_pace_holds_over_threads(
    sandbox: GitHubSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    reader = client(sandbox, monkeypatch, tmp_path, seconds_between_requests=0.05)
    begun = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: reader.one("/orgs/lanternpay"), range(20)))
    assert time.monotonic() - begun >= 0.05 * 19


def test_threads_do_not_mix_their_answers(
    sandbox: GitHubSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    reader = client(sandbox, monkeypatch, tmp_path)
    names = repositories(reader)
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda name: reader.one(f"/repos/lanternpay/{name}")["name"], names * 20))
    assert read == names * 20


def test_an_unchanged_page_gives_its_records_again_and_not_an_empty_list(
    sandbox: GitHubSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def account(item: dict[str, Any]) -> Iterator[Record]:
        yield Account(
            id=f"github:repo:{item['id']}",
            provider="github",
            account_id="x",
            kind="github-repository",
            native_id=str(item["id"]),
            name=item["name"],
        )

    def read() -> list[Record]:
        memory = Memory(tmp_path, "github", "t", as_of=NIGHT, version="1", fingerprint=FINGERPRINT)
        options = config(sandbox, monkeypatch)
        reader = GitHubClient(options, run(tmp_path), auth=UserAuth(options), memory=memory)
        records = list(reader.records("/orgs/lanternpay/repos", account, {"per_page": 3}))
        memory.close()
        return records

    first = read()
    sent = len(sandbox.log)
    assert read() == first
    assert len(first) == len(sandbox.organization.repositories)
    assert {call.status for call in sandbox.log[sent:]} == {304}


def test_a_memory_of_another_token_is_not_used(
    sandbox: GitHubSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    memory = Memory(tmp_path, "github", "t", as_of=NIGHT, version="1", fingerprint=FINGERPRINT)
    for token in (sandbox.token, sandbox.classic_token("admin:org", "repo", "admin:org_hook")):
        options = config(sandbox, monkeypatch, token=token)
        reader = GitHubClient(options, run(tmp_path), auth=UserAuth(options), memory=memory)
        list(reader.records("/orgs/lanternpay/repos", lambda _item: ()))
    assert not any(call.conditional for call in sandbox.log)


def test_a_304_that_nobody_asked_for_is_malformed(
    sandbox: GitHubSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sandbox.fail("/orgs/{org}/hooks", 304)
    with pytest.raises(SourceError) as raised:
        list(client(sandbox, monkeypatch, tmp_path).items(HOOKS))
    assert raised.value.reason == "malformed"


@pytest.mark.parametrize("trouble", ["foreign-next", "looping-next", "malformed"])
def test_a_bad_page_is_malformed(
    sandbox: GitHubSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, trouble: Trouble
) -> None:
    sandbox.fail("/orgs/{org}/repos", trouble)
    with pytest.raises(SourceError) as raised:
        repositories(client(sandbox, monkeypatch, tmp_path))
    assert raised.value.reason == "malformed"
    assert len(sandbox.log) <= 2


def test_a_foreign_next_link_is_refused_without_assertions(sandbox: GitHubSandbox, tmp_path: Path) -> None:
    """PyGithub guards the host with ``assert``, which ``python -O`` removes."""
    sandbox.fail("/orgs/{org}/repos", "foreign-next")
    program = f"""
import collectors.github, threading, pathlib
from collectors.github.client import GitHubClient
from collectors.github.tokens import UserAuth
from scanner.collect.failures import SourceError
from scanner.collect.collector import Run
from scanner.secrets.detectors import Fingerprint
import datetime
config = collectors.github.Config(token="${{env:T}}", organizations=["lanternpay"], base_url="{sandbox.url}")
run = Run(as_of=datetime.datetime(2026, 11, 22, tzinfo=datetime.UTC), fingerprint=Fingerprint(b"k"),
          cache=pathlib.Path("{tmp_path}"), stopping=threading.Event())
try:
    list(GitHubClient(config, run, auth=UserAuth(config)).items("/orgs/lanternpay/repos"))
except SourceError as refused:
    print(refused.reason)
"""
    done = subprocess.run(
        [sys.executable, "-O", "-c", program],
        env={"T": sandbox.token, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "malformed"


def test_an_answer_is_left_as_it_came(
    sandbox: GitHubSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """PyGithub adds a ``url`` to objects that have none."""
    path = "/orgs/lanternpay/actions/permissions/workflow"
    sent = requests.get(sandbox.url + path, headers={"Authorization": f"token {sandbox.token}"}, timeout=5)
    read = client(sandbox, monkeypatch, tmp_path).one(path)
    assert read == sent.json()
    assert "url" not in read


def test_pages_are_fetched_as_they_are_read(
    sandbox: GitHubSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pages = client(sandbox, monkeypatch, tmp_path).items("/orgs/lanternpay/repos", {"per_page": 1})
    next(pages)
    next(pages)
    assert len(sandbox.log) == 2


def test_a_refusal_names_the_permission(
    sandbox: GitHubSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    token = sandbox.installation_token({"metadata": "read"})
    reader = client(sandbox, monkeypatch, tmp_path, token=token)
    with pytest.raises(SourceError) as raised:
        list(reader.items(HOOKS))
    failure = classify_error(raised.value)
    assert failure is not None
    assert failure.reason == "denied"
    assert failure.needs is not None
    assert "organization_hooks=read" in failure.needs


def test_what_only_a_bug_can_cause_is_not_explained() -> None:
    assert classify_error(KeyError("name")) is None
    assert classify_error(AttributeError("name")) is None
