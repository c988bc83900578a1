"""Runs that were interrupted before they were sealed: resumed, or discarded by the next run."""

from __future__ import annotations

import logging
import shutil
from typing import TYPE_CHECKING

from scanner.collect.night_order import not_before
from scanner.ledger import Removed
from scanner.snapshot import SnapshotError, latest_unsealed

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from scanner.ledger import Ledger
    from scanner.snapshot import RunInfo

log = logging.getLogger(__name__)


class ResumeError(Exception):
    """An interrupted run cannot be resumed. The message says why and what to do."""


def resumable(ledger: Ledger, *, resume: bool, as_of: datetime) -> Path | None:
    """Return the unsealed snapshot to resume. Without ``resume``, discard snapshots of crashed runs.

    Raises `SnapshotError` for a snapshot that was analyzed and then lost its seal.
    """
    snapshots = ledger.state / "snapshots"
    nights = ledger.nights()
    while (left := latest_unsealed(snapshots)) is not None:
        night = nights.get(left.name)
        if night is not None and (night.analyzed or night.begun) and night.in_force:
            raise SnapshotError(
                f"{left / 'manifest.json'} is missing although the night was analyzed. Restore the snapshot from a backup, "
                f"or remove the night with `sprawlscan discard {left.name}`."
            )
        if resume:
            return left
        log.warning("discarding an interrupted run", extra={"snapshot": left.name})
        if night is not None and night.in_force:
            ledger.append(Removed(run_id=left.name, parts=["snapshot"], why="interrupted", at=as_of))
        shutil.rmtree(left)
    return None


def check_resumed(info: RunInfo, ledger: Ledger, *, digest: str, selected: bool, now: datetime) -> None:
    """Refuse to complete a run with another configuration. Say how old its data are."""
    if info.config_digest != digest or info.selected != selected:
        raise ResumeError(
            f"{info.run_id} was begun with another configuration, or with other --only and --path options. Resume it with "
            "those, or run without --resume to start over."
        )
    later = not_before(ledger, info.as_of)
    if later:
        raise ResumeError(
            f"{later[-1].run_id} was sealed after {info.run_id} was begun. Run without --resume to start over."
        )
    hours = (now - info.as_of).total_seconds() / 3600
    log.log(
        # A snapshot that another step of this process has begun is not old.
        logging.WARNING if hours else logging.DEBUG,
        "resuming an interrupted run; the night keeps its date",
        extra={
            "run": info.run_id,
            "begun": f"{info.as_of:%Y-%m-%d %H:%M} UTC",
            "hours_old": round(hours, 1),
        },
    )
