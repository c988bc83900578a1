"""Collects one night: targets on a thread pool, a deadline, and a sealed snapshot at the end.

Collectors that read other collectors' records (`scanner.collect.tonight`) run in a second wave, which starts when every
target of the first wave has finished. Only then are its targets known.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Protocol

import msgspec

from scanner import __version__
from scanner.collect.collector import Run, Target, TargetError, collector_of
from scanner.collect.failures import Failure, classify_error
from scanner.collect.listings import ListingRequest, gap, with_coverage
from scanner.collect.tonight import tonight_of
from scanner.kinds import declared_by
from scanner.plugins import after_of, collector_names
from scanner.records import Coverage, Gap
from scanner.secrets.detectors import Fingerprint
from scanner.snapshot import (
    Manifest,
    RunInfo,
    SnapshotError,
    TargetDone,
    TargetWriter,
    begin,
    check_history,
    finished_targets,
    is_sealed,
    latest_unsealed,
    read_run,
    run_id_of,
    seal,
    write_private,
)

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from scanner.config import Section, Settings
    from scanner.records import Record

log = logging.getLogger(__name__)

COLLECTION = "collect"
"""The call named in the `Gap` of a whole target."""


class NothingCollectedError(Exception):
    """No collector could list a target: wrong credentials or configuration. One line for each collector."""


class Progress(Protocol):
    """Receives progress. Called from the main thread only."""

    def begin(self, total: int, skipped: int) -> None:
        """A wave starts with ``total`` targets, of which ``skipped`` were finished by the resumed run."""

    def done(self, target: Target, result: TargetDone) -> None:
        """One target has finished."""


class Planned:
    """A target with its configuration section and its collector's context."""

    def __init__(
        self,
        target: Target,
        config: Section,
        run: Run,
        *,
        failure: Failure | None = None,
        missing: str | None = None,
    ) -> None:
        self.target = target
        self.config = config
        self.run = run
        self.failure = failure
        """For a placeholder: why the targets of a section are not, or not completely, known."""
        self.missing = missing
        """Gaps of the first wave in the tables that this collector reads."""

    @property
    def name(self) -> str:
        """``collector/target``: its name in the manifest."""
        return f"{self.target.collector}/{self.target.name}"


def fingerprint_key(state: Path) -> Fingerprint:
    """Return the installation's fingerprint, creating its key on first use (32 random bytes, mode 0600).

    If the key is lost, fingerprints of earlier nights no longer match.
    """
    path = state / "key"
    if not path.is_file():
        write_private(path, secrets.token_hex(32).encode())
    return Fingerprint(bytes.fromhex(path.read_text(encoding="ascii").strip()))


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
                    reason="truncated", detail=f"there may be more targets; {_incomplete(missing)}"
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
    for row in with_coverage(listed(), _asked(stand_in, "targets"), _classify):
        if isinstance(row, Gap):
            return list(found.values()), Failure(reason=row.reason, detail=row.detail, needs=row.needs)
    return list(found.values()), None


def _classify(exc: Exception) -> Failure | None:
    match exc:
        case TargetError():
            return Failure(reason="denied", detail=str(exc))
        case ModuleNotFoundError():
            return Failure(
                reason="unsupported",
                detail=f"the Python package {exc.name} is not installed: install sprawlscan with the collector's extra",
            )
        case _:
            return classify_error(exc)


def _incomplete(missing: str) -> str:
    return f"what it reads of tonight's listings is incomplete ({missing})"


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


def _asked(target: Target, call: str = COLLECTION) -> ListingRequest:
    return ListingRequest(
        provider=target.collector,
        account_id=target.account_id,
        collector=target.collector,
        target=target.name,
        table="*",
        call=call,
    )


def collect_target(plan: Planned, folder: Path) -> TargetDone:
    """Collect one target into its own files. A failure becomes a `Gap`; only a full disk or an internal bug raises."""
    target, run = plan.target, plan.run
    started = time.monotonic()
    writer = TargetWriter(folder, target.collector, target.name, target.account_id)
    if plan.failure is not None:
        writer.write(gap(_asked(target, "targets"), plan.failure))
        return writer.finish(time.monotonic() - started)
    try:
        collector = collector_of(target.collector)
        harmless = declared_by(collector).hides_no_access
        records = with_coverage(collector.collect(target, plan.config, run), _asked(target), _classify)
        for record in records:
            if isinstance(record, Coverage) and record.table == "*":
                continue  # the placeholder of the whole target; its listings have their own rows
            writer.write(_marked(_doubted(record, plan.missing), harmless))
            if run.stopping.is_set():
                records.close()
                failure = Failure(reason="deadline", detail="the run was stopped before this target finished")
                writer.write(gap(_asked(target), failure))
                break
        return writer.finish(time.monotonic() - started)
    except BaseException:
        writer.discard()
        raise


