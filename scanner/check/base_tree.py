"""The files of an earlier revision of a checkout, written to a folder.

Only git's plumbing is called (``rev-parse``, ``merge-base``, ``ls-tree``, ``cat-file``): these run no hook, no filter, no
external diff and no file system monitor of the repository (https://git-scm.com/docs/gitattributes,
https://git-scm.com/docs/githooks), and nothing is fetched.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path, PurePosixPath
from typing import IO

LARGEST = 1_048_576
"""Files larger than this, in bytes, hold no pipeline definition that is read."""
SECONDS = 120
"""How long one command of git may take."""
_SKIPPED = frozenset(("node_modules", ".venv", "venv", "__pycache__"))
_FILE_MODES = (b"100644", b"100755")

_SAFE = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_CONFIG_COUNT": "2",
    "GIT_CONFIG_KEY_0": "core.fsmonitor",
    "GIT_CONFIG_VALUE_0": "false",
    "GIT_CONFIG_KEY_1": "core.hooksPath",
    "GIT_CONFIG_VALUE_1": os.devnull,
}


class BaseError(Exception):
    """The base revision cannot be read. The message says why and what to do."""


def root_of(path: Path) -> Path | None:
    """Return the root of the checkout that a folder or file is in."""
    start = path if path.is_dir() else path.parent
    return next((at for at in (start, *start.parents) if (at / ".git").exists()), None)


def write_base(root: Path, revision: str, folder: Path) -> str:
    """Write the files of the base into ``folder``; return its commit.

    The base is the newest commit that ``revision`` and HEAD have in common, so that what was changed on the other
    branch since is not taken for the change; in a shallow clone without one, ``revision`` itself. The names that the
    collector derives from ``.git/config`` are kept. Raises `BaseError`.
    """
    commit = _git(
        root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"
    ).strip()
    if not commit:
        raise BaseError(
            f"--base {revision}: no such commit in {root}. In a shallow clone fetch it first: "
            "`git fetch origin main`, or `fetch-depth: 0` with actions/checkout."
        )
    base = _git(root, "merge-base", commit, "HEAD", fails=True).strip() or commit
    listed = [
        _Blob.of(line)
        for line in _git_bytes(root, "ls-tree", "-r", "-z", "-l", "--full-tree", base).split(b"\0")
        if line
    ]
    wanted = [blob for blob in listed if blob is not None]
    _write(root, wanted, folder)
    _keep_names(root, folder)
    return base


class _Blob:
    """A file of a tree that is read."""

    def __init__(self, name: bytes, path: str) -> None:
        self.name = name
        self.path = path

    @classmethod
    def of(cls, line: bytes) -> _Blob | None:
        """Return the file of a line of ``ls-tree -l``: ``mode type name size<TAB>path``; None for what is not read."""
        facts, _, given = line.partition(b"\t")
        mode, _kind, name, size = facts.split()
        path = os.fsdecode(given)
        parts = PurePosixPath(path).parts
        inside = not (path.startswith("/") or ".." in parts or ".git" in {part.lower() for part in parts})
        small = size.isdigit() and int(size) <= LARGEST
        if mode in _FILE_MODES and inside and small and not _SKIPPED & {*parts}:
            return cls(name, path)
        return None


def _write(root: Path, blobs: list[_Blob], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [_program(), "-C", str(root), "cat-file", "--batch"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, **_SAFE},
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        for blob in blobs:
            process.stdin.write(blob.name + b"\n")
            process.stdin.flush()
            target = folder / blob.path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(_content(process.stdout))
        process.stdin.close()


def _content(answer: IO[bytes]) -> bytes:
    """Return a blob of the answer of ``cat-file --batch``: ``name type size``, the bytes, and a line break."""
    header = answer.readline().split()
    if len(header) != 3 or not header[2].isdigit():
        raise BaseError(
            "the base is not complete in this clone; fetch it without a filter and without a depth"
        )
    content = answer.read(int(header[2]))
    answer.read(1)
    return content


def _keep_names(root: Path, folder: Path) -> None:
    """Give the base the repository's name, which the collector reads from ``.git``."""
    git = root / ".git"
    if git.is_symlink() or not git.is_dir():
        (folder / ".git").write_bytes(b"")
        return
    for name in ("config", "refs/remotes/origin/HEAD"):
        file = git / name
        if file.is_file() and not file.is_symlink() and file.stat().st_size <= LARGEST:
            (folder / ".git" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, folder / ".git" / name)
    (folder / ".git").mkdir(exist_ok=True)


def _program() -> str:
    found = shutil.which("git")
    if found is None:
        raise BaseError("--base needs git, which is not installed here")
    return found


def _git(root: Path, *arguments: str, fails: bool = False) -> str:
    return os.fsdecode(_git_bytes(root, *arguments, fails=fails or "--quiet" in arguments))


def _git_bytes(root: Path, *arguments: str, fails: bool = False) -> bytes:
    """Run git and return what it prints; nothing if it failed and ``fails`` allows that."""
    try:
        done = subprocess.run(
            [_program(), "-C", str(root), *arguments],
            capture_output=True, env={**os.environ, **_SAFE}, timeout=SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise BaseError(f"git {arguments[0]} took longer than {SECONDS} seconds") from None
    if done.returncode == 0:
        return done.stdout
    said = os.fsdecode(done.stderr).strip()
    if "dubious ownership" in said:
        raise BaseError(
            f"git refuses {root} because another user owns it; allow it with "
            f"`git config --global --add safe.directory {root}`"
        )
    if fails:
        return b""
    raise BaseError(f"git {arguments[0]} failed: {said[:300]}")
