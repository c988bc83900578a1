"""The result of each rule: ``rule_results.parquet``, and ``rules.json`` with the enabled rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from scanner.analyze.framework import load_frameworks, references
from scanner.findings import RuleResult
from scanner.private_files import write_private

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from scanner.analyze.rule import Rule
    from scanner.tables import Tables

_RULE_RESULTS = """
    WITH counted AS (
        SELECT rule, account_id, min(provider) AS provider, count(*) AS findings FROM findings
        WHERE status IN ('new', 'open', 'reopened', 'excepted') GROUP BY rule, account_id
    ), evaluated AS (
        SELECT coalesce(s.rule, c.rule) AS rule, coalesce(s.account_id, c.account_id) AS account_id,
               coalesce(s.provider, c.provider) AS provider, coalesce(s.status, 'incomplete') AS status,
               CASE WHEN s.rule IS NULL THEN 'not everything that this rule needs is listed here'
                    ELSE s.reason END AS reason, s.missing_table, coalesce(c.findings, 0) AS findings
        FROM rule_states AS s FULL JOIN counted AS c ON c.rule = s.rule AND c.account_id = s.account_id
    )
    SELECT r.rule, r.title, r.severity, r.category,
           coalesce(j.provider, 'sprawlscan') AS provider, coalesce(j.account_id, '') AS account_id,
           CASE WHEN e.rule IS NULL THEN j.status ELSE 'error' END AS status,
           coalesce(j.findings, 0)::BIGINT AS findings,
           coalesce(e.error, j.reason) AS reason, CASE WHEN e.rule IS NULL THEN j.missing_table END AS missing_table
    FROM rules AS r LEFT JOIN evaluated AS j ON j.rule = r.rule
         LEFT JOIN (FROM record_errors UNION ALL FROM exception_errors) AS e ON e.rule = r.rule
    WHERE j.rule IS NOT NULL OR e.rule IS NOT NULL
    ORDER BY rule, account_id
"""


def write_rule_results(tables: Tables, path: Path) -> dict[str, int]:
    """Write the result of each rule in each account and create the view ``rule_results``; return the counts by
    status.
    """
    tables.copy(_RULE_RESULTS, path)
    tables.view("rule_results", RuleResult, [path])
    return dict(tables.rows("SELECT status, count(*) FROM rule_results GROUP BY 1 ORDER BY 1"))


def write_rules(
    path: Path, rules: Sequence[Rule], errors: Mapping[str, str], frameworks: list[str] | None
) -> None:
    """Write the enabled rules, with their texts and the controls that they are evidence for. ``frameworks`` are the ids
    of frameworks to cite; None cites all.
    """
    cited = references(load_frameworks(), frameworks)
    given: list[dict[str, Any]] = [
        {
            "id": rule.id,
            "title": rule.title,
            "version": rule.version,
            "severity": rule.severity,
            "category": rule.category,
            "why": rule.why,
            "fix": rule.fix,
            "params": rule.params,
            "needs": rule.needs,
            "custom": rule.custom,
            "controls": cited.get(rule.id, {}),
            "error": errors.get(rule.id),
        }
        for rule in rules
    ]
    write_private(path, msgspec.json.format(msgspec.json.encode(given), indent=1) + b"\n")