def _doubted(record: Record, missing: str | None) -> Record:
    """Turn a listing's coverage into a gap if its inputs are incomplete. Return other records unchanged."""
    if missing is None or not isinstance(record, Coverage):
        return record
    asked = ListingRequest(
        provider=record.provider,
        account_id=record.account_id,
        collector=record.collector,
        target=record.target,
        table=record.table,
        call=record.call,
        kind=record.kind,
        region=record.region,
    )
    return gap(asked, Failure(reason="truncated", detail=_incomplete(missing)))


def _marked(record: Record, harmless: Mapping[str, frozenset[str]]) -> Record:
    """Mark a gap that hides no permission, as its collector declares. Return other records unchanged."""
    if isinstance(record, Gap) and record.kind in harmless.get(record.table, ()):
        return msgspec.structs.replace(record, hides_access=False)
    return record


def _resumable(snapshots: Path, *, resume: bool) -> Path | None:
    """Return the unsealed snapshot to resume. Without ``resume``, discard snapshots of crashed runs."""
    if resume:
        return latest_unsealed(snapshots)
    while (left := latest_unsealed(snapshots)) is not None:
        log.warning("discarding an interrupted run", extra={"snapshot": left.name})
        shutil.rmtree(left)
    return None


def collect_snapshot(
    settings: Settings,
    *,
    digest: str,
    as_of: datetime,
    stopping: threading.Event,
    progress: Progress,
    only: list[str] | None = None,
    selected: bool = False,
    resume: bool = False,
) -> Manifest:
    """Collect everything named in config.yaml into a new or resumed snapshot and seal it.

    Raises `NothingCollectedError` if no collector could start, `SnapshotError` if the run already exists,
    and OSError if the disk is full. Sealed snapshots are never changed.
    """
    state = settings.state
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    snapshots = state / "snapshots"
    check_history(state / "history")
    unknown = sorted(set(only or []) - set(settings.collectors))
    if unknown:
        raise NothingCollectedError(
            f"--only {unknown[0]}: not in the configuration (known: {', '.join(collector_names())})"
        )
    folder = _resumable(snapshots, resume=resume)
    info = read_run(folder) if folder else None
    if info is not None:
        as_of = info.as_of
    run_id = run_id_of(as_of)
    folder = snapshots / run_id
    if is_sealed(folder):
        raise SnapshotError(f"{folder} already exists and is sealed; runs do not change sealed snapshots.")
    cache = state / "cache"
    cache.mkdir(exist_ok=True, mode=0o700)
    run = Run(as_of=as_of, fingerprint=fingerprint_key(state), cache=cache, stopping=stopping)
    first, second = _sections(settings, only or [])
    wave = _Wave()
    for name, sections in first.items():
        wave.plan(name, sections, run)
    if not wave.planned and (first or not second) and not stopping.is_set():
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
            raise NothingCollectedError("\n".join(wave.problems) or "nothing of tonight names a target")
        not_started += _collect(wave, folder, settings.limits.workers, progress, stopping)
    return seal(folder, info, not_started, partial=stopping.is_set())


def _second_wave(sections: dict[str, list[Section]], run: Run, folder: Path, done: list[TargetDone]) -> _Wave:
    """Plan the second wave. If the run must stop, list its sections only."""
    wave = _Wave()
    for name, configs in sections.items():
        if run.stopping.is_set():
            for index, config in enumerate(configs):
                wave.stand_in(name, index, config, run, _NOT_BEGUN)
        else:
            tonight = tonight_of(folder, done, after_of(name))
            wave.plan(name, configs, msgspec.structs.replace(run, tonight=tonight))
    return wave


_NOT_BEGUN = Failure(reason="deadline", detail="the run was stopped before this target started")


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
    for plan in _work(left, folder, workers, progress, stopping):
        not_started.append(plan.name)
        writer = TargetWriter(folder, plan.target.collector, plan.target.name, plan.target.account_id)
        writer.write(gap(_asked(plan.target), _NOT_BEGUN))
        writer.finish(0.0)
    return not_started


def _work(
    plans: list[Planned], folder: Path, workers: int, progress: Progress, stopping: threading.Event
) -> Iterator[Planned]:
    """Collect the targets, ``workers`` in parallel. Yields those that were not started before the run stopped."""
    waiting = list(reversed(plans))
    running: dict[Future[TargetDone], Planned] = {}
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="target") as pool:
        while waiting or running:
            while waiting and len(running) < workers and not stopping.is_set():
                plan = waiting.pop()
                running[pool.submit(collect_target, plan, folder)] = plan
            if not running:
                break
            for future in wait(running, timeout=1, return_when=FIRST_COMPLETED).done:
                plan = running.pop(future)
                try:
                    result = future.result()
                except BaseException:
                    stopping.set()
                    raise
                progress.done(plan.target, result)
    yield from reversed(waiting)


def free_space_message(path: Path) -> str:
    """Return the free space of a folder's disk, for the error after a failed write."""
    usage = shutil.disk_usage(path if path.exists() else os.curdir)
    return f"{usage.free // 2**20} MiB free on the disk of {path}"
