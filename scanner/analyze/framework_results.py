"""What a night says about each control of the chosen frameworks, with passes. One definition for every report.

A check is one rule in one account. A pass needs complete inputs and nothing found, by a rule whose silence is evidence; it
is evidence for a control, not an assessment of it.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from scanner.analyze.framework import EVERY, load_frameworks
from scanner.findings import OPEN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scanner.analyze.framework import Framework, MappedControl
    from scanner.night import Night
    from scanner.rule_texts import RuleText


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
    excepted: int
    """Findings that an exception accepts. They count among the failed checks: an accepted risk is no pass."""
    result: str
    """``counts-against``, ``unknown``, ``excepted``, ``partly``, ``looked-at`` or ``no-evidence``: the worst of its checks."""
    proves: str
    """What it would prove if no rule found anything: ``full``, ``partial`` or ``none``."""
    tables: list[str]
    """Tables that are evidence by themselves."""
    note: str | None


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


_FOUND = f"""
    SELECT rule, provider, count(*) FILTER (WHERE {OPEN}), count(*) FILTER (WHERE status = 'excepted')
    FROM findings GROUP BY ALL
"""


def read_frameworks(night: Night, texts: Mapping[str, RuleText]) -> list[FrameworkResult]:
    """Return what a night says about each control of the frameworks that it cites, also of those whose rules are disabled.

    A rule that ran with a larger threshold than a control allows proves nothing about it by its silence.
    """
    known = {f"{one.short} {one.version}": one for one in load_frameworks()}
    checks: dict[str, dict[str, Counter[str]]] = {}
    for rule, provider, failed, silent, incomplete, missing in night.rows(_CHECKS):
        counted = Counter(failed=failed, silent=silent, incomplete=incomplete, missing=missing)
        checks.setdefault(rule, {})[provider] = counted
    for rule, provider, found, excepted in night.rows(_FOUND):
        checks.setdefault(rule, {}).setdefault(provider, Counter()).update(findings=found, excepted=excepted)
    totals: dict[str, dict[str, Counter[str]]] = {}
    rules: dict[tuple[str, str], set[str]] = {}
    for text in texts.values():
        for provider, controls in text.controls.items():
            seen = checks.get(text.id, {})
            counts = sum(seen.values(), Counter()) if provider == EVERY else seen.get(provider, Counter())
            for control in controls:
                total = totals.setdefault(control.framework, {}).setdefault(control.code, Counter())
                total.update(counts)
                silence = control.relation != "counter" and _threshold_met(
                    text, known.get(control.framework), control.code
                )
                total["passed" if silence else "counter"] += counts["silent"]
                rules.setdefault((control.framework, control.code), set()).add(text.id)
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
                    _control(
                        code,
                        named.get(code),
                        totals[label].get(code, Counter()),
                        rules.get((label, code), set()),
                    )
                    for code in sorted({*totals[label], *named}, key=_numbers)
                ],
            )
        )
    return found


def _threshold_met(text: RuleText, framework: Framework | None, code: str) -> bool:
    control = framework.controls.get(code) if framework is not None else None
    most = control.at_most.get(text.id) if control is not None else None
    return most is None or text.params.get("days", most) <= most


def _control(code: str, control: MappedControl | None, total: Counter[str], rules: set[str]) -> ControlResult:
    if total["findings"]:
        result = "counts-against"
    elif total["incomplete"] or total["missing"]:
        result = "unknown"
    elif total["excepted"]:
        result = "excepted"
    elif total["passed"]:
        result = "partly" if total["counter"] else "looked-at"
    else:
        result = "no-evidence"
    return ControlResult(
        code=code,
        title=control.title if control is not None else "",
        rules=len(rules),
        passed=total["passed"],
        failed=total["failed"],
        incomplete=total["incomplete"],
        not_evaluated=total["missing"],
        counter=total["counter"],
        findings=total["findings"],
        excepted=total["excepted"],
        result=result,
        proves=control.silence_proves if control is not None else "none",
        tables=list(control.tables) if control is not None else [],
        note=control.note if control is not None else None,
    )


def _numbers(code: str) -> list[tuple[int, str]]:
    """Sort 1.9 before 1.11, and NHI2 before NHI10."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", code)]
