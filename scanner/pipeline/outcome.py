"""The result of a run: what it counts, and its exit code."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import msgspec

from scanner.findings import COUNTS_AS_NEW, SEVERITIES
from scanner.run_coverage import RunCoverage, seen_tonight

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scanner.config import Settings
    from scanner.night import Night
    from scanner.records import Severity
    from scanner.snapshot import Manifest


class Exit(IntEnum):
    """Exit codes, each with one meaning. If several apply, the first in `PRECEDENCE` is used."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    FINDINGS = 3
    COVERAGE = 4
    LOCKED = 5
    DEADLINE = 6


PRECEDENCE = (Exit.INTERNAL, Exit.USAGE, Exit.LOCKED, Exit.DEADLINE, Exit.COVERAGE, Exit.FINDINGS)


class Uncovered(msgspec.Struct, frozen=True, kw_only=True):
    """Listings of one kind that could not be read, for one reason."""

    collector: str
    call: str
    """The provider's name of the listing."""
    reason: str
    detail: str
    """What the provider said, in one of the accounts."""
    accounts: int
    """How many accounts it concerns."""
    account_id: str
    """One of them."""


class NewFinding(msgspec.Struct, frozen=True, kw_only=True):
    """A finding that counts as new."""

    id: str
    severity: Severity
    title: str
    subject_name: str
    resource: str | None
    """What it is about: a resource, or file and line."""
    owner: str | None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one run, written as ``run.json`` next to the reports."""

    run_id: str
    exit_code: int
    conditions: list[str]
    """The names of all exit codes that apply."""
    partial: bool
    coverage: RunCoverage
    """Coverage of the targets."""
    uncovered: list[Uncovered]
    """What could not be read and why, the most accounts first."""
    findings: dict[Severity, int]
    """Open findings by severity, without accepted ones."""
    new: dict[Severity, int]
    """Findings that count as new, by severity (`scanner.findings.Finding.counts_as_new`)."""
    worst_new: list[NewFinding]
    """The most urgent of these, at most five."""
    not_observed: dict[Severity, int]
    """Findings that are not accepted and could not be checked again, by severity. They count as open for ``fail_on``."""
    failed_rules: int
    reports: list[str]
    """Files in the report folder, relative to it."""
    failed_reports: list[str]
    """A line for each report that could not be written, with its error."""


_BY_SEVERITY = "SELECT severity, count(*) FROM findings WHERE {} GROUP BY severity"
_UNREAD_AND_NOT_EXCEPTED = """
    SELECT count(*) FROM target_coverage AS t WHERE t.state = 'unread' AND NOT EXISTS (
        FROM findings AS f WHERE f.rule = 'account-not-read' AND f.subject = t.id AND f.status = 'excepted')
"""
_COUNTS = """
    exception_id IS NULL AND NOT out_of_scope AND status IN ('new', 'open', 'reopened', 'unobserved', 'error')
"""
"""Findings that count in a verdict: a night that could not look at one does not make it better."""
_UNOBSERVED = f"""
    SELECT count(*) FILTER (status IN ('unobserved', 'error')) / nullif(count(*), 0) FROM findings WHERE {_COUNTS}
"""
_FAILED_RULES = "SELECT count(DISTINCT rule) FROM rule_results WHERE status = 'error'"
_WORST_NEW = f"""
    SELECT id, severity, title, subject_name, resource, owner FROM findings WHERE {COUNTS_AS_NEW} ORDER BY rank DESC, id LIMIT 5
"""
_UNCOVERED = """
    SELECT collector, call, reason, min(detail) AS detail, count(DISTINCT account_id) AS accounts,
           min(account_id) AS account_id
    FROM gaps WHERE reason <> 'unsupported' GROUP BY collector, call, reason
    ORDER BY accounts DESC, bool_or("table" = '*') DESC, collector, call, reason
"""


def assess_run(
    settings: Settings,
    manifest: Manifest,
    reports: list[str],
    *,
    night: Night | None,
    stopped: bool,
    failed_reports: Sequence[str] = (),
) -> Outcome:
    """Return the conditions that a run violates: a report that failed, deadline, coverage and, if analyzed, ``fail_on``.

    Coverage is insufficient if a target could not be read at all and no exception accepts that, if a rule failed, if more
    than ``max_unobserved`` of the findings that count could not be checked, or if less than ``min_coverage`` of the listings
    is complete. docs/architecture.md, "Exit codes", is the definition. ``night`` is the analyzed run, None if it was only
    collected.
    """
    still_open = new = not_observed = dict.fromkeys(SEVERITIES, 0)
    coverage = seen_tonight(manifest)
    lost = coverage.unread
    unobserved, failed_rules = 0.0, 0
    uncovered: list[Uncovered] = []
    worst_new: list[NewFinding] = []
    if night is not None:
        still_open = night.figures.by_severity("open_findings")
        new = night.figures.by_severity("new_findings")
        hidden = dict(night.rows(_BY_SEVERITY.format(f"{_COUNTS} AND status IN ('unobserved', 'error')")))
        not_observed = {name: int(hidden.get(name, 0)) for name in SEVERITIES}
        coverage = night.coverage
        lost = int(night.one(_UNREAD_AND_NOT_EXCEPTED) or 0)
        failed_rules = int(night.one(_FAILED_RULES) or 0)
        worst_new = [NewFinding(**row) for row in night.dicts(_WORST_NEW)]
        uncovered = [Uncovered(**row) for row in night.dicts(_UNCOVERED)]
        if not manifest.selected:
            unobserved = float(night.one(_UNOBSERVED) or 0)
    conditions: list[Exit] = [Exit.INTERNAL] if failed_reports else []
    if stopped or manifest.partial:
        conditions.append(Exit.DEADLINE)
    too_little = coverage.ratio < settings.min_coverage or unobserved > settings.max_unobserved
    if lost or failed_rules or too_little:
        conditions.append(Exit.COVERAGE)
    if settings.fail_on:
        scope, _, severity = settings.fail_on.rpartition(":")
        counts = (new,) if scope == "new" else (still_open, not_observed)
        worst = SEVERITIES[: [str(name) for name in SEVERITIES].index(severity) + 1]
        if any(count[name] for count in counts for name in worst):
            conditions.append(Exit.FINDINGS)
    code = next((code for code in PRECEDENCE if code in conditions), Exit.OK)
    return Outcome(
        run_id=manifest.run_id,
        exit_code=int(code),
        conditions=[condition.name for condition in conditions],
        partial=manifest.partial,
        coverage=coverage,
        uncovered=uncovered,
        findings={**still_open},
        new={**new},
        worst_new=worst_new,
        not_observed={**not_observed},
        failed_rules=failed_rules,
        reports=reports,
        failed_reports=list(failed_reports),
    )


def with_earlier(outcome: Outcome, earlier: Sequence[Outcome]) -> Outcome:
    """Add the findings of earlier nights that no exit code has reported."""
    if not any(Exit.FINDINGS.name in one.conditions for one in earlier):
        return outcome
    conditions = {*outcome.conditions, Exit.FINDINGS.name}
    every = [code for code in PRECEDENCE if code.name in conditions]
    return msgspec.structs.replace(outcome, exit_code=int(every[0]), conditions=[code.name for code in every])
