"""What commands print: lines for people, from files on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanner.findings import SEVERITIES, Severity
from scanner.history import superseded
from scanner.night import open_night
from scanner.pipeline import Outcome, counts_by_severity, resolve_run
from scanner.plain import plain
from scanner.snapshot import list_sealed, prune, read_manifest, remove

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from scanner.config import Settings
    from scanner.rule import Rule


def _figures(counts: Mapping[Severity, int]) -> str:
    return ", ".join(f"{counts[name]} {name}" for name in SEVERITIES if counts.get(name)) or "none"


def outcome_lines(state: Path, outcome: Outcome) -> list[str]:
    """Say what a night came to, coverage first."""
    folder = state / "reports" / outcome.run_id
    lines = [
        f"run {outcome.run_id}{' (partial: stopped before every target was done)' if outcome.partial else ''}",
        f"coverage: {outcome.coverage:.1%} of the listings asked for",
        f"open findings: {_figures(outcome.findings)}",
        f"new since last night: {_figures(outcome.new)}",
    ]
    lines += [f"report: {folder / name}" for name in outcome.reports if name.endswith(".html")]
    lines.append(f"all files: {folder}")
    if outcome.conditions:
        lines.append(f"exit {outcome.exit_code}: {', '.join(outcome.conditions)}")
    return lines


def snapshot_lines(state: Path) -> list[str]:
    """Say what the newest snapshot holds."""
    run_id = resolve_run(state, None)
    manifest = read_manifest(state / "snapshots" / run_id)
    rows = [f"  {table}: {count}" for table, count in manifest.rows.items() if count]
    return [f"{state / 'snapshots' / run_id}, coverage {manifest.coverage:.1%}", *rows]


def analysis_lines(state: Path, run_id: str) -> list[str]:
    """Say what an analysis found."""
    with open_night(state, run_id) as night:
        return [
            f"run {run_id}: open findings: {_figures(counts_by_severity(night, ('new', 'open', 'reopened')))}",
            (
                f"new: {_figures(counts_by_severity(night, ('new', 'reopened')))}; resolved: {_figures(counts_by_severity(night, ('resolved',)))}; "
                f"unobserved: {_figures(counts_by_severity(night, ('unobserved',)))}"
            ),
        ]


def diff_lines(state: Path, earlier: str, later: str) -> list[str]:
    """Compare the findings of two analysed runs: what only one of them has open, and what became of what went.

    A finding that the later run could not check, whose rule failed, or that an exception covers, is not gone.
    """
    query = "SELECT id, severity, title, subject_name, coalesce(owner, 'no owner'), status FROM findings ORDER BY rank DESC, id"
    runs: list[dict[str, tuple[str, ...]]] = []
    for run in (earlier, later):
        with open_night(state, run) as night:
            runs.append({row[0]: row for row in night.rows(query)})
    every = [{key: row for key, row in run.items() if row[5] != "resolved"} for run in runs]
    before, after = every
    told = {"excepted": ", excepted", "unobserved": ", could not be checked", "error": ", its rule failed"}
    lines = [
        f"+ {row[0]}  {row[1]:8}  {row[2]}: {row[3]} ({row[4]}{told.get(row[5], '')})"
        for key, row in after.items()
        if key not in before
    ]
    lines += [
        f"- {row[0]}  {row[1]:8}  {row[2]}: {row[3]} "
        f"({row[4]}, {'resolved' if key in runs[1] else f'not in {later}'})"
        for key, row in before.items()
        if key not in after
    ]
    lines += [
        f"~ {row[0]}  {row[1]:8}  {row[2]}: {row[3]} ({row[4]}{told[row[5]]})"
        for key, row in after.items()
        if key in before and row[5] in told and row[5] != before[key][5]
    ]
    unchecked = sum(row[5] in ("unobserved", "error") for row in after.values())
    return [
        *(plain(line) for line in lines),
        (
            f"{len(after.keys() - before.keys())} more, {len(before.keys() - after.keys())} fewer, "
            f"{len(after.keys() & before.keys())} in both; {unchecked} could not be checked in {later}"
        ),
    ]


def prune_lines(settings: Settings, *, delete: bool, force: bool) -> list[str]:
    """Apply retention to snapshots, and delete histories that newer ones hold; say what went or would go."""
    snapshots = settings.state / "snapshots"
    cited: set[str] = set()
    sealed = list_sealed(snapshots)
    if sealed and not force:
        with open_night(settings.state, sealed[-1].name) as night:
            query = "SELECT DISTINCT strftime(first_seen, '%Y%m%dT%H%M%SZ') FROM findings WHERE status <> 'resolved'"
            cited = {row[0] for row in night.rows(query)}
    keep = settings.retention
    gone = prune(snapshots, daily=keep.daily, monthly=keep.monthly, yearly=keep.yearly, cited=cited)
    old = superseded(settings.state)
    if delete:
        for folder in gone:
            remove(folder)
        for path in old:
            path.unlink()
    verb = "deleted" if delete else "would delete (add --delete)"
    names = [folder.name for folder in gone] + [f"history/{path.name}" for path in old]
    return [f"{verb} {name}" for name in names] or ["nothing to delete"]


def rule_lines(rule: Rule) -> list[str]:
    """Show one rule."""
    return [
        f"{rule.id}: {rule.title}",
        f"severity {rule.severity}, category {rule.category}, needs {', '.join(rule.needs)}",
        *(f"{name} = {value}" for name, value in rule.params.items()),
        "",
        f"Why: {rule.why.strip()}",
        f"Fix: {rule.fix.strip()}",
        "",
        rule.query.strip(),
    ]
