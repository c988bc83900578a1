"""Seal, open and prune snapshots; `scanner.target_writer` writes their records.

A snapshot is one folder for each run. It never changes once it is sealed::

    snapshots/20261123T020000Z/
        run.json                          start time and configuration (no secrets)
        targets/aws-123456789012.json     written when a target is finished: what `--resume` skips
        identities/aws-123456789012.parquet
        ...
        manifest.json                     written last: its presence is the seal

``manifest.json`` contains the schema version, the tool version, ``as_of``, row counts, the sha256 of every file,
and the coverage. Every file is on the disk before it is written. A crash leaves a folder without it, which the next run
resumes or discards.
"""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from scanner.private_files import flush_to_disk, write_private
from scanner.records import TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

log = logging.getLogger(__name__)

SCHEMA_VERSION = 2
"""Raised when a column changes meaning. New columns are read as NULL from older snapshots and need no raise; renamed
kinds, rules and values are mapped (`scanner.renamed`)."""

OLDEST_SCHEMA_VERSION = 2
"""The oldest that is read. In version 1 weaknesses of definitions were controls, with everything in one sentence."""

RUN_ID_FORMAT = "%Y%m%dT%H%M%SZ"


class SnapshotError(Exception):
    """A snapshot cannot be read or written. The message names the file and what to do."""


class UnknownNightError(SnapshotError):
    """No night of the ledger has this id."""


class ShardFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a snapshot."""

    path: str
    """Relative to the snapshot's folder."""
    table: str
    rows: int
    sha256: str


class TargetDone(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a finished target: its files and statistics."""

    collector: str
    target: str
    account_id: str
    complete: bool
    """False if it has a gap."""
    gaps: int
    records: int
    seconds: float
    """Duration in seconds. Never used in analysis."""
    files: list[ShardFile]


class RunInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The start of a run."""

    run_id: str
    as_of: datetime
    tool_version: str
    config_digest: str
    """sha256 of the configuration file, which contains no secrets."""
    selected: bool = False
    """True when the run was limited to some of what the configuration names."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The seal of a snapshot."""

    schema_version: int
    run_id: str
    as_of: datetime
    tool_version: str
    config_digest: str
    partial: bool
    """True if a deadline or a signal ended the run before all targets finished."""
    rows: dict[str, int]
    """Rows by table."""
    targets: list[TargetDone]
    not_started: list[str] = []
    """``collector/target`` of targets that the deadline skipped."""
    coverage: float
    """Complete listings of all listings that were asked for tonight, 0 to 1. What could not even be asked for is not in it:
    analysis compares with earlier nights (`scanner.analyze.target_coverage`)."""
    selected: bool = False
    """True when the run was limited to some of what the configuration names."""
    files: list[ShardFile]


# Created once: msgspec 0.22 crashes if several threads are the first to decode a type.
_RUN = msgspec.json.Decoder(RunInfo)
_TARGET = msgspec.json.Decoder(TargetDone)
_MANIFEST = msgspec.json.Decoder(Manifest)


def run_id_of(as_of: datetime) -> str:
    """Return the folder name of a run: its time in UTC, to the second."""
    return as_of.astimezone(UTC).strftime(RUN_ID_FORMAT)


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _slug(name: str) -> str:
    """Return a readable file name for a target, unique even if two targets differ only in special characters."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", name)[:80]
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def file_name(collector: str, target: str) -> str:
    """Return the name of a target's files, without the ending."""
    return f"{collector}-{_slug(target)}"


def begin(folder: Path, info: RunInfo) -> None:
    """Start a snapshot in a new folder."""
    folder.mkdir(parents=True, mode=0o700, exist_ok=True)
    write_private(folder / "run.json", msgspec.json.encode(info))


def read_run(folder: Path) -> RunInfo:
    """Return the start of an unsealed snapshot's run. Raises `SnapshotError` if it cannot be read."""
    try:
        return _RUN.decode((folder / "run.json").read_bytes())
    except (OSError, msgspec.MsgspecError) as exc:
        raise SnapshotError(
            f"{folder}/run.json cannot be read ({exc}). Remove {folder} and run again."
        ) from None


def finished_targets(folder: Path) -> list[TargetDone]:
    """Return the finished targets of an unsealed snapshot. A target whose mark a crash damaged is not finished."""
    found = []
    for path in sorted((folder / "targets").glob("*.json")):
        try:
            found.append(_TARGET.decode(path.read_bytes()))
        except msgspec.MsgspecError:
            log.warning(
                "the mark of a finished target is damaged; it is collected again", extra={"file": str(path)}
            )
            path.unlink()
    return found


def seal(
    folder: Path,
    info: RunInfo,
    not_started: Sequence[str] = (),
    *,
    partial: bool = False,
    record: Callable[[str], None] | None = None,
) -> Manifest:
    """Seal a snapshot by writing its manifest, after removing the files of unfinished targets.

    ``record`` is called with the sha256 of the manifest just before it is written (`scanner.ledger`).
    """
    done = finished_targets(folder)
    files = sorted((file for target in done for file in target.files), key=lambda file: file.path)
    named = {file.path for file in files}
    for path in folder.glob("*/*.parquet"):
        if str(path.relative_to(folder)) not in named:
            path.unlink()
    for path in folder.rglob("*.tmp"):
        path.unlink()
    rows: dict[str, int] = dict.fromkeys(TABLES, 0)
    for file in files:
        rows[file.table] += file.rows
    asked = rows["coverage"] + rows["gaps"]
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        run_id=info.run_id,
        as_of=info.as_of,
        tool_version=info.tool_version,
        config_digest=info.config_digest,
        partial=partial,
        selected=info.selected,
        rows=rows,
        targets=sorted(done, key=lambda target: (target.collector, target.target)),
        not_started=sorted(not_started),
        coverage=round(rows["coverage"] / asked, 6) if asked else 0.0,
        files=files,
    )
    for path in [*(path for path in folder.iterdir() if path.is_dir()), folder, folder.parent]:
        flush_to_disk(path)
    content = msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"
    if record is not None:
        record(hashlib.sha256(content).hexdigest())
    write_private(folder / "manifest.json", content)
    return manifest


