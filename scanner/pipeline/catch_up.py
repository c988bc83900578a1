"""Completes earlier nights before a new one: a run that was killed after it sealed its snapshot loses nothing.

A night is complete when it is analyzed, reported and notified. What is missing is in the ledger. An analysis whose base was
discarded or set aside is made again.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from scanner.snapshot import SnapshotError

if TYPE_CHECKING:
    from collections.abc import Callable

    from scanner.ledger import Ledger, NightState

log = logging.getLogger(__name__)


def to_analyze(ledger: Ledger) -> list[str]:
    """Return the nights in force whose analysis is missing or no longer valid, oldest first."""
    nights = ledger.nights()
    in_force = [night for night in nights.values() if night.in_force]
    analyzed = [number for number, night in enumerate(in_force) if night.analyzed is not None]
    last = analyzed[-1] if analyzed else -1
    return [
        night.run_id
        for number, night in enumerate(in_force)
        if night.has_snapshot
        and (
            night.begun
            or (night.analyzed is None and number > last)
            or (night.analyzed is not None and not _base_in_force(nights, night))
        )
    ]


def _base_in_force(nights: dict[str, NightState], night: NightState) -> bool:
    assert night.analyzed is not None
    base = nights.get(night.analyzed.base or "")
    return base is None or base.in_force


def to_notify(ledger: Ledger) -> list[str]:
    """Return the analyzed nights in force that the webhook or an exit code has not reported yet, oldest first."""
    return [
        night.run_id
        for night in ledger.in_force()
        if night.analyzed is not None
        and night.has_snapshot
        and "analysis" not in night.removed
        and (
            night.notified is None
            or not (night.notified.delivered and night.notified.ended)
            or night.notified.analysis != night.analyzed.digest
        )
    ]


def analyze_missing(ledger: Ledger, analyze: Callable[[str], object], *, but: str | None = None) -> list[str]:
    """Analyze what `to_analyze` returns, ``but`` one night. A night that cannot be analyzed is logged and left.

    Returns the analyzed ones.
    """
    done: list[str] = []
    failed: set[str | None] = {but}
    while left := [run_id for run_id in to_analyze(ledger) if run_id not in failed and run_id not in done]:
        run_id = left[0]
        log.warning("completing an earlier night", extra={"run": run_id})
        try:
            analyze(run_id)
            done.append(run_id)
        except SnapshotError as exc:
            failed.add(run_id)
            advice = f"sprawlscan discard {run_id}"
            log.error(  # noqa: TRY400
                "an earlier night cannot be analyzed",
                extra={"run": run_id, "problem": str(exc), "remove_it": advice},
            )
    return done
