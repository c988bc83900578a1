"""The state folder at the start of a run: closed to other users, and free of what a killed run left behind."""

from __future__ import annotations

import logging
import shutil
from typing import TYPE_CHECKING

from scanner.private_files import secure_folder
from scanner.scratch import remove_abandoned

if TYPE_CHECKING:
    from pathlib import Path

    from scanner.ledger import Ledger

log = logging.getLogger(__name__)

FOLDERS = ("snapshots", "analysis", "history", "reports", "cache", "scratch")


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
    unfinished = [night.run_id for night in ledger.in_force() if night.told is None]
    for pattern in ("*.tmp", "history/*.tmp", *(f"reports/{run_id}/*.tmp" for run_id in unfinished)):
        for path in state.glob(pattern):
            path.unlink(missing_ok=True)