def is_sealed(folder: Path) -> bool:
    """Return whether a folder is a sealed snapshot."""
    return (folder / "manifest.json").is_file()


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest. Raises `SnapshotError` if there is none or its schema is not supported."""
    path = folder / "manifest.json"
    try:
        manifest = _MANIFEST.decode(path.read_bytes())
    except FileNotFoundError:
        raise SnapshotError(
            f"{folder} is not sealed because its run was interrupted. Resume it with `sprawlscan run --resume`, or remove it."
        ) from None
    except msgspec.MsgspecError as exc:
        raise SnapshotError(
            f"{path} is damaged ({exc}). Restore it from a backup, or use another snapshot."
        ) from None
    if manifest.schema_version < OLDEST_SCHEMA_VERSION:
        raise SnapshotError(
            f"{path} has schema version {manifest.schema_version}, which is no longer read; the oldest is "
            f"{OLDEST_SCHEMA_VERSION}. Name a new `state` folder in config.yaml, or remove {folder}."
        )
    if manifest.schema_version > SCHEMA_VERSION:
        raise SnapshotError(
            f"{path} has schema version {manifest.schema_version}, newer than {SCHEMA_VERSION}: upgrade sprawlscan."
        )
    return manifest


_VERSION_FILE = "version.json"


class _HistoryVersion(msgspec.Struct, frozen=True):
    schema_version: int


_HISTORY_VERSION = msgspec.json.Decoder(_HistoryVersion)


def mark_history(history: Path) -> None:
    """Note in a history folder which schema version it is written with."""
    write_private(history / _VERSION_FILE, msgspec.json.encode(_HistoryVersion(SCHEMA_VERSION)) + b"\n")


def check_history(history: Path) -> None:
    """Raise `SnapshotError` for a history folder of a schema version that is not read."""
    if not any(history.glob("*.parquet")):
        return
    try:
        version = _HISTORY_VERSION.decode((history / _VERSION_FILE).read_bytes()).schema_version
    except (FileNotFoundError, msgspec.MsgspecError):
        version = 1  # which noted no version
    if version < OLDEST_SCHEMA_VERSION:
        raise SnapshotError(
            f"{history} has schema version {version}, which is no longer read; the oldest is "
            f"{OLDEST_SCHEMA_VERSION}. Name a new `state` folder in config.yaml, or remove {history} and the "
            "snapshots and analyses next to it: findings would otherwise look new and resolved at once."
        )
    if version > SCHEMA_VERSION:
        raise SnapshotError(
            f"{history} has schema version {version}, newer than {SCHEMA_VERSION}: upgrade sprawlscan."
        )


def verify(folder: Path, recorded: str | None = None) -> Manifest:
    """Compare every file with the manifest and return it. Raises `SnapshotError` naming the first file that differs.

    ``recorded`` is the sha256 of the manifest in the ledger (`scanner.ledger`).
    """
    manifest = read_manifest(folder)
    path = folder / "manifest.json"
    if recorded is not None and sha256_of(path) != recorded:
        raise SnapshotError(
            f"{path} differs from the ledger (sha256). It was changed after the run. Restore the snapshot from a backup. "
            "Do not trust findings made from it."
        )
    for file in manifest.files:
        path = folder / file.path
        if not path.is_file():
            raise SnapshotError(
                f"{path} is listed in the manifest but missing. Restore the snapshot from a backup."
            )
        if sha256_of(path) != file.sha256:
            raise SnapshotError(
                f"{path} differs from the manifest (sha256). It was changed after the run, or the disk is failing. "
                "Restore the snapshot from a backup. Do not trust findings made from it."
            )
    return manifest


def expected_files(manifest: Manifest) -> dict[str, str]:
    """Return the sha256 of every file of a sealed snapshot but the manifest, by its path in the folder."""
    info = RunInfo(
        run_id=manifest.run_id,
        as_of=manifest.as_of,
        tool_version=manifest.tool_version,
        config_digest=manifest.config_digest,
        selected=manifest.selected,
    )
    found = {file.path: file.sha256 for file in manifest.files}
    found["run.json"] = hashlib.sha256(msgspec.json.encode(info)).hexdigest()
    for done in manifest.targets:
        name = f"targets/{file_name(done.collector, done.target)}.json"
        found[name] = hashlib.sha256(msgspec.json.encode(done)).hexdigest()
    return found


def list_sealed(snapshots: Path) -> list[Path]:
    """Return the sealed snapshots of a folder, oldest first."""
    return [path for path in sorted(snapshots.glob("*Z")) if is_sealed(path)] if snapshots.is_dir() else []


def latest_unsealed(snapshots: Path) -> Path | None:
    """Return the newest snapshot of an interrupted run, or None."""
    found = [
        path for path in sorted(snapshots.glob("*Z")) if (path / "run.json").is_file() and not is_sealed(path)
    ]
    return found[-1] if found else None


def prune(snapshots: Path, *, daily: int, monthly: int, yearly: int, cited: set[str]) -> list[Path]:
    """Return the snapshots that retention does not keep: not the newest of a kept day, month or year, and not cited.

    Never includes the newest. ``cited`` are run ids that open findings refer to. Deletes nothing; see `remove`.
    """
    sealed = list_sealed(snapshots)
    keep = {path.name for path in sealed[-1:]} | cited
    for length, count in ((8, daily), (6, monthly), (4, yearly)):
        newest: dict[str, str] = {}
        for path in sealed:
            newest[path.name[:length]] = path.name
        keep |= set(sorted(newest.values())[-count:] if count else [])
    return [path for path in sealed if path.name not in keep]


def remove(folder: Path) -> None:
    """Delete a snapshot, its manifest first, so that a partly deleted one is never read."""
    (folder / "manifest.json").unlink(missing_ok=True)
    shutil.rmtree(folder)
