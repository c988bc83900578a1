"""The collector over local checkouts: ``sprawlscan collect --only definitions --path DIR``.

What is read: definition files by name (``.github/workflows/ci.yml``), and in folders that usually hold them
(``.pipelines/``) by content. A file of a system that is not read becomes a `Gap` that names the system. In a folder that is not a checkout (no ``.git``
or ``.github`` in it or above it), and in a checkout without a definition file by name, YAML files with any name are
also read if their content is unmistakable (``on:`` with ``jobs:``). In any other checkout such a file is an example or
a template that nothing runs. A path may also be a single file: then it is read, or a `Gap` says why not.
"""

from __future__ import annotations

import fnmatch
import logging
import os
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import msgspec
from pydantic import Field

from collectors.definitions.called_files import CalledDefinitions
from collectors.definitions.checkout_files import CheckoutFiles
from collectors.definitions.context import Context
from collectors.definitions.definition import DefinitionError
from collectors.definitions.formats import format_by_content, format_of, parse
from collectors.definitions.records import definition_records
from collectors.definitions.remote import Remote, remote_of
from collectors.definitions.tokens import server_issuer
from collectors.definitions.unread_systems import unread_content, unread_system
from collectors.definitions.yaml_nodes import MAX_BYTES
from scanner.collect.collector import Run, Target
from scanner.collect.failures import Failure, SourceError
from scanner.collect.listings import ListingRequest, gap, with_coverage
from scanner.config import Section
from scanner.records import TABLE_OF, Account, Coverage, Record
from scanner.regular_file import read_regular

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.definitions.definition import Definition

log = logging.getLogger(__name__)

_SKIPPED = frozenset(
    (".git", ".hg", ".svn", "node_modules", ".venv", "venv", ".terraform", "__pycache__", ".tox")
)
_FILLED = ("identities", "links", "secrets", "weaknesses")
"""Tables that a definition file fills. A file that cannot be read is a `Gap` in each."""


class Config(Section):
    """Local checkouts whose pipeline definitions are read."""

    paths: list[Path] = Field(default_factory=list)
    """Folders (a checkout, a folder of checkouts, or a folder of definition files) or single files. Relative paths
    start at the folder of config.yaml."""
    include: list[str] = Field(default_factory=lambda: ["*"])
    """Globs of paths inside the folder; only files that match one are read."""
    exclude: list[str] = Field(default_factory=list)
    """Globs of paths inside the folder that are excluded."""
    max_bytes: int = Field(default=MAX_BYTES, ge=1, le=MAX_BYTES)
    """Files larger than this are not read and become a gap."""


def targets(config: Config, run: Run) -> Iterator[Target]:
    """Yield one target for each path, named once or twice. A path that does not exist is a target too: collecting it
    reports that.
    """
    names: dict[str, int] = {}
    seen: set[Path] = set()
    for path in config.paths:
        named = path.expanduser().absolute()
        folder = named if named.is_dir() else _root_of(named)
        real = Path(os.path.realpath(named))  # Path.resolve raises RuntimeError for a link to itself
        if real in seen:
            log.warning("a path is named more than once, and read once", extra={"path": str(path)})
            continue
        seen.add(real)
        missing = not named.exists() or not folder.is_dir()
        if missing:
            folder = named
        remote = remote_of(folder)
        name = remote.repository if remote else folder.name or "root"
        names[name] = names.get(name, 0) + 1
        unique = name if names[name] == 1 else f"{name}#{names[name]}"
        yield Target(
            collector="definitions",
            name=unique,
            account_id=f"definitions:checkout:{unique}",
            params={"path": str(folder)}
            | ({"missing": str(path)} if missing else {})
            | ({} if named == folder else {"file": named.relative_to(folder).as_posix()}),
        )


def _root_of(file: Path) -> Path:
    """Return the checkout that contains a file, or else its folder."""
    for parent in file.parents:
        if (parent / ".git").exists():
            return parent
    above = file.as_posix().rpartition("/.github/")[0]
    return Path(above) if above else file.parent


