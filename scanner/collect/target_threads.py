"""Collects targets on threads. A target that does not end although the run stops is abandoned with its thread."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import TYPE_CHECKING, Protocol

import msgspec

from scanner.collect.collector import Run, Target, TargetError, collector_of
from scanner.collect.failures import Failure, classify_error
from scanner.collect.listings import ListingRequest, gap, with_coverage
from scanner.kinds import declared_by
from scanner.records import Coverage, Gap
from scanner.secrets.redact import mask
from scanner.stop import ABANDONED_SECONDS
from scanner.target_writer import TargetWriter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from scanner.config import Section
    from scanner.records import Record
    from scanner.snapshot import TargetDone

log = logging.getLogger(__name__)

COLLECTION = "collect"
"""The call named in the `Gap` of a whole target."""


class Progress(Protocol):
    """Receives progress. Called from the main thread only."""

    def begin(self, total: int, skipped: int) -> None:
        """A wave starts with ``total`` targets, of which ``skipped`` were finished by the resumed run."""

    def done(self, target: Target, result: TargetDone) -> None:
        """One target has finished."""


class _AbandonedError(Exception):
    """The run no longer waits for this target."""


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
        self._abandoned = False
        self._lock = threading.Lock()

    def abandon(self) -> None:
        """Let the target write nothing more: the run no longer waits for it."""
        with self._lock:
            self._abandoned = True

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Write to the target's files inside. Raises `_AbandonedError` if it was abandoned."""
        with self._lock:
            if self._abandoned:
                raise _AbandonedError
            yield

    @property
    def name(self) -> str:
        """``collector/target``: its name in the manifest."""
        return f"{self.target.collector}/{mask(self.target.name, self.run.fingerprint)}"


NOT_BEGUN = Failure(reason="deadline", detail="the run was stopped before this target started")
NOT_FINISHED = Failure(reason="deadline", detail="the run was stopped before this target finished")


def asked(target: Target, call: str = COLLECTION) -> ListingRequest:
    """Return the request that a whole target stands for."""
    return ListingRequest(
        provider=target.collector,
        account_id=target.account_id,
        collector=target.collector,
        target=target.name,
        table="*",
        call=call,
    )


def writer_of(plan: Planned, folder: Path) -> TargetWriter:
    """Return the writer of a target's records."""
    target = plan.target
    return TargetWriter(
        folder, target.collector, target.name, target.account_id, fingerprint=plan.run.fingerprint
    )


def classify(exc: Exception) -> Failure | None:
    """Return why a target, or the list of targets, could not be read; None for a bug."""
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


def incomplete(missing: str) -> str:
    """Return the detail of a gap whose listing read incomplete tables of tonight."""
    return f"what it reads of tonight's listings is incomplete ({missing})"


def collect_target(plan: Planned, folder: Path) -> TargetDone:
    """Collect one target into its own files. A failure becomes a `Gap`; only a full disk or an internal bug raises."""
    target, run = plan.target, plan.run
    started = time.monotonic()
    writer = writer_of(plan, folder)
    if plan.failure is not None:
        writer.write(gap(asked(target, "targets"), plan.failure))
        return writer.finish(time.monotonic() - started)
    try:
        collector = collector_of(target.collector)
        harmless = declared_by(collector).hides_no_access
        records = with_coverage(collector.collect(target, plan.config, run), asked(target), classify)
        for record in records:
            if isinstance(record, Coverage) and record.table == "*":
                continue  # the placeholder of the whole target; its listings have their own rows
            with plan.writing():
                writer.write(_marked(_doubted(record, plan.missing), harmless))
            if run.stopping.is_set():
                records.close()
                with plan.writing():
                    writer.write(gap(asked(target), NOT_FINISHED))
                break
        with plan.writing():
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
        of_item=bool(record.of_item),
    )
    return gap(asked, Failure(reason="truncated", detail=incomplete(missing)))


def _marked(record: Record, harmless: Mapping[str, frozenset[str]]) -> Record:
    """Mark a gap that hides no permission, as its collector declares. Return other records unchanged."""
    if isinstance(record, Gap) and record.kind in harmless.get(record.table, ()):
        return msgspec.structs.replace(record, hides_access=False)
    return record


def collect_targets(
    plans: list[Planned], folder: Path, workers: int, progress: Progress, stopping: threading.Event
) -> Iterator[tuple[Planned, Failure]]:
    """Collect the targets, ``workers`` in parallel. Yields those that are not finished when the run stops, and why.

    A target that does not end although the run stops (it reads a file that is a pipe, say) is abandoned with its thread.
    """
    waiting = list(reversed(plans))
    running: dict[Future[TargetDone], Planned] = {}
    stopped: float | None = None
    while waiting or running:
        while waiting and len(running) < workers and not stopping.is_set():
            plan = waiting.pop()
            running[_begun(plan, folder)] = plan
        if not running:
            break
        for future in wait(running, timeout=0.5, return_when=FIRST_COMPLETED).done:
            plan = running.pop(future)
            try:
                result = future.result()
            except BaseException:
                stopping.set()
                wait(running, timeout=ABANDONED_SECONDS)
                for other in running.values():
                    other.abandon()
                raise
            progress.done(plan.target, result)
        if stopping.is_set():
            stopped = time.monotonic() if stopped is None else stopped
            if time.monotonic() - stopped > ABANDONED_SECONDS:
                break
    for plan in running.values():
        log.error("a target did not stop and was abandoned", extra={"target": plan.name})
        plan.abandon()
        yield plan, NOT_FINISHED
    for plan in reversed(waiting):
        yield plan, NOT_BEGUN


def _begun(plan: Planned, folder: Path) -> Future[TargetDone]:
    """Collect a target in a thread that does not keep the process alive."""
    future: Future[TargetDone] = Future()

    def work() -> None:
        try:
            future.set_result(collect_target(plan, folder))
        except BaseException as exc:  # noqa: BLE001  raised again where the result is read
            future.set_exception(exc)

    threading.Thread(target=work, name=f"target {plan.name}", daemon=True).start()
    return future
