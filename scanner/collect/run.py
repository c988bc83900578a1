"""Collects one night: targets on a thread pool, a deadline, and a sealed snapshot at the end.

Collectors that read other collectors' records (`scanner.collect.tonight`) run in a second wave, which starts when every
target of the first wave has finished. Only then are its targets known.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from scanner import __version__
from scanner.collect.collector import Run, Target, collector_of
from scanner.collect.failures import Failure
from scanner.collect.interrupted import check_resumed, resumable
from scanner.collect.listings import gap, with_coverage
from scanner.collect.night_order import (
    ImplausibleTimeError,
    check_clock,
    check_time,
    next_free,
    not_before,
    order_problem,
)
from scanner.collect.target_threads import (
    NOT_BEGUN,
    Planned,
    Progress,
    asked,
    classify,
    collect_targets,
    incomplete,
    writer_of,
)
from scanner.collect.tonight import tonight_of
from scanner.parquet import read_table
from scanner.plugins import after_of
from scanner.private_files import read_private, secure_folder, write_private
from scanner.records import Gap
from scanner.secrets.detectors import Fingerprint
from scanner.snapshot import (
    Manifest,
    RunInfo,
    SnapshotError,
    TargetDone,
    begin,
    check_history,
    finished_targets,
    is_sealed,
    read_run,
    run_id_of,
    seal,
)

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator
    from datetime import datetime

    from scanner.config import Section, Settings
    from scanner.ledger import Ledger
    from scanner.records import Record

log = logging.getLogger(__name__)


class NothingCollectedError(Exception):
    """No collector could list a target: wrong credentials or configuration. One line for each collector."""


def fingerprint_key(state: Path) -> Fingerprint:
    """Return the installation's fingerprint, creating its key on first use (32 random bytes, mode 0600).

    If the key is lost, fingerprints of earlier nights no longer match.
    """
    path = state / "key"
    if not path.exists() and not path.is_symlink():
        write_private(path, secrets.token_hex(32).encode())
    try:
        return Fingerprint(bytes.fromhex(read_private(path).decode("ascii").strip()))
    except (ValueError, OSError):
        raise SnapshotError(
            f"{path} is not a key that sprawlscan made. Restore it from a backup, or remove it: fingerprints of earlier "
            "nights then no longer match."
        ) from None


class _Wave:
    """The targets of one wave."""

    def __init__(self) -> None:
        self.planned: list[Planned] = []
        self.stand_ins: list[Planned] = []
        """One for each section whose targets are not, or not completely, known."""
        self.problems: list[str] = []
        """Error messages of collectors that could not list their targets."""

    def plan(self, name: str, sections: list[Section], run: Run) -> None:
        """List the targets of a collector's sections."""
        missing = run.tonight.missing() if run.tonight is not None else None
        for index, config in enumerate(sections):
            targets, failure = _targets(name, config, run)
            self.planned += [
                Planned(_numbered(target, index), config, run, missing=missing) for target in targets
            ]
            if failure is not None:
                self.problems.append(f"{name}: {failure.detail}")
                self.stand_in(name, index, config, run, failure)
            elif missing is not None:
                failure = Failure(
                    reason="truncated", detail=f"there may be more targets; {incomplete(missing)}"
                )
                self.stand_in(name, index, config, run, failure)

    def stand_in(self, name: str, index: int, config: Section, run: Run, failure: Failure) -> None:
        """Record a section whose targets are not known."""
        target = Target(collector=name, name=f"section-{index}", account_id=f"{name}:unknown", section=index)
        self.stand_ins.append(Planned(target, config, run, failure=failure))

    @property
    def everything(self) -> list[Planned]:
        """The planned targets, placeholders last."""
        return [*self.planned, *self.stand_ins]


def _targets(name: str, config: Section, run: Run) -> tuple[list[Target], Failure | None]:
    """Return a section's targets without duplicates, and why they are incomplete. Other collectors still run."""
    found: dict[str, Target] = {}

    def listed() -> Iterator[Record]:
        for target in collector_of(name).targets(config, run):
            found.setdefault(target.name, target)
        yield from ()

    stand_in = Target(collector=name, name=name, account_id=f"{name}:unknown")
    for row in with_coverage(listed(), asked(stand_in, "targets"), classify):
        if isinstance(row, Gap):
            return list(found.values()), Failure(reason=row.reason, detail=row.detail, needs=row.needs)
    return list(found.values()), None


def _sections(
    settings: Settings, only: list[str]
) -> tuple[dict[str, list[Section]], dict[str, list[Section]]]:
    """Return the enabled sections by collector, of the first and of the second wave."""
    chosen = {name: found for name, found in sorted(settings.collectors.items()) if not only or name in only}
    first = {name: found for name, found in chosen.items() if not after_of(name)}
    return first, {name: found for name, found in chosen.items() if name not in first}


def _numbered(target: Target, index: int) -> Target:
    """Give a target its section, and a name that is unique if its collector has several sections."""
    name = target.name if index == 0 else f"{target.name}~{index}"
    return Target(
        collector=target.collector,
        name=name,
        account_id=target.account_id,
        section=index,
        params=target.params,
    )


