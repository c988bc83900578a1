"""The collector over local checkouts."""

from __future__ import annotations

import datetime as dt
import os
import threading
from typing import TYPE_CHECKING

import pytest

from collectors.definitions import Config, collect, targets
from collectors.definitions.remote import remote_of
from scanner.collect.collector import Run
from scanner.collect.failures import SourceError
from scanner.plugins import load_collector
from scanner.records import Account, Coverage, Gap, Identity, Record, Weakness
from scanner.secrets.detectors import Fingerprint

if TYPE_CHECKING:
    from pathlib import Path

WORKFLOW = "name: CI\non: push\npermissions: {}\njobs: {a: {runs-on: ubuntu-24.04, steps: [{run: x}]}}\n"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(
        as_of=dt.datetime(2026, 11, 22, tzinfo=dt.UTC),
        fingerprint=Fingerprint(b"test-key"),
        cache=tmp_path / "cache",
        stopping=threading.Event(),
    )


def put(folder: Path, path: str, text: str = WORKFLOW) -> None:
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def scan(config: Config, run: Run) -> list[Record]:
    return [record for target in targets(config, run) for record in collect(target, config, run)]


def test_it_is_found_by_name() -> None:
    assert load_collector("definitions").Config is Config


def test_definition_files_become_identities(tmp_path: Path, run: Run) -> None:
    folder = tmp_path / "shop"
    put(folder, ".github/workflows/a.yml")
    put(folder, "nested/buildspec.yml", "phases: {build: {commands: [make]}}\n")
    put(folder, "node_modules/x/.github/workflows/b.yml")
    put(folder, ".git/hooks/Jenkinsfile")
    put(folder, "README.md")
    found = scan(Config(paths=[folder]), run)
    assert [record.id for record in found if isinstance(record, Identity)] == [
        "definitions:ci-pipeline:shop:.github/workflows/a.yml",
        "definitions:ci-pipeline:shop:nested/buildspec.yml",
    ]
    assert [(record.id, record.kind) for record in found if isinstance(record, Account)] == [
        ("definitions:checkout:shop", "checkout")
    ]
    assert not [record for record in found if isinstance(record, Gap)]
    walked = {
        record.table: record.items
        for record in found
        if isinstance(record, Coverage) and record.call == "walk"
    }
    assert walked == {"identities": 2, "links": 0, "secrets": 0, "weaknesses": 1}


def test_a_bad_file_is_a_gap_in_each_table_and_never_a_stop(tmp_path: Path, run: Run) -> None:
    put(tmp_path, ".github/workflows/a.yml", "on: [\n")
    put(tmp_path, ".github/workflows/b.yml", "x: &x [*x]\n")
    put(tmp_path, ".github/workflows/c.yml")
    (tmp_path / ".github/workflows/d.yml").write_bytes(b"\xff\xfe\x00")
    found = scan(Config(paths=[tmp_path]), run)
    assert len([record for record in found if isinstance(record, Identity)]) == 1
    gaps = [record for record in found if isinstance(record, Gap)]
    assert {(gap.call, gap.reason) for gap in gaps} == {
        ("read .github/workflows/a.yml", "malformed"),
        ("read .github/workflows/b.yml", "malformed"),
        ("read .github/workflows/d.yml", "malformed"),
    }
    assert sorted(gap.table for gap in gaps if "a.yml" in gap.call) == [
        "identities",
        "links",
        "secrets",
        "weaknesses",
    ]
    assert len({record.id for record in found}) == len(found)


def test_large_files_are_a_gap(tmp_path: Path, run: Run) -> None:
    put(tmp_path, ".github/workflows/a.yml", WORKFLOW + "#" * 2000)
    gaps = [
        record for record in scan(Config(paths=[tmp_path], max_bytes=1000), run) if isinstance(record, Gap)
    ]
    assert {gap.reason for gap in gaps} == {"truncated"}


def test_links_that_leave_the_folder_are_not_followed(tmp_path: Path, run: Run) -> None:
    outside = tmp_path / "outside"
    put(outside, "Jenkinsfile", "node { sh 'x' }")
    put(outside, ".github/workflows/z.yml")
    folder = tmp_path / "shop"
    put(folder, ".github/workflows/a.yml")
    (folder / "Jenkinsfile").symlink_to(outside / "Jenkinsfile")
    (folder / "sub").symlink_to(outside)
    (folder / ".github/workflows/b.yml").symlink_to("a.yml")
    found = scan(Config(paths=[folder]), run)
    assert [record.name for record in found if isinstance(record, Identity)] == ["CI", "CI"]
    assert {(gap.call, gap.reason) for gap in found if isinstance(gap, Gap)} == {
        ("read Jenkinsfile", "unsupported")
    }


