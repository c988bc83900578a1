"""The content of the HTML report, section by section. The templates only lay it out.

Every list that grows with the organization is truncated and says by how much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from reports.html.delivery import DeliveryComparison, read_delivery
from reports.html.exceptions import read_exceptions
from reports.html.gaps import Gaps, read_gaps
from reports.html.inventory import Inventory, read_inventory
from reports.html.measures import Measure, read_measures
from reports.html.method import RuleText, read_frameworks, read_rules
from reports.html.owners import read_owners
from reports.html.queries import Cut, plural
from reports.html.questions import Question, read_questions
from reports.html.since import Since, read_since
from reports.html.verdict import Verdict, read_verdict
from reports.html.worst import WORST, read_worst
from scanner.analyze.rule_files import RULES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scanner.night import Night


class ReportPage(NamedTuple):
    """The content of the page."""

    scope: str
    providers: list[dict[str, Any]]
    verdict: Verdict
    since: Since
    worst: list[dict[str, Any]]
    table: Cut
    delivery: DeliveryComparison
    questions: list[Question]
    owners: Cut
    gaps: Gaps
    exceptions: Cut
    inventory: Inventory
    measures: list[Measure]
    rules: list[dict[str, Any]]
    silent_rules: list[str]
    """Enabled, but without an account to evaluate."""
    disabled_rules: list[str]
    """Built in, but disabled."""
    frameworks: dict[str, list[dict[str, Any]]]
    """By framework and version: controls with ``code`` and open ``findings``."""


def read_page(night: Night, texts: Mapping[str, RuleText]) -> ReportPage:
    """Return the content of the report of a night. ``texts`` are the enabled rules by id."""
    delivery = read_delivery(night)
    worst = read_worst(night)
    rules = read_rules(night, texts)
    providers = list(
        night.dicts(
            """
            SELECT provider, count(DISTINCT account_id) AS accounts
            FROM (SELECT provider, account_id FROM coverage UNION SELECT provider, account_id FROM gaps
                  UNION SELECT provider, id FROM accounts)
            GROUP BY provider ORDER BY provider
            """
        )
    )
    ran = {row["rule"] for row in rules}
    return ReportPage(
        scope=", ".join(f"{row['provider']} ({plural(row['accounts'], 'account')})" for row in providers)
        or "no provider was scanned",
        providers=providers,
        verdict=read_verdict(night, delivery),
        since=read_since(night),
        worst=worst.rows[:WORST],
        table=worst,
        delivery=delivery,
        questions=read_questions(night),
        owners=read_owners(night),
        gaps=read_gaps(night),
        exceptions=read_exceptions(night),
        inventory=read_inventory(night),
        measures=read_measures(night),
        rules=rules,
        silent_rules=sorted(set(texts) - ran),
        disabled_rules=sorted({path.stem for path in RULES.glob("*.yaml")} - set(texts)) if texts else [],
        frameworks=read_frameworks(night, texts),
    )