def collect(target: Target, config: Config, run: Run) -> Iterator[Record]:
    """Yield the checkout as an `Account` and the records of its definition files. An unreadable file affects only
    itself.
    """
    folder = Path(target.params["path"])
    if "missing" in target.params:
        path = target.params["missing"]
        raise SourceError("unreachable", f"{path} is not a readable folder or file; check `paths`")
    remote = remote_of(folder)
    yield Account(
        id=target.account_id,
        provider="definitions",
        account_id=target.account_id,
        kind="checkout",
        native_id=target.name,
        name=target.name,
        address=f"{remote.host}/{remote.repository}" if remote else None,
    )
    context = Context(
        provider="definitions",
        account_id=target.account_id,
        repository=remote.repository if remote else target.name,
        default_branch=remote.default_branch if remote else None,
        immutable_subject=None,
    )
    counts = dict.fromkeys(_FILLED, 0)
    only = target.params.get("file")
    files = definition_files(folder, config) if only is None else [_checked(folder, only, config)]
    included: set[str] = set()
    called: dict[str, CalledDefinitions] = {}
    for path, skipped in sorted(files, key=_order):
        if path in included:
            continue
        if run.stopping.is_set():
            skipped = Failure(reason="deadline", detail="the run was stopped")  # noqa: PLW2901
        file = _File(
            folder=folder,
            path=path,
            context=context,
            remote=remote,
            target=target,
            config=config,
            run=run,
            included=included,
            called=called,
        )
        for record in _file(file, skipped):
            table = TABLE_OF[type(record)]
            if table in counts:
                counts[table] += 1
            yield record
    for table, items in counts.items():
        yield Coverage(
            id=f"definitions:coverage:{target.name}:{table}",
            provider="definitions",
            account_id=target.account_id,
            collector="definitions",
            target=target.name,
            table=table,
            call="walk",
            items=items,
        )


def _request(target: Target, table: str, call: str) -> ListingRequest:
    return ListingRequest(
        provider="definitions",
        account_id=target.account_id,
        collector="definitions",
        target=target.name,
        table=table,
        call=call,
        needs="read access to the folder",
    )


def _explain(exc: Exception) -> Failure | None:
    if isinstance(exc, DefinitionError):
        return Failure(reason=exc.reason, detail=str(exc))
    if isinstance(exc, PermissionError):
        return Failure(reason="denied", detail=f"{exc.filename}: {exc.strerror}")
    if isinstance(exc, OSError):
        return Failure(reason="unreachable", detail=f"{exc.filename}: {exc.strerror}")
    return None


class _File(msgspec.Struct, frozen=True, kw_only=True):
    """One definition file, and the context needed to read it."""

    folder: Path
    path: str
    context: Context
    remote: Remote | None
    target: Target
    config: Config
    run: Run
    included: set[str]
    """Files that belong to a pipeline already read; grows while files are read."""
    called: dict[str, CalledDefinitions]
    """Folder of a repository to its files that definitions call; grows while files are read."""


def _file(file: _File, skipped: Failure | None) -> Iterator[Record]:
    """Yield the records of one file, and its coverage of each table that it fills."""
    call = f"read {file.path}"
    if skipped is not None:
        yield from (gap(_request(file.target, table, call), skipped) for table in _FILLED)
        return
    first, *others = _FILLED
    yield from with_coverage(_records(file), _request(file.target, first, call), _explain, fills=others)


def _records(file: _File) -> Iterator[Record]:
    context, remote = file.context, file.remote
    owner = context.repository.split("/", 1)[0]
    text = _text(file.folder / file.path)
    gaps: list[Record] = []
    if format_of(file.path) == "gitlab-ci":
        definition, gaps = _gitlab(file, text, owner)
    else:
        definition = parse(file.path, text, file.run.fingerprint, owner=owner, called=_called(file))
    issuer = server_issuer(definition.format, remote.host) if remote is not None else None
    yield from definition_records(definition, context=msgspec.structs.replace(context, issuer=issuer))
    yield from gaps


def _called(file: _File) -> CalledDefinitions:
    """Return the files of the definition's repository, shared by all its definitions."""
    inside = _repository(file.folder, file.path)
    known = file.called.get(inside)
    if known is None:
        prefix = "" if inside == "." else f"{inside}/"
        files = CheckoutFiles(
            file.folder / inside,
            wanted=lambda path: _is_included(prefix + path, file.config),
            largest=file.config.max_bytes,
            text=_text,
        )
        known = file.called[inside] = CalledDefinitions(files, inside)
    return known


def _gitlab(file: _File, text: str, owner: str) -> tuple[Definition, list[Record]]:
    """Return a GitLab pipeline with its local includes, and the gaps of those that could not be read."""
    from collectors.definitions.gitlab.checkout_includes import CheckoutReader
    from collectors.definitions.gitlab.ci import gitlab_pipeline

    reader = CheckoutReader(
        file.folder,
        _repository(file.folder, file.path),
        wanted=lambda path: _is_included(path, file.config),
        largest=file.config.max_bytes,
        text=_text,
    )
    definition, branches = gitlab_pipeline(file.path, text, file.run.fingerprint, reader, owner=owner)
    file.included.update(branch.read.shown for branch in branches if branch.tree is not None)
    unread = {branch.read.shown: branch.read for branch in branches if branch.read.reason is not None}
    gaps: list[Record] = []
    for path, read in unread.items():
        # A file that the walk finds reports its own failure.
        if read.reason is not None and path not in file.included and format_of(path) is None:
            file.included.add(path)
            failure = Failure(reason=read.reason, detail=f"{path}: {read.why}")
            gaps += [gap(_request(file.target, table, f"read {path}"), failure) for table in _FILLED]
    return definition, gaps