def test_links_that_lead_to_themselves_cost_one_file_each(tmp_path: Path, run: Run) -> None:
    folder = tmp_path / "shop"
    put(folder, ".github/workflows/a.yml")
    (folder / ".github/workflows/self.yml").symlink_to("self.yml")
    (folder / ".github/workflows/one.yml").symlink_to("two.yml")
    (folder / ".github/workflows/two.yml").symlink_to("one.yml")
    (folder / "loop").symlink_to("loop")
    put(folder, ".gitlab-ci.yml", "include: [loop.yml]\na: {script: [make]}\n")
    (folder / "loop.yml").symlink_to("loop.yml")
    found = scan(Config(paths=[folder]), run)
    assert {record.location for record in found if isinstance(record, Identity)} == {
        ".github/workflows/a.yml:1", ".gitlab-ci.yml:1"
    }  # fmt: skip
    lost = {gap.call.removeprefix("read ") for gap in found if isinstance(gap, Gap)}
    assert lost == {f".github/workflows/{name}.yml" for name in ("self", "one", "two")} | {"loop.yml"}
    (tmp_path / "around").symlink_to("around")
    with pytest.raises(SourceError):
        scan(Config(paths=[tmp_path / "around"]), run)


def test_pipes_do_not_block(tmp_path: Path, run: Run) -> None:
    os.mkfifo(tmp_path / "Jenkinsfile")
    found = scan(Config(paths=[tmp_path]), run)
    assert {gap.reason for gap in found if isinstance(gap, Gap)} == {"unsupported"}


def test_include_and_exclude(tmp_path: Path, run: Run) -> None:
    put(tmp_path, ".github/workflows/a.yml")
    put(tmp_path, ".github/workflows/b.yml")
    config = Config(paths=[tmp_path], include=[".github/*"], exclude=["*/b.yml"])
    assert [record.location for record in scan(config, run) if isinstance(record, Identity)] == [
        ".github/workflows/a.yml:1"
    ]


def test_the_remote_gives_the_subjects(tmp_path: Path, run: Run) -> None:
    put(
        tmp_path,
        ".git/config",
        '[core]\n\turl = no\n[remote "origin"]\n\turl = git@github.com:lanternpay/shop.git\n',
    )
    put(tmp_path, ".git/refs/remotes/origin/HEAD", "ref: refs/remotes/origin/trunk\n")
    put(
        tmp_path,
        ".github/workflows/a.yml",
        WORKFLOW.replace("on: push", "on: schedule").replace("{}", "{id-token: write}"),
    )
    found = scan(Config(paths=[tmp_path]), run)
    (identity,) = [record for record in found if isinstance(record, Identity)]
    # Whether the repository has ids in its subjects, a checkout does not tell.
    assert identity.subjects == [
        "repo:lanternpay/shop:ref:refs/heads/trunk",
        "repo:lanternpay@*/shop@*:ref:refs/heads/trunk",
    ]
    assert identity.address == "lanternpay/shop/.github/workflows/a.yml"


@pytest.mark.parametrize(
    ("url", "host", "repository"),
    [
        ("git@github.com:lanternpay/shop.git", "github.com", "lanternpay/shop"),
        ("https://github.com/lanternpay/shop", "github.com", "lanternpay/shop"),
        ("https://user:hunter2@github.com/lanternpay/shop.git/", "github.com", "lanternpay/shop"),
        (
            "ssh://git@git.lantern.example:2222/lantern/sub/shop.git",
            "git.lantern.example",
            "lantern/sub/shop",
        ),
    ],
)
def test_remotes(tmp_path: Path, url: str, host: str, repository: str) -> None:
    put(tmp_path, ".git/config", f'[remote "origin"]\n\turl = {url}\n')
    remote = remote_of(tmp_path)
    assert remote is not None
    assert (remote.host, remote.repository) == (host, repository)
    assert "hunter2" not in repr(remote)


@pytest.mark.parametrize("text", ["", "[remote", '[remote "origin"]\nurl = /srv/git/x', "\x00\xff"])
def test_unreadable_remotes_are_none(tmp_path: Path, text: str) -> None:
    put(tmp_path, ".git/config", text)
    assert remote_of(tmp_path) is None


def test_two_folders_of_one_name_stay_apart(tmp_path: Path, run: Run) -> None:
    put(tmp_path, "a/shop/Jenkinsfile", "node {}")
    put(tmp_path, "b/shop/Jenkinsfile", "node {}")
    config = Config(paths=[tmp_path / "a/shop", tmp_path / "b/shop"])
    assert [target.name for target in targets(config, run)] == ["shop", "shop#2"]
    ids = [record.id for record in scan(config, run)]
    assert len(ids) == len(set(ids))


