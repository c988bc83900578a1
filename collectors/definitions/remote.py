"""The remote repository of a checkout, by its ``.git/config``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from scanner.regular_file import read_regular

if TYPE_CHECKING:
    from pathlib import Path


class Remote(msgspec.Struct, frozen=True, kw_only=True):
    """The remote repository of a checkout."""

    host: str
    repository: str
    """Full name on the host."""
    default_branch: str | None = None


_REMOTE = re.compile(
    r"(?:[a-z+]+://(?:[^@/\s]*@)?|(?:[\w.-]+@)?)(?P<host>[\w.-]+)(?::\d+/|[:/])(?P<path>[\w./~-]+?)(?:\.git)?/?"
)


def remote_of(folder: Path) -> Remote | None:
    """Return the remote ``origin`` of a checkout, read from .git/config; None if there is none or it cannot be read."""
    git = folder / ".git"
    try:
        if git.is_symlink() or not git.is_dir():
            return None
        config = read_regular(git / "config", 1_000_000).decode("utf-8", "replace")
    except OSError:
        return None
    try:
        branch = read_regular(git / "refs" / "remotes" / "origin" / "HEAD", 500).decode("utf-8", "replace")
    except OSError:
        branch = ""
    section, url = "", None
    for line in config.splitlines():
        stripped = line.strip()
        if stripped.startswith("["):
            section = stripped
        elif section == '[remote "origin"]' and url is None:
            key, _, value = stripped.partition("=")
            url = value.strip() if key.strip() == "url" else None
    match = _REMOTE.fullmatch(url or "")
    if match is None or "/" not in match["path"].strip("/"):
        return None
    default = branch.strip().partition("ref: refs/remotes/origin/")[2]
    return Remote(
        host=match["host"].lower(), repository=match["path"].strip("/"), default_branch=default or None
    )