def _repository(folder: Path, path: str) -> str:
    """Return the folder of a definition's repository, relative to the scanned folder."""
    above_github = path.rpartition(".github/")[0]
    if ".github/" in path and (not above_github or above_github.endswith("/")):
        return above_github.rstrip("/") or "."
    above = [parent.as_posix() for parent in PurePosixPath(path).parents]
    for marked, name in ((above, ".git"), (above[::-1], ".gitlab-ci.yml")):
        for parent in marked:
            if (folder / parent / name).exists():
                return parent
    return "."


def _order(found: tuple[str, Failure | None]) -> tuple[bool, int]:
    """Sort GitLab pipelines first, outer folders before inner ones, because they include other definitions."""
    name, depth = found[0].rsplit("/", 1)[-1], found[0].count("/")
    return (False, depth) if name in {".gitlab-ci.yml", ".gitlab-ci.yaml"} else (True, 0)


_PIPELINES = re.compile(
    r"(?:^|/)\.?(?:azure-?(?:pipelines?|devops)|pipelines?|ci|cicd|cloudbuild|jenkins)/", re.IGNORECASE
)
"""Folders whose YAML files are taken for definitions if their content shows it, beside definitions found by name."""


def definition_files(folder: Path, config: Config) -> Iterator[tuple[str, Failure | None]]:
    """Yield the definition files below a folder, in order, each with the reason if it must not be read. A symbolic link
    that leaves the folder is not followed: its target does not belong to this checkout.
    """
    unreadable: list[OSError] = []
    checkouts: set[str] = set()
    named = False
    others: list[str] = []
    for parent, folders, files in os.walk(folder, onerror=unreadable.append, followlinks=False):
        if os.path.dirname(parent) in checkouts or {".git", ".github"} & {*folders, *files}:  # noqa: PTH120  a Path costs more than the walk
            checkouts.add(parent)
        folders[:] = sorted(name for name in folders if name not in _SKIPPED)
        for name in sorted(files):
            path = (Path(parent) / name).relative_to(folder).as_posix()
            if not _is_included(path, config):
                continue
            if format_of(path) is not None:
                named = True
                yield _checked(folder, path, config)
            elif (system := unread_system(path)) is not None:
                yield path, _unread(path, system)
            elif name.endswith((".yml", ".yaml")):
                if parent in checkouts and not _PIPELINES.search(path):
                    others.append(path)
                elif (found := _by_content(folder, path, config)) is not None:
                    yield found
    for path in [] if named else others:
        if (found := _by_content(folder, path, config)) is not None:
            yield found
    for exc in unreadable:
        where = Path(exc.filename).relative_to(folder).as_posix()
        yield where, _explain(exc)


def _checked(folder: Path, path: str, config: Config) -> tuple[str, Failure | None]:
    """Return a path, with the reason if the file must not be read."""
    full = folder / path
    if full.is_symlink() and not Path(os.path.realpath(full)).is_relative_to(os.path.realpath(folder)):
        return path, Failure(
            reason="unsupported", detail=f"{path} is a link that leaves the folder, so it was not followed"
        )
    if not full.is_file():
        return path, Failure(reason="unsupported", detail=f"{path} is not a regular file")
    if full.stat().st_size > config.max_bytes:
        return path, Failure(reason="truncated", detail=f"{path} is larger than {config.max_bytes} bytes")
    return path, None


def _by_content(folder: Path, path: str, config: Config) -> tuple[str, Failure | None] | None:
    """Return a file whose name says nothing, if its content shows that it is a definition."""
    if _checked(folder, path, config)[1] is not None:
        return None  # a link, a device or a huge file with any name: nothing shows that it is a definition
    try:
        text = _text(folder / path)
    except OSError as exc:
        return path, _explain(exc)
    if format_by_content(text) is not None:
        return path, None
    system = unread_content(text)
    return None if system is None else (path, _unread(path, system))


def _unread(path: str, system: str) -> Failure:
    return Failure(reason="unread", detail=f"{path} belongs to {system}, whose definitions are not read")


def _is_included(path: str, config: Config) -> bool:
    return any(fnmatch.fnmatchcase(path, glob) for glob in config.include) and not any(
        fnmatch.fnmatchcase(path, glob) for glob in config.exclude
    )


def _text(path: Path) -> str:
    """Return a file's text: UTF-8, or UTF-16 with a byte order mark; invalid bytes are replaced."""
    raw = read_regular(path, MAX_BYTES, follow=True)
    if raw[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return raw.decode("utf-16", "replace")
    return raw.decode("utf-8-sig", "replace")
