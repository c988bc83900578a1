"""A run that is told to stop ends within ten seconds, wherever it waits."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from collectors.definitions.checkout import Config
from collectors.definitions.remote import remote_of
from scanner.analyze.steps import AnalyzeSettings, analyze
from scanner.command.cli import app
from scanner.pipeline.stopping import stop_requests
from scanner.regular_file import NotRegularError, read_regular
from scanner.snapshot import read_manifest
from scanner.stop import ENDING_SECONDS, Stop, StoppedError
from tests.checkout_nights import Checkout, on, run_of
from tests.plugin import install
from tests.sealed_night import account, everything, seal_night

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENDLESS = """\
title: Endless
severity: low
category: stale
why: It never ends. It is wrong.
fix: Stop it. Then look again.
needs: [accounts]
subject: accounts
query: |
  WITH RECURSIVE numbers AS (SELECT 1::BIGINT AS n UNION ALL SELECT (n + 1) % 1000 FROM numbers)
  SELECT a.id AS subject, max(n)::VARCHAR AS detail FROM accounts AS a, numbers GROUP BY a.id
examples: []
"""


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "endless.yaml").write_text(ENDLESS)
    return rules


def test_an_endless_rule_is_an_error_at_its_time_limit_and_the_others_run(
    tmp_path: Path, endless: Path
) -> None:
    run_id = seal_night(tmp_path, 1, [account(), *everything()])
    settings = AnalyzeSettings(custom_rules=endless, rule_minutes=0.5 / 60, threads=1)
    (error,) = analyze(tmp_path, run_id, settings=settings).errors
    assert error == "endless: query took longer than 0.00833333 minutes (limits.rule_minutes)"


def test_an_analysis_over_an_endless_rule_ends_when_the_run_must(tmp_path: Path, endless: Path) -> None:
    run_id = seal_night(tmp_path, 1, [account(), *everything()])
    stop = Stop()
    threading.Timer(0.5, stop.ending.set).start()
    started = time.monotonic()
    with pytest.raises(StoppedError, match="completes this night first"):
        analyze(tmp_path, run_id, settings=AnalyzeSettings(custom_rules=endless, threads=1), stop=stop)
    assert time.monotonic() - started < 5
    assert not (tmp_path / "analysis" / run_id).exists()


def test_the_deadline_stops_and_a_while_later_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scanner.pipeline.stopping.ENDING_SECONDS", 0.5)
    started = time.monotonic()
    with stop_requests(0.3 / 60) as stop:
        assert stop.stopping.wait(3)
        assert not stop.ending.is_set()
        assert stop.ending.wait(3)
    assert 0.8 <= time.monotonic() - started < 3
    assert ENDING_SECONDS < 10


# As processes, by SIGTERM


def start(folder: Path, *arguments: str, plugins: Path | None = None) -> subprocess.Popen[str]:
    code = "from scanner.command.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env={**os.environ, **({"PYTHONPATH": str(plugins)} if plugins else {})},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def stopped(process: subprocess.Popen[str], *, after: float) -> tuple[int, float, str]:
    """Send SIGTERM and return the exit code, how long the process took to end, and what it said."""
    time.sleep(after)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    started = time.monotonic()
    _, err = process.communicate(timeout=30)
    return process.returncode, time.monotonic() - started, err


def wait_for(path: Path) -> None:
    for _ in range(600):
        if path.exists():
            return
        time.sleep(0.05)
    raise AssertionError(f"{path} never came")


def test_sigterm_ends_an_endless_rule_and_the_next_run_completes_the_night(
    tmp_path: Path, endless: Path
) -> None:
    place = Checkout(tmp_path)
    place.configure(rules={"custom": str(endless)})
    process = start(tmp_path, "run", "--as-of", on(1).strftime("%Y-%m-%dT%H:%M:%S"))
    wait_for(place.state / "analysis" / f"{run_of(1)}.partial" / "work" / "records")
    code, seconds, err = stopped(process, after=1.0)
    assert (code, seconds < 10) == (6, True), err
    assert "the next `sprawlscan run` completes this night first" in err
    place.night(2, place.configure())
    for number in (1, 2):
        assert (place.state / "reports" / run_of(number) / "run.json").is_file()


def test_sigterm_leaves_a_target_that_waits_for_ever_and_seals_the_others(tmp_path: Path) -> None:
    plugins = install(tmp_path / "plugins")
    options = {"names": ["quick", "stuck"], "stuck": "stuck", "ledger": str(tmp_path / "ledger")}
    document: dict[str, Any] = {"collectors": {"made-up": options}, "reports": {"formats": []}}
    (tmp_path / "config.yaml").write_text(json.dumps(document))
    process = start(tmp_path, "collect", "--as-of", "2026-11-23T02:00:00", plugins=plugins)
    wait_for(tmp_path / "state" / "snapshots" / "20261123T020000Z" / "targets" / "made-up-quick.json")
    code, seconds, err = stopped(process, after=0.5)
    assert (code, seconds < 10) == (6, True), err
    manifest = read_manifest(tmp_path / "state" / "snapshots" / "20261123T020000Z")
    assert {one.target: one.complete for one in manifest.targets} == {"quick": True, "stuck": False}
    assert manifest.partial


# Files that never end


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / ".git" / "refs" / "remotes" / "origin").mkdir(parents=True)
    return tmp_path


def pipe(path: Path) -> None:
    os.mkfifo(path)


def zero(path: Path) -> None:
    path.symlink_to("/dev/zero")


def listening(path: Path) -> None:
    # The address of a socket is short: the folder by its descriptor.
    folder = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(f"/proc/self/fd/{folder}/{path.name}")
    os.close(folder)


@pytest.mark.parametrize("make", [pipe, zero, listening], ids=lambda make: make.__name__)
@pytest.mark.parametrize("name", ["config", "refs/remotes/origin/HEAD"])
@pytest.mark.timeout(10)
def test_a_pipe_a_device_or_a_socket_in_git_is_not_waited_for(checkout: Path, name: str, make: Any) -> None:
    if name != "config":
        (checkout / ".git" / "config").write_text('[remote "origin"]\n\turl = https://h.example/a/b.git\n')
    make(checkout / ".git" / name)
    remote = remote_of(checkout)
    assert (remote.repository if remote else None) == (None if name == "config" else "a/b")


@pytest.mark.parametrize("make", [pipe, zero, listening], ids=lambda make: make.__name__)
@pytest.mark.timeout(20)
def test_a_definition_that_is_no_regular_file_is_a_gap(tmp_path: Path, make: Any) -> None:
    place = Checkout(tmp_path)
    make(place.workflows / "endless.yml")
    outcome = place.night(1)
    assert [one.call for one in outcome.uncovered] == []  # what is no file is unsupported, not refused
    assert outcome.coverage.ratio < 1.0
    assert Config().max_bytes


def test_only_regular_files_are_read_and_only_so_far(tmp_path: Path) -> None:
    pipe(tmp_path / "pipe")
    with pytest.raises(NotRegularError):
        read_regular(tmp_path / "pipe", 10)
    (tmp_path / "long").write_bytes(b"x" * 100)
    assert read_regular(tmp_path / "long", 10) == b"x" * 10
    (tmp_path / "link").symlink_to(tmp_path / "long")
    with pytest.raises(OSError, match=r"loop|symbolic"):
        read_regular(tmp_path / "link", 10)
    assert len(read_regular(tmp_path / "link", 10, follow=True)) == 10


@pytest.mark.parametrize("what", ["exceptions", "owners", "rules", "secret", "ca_bundle", "config.yaml"])
def test_a_pipe_in_place_of_a_setting_is_refused(
    tmp_path: Path, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rules").mkdir()
    path = {"rules": tmp_path / "rules" / "mine.yaml"}.get(what, tmp_path / what)
    section: dict[str, Any] = {"paths": ["."]}
    given: dict[str, dict[str, Any]] = {
        "exceptions": {"exceptions": what},
        "owners": {"owners": what},
        "rules": {"rules": {"custom": what}},
        "secret": {"notify": {"webhook": f"${{file:{path}}}"}},
        "ca_bundle": {"notify": {"ca_bundle": what}},
    }
    document = {"collectors": {"definitions": section}, **given.get(what, {})}
    if what != "config.yaml":
        (tmp_path / "config.yaml").write_text(json.dumps(document))
    pipe(path)
    with pytest.raises(SystemExit) as ended:
        app(["check-config", "--config", str(tmp_path / "config.yaml")])
    said = "".join(capsys.readouterr())
    assert ended.value.code == 2
    assert path.name in said
    assert "not a regular file" in said or "neither a file nor a folder" in said


@pytest.fixture(autouse=True)
def _no_timers_left() -> Iterator[None]:
    yield
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join()
