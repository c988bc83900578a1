"""The top of the report: the answer, the coverage, the open findings and six key figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from reports.html.queries import first, plural
from scanner.analyze.metrics import PIPELINE
from scanner.figures import figure_text
from scanner.run_coverage import coverage_sentence
from scanner.safe_text import NAME, plain

if TYPE_CHECKING:
    from reports.html.accounts import AccountCoverage
    from reports.html.delivery import DeliveryComparison
    from scanner.night import Night
    from scanner.records import Severity


class KeyFigure(NamedTuple):
    """One of the figures below the verdict."""

    figure: str
    """Its name in the metrics."""
    title: str
    term: str
    """The glossary entry of the title; empty if none."""
    value: str
    basis: str
    link: str
    """The list that it counts."""


class Verdict(NamedTuple):
    """Coverage and result of the run."""

    seen: Literal["all", "part", "nothing"]
    """How much of what was to be read was read. If nothing was, no figure of findings means anything."""
    headline: str
    unread: list[str]
    """The names of unread accounts, the first five."""
    coverage_title: str
    coverage: list[str]
    words: list[str]
    open: dict[Severity, int]
    new: dict[Severity, int]
    keys: list[KeyFigure]

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


def read_verdict(night: Night, delivery: DeliveryComparison, accounts: AccountCoverage) -> Verdict:
    """Return the summary: coverage gaps first, then the findings."""
    complete, coverage = _coverage_lines(night)
    nothing = night.coverage.listings_answered == 0
    return Verdict(
        seen="all" if complete else "nothing" if nothing else "part",
        headline=_headline(delivery, nothing=nothing),
        unread=[plain(name, NAME) for name in night.coverage.unread_targets[:5]],
        coverage_title=_coverage_title(night, accounts, complete=complete, nothing=nothing),
        coverage=coverage,
        words=_words(night, nothing=nothing),
        open=night.figures.by_severity("open_findings"),
        new=night.figures.by_severity("new_findings"),
        keys=_keys(night),
    )


def _headline(delivery: DeliveryComparison, *, nothing: bool) -> str:
    if nothing:
        return "Nothing was read, so nothing is known"
    if delivery.pipelines == 0:
        return "No pipeline could be compared with the workload it deploys"
    if delivery.pipelines_in_excess:
        return (
            f"{delivery.pipelines_in_excess:,} of {plural(delivery.pipelines, 'pipeline')} can do more than the "
            f"workload {'it deploys' if delivery.pipelines == 1 else 'they deploy'}"
        )
    if delivery.unknown:
        return "No pipeline is known to do more than its workload, but not all could be compared"
    return "No pipeline can do more than deploying its workload needs"


def _coverage_title(night: Night, accounts: AccountCoverage, *, complete: bool, nothing: bool) -> str:
    if nothing:
        return "Nothing was read"
    if complete:
        return "Coverage is complete"
    unread = night.coverage.unread
    if unread:
        names = ", ".join(
            plain(name.rpartition(" (")[0] or name, NAME) for name in night.coverage.unread_targets[:3]
        )
        more = unread - min(unread, 3)
        return (
            f"Coverage is incomplete: {unread:,} of {plural(accounts.total, 'account')} {'is' if unread == 1 else 'are'} "
            f"dark: {names}{f' and {more:,} more' if more else ''}"
        )
    return "Coverage is incomplete"


def _words(night: Night, *, nothing: bool) -> list[str]:
    figures = night.figures
    total, unobserved = figures.count("open_findings"), figures.count("unobserved_findings")
    words = []
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


def _keys(night: Night) -> list[KeyFigure]:
    figures = night.figures
    pipelines_total = int(night.one(f"SELECT count(*) FROM identities WHERE {PIPELINE}"))
    trusts = int(night.one("SELECT count(*) FROM trusts"))
    owned, age = figures.of("identities_with_owner"), figures.of("median_age_of_static_credentials")
    aged = f"; median age {figure_text(age.value, age.unit)}" if age.value is not None else ""

    def count(name: str) -> str:
        return f"{figures.count(name):,}"

    return [
        KeyFigure(
            "pipelines_reaching_admin", "Pipelines reaching administrator", "administrator", count("pipelines_reaching_admin"),
            f"of {plural(pipelines_total, 'pipeline')}", "#inventory?pipeline=yes&admin=yes",
        ),
        KeyFigure(
            "static_credentials", "Static credentials in use", "static", count("static_credentials"),
            f"of {plural(figures.count('credentials'), 'credential')}{aged}", "#inventory?tab=credentials&lifetime=static&enabled=yes,~none",
        ),
        KeyFigure(
            "secrets_readable", "Secrets readable in clear", "", count("secrets_readable"),
            f"of {figures.count('secrets'):,} stored", "#inventory?tab=secrets&readable=yes",
        ),
        KeyFigure(
            "open_trusts", "Trusts open to outsiders", "trust", count("open_trusts"),
            f"of {plural(trusts, 'trust statement')}", "#inventory?tab=trusts&exposure=anyone,another-tenant",
        ),
        KeyFigure(
            "unowned_findings", "Open findings without an owner", "", count("unowned_findings"),
            f"{owned.numerator or 0:,.0f} of {plural(round(owned.denominator or 0), 'identity', 'identities')} have one", "#findings?owner=~none",
        ),
        KeyFigure(
            "exceptions_in_force", "Exceptions in force", "", count("exceptions_in_force"),
            f"{plural(figures.count('excepted_findings'), 'finding')} accepted", "#exceptions",
        ),
    ]  # fmt: skip
