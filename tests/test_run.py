"""One night as a process: exit codes, the lock, deadlines, signals, kill -9 and a full disk."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow.parquet as pq
import pytest

from scanner.snapshot import list_sealed, read_manifest, verify
from tests.plugin import install

if TYPE_CHECKING:
    from pathlib import Path

NIGHT = "2026-11-23T02:00:00"


class Box:
    """A folder with a configuration, and the command run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plugins = install(folder / "plugins")
        self.state = folder / "state"

    def configure(self, **options: Any) -> None:
        """Write config.yaml: ``options`` are the made-up collector's; ``top`` are lines at the top."""
        top = options.pop("top", {})
        document = {**top, "collectors": {"made-up": options}, "reports": {"formats": []}}
        (self.folder / "config.yaml").write_text(json.dumps(document))

    def start(self, *arguments: str, prelude: str = "") -> subprocess.Popen[str]:
        """Start the command; ``prelude`` is Python that runs first."""
        code = f"{prelude}\nfrom scanner.command.cli import main; main()"
        return subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(self.plugins)},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *arguments: str, prelude: str = "") -> tuple[int, str, str]:
        """Run the command to its end; return exit code, stdout and stderr."""
        process = self.start(*arguments, prelude=prelude)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def wait_for(path: Path, text: str) -> None:
    for _ in range(300):
        if path.exists() and text in path.read_text():
            return
        time.sleep(0.05)
    raise AssertionError(f"{path} never held {text!r}")


def release(ledger: Path) -> None:
    """Let the collector go on that is held."""
    ledger.with_name(f"{ledger.name}.go").touch()


def test_a_night_is_collected_sealed_and_ends_with_0(box: Box) -> None:
    box.configure(names=["a", "b"])
    code, out, err = box.run("collect", "--as-of", NIGHT)
    assert code == 0, err
    assert "accounts: 6" in out
    (folder,) = list_sealed(box.state / "snapshots")
    assert folder.name == "20261123T020000Z"
    assert verify(folder).coverage == 1.0


def gaps_of(folder: Path) -> list[tuple[str, str]]:
    tables = duckdb.connect()
    try:
        found = tables.sql(f"SELECT call, reason FROM '{folder}/gaps/*.parquet' ORDER BY ALL").fetchall()
    finally:
        tables.close()
    return [(str(call), str(reason)) for call, reason in found]


def test_a_bug_among_the_targets_loses_neither_those_before_it_nor_the_night(box: Box) -> None:
    box.configure(names=["a", "b", "a"], break_off=True)
    _, out, err = box.run("collect", "--as-of", NIGHT)
    assert "accounts: 6" in out, err
    (folder,) = list_sealed(box.state / "snapshots")
    assert gaps_of(folder) == [("targets", "bug")]


def test_text_that_is_no_unicode_is_escaped_and_ends_no_night(box: Box) -> None:
    box.configure(names=["a"], odd=True)
    code, out, err = box.run("collect", "--as-of", NIGHT)
    assert (code, "accounts: 3" in out) == (0, True), err
    (folder,) = list_sealed(box.state / "snapshots")
    (file,) = folder.glob("accounts/*.parquet")
    rows = pq.read_table(file, columns=["name", "tags"]).to_pylist()
    assert {(row["name"], *row["tags"][0]) for row in rows} == {("a\\udcff", "spelled", "\\ud800")}


def test_the_state_folder_is_private(box: Box) -> None:
    box.configure(names=["a"])
    assert box.run("collect")[0] == 0
    assert box.state.stat().st_mode & 0o077 == 0
    for path in box.state.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_the_same_night_twice_is_refused_and_the_sealed_one_is_untouched(box: Box) -> None:
    box.configure(names=["a"])
    assert box.run("collect", "--as-of", NIGHT)[0] == 0
    before = (box.state / "snapshots" / "20261123T020000Z" / "manifest.json").read_bytes()
    code, _, err = box.run("collect", "--as-of", NIGHT)
    assert code == 2
    assert "20261123T020000Z" in err
    assert (box.state / "snapshots" / "20261123T020000Z" / "manifest.json").read_bytes() == before


def test_a_bug_in_a_collector_is_a_gap_and_the_others_go_on(box: Box) -> None:
    box.configure(names=["a", "bad", "c"], crash="bad")
    code, _, err = box.run("collect", "--as-of", NIGHT)
    assert code == 4, err
    manifest = read_manifest(box.state / "snapshots" / "20261123T020000Z")
    assert manifest.rows["accounts"] == 6
    assert manifest.rows["gaps"] == 1
    assert {target.target: target.complete for target in manifest.targets} == {
        "a": True,
        "bad": False,
        "c": True,
    }
    everything = b"".join(path.read_bytes() for path in box.state.rglob("*") if path.is_file())
    assert b"hunter2hunter2" not in everything


def test_no_collector_can_begin_is_2_and_seals_nothing(box: Box) -> None:
    box.configure(refuse="the token has expired; sign in again")
    code, _, err = box.run("collect")
    assert code == 2
    assert "the token has expired; sign in again" in err
    assert list_sealed(box.state / "snapshots") == []


