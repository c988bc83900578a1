"""The text that commands print, made from files on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanner.findings import SEVERITIES
from scanner.ledger import Ledger
from scanner.night import open_night
from scanner.pipeline.retention import apply, finish_removals, left_over, part_paths, superfluous
from scanner.pipeline.state_folder import report_folder, resolve_run
from scanner.run_coverage import coverage_sentence
from scanner.safe_text import NAME, plain
from scanner.snapshot import SnapshotError, read_manifest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from scanner.analyze.rule import Rule
    from scanner.config import Retention
    from scanner.pipeline.outcome import NewFinding, Outcome, Uncovered
    from scanner.records import Severity
    from scanner.verification import Verified


def _figures(counts: Mapping[Severity, int]) -> str:
    return ", ".join(f"{counts[name]} {name}" for name in SEVERITIES if counts.get(name)) or "none"


def outcome_lines(state: Path, outcome: Outcome) -> list[str]:
    """Return the summary of a run, coverage first."""
    folder = report_folder(state, outcome.run_id)
    lines = [
        f"run {outcome.run_id}{' (partial: stopped before all targets finished)' if outcome.partial else ''}",
        coverage_sentence(outcome.coverage),
        f"open findings: {_figures(outcome.findings)}"
        + ("" if outcome.coverage.ratio else " (nothing was listed, so this proves nothing)"),
        f"new since the previous run: {_figures(outcome.new)}",
        *(_new_finding(one) for one in outcome.worst_new),
        *(
            [f"could not be checked again: {_figures(outcome.not_observed)}"]
            if any(outcome.not_observed.values())
            else []
        ),
        *([f"rules that failed: {outcome.failed_rules}"] if outcome.failed_rules else []),
    ]
    lines += [plain(failed) for failed in outcome.failed_reports]
    unread = [f"not read: {plain(name)}" for name in outcome.coverage.unread_targets[:UNCOVERED]]
    if outcome.coverage.unread > UNCOVERED:
        unread.append(f"not read: {outcome.coverage.unread - UNCOVERED} more; see the report")
    lines[2:2] = [*unread, *_uncovered(outcome.uncovered)]
    lines += [f"report: {folder / name}" for name in outcome.reports if name.endswith(".html")]
    lines.append(f"all files: {folder}")
    if outcome.conditions:
        lines.append(f"exit {outcome.exit_code}: {', '.join(outcome.conditions)}")
    return lines


def _new_finding(one: NewFinding) -> str:
    """Return a line for a finding that counts as new, with the place if its name does not say it."""
    place = (
        f" at {plain(one.resource, NAME)}" if one.resource and one.resource not in one.subject_name else ""
    )
    owner = plain(one.owner, NAME) if one.owner else "no owner"
    return f"  new: {one.severity}: {plain(one.title, NAME)}: {plain(one.subject_name, NAME)}{place} ({owner})  {one.id}"


UNCOVERED = 3
"""Gaps listed after a run; the report lists all of them."""
REASON = 120
"""Characters shown of a provider's response."""


def _uncovered(found: list[Uncovered]) -> list[str]:
    """Return what was not covered and why."""
    lines = [
        plain(f"not covered in {_place(one)}: {one.call}: {one.reason}: ") + plain(one.detail, REASON)
        for one in found[:UNCOVERED]
    ]
    more = len(found) - UNCOVERED
    return [*lines, *([f"not covered: {more} more; see the report"] if more > 0 else [])]


def _place(one: Uncovered) -> str:
    return one.account_id if one.accounts == 1 else f"{one.accounts} accounts"


def verified_lines(verified: Verified) -> list[str]:
    """Return what was compared. Raises `SnapshotError` if something differs."""
    if verified.problems:
        raise SnapshotError("\n".join(verified.problems))
    return verified.lines or ["there is nothing to verify"]


def snapshot_lines(state: Path) -> list[str]:
    """Return what the newest snapshot contains."""
    run_id = resolve_run(state, None)
    manifest = read_manifest(state / "snapshots" / run_id)
    rows = [f"  {table}: {count}" for table, count in manifest.rows.items() if count]
    return [f"{state / 'snapshots' / run_id}, coverage {manifest.coverage:.1%}", *rows]


def analysis_lines(state: Path, run_id: str) -> list[str]:
    """Return the result of an analysis."""
    with open_night(state, run_id) as night:
        found = night.figures.by_severity
        return [
            f"run {run_id}: open findings: {_figures(found('open_findings'))}",
            (
                f"new: {_figures(found('new_findings'))}; resolved: {_figures(found('resolved_findings'))}; "
                f"unobserved: {_figures(found('unobserved_findings'))}"
            ),
        ]


def not_carried_lines(state: Path, run_id: str) -> list[str]:
    """Return a warning if later nights were compared with an earlier one than this, so that they do not follow from it."""
    nights = Ledger(state).in_force()
    place = [night.run_id for night in nights].index(run_id)
    earlier = {night.run_id for night in nights[:place]} | {None}
    later = [
        night.run_id for night in nights[place + 1 :] if night.analyzed and night.analyzed.base in earlier
    ]
    if not later:
        return []
    return [
        f"{', '.join(later)}: compared with an earlier run than {run_id}. To carry it forward, analyze them again in this "
        "order: " + "; ".join(f"sprawlscan analyze --run {name}" for name in later)
    ]


def diff_lines(state: Path, earlier: str, later: str) -> list[str]:
    """Compare the findings of two analyzed runs: added, removed, and changed in status.

    A finding that the later run could not check, whose rule failed or that an exception covers does not count as removed.
    """
    query = "SELECT id, severity, title, subject_name, coalesce(owner, 'no owner'), status FROM findings ORDER BY rank DESC, id"
    runs: list[dict[str, tuple[str, ...]]] = []
    for run in (earlier, later):
        with open_night(state, run) as night:
            runs.append({row[0]: row for row in night.rows(query)})
    every = [{key: row for key, row in run.items() if row[5] != "resolved"} for run in runs]
    before, after = every
    labels = {"excepted": ", excepted", "unobserved": ", could not be checked", "error": ", rule failed"}
    lines = [
        f"+ {row[0]}  {row[1]:8}  {row[2]}: {row[3]} ({row[4]}{labels.get(row[5], '')})"
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
        f"~ {row[0]}  {row[1]:8}  {row[2]}: {row[3]} ({row[4]}{labels[row[5]]})"
        for key, row in after.items()
        if key in before and row[5] in labels and row[5] != before[key][5]
    ]
    unchecked = sum(row[5] in ("unobserved", "error") for row in after.values())
    return [
        *(plain(line) for line in lines),
        (
            f"{len(after.keys() - before.keys())} added, {len(before.keys() - after.keys())} removed, "
            f"{len(after.keys() & before.keys())} in both; {unchecked} could not be checked in {later}"
        ),
    ]


def prune_lines(
    ledger: Ledger, retention: Retention, *, at: datetime, delete: bool, force: bool
) -> list[str]:
    """Apply retention to snapshots, analyses and older histories. Return one line for each path."""
    state = ledger.state
    removals = [*left_over(ledger), *superfluous(ledger, retention, force=force)]
    paths = [path for one in removals for part in one.parts for path in part_paths(state, one.run_id, part)]
    if delete:
        finish_removals(ledger)
        apply(ledger, superfluous(ledger, retention, force=force), at)
    verb = "deleted" if delete else "would delete (add --delete)"
    return [f"{verb} {path.relative_to(state)}" for path in dict.fromkeys(paths)] or ["nothing to delete"]


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
