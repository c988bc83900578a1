"""The section of the method: the enabled rules with their results, and the controls of frameworks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from scanner.analyze.framework import EVERY, CitedControl

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scanner.night import Night


class RuleText(msgspec.Struct, frozen=True, kw_only=True):
    """What the analysis stores of an enabled rule: an entry of ``rules.json``."""

    id: str
    why: str
    fix: str
    params: dict[str, Any] = {}
    controls: dict[str, list[CitedControl]] = {}
    """By the provider whose findings are evidence; see `scanner.analyze.framework.references`."""


def read_rules(night: Night, texts: Mapping[str, RuleText]) -> list[dict[str, Any]]:
    """Return the enabled rules, most severe first, with the number of accounts in each state."""
    query = """
        SELECT rule, min(title) AS title, min(severity) AS severity, min(category) AS category,
               count(*) FILTER (WHERE status = 'evaluated') AS evaluated, count(*) FILTER (WHERE status = 'incomplete') AS incomplete,
               count(*) FILTER (WHERE status = 'not-evaluated') AS missing, count(*) FILTER (WHERE status = 'error') AS errors,
               sum(findings)::BIGINT AS findings, rule IN (SELECT rule FROM findings) AS found
        FROM rule_results GROUP BY rule
        ORDER BY list_position(['critical', 'high', 'medium', 'low', 'info'], min(severity)), rule
    """
    found = []
    for row in night.dicts(query):
        text = texts.get(row["rule"])
        params = text.params if text else {}
        found.append(
            {
                **row,
                # Shown once, and only for rules with findings.
                "why": text.why if text and row["found"] else None,
                "params": ", ".join(f"{name} = {value}" for name, value in params.items()),
            }
        )
    return found


def read_frameworks(night: Night, texts: Mapping[str, RuleText]) -> dict[str, list[dict[str, Any]]]:
    """Return the number of open findings mapped to each control, by framework."""
    counted: dict[str, dict[str, int]] = {}
    query = "SELECT rule, provider, sum(findings)::BIGINT FROM rule_results GROUP BY ALL"
    for rule, provider, findings in night.rows(query):
        counted.setdefault(rule, {})[provider] = findings
    totals: dict[tuple[str, str], int] = {}
    for text in texts.values():
        by_provider = counted.get(text.id, {})
        for provider, controls in text.controls.items():
            findings = sum(by_provider.values()) if provider == EVERY else by_provider.get(provider, 0)
            for control in controls:
                key = (control.framework, control.code)
                totals[key] = totals.get(key, 0) + findings
    found: dict[str, list[dict[str, Any]]] = {}
    for framework, code in sorted(totals, key=lambda key: (key[0], _numbers(key[1]))):
        found.setdefault(framework, []).append({"code": code, "findings": totals[framework, code]})
    return found


def _numbers(code: str) -> list[tuple[int, str]]:
    """Sort 1.9 before 1.11, and NHI2 before NHI10."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", code)]
