"""The enabled rules with their results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scanner.findings import OPEN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scanner.night import Night
    from scanner.rule_texts import RuleText

_RULES = f"""
    SELECT r.rule, min(r.title) AS title, min(r.severity) AS severity,
           count(*) FILTER (WHERE r.status = 'evaluated') AS evaluated, count(*) FILTER (WHERE r.status = 'incomplete') AS incomplete,
           count(*) FILTER (WHERE r.status = 'not-evaluated') AS missing, count(*) FILTER (WHERE r.status = 'error') AS errors,
           coalesce(any_value(f.found), 0) AS open
    FROM rule_results AS r LEFT JOIN (SELECT rule, count(*) AS found FROM findings WHERE {OPEN} GROUP BY 1) AS f ON f.rule = r.rule
    GROUP BY r.rule ORDER BY title, r.rule
"""


def read_rules(night: Night, texts: Mapping[str, RuleText]) -> list[dict[str, Any]]:
    """Return the enabled rules with the number of accounts in each state and of open findings."""
    found = []
    for row in night.dicts(_RULES):
        params = texts[row["rule"]].params if row["rule"] in texts else {}
        found.append({**row, "params": ", ".join(f"{name} = {value}" for name, value in params.items())})
    return found
