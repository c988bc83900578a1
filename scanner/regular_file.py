"""Reads files that may be anything: never a pipe, a device or a socket, and never more than asked for."""

from __future__ import annotations

import errno
import io
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LARGEST = 64_000_000
"""Bytes of the largest file that `read_settings` reads. An ownership file of a million lines has 60 MB."""


class NotRegularError(OSError):
    """The file is a pipe, a device, a socket or a folder."""


def read_regular(path: Path, most: int, *, follow: bool = False) -> bytes:
    """Return the first ``most`` bytes of a regular file. Raises OSError, for a link too unless ``follow``.

    A pipe is opened without waiting for a writer, and is then refused.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    with os.fdopen(os.open(path, flags), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise NotRegularError(errno.EINVAL, "not a regular file", str(path))
        return file.read(most)


def read_settings(path: Path, encoding: str = "utf-8") -> str:
    """Return the text of a file that the configuration names, or that it is. Links are followed.

    Raises OSError with a ``strerror``, also for what is no regular file or is larger than `LARGEST`, and UnicodeDecodeError.
    """
    content = read_regular(path, LARGEST + 1, follow=True)
    if len(content) > LARGEST:
        raise OSError(errno.EFBIG, f"larger than {LARGEST // 1_000_000} MB", str(path))
    return io.TextIOWrapper(io.BytesIO(content), encoding=encoding).read()
