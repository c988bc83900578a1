"""What a night says about each control of the chosen frameworks, with passes. One definition for every report.

A check is one rule in one account. A pass needs complete inputs and nothing found, by a rule whose silence is evidence; it
is evidence for a control, not an assessment of it.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from scanner.analyze.framework import EVERY, CitedControl, load_frameworks
from scanner.findings import OPEN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scanner.night import Night


class RuleText(msgspec.Struct, frozen=True, kw_only=True):
    """What the analysis stores of an enabled rule: an entry of ``rules.json``."""

    id: str
    why: str
    fix: str
    title: str = ""
    severity: str = ""
    category: str = ""
    needs: list[str] = []
    params: dict[str, Any] = {}
    controls: dict[str, list[CitedControl]] = {}
    """By the provider whose findings are evidence; see `scanner.analyze.framework.references`."""


def rules_in_force(night: Night) -> dict[str, RuleText]:
    """Return the rules of the night, by id. The analysis stores their texts, so that a report can be recreated."""
    path = night.analysis / "rules.json"
    found = msgspec.json.decode(path.read_bytes(), type=list[RuleText]) if path.is_file() else []
    return {rule.id: rule for rule in found}


class ControlResult(NamedTuple):
    """What a night says about one control. A check is one rule in one account."""

    code: str
    title: str
    rules: int
    passed: int
    """Checks with complete inputs and nothing found, of rules whose silence is evidence."""
    failed: int
    incomplete: int
    not_evaluated: int
    counter: int
    """Checks that found nothing, of rules whose silence proves nothing about the control."""
    findings: int
    """Open findings."""


class FrameworkResult(NamedTuple):
    """The results of one framework."""

    label: str
    """Short name and version."""
    name: str
    not_claimed: list[str]
    controls: list[ControlResult]


_CHECKS = """
    SELECT rule, provider, count(*) FILTER (WHERE findings > 0) AS failed,
           count(*) FILTER (WHERE findings = 0 AND status = 'evaluated') AS silent,
           count(*) FILTER (WHERE findings = 0 AND status = 'incomplete') AS incomplete,
           count(*) FILTER (WHERE findings = 0 AND status IN ('not-evaluated', 'error')) AS missing
    FROM rule_results GROUP BY ALL
"""


def read_frameworks(night: Night, texts: Mapping[str, RuleText]) -> list[FrameworkResult]:
    """Return what a night says about each control that a rule is mapped to, by framework."""
    checks: dict[str, dict[str, Counter[str]]] = {}
    for rule, provider, failed, silent, incomplete, missing in night.rows(_CHECKS):
        counted = Counter(failed=failed, silent=silent, incomplete=incomplete, missing=missing)
        checks.setdefault(rule, {})[provider] = counted
    for rule, provider, found in night.rows(
        f"SELECT rule, provider, count(*) FROM findings WHERE {OPEN} GROUP BY ALL"
    ):
        checks.setdefault(rule, {}).setdefault(provider, Counter())["findings"] = found
    totals: dict[str, dict[str, Counter[str]]] = {}
    rules: dict[tuple[str, str], set[str]] = {}
    for text in texts.values():
        for provider, controls in text.controls.items():
            seen = checks.get(text.id, {})
            counts = sum(seen.values(), Counter()) if provider == EVERY else seen.get(provider, Counter())
            for control in controls:
                total = totals.setdefault(control.framework, {}).setdefault(control.code, Counter())
                total.update(counts)
                total["counter" if control.relation == "counter" else "passed"] += counts["silent"]
                rules.setdefault((control.framework, control.code), set()).add(text.id)
    known = {f"{one.short} {one.version}": one for one in load_frameworks()}
    found = []
    for label in sorted(totals):
        framework = known.get(label)
        named = framework.controls if framework is not None else {}
        found.append(
            FrameworkResult(
                label,
                framework.title if framework is not None else label,
                list(framework.not_claimed) if framework is not None else [],
                [
                    ControlResult(
                        code=code,
                        title=named[code].title if code in named else "",
                        rules=len(rules[label, code]),
                        passed=total["passed"],
                        failed=total["failed"],
                        incomplete=total["incomplete"],
                        not_evaluated=total["missing"],
                        counter=total["counter"],
                        findings=total["findings"],
                    )
                    for code, total in sorted(totals[label].items(), key=lambda item: _numbers(item[0]))
                ],
            )
        )
    return found


def _numbers(code: str) -> list[tuple[int, str]]:
    """Sort 1.9 before 1.11, and NHI2 before NHI10."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", code)]
