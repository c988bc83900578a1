"""One night's collection: targets on a thread pool, a deadline, and a sealed snapshot at the end."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Protocol

import structlog

from scanner import __version__
from scanner.collect.collector import Run, Target, TargetError
from scanner.collect.failures import Failure
from scanner.collect.listings import ListingRequest, gap, with_coverage
from scanner.plugins import collector_names, load_collector
from scanner.records import Coverage
from scanner.secrets.detectors import Fingerprint
from scanner.snapshot import (
    Manifest,
    RunInfo,
    SnapshotError,
    TargetDone,
    TargetWriter,
    begin,
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
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from scanner.config import Section, Settings

log = structlog.get_logger()

COLLECTION = "collect"
"""The call named in a `Gap` that stands for a whole target."""


class NothingCollectedError(Exception):
    """No collector could list a single target: wrong credentials or configuration. One line a collector."""


class Progress(Protocol):
    """Told how the night goes. Called from the main thread only."""

    def begin(self, total: int, skipped: int) -> None:
        """``total`` targets are to be collected, of which ``skipped`` were done by the run that is resumed."""

    def done(self, target: Target, result: TargetDone) -> None:
        """One target is finished."""


class Planned:
    """A target with the configuration section and collector that it belongs to."""

    def __init__(self, target: Target, config: Section) -> None:
        self.target = target
        self.config = config

    @property
    def name(self) -> str:
        """``collector/target``: its name in the manifest."""
        return f"{self.target.collector}/{self.target.name}"


def fingerprint_key(state: Path) -> Fingerprint:
    """Return the installation's fingerprint, making its key on first use (32 random bytes, 0600).

    A lost key only means that fingerprints of earlier nights no longer match.
    """
    path = state / "key"
    if not path.is_file():
        write_private(path, secrets.token_hex(32).encode())
    return Fingerprint(bytes.fromhex(path.read_text(encoding="ascii").strip()))


def _plan(settings: Settings, only: list[str], run: Run) -> tuple[list[Planned], list[Planned], list[str]]:
    """Return targets, stand-ins for collectors that could not list theirs, and what those said."""
    planned: list[Planned] = []
    blind: list[Planned] = []
    problems: list[str] = []
    for name, sections in sorted(settings.collectors.items()):
        if only and name not in only:
            continue
        collector = load_collector(name)
        for index, config in enumerate(sections):
            try:
                planned += [
                    Planned(_numbered(target, index), config) for target in collector.targets(config, run)
                ]
            except TargetError as exc:
                problems.append(f"{name}: {exc}")
                stand_in = Target(
                    collector=name,
                    name=f"section-{index}",
                    account_id=f"{name}:unknown",
                    section=index,
                    params={"problem": str(exc)},
                )
                blind.append(Planned(stand_in, config))
    return planned, blind, problems


def _numbered(target: Target, index: int) -> Target:
    """Give a target its section, and a name that stays unique where a collector has several sections."""
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


def collect_target(plan: Planned, run: Run, folder: Path) -> TargetDone:
    """Collect one target into its own files. Failure becomes a `Gap`; only a full disk or a bug of ours raises."""
    target = plan.target
    started = time.monotonic()
    writer = TargetWriter(folder, target.collector, target.name, target.account_id)
    if "problem" in target.params:
        writer.write(
            gap(_asked(target, "targets"), Failure(reason="denied", detail=target.params["problem"]))
        )
        return writer.finish(time.monotonic() - started)
    try:
        collector = load_collector(target.collector)
        records = with_coverage(collector.collect(target, plan.config, run), _asked(target), lambda _: None)
        for record in records:
            if isinstance(record, Coverage) and record.table == "*":
                continue  # the stand-in for the whole target: its listings speak for themselves
            writer.write(record)
            if run.stopping.is_set():
                records.close()
                failure = Failure(reason="deadline", detail="the run was stopped before this target finished")
                writer.write(gap(_asked(target), failure))
                break
        return writer.finish(time.monotonic() - started)
    except BaseException:
        writer.discard()
        raise


def _resumable(snapshots: Path, *, resume: bool) -> Path | None:
    """Return the unsealed snapshot to go on with; without ``resume``, discard what earlier crashes left."""
    if resume:
        return latest_unsealed(snapshots)
    while (left := latest_unsealed(snapshots)) is not None:
        log.warning("discarding a run that did not end", snapshot=left.name)
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
    resume: bool = False,
) -> Manifest:
    """Collect everything that config.yaml names into a new snapshot (or an unfinished one) and seal it.

    Raises `NothingCollectedError` when no collector could begin, `SnapshotError` when the run already exists,
    and OSError when the disk is full; sealed snapshots are never touched.
    """
    state = settings.state
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    snapshots = state / "snapshots"
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
        raise SnapshotError(f"{folder} exists already and is sealed; a run never changes it.")
    cache = state / "cache"
    cache.mkdir(exist_ok=True, mode=0o700)
    run = Run(as_of=as_of, fingerprint=fingerprint_key(state), cache=cache, stopping=stopping)
    planned, blind, problems = _plan(settings, only or [], run)
    if not planned and not stopping.is_set():
        raise NothingCollectedError("\n".join(problems) or "the configuration names nothing to collect")
    for problem in problems:
        log.error("a collector could not begin", problem=problem)
    todo = [*planned, *blind]
    info = RunInfo(
        run_id=run_id,
        as_of=as_of,
        tool_version=__version__,
        config_digest=digest,
        targets=[plan.name for plan in todo],
    )
    begin(folder, info)
    finished = {f"{done.collector}/{done.target}" for done in finished_targets(folder)}
    progress.begin(len(todo), len(finished))
    left = [plan for plan in todo if plan.name not in finished]
    not_started = []
    for plan in _work(left, run, folder, settings.limits.workers, progress):
        not_started.append(plan.name)
        writer = TargetWriter(folder, plan.target.collector, plan.target.name, plan.target.account_id)
        failure = Failure(reason="deadline", detail="the run was stopped before this target started")
        writer.write(gap(_asked(plan.target), failure))
        writer.finish(0.0)
    return seal(folder, info, not_started, partial=stopping.is_set())


def _work(
    plans: list[Planned], run: Run, folder: Path, workers: int, progress: Progress
) -> Iterator[Planned]:
    """Collect the targets, ``workers`` at once. Yields those that were never begun because the run had to stop."""
    waiting = list(reversed(plans))
    running: dict[Future[TargetDone], Planned] = {}
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="target") as pool:
        while waiting or running:
            while waiting and len(running) < workers and not run.stopping.is_set():
                plan = waiting.pop()
                running[pool.submit(collect_target, plan, run, folder)] = plan
            if not running:
                break
            for future in wait(running, timeout=1, return_when=FIRST_COMPLETED).done:
                plan = running.pop(future)
                try:
                    result = future.result()
                except BaseException:
                    run.stopping.set()
                    raise
                progress.done(plan.target, result)
    yield from reversed(waiting)


def free_space_message(path: Path) -> str:
    """Say how much room a folder's disk has left, for the error after a failed write."""
    usage = shutil.disk_usage(path if path.exists() else os.curdir)
    return f"{usage.free // 2**20} MiB free on the disk of {path}"