def collect_snapshot(
    settings: Settings,
    *,
    ledger: Ledger,
    digest: str,
    as_of: datetime,
    from_clock: bool = False,
    stopping: threading.Event,
    progress: Progress,
    only: list[str] | None = None,
    selected: bool = False,
    resume: bool = False,
) -> Manifest:
    """Collect everything named in config.yaml into a new or resumed snapshot and seal it.

    ``from_clock``: ``as_of`` was read from the clock, which is then compared with the sources'.

    Raises `NothingCollectedError` if no collector could start, `SnapshotError` if the run already exists,
    `ImplausibleTimeError`, `ResumeError`, and OSError if the disk is full. Sealed snapshots are never changed.
    """
    state = settings.state
    snapshots = state / "snapshots"
    check_history(state / "history")
    unknown = sorted(set(only or []) - set(settings.collectors))
    if unknown:
        raise NothingCollectedError(
            f"--only {unknown[0]}: config.yaml has no such section; it has {', '.join(sorted(settings.collectors))}"
        )
    folder = resumable(ledger, resume=resume, as_of=as_of)
    info = read_run(folder) if folder else None
    if info is not None:
        check_resumed(info, ledger, digest=digest, selected=selected, now=as_of)
        as_of, from_clock = info.as_of, False
    elif from_clock:
        as_of = next_free(ledger, as_of)
    run_id = run_id_of(as_of)
    folder = snapshots / run_id
    later = not_before(ledger, as_of)
    if later and not from_clock:
        raise ImplausibleTimeError(order_problem(later[-1], as_of))
    if is_sealed(folder):
        raise SnapshotError(f"{folder} already exists and is sealed; runs do not change sealed snapshots.")
    cache = state / "cache"
    secure_folder(cache)
    run = Run(as_of=as_of, fingerprint=fingerprint_key(state), cache=cache, stopping=stopping)
    first, second = _sections(settings, only or [])
    wave = _Wave()
    for name, sections in first.items():
        wave.plan(name, sections, run)
    if not wave.planned and (first or not second) and not stopping.is_set():
        check_clock(as_of, run.clock.seconds_ahead() if from_clock else None)
        raise NothingCollectedError("\n".join(wave.problems) or "the configuration has nothing to collect")
    info = RunInfo(
        run_id=run_id, as_of=as_of, tool_version=__version__, config_digest=digest, selected=selected
    )
    begin(folder, info)
    not_started = _collect(wave, folder, settings.limits.workers, progress, stopping)
    if second:
        done = [one for one in finished_targets(folder) if one.collector in first]
        wave = _second_wave(second, run, folder, done)
        if not first and not wave.planned and not stopping.is_set():
            shutil.rmtree(folder)
            check_clock(as_of, run.clock.seconds_ahead() if from_clock else None)
            raise NothingCollectedError("\n".join(wave.problems) or "nothing of tonight names a target")
        not_started += _collect(wave, folder, settings.limits.workers, progress, stopping)
    try:
        check_time(ledger, as_of, run.clock, from_clock=from_clock)
    except ImplausibleTimeError:
        shutil.rmtree(folder)
        raise
    refusals = [] if stopping.is_set() else _refusals(folder)
    if refusals:
        shutil.rmtree(folder)
        raise NothingCollectedError(
            "\n".join(["nothing could be read, so nothing is kept of this run:", *refusals])
        )
    return seal(folder, info, not_started, partial=stopping.is_set(), record=ledger.sealing(info))


_SHOWN_REFUSALS = 20


def _refusals(folder: Path) -> list[str]:
    """Return why each target could not be read, if none of them could: a night that saw nothing is no night."""
    lines: list[str] = []
    for done in finished_targets(folder):
        files = {file.table: folder / file.path for file in done.files}
        if "coverage" in files or "gaps" not in files:
            return []
        found = sorted(read_table(files["gaps"], Gap), key=lambda row: row.table != "*")
        lines.append(f"  {done.collector} {done.target}: {found[0].reason}: {found[0].detail}")
    more = len(lines) - _SHOWN_REFUSALS
    return [*lines[:_SHOWN_REFUSALS], *([f"  and {more} more"] if more > 0 else [])]


def _second_wave(sections: dict[str, list[Section]], run: Run, folder: Path, done: list[TargetDone]) -> _Wave:
    """Plan the second wave. If the run must stop, list its sections only."""
    wave = _Wave()
    for name, configs in sections.items():
        if run.stopping.is_set():
            for index, config in enumerate(configs):
                wave.stand_in(name, index, config, run, NOT_BEGUN)
        else:
            tonight = tonight_of(folder, done, after_of(name))
            wave.plan(name, configs, msgspec.structs.replace(run, tonight=tonight))
    return wave


def _collect(
    wave: _Wave, folder: Path, workers: int, progress: Progress, stopping: threading.Event
) -> list[str]:
    """Collect the remaining targets of a wave. Returns the names of targets that were not started before the run stopped."""
    for problem in wave.problems:
        log.error("a collector could not start", extra={"problem": problem})
    finished = {f"{done.collector}/{done.target}" for done in finished_targets(folder)}
    todo = wave.everything
    left = [plan for plan in todo if plan.name not in finished]
    progress.begin(len(todo), len(todo) - len(left))
    not_started = []
    for plan, failure in collect_targets(left, folder, workers, progress, stopping):
        if failure is NOT_BEGUN:
            not_started.append(plan.name)
        writer = writer_of(plan, folder)
        writer.write(gap(asked(plan.target), failure))
        writer.finish(0.0)
    return not_started


def write_problem(exc: OSError) -> str:
    """Return the message for a failed write; it tells the free space if that is the cause."""
    message = f"{exc.strerror or exc} ({exc.filename})" if exc.filename else str(exc.strerror or exc)
    if exc.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return message
    path = Path(str(exc.filename)).parent if exc.filename else Path()
    usage = shutil.disk_usage(path if path.exists() else os.curdir)
    return f"{message}; {usage.free // 2**20} MiB free on the disk of {path}"
