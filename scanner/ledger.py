"""The ledger of a state folder: what happened to each night, in order, as a chain of hashes.

``ledger.jsonl`` has one JSON object a line. Each contains the sha256 of the line before it, so that no line can be
changed, removed or added in between without a trace. A line is written before or after the files that it tells of so
that a run that is killed at any moment leaves a state that can be continued:

| what | written | says |
|---|---|---|
| sealed | before the manifest | the manifest's hash, and by its place the night's number |
| analysis-begun | before the files are put in place | the files of this analysis may be of two kinds |
| analyzed | after them | the night it was compared with, and the hash of each file of analysis and history |
| reported | after them | the hash of each report |
| notified | last | the webhook took the message, or there was none |
| removed | before the files are removed | what was removed, when and why: a tombstone |
| set-aside | | the night's date is implausible: it is never compared with, and never the default |

Nights are ordered by their ``sealed`` lines and not by their dates: a clock can be wrong. A night is in force unless it
was discarded or set aside.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections import deque
from datetime import datetime  # noqa: TC003  msgspec reads the annotations at run time
from pathlib import Path  # noqa: TC003
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

import msgspec

from scanner.private_files import flush_to_disk
from scanner.snapshot import SnapshotError, sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scanner.snapshot import RunInfo

NAME = "ledger.jsonl"

Part: TypeAlias = Literal["snapshot", "analysis", "history", "figures", "reports"]
"""``history`` is what the next night is compared with, ``figures`` the metrics that the trend shows."""


class LedgerEntry(msgspec.Struct, frozen=True, kw_only=True, tag_field="what", omit_defaults=True):
    """One line."""

    run_id: str
    previous: str = ""
    """sha256 of the line before; empty in the first."""
    signature: str = ""
    """Ed25519 signature of the line without this field, in base64; empty if nothing signs."""


class Sealed(LedgerEntry, tag="sealed", frozen=True, kw_only=True):
    """A snapshot is about to be sealed."""

    as_of: datetime
    manifest: str
    """sha256 of ``manifest.json``."""


class AnalysisBegun(LedgerEntry, tag="analysis-begun", frozen=True, kw_only=True):
    """The files of an analysis are about to be put in place."""


class Analyzed(LedgerEntry, tag="analyzed", frozen=True, kw_only=True):
    """An analysis is complete."""

    base: str | None
    """The night it was compared with; None for the first."""
    files: dict[str, str]
    """sha256 of each file of the analysis and the history, by path relative to the state folder."""

    @property
    def digest(self) -> str:
        """One hash of the result: the same for the same input."""
        return hashlib.sha256(msgspec.json.encode((self.base, sorted(self.files.items())))).hexdigest()


class Reported(LedgerEntry, tag="reported", frozen=True, kw_only=True):
    """Reports are complete."""

    files: dict[str, str]
    """sha256 of each, by path relative to the state folder."""


class Notified(LedgerEntry, tag="notified", frozen=True, kw_only=True):
    """The webhook and the exit code have reported an analysis."""

    analysis: str
    """`Analyzed.digest` of the analysis."""
    message: str
    """The id of the message; empty if there was no news."""
    delivered: bool
    """False if the webhook did not take the message: the next run sends it again."""
    ended: bool
    """False if the run that tells of it is not the night's own and has not ended yet: nobody has seen its exit code."""


class Removed(LedgerEntry, tag="removed", frozen=True, kw_only=True):
    """Parts of a night are about to be removed: a tombstone."""

    parts: list[Part]
    why: Literal["pruned", "discarded", "interrupted"]
    at: datetime
    """When."""


class SetAside(LedgerEntry, tag="set-aside", frozen=True, kw_only=True):
    """The night's date is implausible."""

    why: str
    at: datetime
    """When that was noticed."""


Line: TypeAlias = Sealed | AnalysisBegun | Analyzed | Reported | Notified | Removed | SetAside

_LINE = msgspec.json.Decoder(Line)


class Signer(Protocol):
    """Signs lines."""

    def sign(self, data: bytes) -> str:
        """Return the signature in base64."""


