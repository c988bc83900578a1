"""The content of the HTML report, section by section. The templates only lay it out.

Every list that grows with the organization is truncated and says by how much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from reports.html.accounts import AccountCoverage, read_accounts
from reports.html.causes import Causes, read_causes
from reports.html.delivery import DeliveryComparison, read_delivery
from reports.html.exceptions import read_exceptions
from reports.html.gaps import Gaps, read_gaps
from reports.html.inventory import Inventory, read_inventory
from reports.html.matrix import StageRow, read_matrix
from reports.html.measures import Tile, read_measures
from reports.html.method import read_rules
from reports.html.owners import read_owners
from reports.html.queries import Cut, plural
from reports.html.questions import Question, read_questions
from reports.html.since import Since, read_since
from reports.html.verdict import Verdict, read_verdict
from scanner.analyze.framework_results import FrameworkResult, read_frameworks
from scanner.analyze.rule_files import RULES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scanner.night import Night
    from scanner.rule_texts import RuleText


class ReportPage(NamedTuple):
    """The content of the page."""

    scope: str
    verdict: Verdict
    delivery: DeliveryComparison
    since: Since
    causes: Causes
    owners: Cut
    accounts: AccountCoverage
    gaps: Gaps
    inventory: Inventory
    questions: list[Question]
    measures: list[Tile]
    matrix: list[StageRow]
    frameworks: list[FrameworkResult]
    exceptions: Cut
    rules: list[dict[str, Any]]
    silent_rules: list[str]
    """Enabled, but without an account to evaluate."""
    disabled_rules: list[str]
    """Built in, but disabled."""


def read_page(night: Night, texts: Mapping[str, RuleText]) -> ReportPage:
    """Return the content of the report of a night. ``texts`` are the enabled rules by id."""
    delivery = read_delivery(night)
    accounts = read_accounts(night)
    rules = read_rules(night, texts)
    ran = {row["rule"] for row in rules}
    return ReportPage(
        scope=", ".join(f"{one.name} ({plural(one.total, 'account')})" for one in accounts.providers)
        or "no provider was scanned",
        verdict=read_verdict(night, delivery, accounts),
        delivery=delivery,
        since=read_since(night),
        causes=read_causes(night, texts),
        owners=read_owners(night),
        accounts=accounts,
        gaps=read_gaps(night),
        inventory=read_inventory(night),
        questions=read_questions(night),
        measures=read_measures(night),
        matrix=read_matrix(night),
        frameworks=read_frameworks(night, texts),
        exceptions=read_exceptions(night),
        rules=rules,
        silent_rules=sorted(set(texts) - ran),
        disabled_rules=sorted({path.stem for path in RULES.glob("*.yaml")} - set(texts)) if texts else [],
    )
