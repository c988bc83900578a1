"""Files and folders of the state: readable by their owner only, whole or not there, safe against planted links."""

from __future__ import annotations

import logging
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class UnsafeFolderError(Exception):
    """Other users can write to a folder of the state. The message says which, and what to do."""


def create_private(path: Path) -> int:
    """Create an empty file with mode 0600 and return its descriptor, open for writing.

    Whatever has the name is removed first, so a planted link is not followed. Raises FileExistsError if somebody plants
    one at the same moment.
    """
    path.unlink(missing_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def write_private(path: Path, data: bytes) -> None:
    """Write a file atomically and durably, readable only by its owner."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(path.name + ".tmp")
    with os.fdopen(create_private(temporary), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    flush_to_disk(path.parent)


def read_private(path: Path) -> bytes:
    """Return the content of a file. Raises `UnsafeFolderError` if it is a link or belongs to another user."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_uid not in {os.geteuid(), 0}:
            raise UnsafeFolderError(f"{path} is not a regular file of this user. Remove it and run again.")
        return file.read()


def flush_to_disk(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def secure_folder(folder: Path) -> None:
    """Create a folder with mode 0700, or take other users' permission to write away from an existing one.

    Raises `UnsafeFolderError` for a folder that is shared (sticky, such as /tmp), that belongs to another user and that
    others can write to, or that is a link made by another user.
    """
    if folder.is_symlink() and folder.lstat().st_uid not in {os.geteuid(), 0}:
        raise UnsafeFolderError(f"{folder} is a link that another user made. Remove it and run again.")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = folder.stat()
    if not found.st_mode & _OTHERS_WRITE:
        return
    if found.st_mode & stat.S_ISVTX:
        raise UnsafeFolderError(f"{folder} is shared by all users. Name a folder of its own as `state`.")
    if found.st_uid != os.geteuid():
        raise UnsafeFolderError(
            f"other users can write to {folder}, which belongs to user {found.st_uid}. Run `chmod go-w {folder}` as its "
            "owner, or name a folder inside it as `state`, which will be created closed."
        )
    folder.chmod(stat.S_IMODE(found.st_mode) & ~_OTHERS_WRITE)
    log.warning(
        "other users could write to this folder; it is now closed to them", extra={"folder": str(folder)}
    )
