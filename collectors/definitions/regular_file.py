"""Reads files of checkouts, which strangers write: never a pipe, a device or a link, and never more than asked for."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class NotRegularError(OSError):
    """The file is a pipe, a device, a socket or a folder."""


def read_regular(path: Path, most: int, *, follow: bool = False) -> bytes:
    """Return the first ``most`` bytes of a regular file. Raises OSError, for a link too unless ``follow``.

    A pipe is opened without waiting for a writer, and is then refused.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    with os.fdopen(os.open(path, flags), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise NotRegularError(f"{path.name} is not a regular file")
        return file.read(most)
