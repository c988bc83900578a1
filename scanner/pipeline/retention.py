"""Removes nights: what retention no longer keeps, and single nights that are discarded. Each leaves a tombstone."""

from __future__ import annotations

import re
import shutil
from datetime import datetime  # noqa: TC003  msgspec reads the annotations at run time
from typing import TYPE_CHECKING

import msgspec

from scanner.ledger import Part, Removed
from scanner.night import open_night
from scanner.snapshot import UnknownNightError, list_sealed, prune, remove

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scanner.config import Retention
    from scanner.ledger import Ledger, NightState

KEPT_HISTORIES = 3
"""The newest contains everything; with the others, the newest nights can be analyzed again."""


class Removal(msgspec.Struct, frozen=True, kw_only=True):
    """What is removed of one night."""

    run_id: str
    parts: list[Part]


def part_paths(state: Path, run_id: str, part: Part) -> list[Path]:
    """Return the files and folders of a part of a night that are there."""
    match part:
        case "snapshot" | "analysis" | "reports":
            folder = {"snapshot": "snapshots", "analysis": "analysis", "reports": "reports"}[part]
            paths = [state / folder / run_id]
        case "history":
            paths = sorted((state / "history").glob(f"{run_id}.*parquet"))
        case "figures":
            paths = [state / "history" / f"{run_id}.metrics.json"]
    return [path for path in paths if path.exists()]


def superfluous(ledger: Ledger, keep: Retention, *, force: bool) -> list[Removal]:
    """Return what retention does not keep, oldest first.

    Never the newest snapshot, the last analyzed night, what its open findings cite (unless ``force``), and nights that
    are still to be analyzed.
    """
    state = ledger.state
    nights = ledger.nights()
    last = ledger.last_analyzed()
    cited = set() if force or last is None else _cited(state, last)
    if last is not None:
        order = list(nights)
        cited |= set(order[order.index(last.run_id) :])
    snapshots = state / "snapshots"
    gone = {
        path.name
        for path in prune(snapshots, daily=keep.daily, monthly=keep.monthly, yearly=keep.yearly, cited=cited)
    }
    kept = {path.name for path in list_sealed(snapshots)} - gone
    analyzed = [night.run_id for night in nights.values() if part_paths(state, night.run_id, "history")]
    old = set(analyzed[:-KEPT_HISTORIES]) - ({last.run_id} if last is not None else set())
    found = []
    for run_id in nights:
        parts: list[Part] = ["snapshot"] if run_id in gone else []
        # Without its snapshot an analysis can neither be read nor reported.
        if run_id not in kept and part_paths(state, run_id, "analysis"):
            parts.append("analysis")
        if run_id in old:
            parts.append("history")
        if parts:
            found.append(Removal(run_id=run_id, parts=parts))
    return found


def _cited(state: Path, last: NightState) -> set[str]:
    """Return the nights on which the open findings of the last analyzed night were first seen."""
    with open_night(state, last.run_id) as night:
        query = (
            "SELECT DISTINCT strftime(first_seen, '%Y%m%dT%H%M%SZ') FROM findings WHERE status <> 'resolved'"
        )
        return {row[0] for row in night.rows(query)}


def apply(ledger: Ledger, removals: list[Removal], at: datetime) -> None:
    """Remove, each night after its tombstone."""
    for one in removals:
        ledger.append(Removed(run_id=one.run_id, parts=one.parts, why="pruned", at=at))
        _delete(ledger.state, one.run_id, one.parts)


def left_over(ledger: Ledger) -> list[Removal]:
    """Return what the ledger says was removed and is still there: the removal was interrupted."""
    return [
        Removal(run_id=night.run_id, parts=parts)
        for night in ledger.nights().values()
        if (parts := [part for part in night.removed if part_paths(ledger.state, night.run_id, part)])
    ]


def finish_removals(ledger: Ledger) -> list[Removal]:
    """Complete removals that were interrupted. Returns them."""
    found = left_over(ledger)
    for one in found:
        _delete(ledger.state, one.run_id, one.parts)
    return found


def discard(ledger: Ledger, run_id: str, at: datetime) -> list[Path]:
    """Remove one night with its analysis, history and reports. Returns what was removed.

    Raises `UnknownNightError` for a night that is not there.
    """
    state = ledger.state
    if not re.fullmatch(r"\d{8}T\d{6}Z", run_id):
        raise UnknownNightError(f"{run_id!r} is no run id: write one such as 20261123T020000Z.")
    night = ledger.nights().get(run_id)
    every: tuple[Part, ...] = ("snapshot", "analysis", "history", "figures", "reports")
    paths = [path for part in every for path in part_paths(state, run_id, part)]
    if night is None and not paths:
        known = ", ".join(one.run_id for one in ledger.in_force())
        raise UnknownNightError(f"there is no night {run_id}; there are: {known or 'none'}.")
    if night is not None and night.discarded and not paths:
        raise UnknownNightError(f"{run_id} was discarded before.")
    if night is not None and not night.discarded:
        ledger.append(Removed(run_id=run_id, parts=list(every), why="discarded", at=at))
    _delete(state, run_id, list(every))
    return paths


def _delete(state: Path, run_id: str, parts: list[Part]) -> None:
    for path in _existing(state, run_id, parts):
        if path.parent.name == "snapshots":
            remove(path)
        elif path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _existing(state: Path, run_id: str, parts: list[Part]) -> Iterator[Path]:
    for part in parts:
        yield from part_paths(state, run_id, part)
