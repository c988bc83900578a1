"""Findings grouped by cause: one rule in one organization, group or account, and what a single kind of change ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from reports.html.queries import PLACES, Cut, cut, utc
from scanner.findings import OPEN, SEVERITIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scanner.night import Night
    from scanner.rule_texts import RuleText

WEIGHTS = {"critical": 100, "high": 20, "medium": 4, "low": 1, "info": 0}
"""What a finding of each severity adds to the rank of its cause."""
CAUSES = 10
RULES = 120
PER_RULE = 3
"""Findings shown for each rule without JavaScript."""

_COUNTS = ", ".join(f"count(*) FILTER (WHERE severity = '{name}')::INT AS {name}" for name in SEVERITIES)
_WEIGHT = " + ".join(
    f"{weight} * count(*) FILTER (WHERE severity = '{name}')" for name, weight in WEIGHTS.items()
)

_CAUSES = f"""
    WITH places AS ({PLACES})
    SELECT f.rule, min(f.title) AS title, coalesce(p.place, f.account_id) AS place,
           any_value(coalesce(p.place_name, f.account_name, f.account_id)) AS place_name, count(*) AS total, {_COUNTS},
           {_WEIGHT} AS weight, min(f.due_at) AS due, count(DISTINCT f.fix) AS fixes, arg_max(f.fix, (f.rank, f.id)) AS fix,
           list({{'id': f.id, 'name': f.subject_name}} ORDER BY f.rank DESC, f.id)[:3] AS examples,
           list(DISTINCT coalesce(f.owner, '') ORDER BY coalesce(f.owner, ''))[:3] AS owners,
           count(DISTINCT coalesce(f.owner, '')) AS owners_total
    FROM findings AS f LEFT JOIN places AS p ON p.account_id = f.account_id
    WHERE {OPEN} GROUP BY f.rule, coalesce(p.place, f.account_id) ORDER BY weight DESC, f.rule, place
"""

_BY_RULE = f"""
    SELECT rule, min(title) AS title, count(*) AS total, {_COUNTS},
           min(list_position(['critical', 'high', 'medium', 'low', 'info'], severity)) AS worst_place,
           count(DISTINCT coalesce(owner, '')) AS owners,
           list({{'id': id, 'severity': severity, 'name': subject_name, 'detail': detail, 'owner': owner, 'due': due_at,
                 'fix': fix, 'url': url, 'provider': provider}}
                ORDER BY rank DESC, id)[:greatest({PER_RULE}, least(20, count(*) FILTER (severity = 'critical')))] AS examples
    FROM findings WHERE {OPEN} GROUP BY rule ORDER BY worst_place, total DESC, title, rule
"""


class Causes(NamedTuple):
    """The open findings by cause."""

    first: Cut
    """The causes to end first."""
    stands_for: int
    """Open findings of the causes shown."""
    by_rule: Cut
    """Rules with their first findings, for readers without JavaScript."""


def read_causes(night: Night, texts: Mapping[str, RuleText]) -> Causes:
    """Return the causes of a night's open findings."""
    first = cut(night, _CAUSES, CAUSES)
    by_rule = cut(night, _BY_RULE, RULES, {"as_of": utc(night.as_of)})
    for row in first.rows:
        text = texts.get(row["rule"])
        row["change"] = row["fix"] if row["fixes"] == 1 or text is None else text.fix
        row["counts"] = _counts(row)
    for row in by_rule.rows:
        text = texts.get(row["rule"])
        row["why"], row["fix"] = (text.why, text.fix) if text else ("", "")
        row["worst"] = SEVERITIES[row["worst_place"] - 1]
        row["counts"] = _counts(row)
    return Causes(first, sum(row["total"] for row in first.rows), by_rule)


def _counts(row: dict[str, Any]) -> dict[str, int]:
    return {name: row[name] for name in SEVERITIES}