ORDINARY = {
    "docker-compose.yml": "services:\n  web: {image: nginx}\n",
    "k8s/job.yaml": "apiVersion: batch/v1\nkind: Job\nmetadata: {name: x}\nspec: {template: {}}\n",
    "openapi.yaml": "openapi: 3.1.0\npaths: {}\n",
    ".cirrus.yml": "version: 2.1\njobs: {a: {steps: [{run: x}]}}\nworkflows: {}\n",
    "appveyor.yml": "language: go\nstages:\n  - test\njobs:\n  include:\n    - script: make\n",
    "broken.yml": "a: [\n",
}
"""YAML of a repository that no pipeline is made of, or one that is not read."""
FLAT = {
    "one.yml": WORKFLOW,
    "two.yaml": '{"on": "push", "jobs": {"a": {"runs-on": "ubuntu-24.04", "steps": [{"run": "x"}]}}}\n',
    "set/three.yml": "\ufeff'on':\r\n  push:\r\njobs:\r\n  a:\r\n    runs-on: ubuntu-24.04\r\n    steps: [{run: x}]\r\n",
    "workflows/four.yaml": "jobs:\n  a: {uses: o/r/.github/workflows/x.yml@main}\non: [push]\n",
    "five.yml": "name: a\nruns:\n  using: composite\n  steps: []\n",
    "six.yml": "stages:\n  - build\nbuild:\n  stage: build\n  script:\n    - make\n",
    "seven.yml": "trigger: [main]\npool: {vmImage: ubuntu-24.04}\nsteps:\n  - script: make\n",
    "eight.yml": "pipelines:\n  default:\n    - step:\n        script: [make]\n",
    "nine.yml": "version: 0.2\nphases: {build: {commands: [make]}}\n",
    "ten.yml": "steps:\n  - name: gcr.io/cloud-builders/docker\n    args: [build, .]\n",
}


def identities(found: list[Record]) -> list[str]:
    return [record.native_id for record in found if isinstance(record, Identity)]


def test_a_plain_folder_is_read_by_what_its_files_say(tmp_path: Path, run: Run) -> None:
    for path, text in {**ORDINARY, **FLAT, "case-12/.github/workflows/x.yml": WORKFLOW}.items():
        put(tmp_path / "set", path, text)
    found = scan(Config(paths=[tmp_path / "set"]), run)
    assert sorted(identities(found)) == sorted(
        f"set:{path}" for path in [*FLAT, "case-12/.github/workflows/x.yml"]
    )
    unread = {record.detail.split(" ")[0] for record in found if isinstance(record, Gap)}
    assert unread == {".cirrus.yml", "appveyor.yml"}
    lines = [f"{record.path}:{record.line}" for record in found if isinstance(record, Weakness)]
    assert {"set/three.yml:1", "workflows/four.yaml:2"} <= set(lines)


@pytest.mark.parametrize("mark", [".git/config", ".github/dependabot.yml"])
def test_a_checkout_is_read_by_names(tmp_path: Path, run: Run, mark: str) -> None:
    for path, text in {**ORDINARY, **FLAT, mark: "", "Jenkinsfile": "node {}"}.items():
        put(tmp_path / "shop", path, text)
    assert identities(scan(Config(paths=[tmp_path / "shop"]), run)) == ["shop:Jenkinsfile"]
    assert identities(scan(Config(paths=[tmp_path]), run)) == [f"{tmp_path.name}:shop/Jenkinsfile"]


def test_a_checkout_without_a_definition_by_name_is_read_by_what_its_files_say(
    tmp_path: Path, run: Run
) -> None:
    for path, text in {**ORDINARY, ".git/config": "", "cases/a.yml": WORKFLOW}.items():
        put(tmp_path / "set", path, text)
    assert identities(scan(Config(paths=[tmp_path / "set"]), run)) == ["set:cases/a.yml"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("set/one.yml", "set:one.yml"),
        ("shop/.github/workflows/ci.yml", "shop:.github/workflows/ci.yml"),
        ("shop/examples/flow.yml", "shop:examples/flow.yml"),
        ("set/flow.txt", "set:flow.txt"),
    ],
)
def test_a_path_may_be_one_file(tmp_path: Path, run: Run, path: str, expected: str) -> None:
    put(tmp_path, "shop/.git/config", "")
    put(tmp_path, "set/another.yml")
    put(tmp_path, path)
    found = scan(Config(paths=[tmp_path / path]), run)
    assert identities(found) == [expected]
    assert not [record for record in found if isinstance(record, Gap)]


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("compose.yml", "services: {}\n", "unread"),
        ("notes.txt", "hello\n", "unread"),
        ("empty.yml", "", "unread"),
        ("ci.yml", "on: push\njobs:\n  a: [\n    runs-on: x\n", "malformed"),
        (".gitlab-ci.yml", "", "malformed"),
    ],
)
def test_a_file_that_was_named_is_a_gap_when_it_is_nothing_that_is_known(
    tmp_path: Path, run: Run, name: str, text: str, reason: str
) -> None:
    put(tmp_path, name, text)
    found = scan(Config(paths=[tmp_path / name]), run)
    assert identities(found) == []
    assert {(record.reason, record.call) for record in found if isinstance(record, Gap)} == {
        (reason, f"read {name}")
    }


