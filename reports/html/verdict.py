"""The summary at the top of the report: coverage first, then the result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from reports.html.queries import first, plural
from scanner.run_coverage import coverage_sentence
from scanner.safe_text import NAME, plain

if TYPE_CHECKING:
    from reports.html.delivery import DeliveryComparison
    from scanner.night import Night
    from scanner.records import Severity


class Verdict(NamedTuple):
    """Coverage and result of the run."""

    seen: Literal["all", "part", "nothing"]
    """How much of what was to be read was read. If nothing was, no figure of findings means anything."""
    coverage: list[str]
    words: list[str]
    open: dict[Severity, int]
    new: dict[Severity, int]

    @property
    def complete(self) -> bool:
        """Whether everything was read."""
        return self.seen == "all"


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
    nothing = night.coverage.listings_answered == 0
    return Verdict(
        seen="all" if complete else "nothing" if nothing else "part",
        coverage=coverage,
        words=_words(night, delivery, nothing=nothing),
        open=night.figures.by_severity("open_findings"),
        new=night.figures.by_severity("new_findings"),
    )


def _words(night: Night, delivery: DeliveryComparison, *, nothing: bool) -> list[str]:
    figures = night.figures
    total, unobserved = figures.count("open_findings"), figures.count("unobserved_findings")
    words = []
    if delivery.pipelines_in_excess:
        words.append(
            f"{delivery.pipelines_in_excess:,} of {plural(delivery.pipelines, 'pipeline')} that deploy a workload "
            f"{'has' if delivery.pipelines_in_excess == 1 else 'have'} more access than the workload."
        )
    if total:
        still = figures.by_severity("open_findings")
        urgent = still["critical"] + still["high"]
        unowned, overdue = figures.count("unowned_findings"), figures.count("overdue_findings")
        words.append(
            f"{plural(total, 'finding')} {'is' if total == 1 else 'are'} open, {urgent:,} of them critical or high"
            + (f"; {unowned:,} have no owner" if unowned else "")
            + (f"; {overdue:,} are overdue." if overdue else ".")
        )
    elif nothing:
        words.append("Nothing was read, so it is unknown whether anything is wrong.")
    else:
        words.append("No open findings in the data collected.")
    if unobserved:
        words.append(
            f"{plural(unobserved, 'earlier finding')} could not be checked in this run and count as neither open nor resolved."
        )
    if errors := figures.count("error_findings"):
        words.append(f"{plural(errors, 'subject')} could not be evaluated because of an error.")
    return words
