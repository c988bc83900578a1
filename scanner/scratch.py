"""Folders for temporary files. They are in the state folder, so that the rest of the file system can be read-only.

Each is locked while it is used. What a killed process left is not locked, and the next run removes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

from scanner.private_files import UnsafeFolderError, secure_folder

NAME = "scratch"


class Scratch:
    """A folder for temporary files: in the state folder, or where the system has them if that cannot be written to."""

    def __init__(self, state: Path | None) -> None:
        self.path = _in_state(state) if state is not None else None
        if self.path is None:
            self.path = Path(tempfile.mkdtemp(prefix="sprawlscan-"))
        self._descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def close(self) -> None:
        """Remove the folder."""
        if self.path is not None:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._descriptor)
            self.path = None


def _in_state(state: Path) -> Path | None:
    try:
        secure_folder(state / NAME)
        return Path(tempfile.mkdtemp(dir=state / NAME))
    except (OSError, UnsafeFolderError):
        return None  # the state is only read: an archive, or another user's


def remove_abandoned(state: Path) -> None:
    """Remove the temporary folders of processes that have ended."""
    for path in (state / NAME).glob("*"):
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(descriptor)