def test_one_section_that_cannot_begin_is_a_gap_beside_the_others(box: Box) -> None:
    document = {"collectors": {"made-up": [{"names": ["a"]}, {"refuse": "wrong password"}]}}
    (box.folder / "config.yaml").write_text(json.dumps(document))
    code, _, err = box.run("collect", "--as-of", NIGHT)
    assert code == 4
    assert "wrong password" in err
    manifest = read_manifest(box.state / "snapshots" / "20261123T020000Z")
    assert (manifest.rows["accounts"], manifest.rows["gaps"], manifest.coverage) == (3, 1, 0.5)


def test_a_wrong_configuration_is_2(box: Box) -> None:
    box.configure(nams=["a"])
    code, _, err = box.run("collect")
    assert code == 2
    assert "nams: unknown key; did you mean `names`?" in err


def test_two_runs_at_once_the_second_ends_with_5(box: Box) -> None:
    box.configure(names=["a"], hold="a", ledger=str(box.folder / "ledger"))
    first = box.start("collect", "--as-of", NIGHT)
    wait_for(box.folder / "ledger", "a")
    code, _, err = box.run("collect")
    first.kill()
    first.communicate()
    assert code == 5
    assert "another run holds" in err


def test_wait_lock_waits_for_the_other_run(box: Box) -> None:
    box.configure(names=["a"], seconds=2, ledger=str(box.folder / "ledger"))
    first = box.start("collect", "--as-of", NIGHT)
    wait_for(box.folder / "ledger", "a")
    code, _, err = box.run("collect", "--wait-lock", "30s")
    assert code == 0, err
    assert first.wait(timeout=30) == 0
    first.communicate()
    assert len(list_sealed(box.state / "snapshots")) == 2


def test_kill_9_leaves_a_run_that_resume_ends_without_repeating_what_was_done(box: Box) -> None:
    ledger = box.folder / "ledger"
    box.configure(names=["a", "b", "c"], hold="b", ledger=str(ledger), top={"limits": {"workers": 1}})
    process = box.start("collect", "--as-of", NIGHT)
    wait_for(ledger, "b")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    release(ledger)
    assert list_sealed(box.state / "snapshots") == []
    code, _, err = box.run("collect", "--resume")
    assert code == 0, err
    assert ledger.read_text().split() == ["a", "b", "b", "c"]
    manifest = verify(box.state / "snapshots" / "20261123T020000Z")
    assert manifest.rows["accounts"] == 9
    assert not manifest.partial


def test_a_run_without_resume_discards_what_a_crash_left(box: Box) -> None:
    ledger = box.folder / "ledger"
    box.configure(names=["a", "b"], hold="b", ledger=str(ledger), top={"limits": {"workers": 1}})
    process = box.start("collect", "--as-of", NIGHT)
    wait_for(ledger, "b")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    release(ledger)
    assert box.run("collect", "--as-of", "2026-11-24T02:00:00")[0] == 0
    assert [folder.name for folder in (box.state / "snapshots").iterdir()] == ["20261124T020000Z"]


def test_sigterm_seals_what_there_is_as_partial(box: Box) -> None:
    ledger = box.folder / "ledger"
    box.configure(names=["a", "b", "c"], hold="b", ledger=str(ledger), top={"limits": {"workers": 1}})
    process = box.start("collect", "--as-of", NIGHT)
    wait_for(ledger, "b")
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 6, err
    manifest = verify(box.state / "snapshots" / "20261123T020000Z")
    assert manifest.partial
    assert manifest.not_started == ["made-up/c"]
    assert manifest.rows["gaps"] == 2
    assert manifest.coverage < 0.5


def test_the_deadline_seals_as_partial(box: Box) -> None:
    box.configure(names=["a", "b", "c"], hold="a", top={"limits": {"workers": 1}})
    code, _, err = box.run("collect", "--as-of", NIGHT, "--deadline", "1s")
    assert code == 6, err
    assert read_manifest(box.state / "snapshots" / "20261123T020000Z").partial


def test_a_full_disk_is_1_with_a_clear_message_and_sealed_snapshots_stay_readable(box: Box) -> None:
    box.configure(names=["a"])
    assert box.run("collect", "--as-of", NIGHT)[0] == 0
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))"
    code, _, err = box.run("collect", prelude=limit)
    assert code == 1
    assert "MiB free on the disk" in err
    assert "Traceback" not in err
    assert verify(box.state / "snapshots" / "20261123T020000Z").rows["accounts"] == 3


def test_logs_are_json_lines_where_there_is_no_terminal(box: Box) -> None:
    box.configure(names=["a"])
    _, _, err = box.run("collect")
    events = [json.loads(line) for line in err.splitlines()]
    assert {"collecting", "target done", "snapshot sealed"} <= {event["event"] for event in events}


@pytest.mark.parametrize("arguments", [["--deadline", "soon"], ["--wait-lock", "-1"], ["--only", "nothing"]])
def test_bad_arguments_are_2(box: Box, arguments: list[str]) -> None:
    box.configure(names=["a"])
    assert box.run("collect", *arguments)[0] == 2