class NightState:
    """What the ledger says about one night."""

    def __init__(self, sealed: Sealed) -> None:
        self.run_id = sealed.run_id
        self.as_of = sealed.as_of
        self.manifest = sealed.manifest
        self.analyzed: Analyzed | None = None
        """Its last analysis; None while there is none, or while one is being put in place."""
        self.begun = False
        """An analysis was begun and not completed."""
        self.reports: dict[str, str] = {}
        self.notified: Notified | None = None
        self.removed: dict[Part, Removed] = {}
        self.set_aside: SetAside | None = None

    @property
    def discarded(self) -> bool:
        """Whether it was discarded, or interrupted while it was sealed."""
        return any(one.why != "pruned" for one in self.removed.values())

    @property
    def in_force(self) -> bool:
        """Whether it may be compared with, and be the default."""
        return self.set_aside is None and not self.discarded

    @property
    def has_snapshot(self) -> bool:
        """Whether its snapshot was not removed."""
        return "snapshot" not in self.removed

    def note(self, line: Line) -> None:
        """Take in a later line."""
        match line:
            case Sealed():
                pass  # begins a new night, see `Ledger.nights`
            case AnalysisBegun():
                self.analyzed, self.begun = None, True
            case Analyzed():
                self.analyzed, self.begun = line, False
                for part in ("analysis", "history", "figures"):
                    self.removed.pop(part, None)
            case Reported():
                self.reports |= line.files
                self.removed.pop("reports", None)
            case Notified():
                self.notified = line
            case Removed():
                self.removed |= dict.fromkeys(line.parts, line)
                if "reports" in line.parts:
                    self.reports = {}
            case SetAside():
                self.set_aside = line


