"""The state folder: its lock, its ledger, its runs and its reports; closed to other users, and free of what a killed run left."""

from __future__ import annotations

import contextlib
import logging
import shutil
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from scanner.ledger import Ledger
from scanner.private_files import secure_folder
from scanner.scratch import remove_abandoned
from scanner.signing import signer
from scanner.snapshot import SnapshotError, list_sealed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scanner.config import Settings

log = logging.getLogger(__name__)

FOLDERS = ("snapshots", "analysis", "history", "reports", "cache", "scratch")


class LockedError(Exception):
    """Another run holds the lock."""


class NoSuchRunError(SnapshotError):
    """There is no such run."""


def secure_state(state: Path) -> None:
    """Create the state folder, or close it to other users. Raises `scanner.private_files.UnsafeFolderError`."""
    secure_folder(state)
    for name in FOLDERS:
        folder = state / name
        if folder.exists() or folder.is_symlink():
            secure_folder(folder)


def tidy(ledger: Ledger) -> None:
    """Remove temporary files and unfinished analyses of killed runs. Only under the lock of the state."""
    state = ledger.state
    remove_abandoned(state)
    for path in (state / "analysis").glob("*.partial"):
        log.info("removing an unfinished analysis", extra={"folder": path.name})
        shutil.rmtree(path)
    # Reports of a finished night may be written again at this moment, by a process without the lock.
    unfinished = [night.run_id for night in ledger.in_force() if night.notified is None]
    for pattern in ("*.tmp", "history/*.tmp", *(f"reports/{run_id}/*.tmp" for run_id in unfinished)):
        for path in state.glob(pattern):
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(state: Path, wait_seconds: float) -> Iterator[None]:
    """Hold the lock of the state folder. Raises `LockedError` if another run holds it for longer than ``wait`` seconds."""
    secure_state(state)
    try:
        with FileLock(state / "lock", timeout=wait_seconds, mode=0o600):
            yield
    except Timeout:
        raise LockedError(
            f"another run holds the lock {state / 'lock'}. Wait for it (--wait-lock 10m) or stop it. Nothing was changed."
        ) from None


def ledger_of(settings: Settings) -> Ledger:
    """Return the ledger of the state folder, which signs if the configuration names a key."""
    return Ledger(settings.state, signer(settings.signing_key))


def report_folder(state: Path, run_id: str) -> Path:
    """Return where the reports of a run stand."""
    return state / "reports" / run_id


def resolve_run(state: Path, run_id: str | None, *, analyzed: bool = False) -> str:
    """Return the named run, or the newest one in force: sealed, or ``analyzed``. Raises `NoSuchRunError` if there is none."""
    sealed = {path.name for path in list_sealed(state / "snapshots")}
    if run_id is not None:
        if run_id not in sealed:
            there = ", ".join(sorted(sealed)) or "none"
            raise NoSuchRunError(f"no sealed snapshot {run_id}; available: {there}.")
        return run_id
    nights = [night for night in Ledger(state).in_force() if night.run_id in sealed]
    if not nights:
        raise NoSuchRunError(
            f"{state / 'snapshots'} contains no sealed snapshot; run `sprawlscan run` first."
        )
    chosen = [night.run_id for night in nights if night.analyzed is not None or not analyzed]
    if not chosen:
        raise NoSuchRunError(f"no night of {state} is analyzed; run `sprawlscan analyze` first.")
    return chosen[-1]
