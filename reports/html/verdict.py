"""The summary at the top of the report: coverage first, then the result."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reports.html.queries import OPEN, by_severity, first, plural, utc
from scanner.run_coverage import coverage_sentence
from scanner.safe_text import NAME, plain

if TYPE_CHECKING:
    from reports.html.delivery import DeliveryComparison
    from scanner.night import Night


class Verdict(NamedTuple):
    """Coverage and result of the run."""

    complete: bool
    coverage: list[str]
    words: list[str]
    open: dict[str, int]
    new: dict[str, int]
    total: int
    unowned: int
    overdue: int
    unobserved: int


def _coverage_lines(night: Night) -> tuple[bool, list[str]]:
    coverage, manifest = night.coverage, night.manifest
    figures = first(
        night,
        """
        WITH unread AS (SELECT account_id FROM target_coverage WHERE state = 'unread')
        SELECT (SELECT count(DISTINCT rule) FROM rule_results WHERE status <> 'evaluated' AND account_id NOT IN (FROM unread)) AS weak,
               (SELECT count(DISTINCT rule) FROM rule_results
                WHERE status IN ('not-evaluated', 'error') AND account_id NOT IN (FROM unread)) AS silent,
               (SELECT count(DISTINCT rule) FROM rule_results) AS rules
        """,
    )
    lines = []
    if coverage.listings_expected == 0:
        lines.append("No provider was scanned, so this report proves nothing.")
    if coverage.unread:
        few = coverage.unread_targets[:5]
        names = ", ".join(plain(name, NAME) for name in few)
        more = coverage.unread - len(few)
        lines.append(
            f"Nothing could be read from {plural(coverage.unread, 'account')}: {names}"
            + (f" and {more:,} more." if more else ".")
        )
    if coverage.listings_answered < coverage.listings_expected:
        lines.append(coverage_sentence(coverage))
    if manifest.partial or manifest.not_started:
        lines.append(f"The run was stopped early: {plural(len(manifest.not_started), 'target')} not started.")
    if figures["rules"] == 0:
        lines.append("No rule was evaluated.")
    elif figures["weak"]:
        part = figures["weak"] - figures["silent"]
        lines.append(
            f"{figures['silent']:,} of {plural(figures['rules'], 'rule')} could not be evaluated in at least one "
            f"{'other ' if coverage.unread else ''}account"
            + (f", and {part:,} more had only some of their inputs." if part else ".")
        )
    if lines:
        return False, [*lines, "Where data is missing, the absence of findings proves nothing."]
    return True, [
        (
            f"All {plural(coverage.listings_expected, 'listing')} are complete, "
            f"in {plural(coverage.complete, 'account')}, "
            f"and all {plural(figures['rules'], 'rule')} had their inputs."
        )
    ]


def read_verdict(night: Night, delivery: DeliveryComparison) -> Verdict:
    """Return the summary: coverage gaps first, then the findings."""
    complete, coverage = _coverage_lines(night)
    still = by_severity(night, OPEN)
    new = by_severity(night, "status IN ('new', 'reopened')")
    figures = first(
        night,
        f"""
        SELECT count(*) FILTER (WHERE {OPEN}) AS total, count(*) FILTER (WHERE {OPEN} AND owner IS NULL) AS unowned,
               count(*) FILTER (WHERE {OPEN} AND due_at::DATE < $as_of::DATE) AS overdue,
               count(*) FILTER (WHERE status = 'unobserved') AS unobserved,
               count(*) FILTER (WHERE status = 'error') AS errors
        FROM findings
        """,
        {"as_of": utc(night.as_of)},
    )
    words = []
    if delivery.pipelines_in_excess:
        words.append(
            f"{delivery.pipelines_in_excess:,} of {plural(delivery.pipelines, 'pipeline')} that deploy a workload "
            f"{'has' if delivery.pipelines_in_excess == 1 else 'have'} more access than the workload."
        )
    if figures["total"]:
        urgent = still["critical"] + still["high"]
        words.append(
            f"{plural(figures['total'], 'finding')} {'is' if figures['total'] == 1 else 'are'} open, {urgent:,} of them critical or high"
            + (f"; {figures['unowned']:,} have no owner" if figures["unowned"] else "")
            + (f"; {figures['overdue']:,} are overdue." if figures["overdue"] else ".")
        )
    else:
        words.append("No open findings in the data collected.")
    if figures["unobserved"]:
        words.append(
            f"{plural(figures['unobserved'], 'earlier finding')} could not be checked in this run and count as neither open nor resolved."
        )
    if figures["errors"]:
        words.append(f"{plural(figures['errors'], 'subject')} could not be evaluated because of an error.")
    return Verdict(
        complete=complete,
        coverage=coverage,
        words=words,
        open=still,
        new=new,
        total=int(figures["total"]),
        unowned=int(figures["unowned"]),
        overdue=int(figures["overdue"]),
        unobserved=int(figures["unobserved"]),
    )