class Ledger:
    """The ledger of a state folder."""

    def __init__(self, state: Path, signer: Signer | None = None) -> None:
        self.state = state
        self.path = state / NAME
        self._signer = signer

    def read(self) -> bytes:
        """Return the complete lines; empty before the first night. A line that a crash cut off is left out.

        Raises `SnapshotError` if there are nights and no ledger.
        """
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            data = b""
        if not data:
            for folder in ("snapshots", "analysis", "history"):
                if any(path.suffix != ".partial" for path in _sealed_or_results(self.state / folder)):
                    raise SnapshotError(
                        f"{self.path} is missing or empty although {self.state / folder} is not: every finding would look "
                        "new. Restore it from a backup, or name a new folder as `state`."
                    )
        return data[: data.rfind(b"\n") + 1]

    def lines(self) -> Iterator[tuple[Line, str]]:
        """Yield each line with its sha256. Raises `SnapshotError` for a line that is damaged or out of the chain."""
        previous = ""
        for number, raw in enumerate(self.read().splitlines(), 1):
            try:
                line = _LINE.decode(raw)
            except msgspec.MsgspecError as exc:
                raise SnapshotError(f"{self.path}:{number} is damaged ({exc}). {_RESTORE}") from None
            if line.previous != previous:
                raise SnapshotError(
                    f"{self.path}:{number} does not follow the line before it: a line was changed, removed or added. {_RESTORE}"
                )
            previous = hashlib.sha256(raw).hexdigest()
            yield line, previous

    def head(self) -> str:
        """Return the sha256 of the last line, which stands for all before it; empty before the first night."""
        return next(iter(deque((digest for _, digest in self.lines()), maxlen=1)), "")

    def append(self, line: Line) -> None:
        """Add a line. It is on the disk when this returns. Processes that append wait for each other."""
        is_new = not self.path.exists()
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self.path, flags, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX)
            line = msgspec.structs.replace(line, previous=self.head(), signature="")
            if self._signer is not None:
                line = msgspec.structs.replace(line, signature=self._signer.sign(msgspec.json.encode(line)))
            # What a crash cut off is overwritten.
            whole = len(self.read())
            os.ftruncate(file.fileno(), whole)
            file.seek(whole)
            file.write(msgspec.json.encode(line) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            flush_to_disk(self.state)

    def sealing(self, info: RunInfo) -> Callable[[str], None]:
        """Return what `scanner.snapshot.seal` calls with the manifest's hash."""
        return lambda manifest: self.append(Sealed(run_id=info.run_id, as_of=info.as_of, manifest=manifest))

    def nights(self) -> dict[str, NightState]:
        """Return all nights by run id, in the order in which they were sealed."""
        found: dict[str, NightState] = {}
        for line, _ in self.lines():
            if isinstance(line, Sealed):
                # Sealed again after an interruption, or after it was discarded: the last one counts.
                found.pop(line.run_id, None)
                found[line.run_id] = NightState(line)
            elif line.run_id in found:
                found[line.run_id].note(line)
        return found

    def out_of_force(self) -> set[str]:
        """Return the ids of nights that were discarded or set aside."""
        return {night.run_id for night in self.nights().values() if not night.in_force}

    def in_force(self) -> list[NightState]:
        """Return the nights in force, oldest first."""
        return [night for night in self.nights().values() if night.in_force]

    def night(self, run_id: str) -> NightState:
        """Return a night. Raises `SnapshotError` if the ledger does not know it."""
        found = self.nights().get(run_id)
        if found is None:
            raise SnapshotError(
                f"{self.path} does not name {run_id}: its snapshot was added by something else. Remove it, or restore the "
                "ledger that belongs to it."
            )
        return found

    def base_of(self, run_id: str) -> NightState | None:
        """Return the night that this one is compared with: the analyzed one before it, None for the first."""
        base = None
        for night in self.nights().values():
            if night.run_id == run_id:
                break
            if night.in_force and night.analyzed is not None:
                base = night
        return base

    def last_analyzed(self) -> NightState | None:
        """Return the newest analyzed night in force."""
        return next((night for night in reversed(self.in_force()) if night.analyzed is not None), None)


_RESTORE = "Restore it from a backup, with the state that belongs to it."


def _sealed_or_results(folder: Path) -> list[Path]:
    """Return what a folder of the state contains of finished nights."""
    match folder.name:
        case "snapshots":
            return [path.parent for path in folder.glob("*/manifest.json")]
        case "analysis":
            return list(folder.glob("*Z"))
        case _:
            return [path for path in folder.glob("*.parquet") if path.name.endswith("Z.parquet")]


def hashes(state: Path, files: list[Path]) -> dict[str, str]:
    """Return the sha256 of files by their path relative to the state folder."""
    return {str(path.relative_to(state)): sha256_of(path) for path in sorted(files)}


def check_analysis(state: Path, night: NightState) -> None:
    """Raise `SnapshotError` unless every file of a night's analysis is there and unchanged."""
    for name, digest in night.analyzed.files.items() if night.analyzed is not None else ():
        path = state / name
        if name.startswith("analysis/") and not (path.is_file() and sha256_of(path) == digest):
            raise SnapshotError(
                f"{path} is missing or differs from the ledger (sha256). Run `sprawlscan analyze --run {night.run_id}`."
            )


def check_base(state: Path, night: NightState, base: NightState) -> None:
    """Raise `SnapshotError` unless the history of the night before is there and unchanged."""
    assert base.analyzed is not None
    if "history" in base.removed:
        raise SnapshotError(
            f"{night.run_id} is compared with {base.run_id}, whose history was pruned: every finding would look new. "
            "Analyze a later night."
        )
    advice = (
        f"Findings of {night.run_id} would look new. Restore {state / 'history'} from a backup, analyze {base.run_id} again "
        f"(`sprawlscan analyze --run {base.run_id}`), or give it up (`sprawlscan discard {base.run_id}`)."
    )
    for name, digest in base.analyzed.files.items():
        if not name.startswith("history/"):
            continue
        path = state / name
        if not path.is_file():
            raise SnapshotError(f"{path} is missing. {advice}")
        if sha256_of(path) != digest:
            raise SnapshotError(f"{path} differs from the ledger (sha256). {advice}")