def test_two_files_of_one_folder_stay_apart(tmp_path: Path, run: Run) -> None:
    put(tmp_path, "set/a.yml")
    put(tmp_path, "set/b.yml")
    found = scan(Config(paths=[tmp_path / "set/a.yml", tmp_path / "set/b.yml"]), run)
    assert identities(found) == ["set:a.yml", "set#2:b.yml"]
    ids = [record.id for record in found]
    assert len(ids) == len(set(ids))


def test_a_missing_folder_costs_itself(tmp_path: Path, run: Run) -> None:
    put(tmp_path, "set/a.yml")
    config = Config(paths=[tmp_path / "none", tmp_path / "set/a.yml"])
    gone, there = targets(config, run)
    with pytest.raises(SourceError, match="not a readable folder or file"):
        list(collect(gone, config, run))
    assert list(collect(there, config, run))


def test_a_folder_named_twice_is_read_once(tmp_path: Path, run: Run) -> None:
    put(tmp_path, "set/a.yml")
    again = [tmp_path / "set", tmp_path / "set" / ".." / "set", tmp_path / "set/"]
    assert len(list(targets(Config(paths=again), run))) == 1


@pytest.mark.parametrize(
    ("path", "system"),
    [
        (".buildkite/hooks.yml", "Buildkite"),
        (".cirrus.yml", "Cirrus CI"),
        (".drone.star", "Drone"),
        (".semaphore/semaphore.yml", "Semaphore"),
        ("appveyor.yml", "AppVeyor"),
        (".teamcity/settings.kts", "TeamCity"),
        ("sub/.harness/a.yml", "Harness"),
    ],
)
def test_a_system_that_is_not_read_is_named_by_a_gap(
    tmp_path: Path, run: Run, path: str, system: str
) -> None:
    """Otherwise a repository with nothing else looks complete and clean."""
    put(tmp_path / "shop", path, "version: 2.1\njobs: {}\n")
    gaps = [row for row in scan(Config(paths=[tmp_path / "shop"]), run) if isinstance(row, Gap)]
    assert {row.table for row in gaps} == {"identities", "links", "secrets", "weaknesses"}
    assert {row.reason for row in gaps} == {"unread"}
    assert all(f"{path} belongs to {system}" in row.detail for row in gaps)


@pytest.mark.parametrize("path", ["circleci.yml", "docs/travis.yml", "config/jobs/mail.yml", "src/earthfile"])
def test_a_file_with_a_similar_name_is_no_definition(tmp_path: Path, run: Run, path: str) -> None:
    put(tmp_path / "shop", path, "a: 1\n")
    assert not [row for row in scan(Config(paths=[tmp_path / "shop"]), run) if isinstance(row, Gap)]


@pytest.mark.parametrize(
    ("text", "system"),
    [
        ("apiVersion: triggers.tekton.dev/v1\nkind: EventListener\n", "Tekton"),
        ("apiVersion: argoproj.io/v1alpha1\nkind: Sensor\n", "Argo Events"),
        ("resources:\n- name: repo\njobs:\n- name: unit\n  plan: [{get: repo}]\n", "Concourse"),
        ("apiVersion: argoproj.io/v1alpha1\nkind: Application\n", None),
        ("apiVersion: apps/v1\nkind: Deployment\n", None),
        ("resources:\n- deployment.yaml\n", None),
    ],
)
def test_a_system_that_is_not_read_is_recognized_by_content(
    tmp_path: Path, run: Run, text: str, system: str | None
) -> None:
    put(tmp_path / "shop", "ci/build.yaml", text)
    gaps = [row for row in scan(Config(paths=[tmp_path / "shop"]), run) if isinstance(row, Gap)]
    assert {row.reason for row in gaps} == (set() if system is None else {"unread"})


@pytest.mark.parametrize(
    "path",
    [".gitea/workflows/ci.yml", ".forgejo/workflows/ci.yaml", ".pipelines/ci.yml", "eng/pipelines/ci.yml"],
)
def test_definitions_in_other_places_are_read_beside_those_found_by_name(
    tmp_path: Path, run: Run, path: str
) -> None:
    folder = tmp_path / "shop"
    put(folder, ".github/workflows/a.yml")
    put(folder, path)
    put(folder, "examples/b.yml")  # an example that nothing runs
    found = scan(Config(paths=[folder]), run)
    assert sorted(row.name for row in found if isinstance(row, Identity)) == ["CI", "CI"]
    assert {row.location for row in found if isinstance(row, Identity)} >= {f"{path}:1"}
