"""The state folder and its files: closed to others, safe against planted links, whole, and all that a run writes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scanner.collect.run import fingerprint_key
from scanner.parquet import write_table
from scanner.pipeline.state_folder import FOLDERS, locked, secure_state
from scanner.private_files import UnsafeFolderError, create_private, secure_folder, write_private
from scanner.records import Account
from scanner.scratch import Scratch, remove_abandoned
from scanner.snapshot import SnapshotError
from scanner.tables import Tables
from tests.checkout_nights import Checkout, run_of


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o707])
def test_a_loose_state_folder_is_closed_before_anything_is_written(tmp_path: Path, mode: int) -> None:
    state = tmp_path / "state"
    state.mkdir()
    state.chmod(mode)
    with locked(state, 0):
        assert state.stat().st_mode & 0o022 == 0


@pytest.mark.parametrize("name", FOLDERS)
def test_a_loose_folder_of_the_state_is_closed(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name).chmod(0o777)
    secure_state(tmp_path)
    assert (tmp_path / name).stat().st_mode & 0o022 == 0


def test_a_folder_that_everybody_shares_is_refused_with_advice(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    with pytest.raises(UnsafeFolderError, match="folder of its own as `state`"):
        secure_folder(tmp_path)
    assert tmp_path.stat().st_mode & 0o7777 == 0o1777


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
def test_a_folder_and_a_link_of_another_user_are_refused_with_advice(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    other.chmod(0o777)
    os.chown(other, 12345, 12345)
    with pytest.raises(UnsafeFolderError, match="chmod go-w"):
        secure_folder(other)
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    os.chown(link, 12345, 12345, follow_symlinks=False)
    with pytest.raises(UnsafeFolderError, match="another user made"):
        secure_folder(link)
    key = tmp_path / "key"
    write_private(key, b"00")
    os.chown(key, 12345, 12345)
    with pytest.raises(UnsafeFolderError, match="not a regular file of this user"):
        fingerprint_key(tmp_path)


def test_a_planted_link_receives_neither_the_key_nor_any_other_file(tmp_path: Path) -> None:
    target = tmp_path / "planted"
    target.write_bytes(b"untouched")
    state = tmp_path / "state"
    state.mkdir()
    (state / "key.tmp").symlink_to(target)
    fingerprint_key(state)
    assert not (state / "key").is_symlink()
    (state / "rows.tmp").symlink_to(target)
    write_table(state / "rows.parquet", Account, [])
    (state / "copied.tmp").symlink_to(target)
    tables = Tables([state], state=state)
    tables.copy("SELECT 1 AS one", state / "copied.parquet")
    tables.close()
    assert target.read_bytes() == b"untouched"
    assert (state / "key").stat().st_mode & 0o777 == 0o600


def test_a_planted_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "known").write_text("00" * 32)
    (tmp_path / "key").symlink_to(tmp_path / "known")
    with pytest.raises(SnapshotError, match="not a key that sprawlscan made"):
        fingerprint_key(tmp_path)


def test_a_file_that_appears_at_the_same_moment_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "raced"
    path.touch()
    monkeypatch.setattr(Path, "unlink", lambda self, missing_ok=False: None)
    with pytest.raises(FileExistsError):
        create_private(path)


def test_scratch_of_a_process_that_ended_is_removed_and_that_of_a_living_one_stays(tmp_path: Path) -> None:
    code = "import sys, os; from pathlib import Path; from scanner.scratch import Scratch; Scratch(Path(sys.argv[1])); os._exit(1)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    (left,) = (tmp_path / "scratch").iterdir()
    living = Scratch(tmp_path)
    remove_abandoned(tmp_path)
    assert list((tmp_path / "scratch").iterdir()) == [living.path]
    assert left != living.path
    living.close()
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_state_that_can_only_be_read_is_still_read(tmp_path: Path) -> None:
    """As root, permissions refuse nothing: a file in the place of the folder does."""
    (tmp_path / "scratch").touch()
    scratch = Scratch(tmp_path)
    assert scratch.path is not None
    assert not scratch.path.is_relative_to(tmp_path)
    scratch.close()


def test_a_night_needs_no_folder_outside_its_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a read-only root file system: there is no usable temporary folder at all."""
    place = Checkout(tmp_path)
    loaded = place.configure(reports={"formats": ["html", "csv", "json"]})
    script = (
        "import sys, tempfile; tempfile._get_default_tempdir = lambda: (_ for _ in ()).throw(FileNotFoundError(2, 'none'))\n"
        "from scanner.command.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "run", "--as-of", "2026-11-22T02:00:00"],
        cwd=loaded.path.parent,
        env={**os.environ, "TMPDIR": "/proc/none", "TEMP": "/proc/none", "TMP": "/proc/none"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert (place.state / "reports" / run_of(1) / "report.html").is_file()
    assert list((place.state / "scratch").iterdir()) == []


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path: Path) -> None:
    place = Checkout(tmp_path)
    left = [
        place.state / "analysis" / f"{run_of(1)}.partial" / "findings.parquet",
        place.state / "scratch" / "tmp-of-a-dead-process" / "spilled",
        place.state / "history" / f"{run_of(1)}.tmp",
        place.state / "ledger.tmp",
    ]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    place.night(2)
    assert [path for path in left if path.exists()] == []
    assert not left[0].parent.exists()
