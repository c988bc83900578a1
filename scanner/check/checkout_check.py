"""The check of a checkout: what its definitions show, less what the base shows and what is accepted."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from scanner.check.base_tree import BaseError, root_of, write_base
from scanner.check.ignore_comments import IgnoreComment, InvalidComment, ignore_comments
from scanner.check.occurrences import accepted, brought, occurrences, unread
from scanner.check.reach_changes import reach_changes
from scanner.check.simulated_night import simulated_night
from scanner.checked import Checked, Ignored
from scanner.safe_text import plain
from scanner.secrets.redact import redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from scanner.analyze.rule import Rule
    from scanner.checked import Occurrence, ReachChange
    from scanner.config import Settings

EXCERPT = 160
"""The most characters of a line that are shown."""
LARGEST = 4_194_304
"""Files larger than this, in bytes, are not quoted."""


class Against(NamedTuple):
    """An earlier night."""

    run_id: str
    snapshot: Path


def check(
    path: Path,
    *,
    settings: Settings,
    rules: Sequence[Rule],
    as_of: datetime,
    base: str | None = None,
    against: Against | None = None,
) -> Checked:
    """Check the checkout, folder or file at ``path``; with ``base``, a revision, only what changed since.

    Raises `BaseError`, and what a run raises.
    """
    root = root_of(path)
    if base is not None and root is None:
        raise BaseError(f"--base {base}: {path} is in no git checkout")
    if against is not None and root is not None and path.is_dir() and path != root:
        # The repository, and with it what its tokens say, is known from the root only.
        raise BaseError(f"--against needs the whole checkout or one file: check {root}")
    beside = against.snapshot if against else None
    with ExitStack() as stack:
        simulated = partial(simulated_night, settings=settings, rules=rules, as_of=as_of, beside=beside)
        night = stack.enter_context(simulated(path))
        found, not_read, excepted = occurrences(night), unread(night), accepted(night)
        commit = None
        changes: list[ReachChange] = []
        if base is not None and root is not None:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="sprawlscan-base-"))) / root.name
            commit = write_base(root, base, folder)
            earlier = folder / path.relative_to(root)
            known: list[Occurrence] = []
            if earlier.exists():
                before = stack.enter_context(simulated(earlier))
                known = occurrences(before)
                changes = reach_changes(before, night) if against else []
            elif against:
                changes = reach_changes(None, night)
            found = brought(
                known, found, gone=_only_in(earlier, path, known), added=_only_in(path, earlier, found)
            )
        elif against:
            changes = reach_changes(None, night)
    prefix = _prefix(path, root)
    found = [_placed(one, prefix) for one in found]
    files = {one.path: _lines(root or path, one.path) for one in found if one.path is not None}
    kept, ignored, problems = _without_ignored(found, files, as_of)
    return Checked(
        as_of=as_of, base=commit, against=against.run_id if against else None, found=kept, reach=changes,
        ignored=[*ignored, *(Ignored(what=what, by=f"exception {name}") for what, name in excepted)],
        problems=problems, unread=not_read,
        excerpts={f"{one.path}:{one.line}": text for one in kept if (text := _excerpt(one, files)) is not None},
    )  # fmt: skip


def _only_in(here: Path, there: Path, named: Iterable[Occurrence]) -> set[str]:
    """Return the files with findings that only one of two trees has."""
    if not here.is_dir():
        return set()
    return {
        one.path
        for one in named
        if one.path and (here / one.path).exists() and not (there / one.path).exists()
    }


def _prefix(path: Path, root: Path | None) -> str:
    """Return what a path of a record lacks to start at the root of the checkout."""
    if root is None or not path.is_dir() or path == root:
        return ""
    return f"{path.relative_to(root).as_posix()}/"


def _placed(one: Occurrence, prefix: str) -> Occurrence:
    return msgspec.structs.replace(one, path=f"{prefix}{one.path}") if prefix and one.path else one


def _lines(root: Path, name: str) -> list[str]:
    """Return the lines of a file of the checkout; none for what is outside of it, too large or no file."""
    folder = root if root.is_dir() else root.parent
    file = (folder / name).resolve()
    if not file.is_relative_to(folder.resolve()) or not file.is_file() or file.stat().st_size > LARGEST:
        return []
    return file.read_text(encoding="utf-8", errors="replace").split("\n")


def _excerpt(one: Occurrence, files: dict[str, list[str]]) -> str | None:
    lines = files.get(one.path or "", [])
    if one.line is None or one.line > len(lines):
        return None
    return plain(redact(lines[one.line - 1].strip()), EXCERPT)


def _without_ignored(
    found: list[Occurrence], files: dict[str, list[str]], as_of: datetime
) -> tuple[list[Occurrence], list[Ignored], list[str]]:
    """Return what no comment accepts, what one accepts, and the comments that accept nothing."""
    problems: list[str] = []
    valid: dict[tuple[str, int], IgnoreComment] = {}
    for path, lines in files.items():
        for comment in ignore_comments(lines):
            where = f"{path}:{comment.line}"
            match comment:
                case InvalidComment():
                    problems.append(f"{where}: {comment.problem}")
                case IgnoreComment() if comment.until < as_of.date():
                    problems.append(
                        f"{where}: the ignore comment for {comment.rule} ended on {comment.until}"
                    )
                case IgnoreComment():
                    valid[(path, comment.line)] = comment
    kept, ignored = [], []
    for one in found:
        accepting = next(
            (
                given
                for line in (one.line or 0, (one.line or 0) - 1)
                if (given := valid.get((one.path or "", line))) is not None and given.rule == one.rule
            ),
            None,
        )
        if accepting is None:
            kept.append(one)
        else:
            by = f"comment in line {accepting.line}, until {accepting.until}: {accepting.reason}"
            ignored.append(Ignored(what=f"{one.path}:{one.line}: {one.rule}", by=by))
    return kept, ignored, problems
