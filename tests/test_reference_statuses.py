"""Statuses, dates, counts, figures and exit codes of random nights, compared with a reference model of the documentation.

``NIGHTS_SEEDS=100`` compares so many sequences of nights in place of two, ``NIGHTS_FROM=500`` beginning with another one.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from scanner.analyze.rule_files import load_rules
from scanner.analyze.steps import AnalyzeSettings, analyze
from scanner.config import Settings
from scanner.night import open_night
from scanner.pipeline.outcome import assess_run
from tests.comparison import Comparison
from tests.random_nights import NEEDS, Drawing, DrawnNight, seal_drawn_night, write_exceptions, write_rules
from tests.reference_statuses import ABOUT_EXCEPTIONS, NOT_READ, RANKS, ReferenceModel, ReferenceVerdict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scanner.analyze.rule import Rule
    from scanner.night import Night
    from scanner.records import Severity
    from scanner.snapshot import Manifest

SEEDS = int(os.environ.get("NIGHTS_SEEDS", "2"))
FROM = int(os.environ.get("NIGHTS_FROM", "1"))
FAIL_ON = ("new:high", "high", "new:low", "low", None)
KEPT = {*NEEDS, NOT_READ, *(rule for rule, _ in ABOUT_EXCEPTIONS.values())}


@pytest.mark.parametrize("seed", range(FROM, FROM + SEEDS))
def test_nights_are_what_the_documentation_says(tmp_path: Path, seed: int) -> None:
    """Every row of every night of one random sequence."""
    comparison = compare_sequence(tmp_path, seed)
    assert not comparison.samples, "\n".join(comparison.samples[:20])
    assert comparison.compared["status"] > 20


def compare_sequence(folder: Path, seed: int) -> Comparison:
    """Draw a sequence of nights, analyze them, and compare them with the model."""
    comparison = Comparison()
    model = ReferenceModel()
    rules = _rules(folder)
    hashes: dict[tuple[str, str, Severity, str], str] = {}
    for number, night in enumerate(Drawing(seed).draw(), 1):
        where = f"seed {seed}, night {number}"
        manifest = seal_drawn_night(folder, night)
        entries = write_exceptions(folder / "exceptions.yaml", night.entries, hashes)
        settings = AnalyzeSettings(
            disabled=[*_others(), *sorted(night.disabled)], exceptions=entries, threads=1
        )
        analyze(folder, night.run_id, settings=settings, rules=rules)
        verdict = model.step(night)
        with open_night(folder, night.run_id) as opened:
            _compare_findings(comparison, where, verdict, opened)
            _compare_exceptions(comparison, where, verdict, opened)
            _compare_targets(comparison, where, verdict, opened)
            _compare_members(comparison, where, verdict, opened)
            _compare_figures(comparison, where, verdict, opened)
            _compare_exit_codes(comparison, where, night, verdict, opened, manifest)
            _remember_hashes(comparison, where, night, opened, hashes)
    return comparison


@cache
def _built_in() -> list[Rule]:
    return load_rules()


@cache
def _others() -> list[str]:
    return [rule.id for rule in _built_in() if rule.id not in KEPT]


def _rules(folder: Path) -> list[Rule]:
    return load_rules(write_rules(folder / "rules"))


def _utc(value: datetime | None) -> datetime | None:
    return None if value is None else value.replace(tzinfo=UTC)


def _dicts(opened: Night, table: str) -> Iterator[dict[str, Any]]:
    yield from opened.dicts(f"SELECT * FROM {table}")


def _compare_findings(comparison: Comparison, where: str, verdict: ReferenceVerdict, opened: Night) -> None:
    rows = {(row["rule"], row["subject"]): row for row in _dicts(opened, "findings")}
    for key in sorted(rows.keys() | verdict.findings.keys()):
        place = f"{where}, {key}"
        row, model = rows.get(key), verdict.findings.get(key)
        status = row["status"] if row else None
        comparison.check("status", place, model.status if model else None, status)
        if row is None or model is None or model.status != status:
            continue
        for name, expected, said in (
            ("previous_status", model.previous_status, row["previous_status"]),
            ("first_seen", model.first_seen, _utc(row["first_seen"])),
            ("changed_at", model.changed_at, _utc(row["changed_at"])),
            ("due_at", model.due_at, _utc(row["due_at"])),
            ("severity", model.severity, row["severity"]),
            ("gone_in", model.gone_in, row["gone_in"]),
            ("open_since", model.open_since, _utc(row["open_since"])),
            ("counts_as_new", model.counts_as_new, row["counts_as_new"]),
            ("out_of_scope", model.out_of_scope, row["out_of_scope"]),
            ("reason", status in ("unobserved", "error"), row["not_observed"] is not None),
        ):
            comparison.check(name, place, expected, said)
        named = row["exception_id"]
        comparison.check(
            "exception_id", f"{place}, {named}", bool(model.exception_ids), named in model.exception_ids
        )


def _compare_exceptions(comparison: Comparison, where: str, verdict: ReferenceVerdict, opened: Night) -> None:
    rows = {row["id"]: row for row in _dicts(opened, "exceptions")}
    for name in sorted(rows.keys() | verdict.exceptions.keys()):
        row, model = rows.get(name), verdict.exceptions.get(name)
        comparison.check("exception state", f"{where}, {name}", model and model.state, row and row["state"])
        # What is not in force accepts nothing; whether it then still counts what it matches is not settled.
        if model and model.state in ("active", "expiring"):
            comparison.check("exception matched", f"{where}, {name}", model.matched, row and row["matched"])


def _compare_targets(comparison: Comparison, where: str, verdict: ReferenceVerdict, opened: Night) -> None:
    rows = {row["target"]: row for row in _dicts(opened, "target_coverage")}
    for name in sorted(rows.keys() | verdict.targets.keys()):
        row, model = rows.get(name), verdict.targets.get(name)
        comparison.check("target state", f"{where}, {name}", model and model.state, row and row["state"])
        if row and model:
            figures = (row["listings_expected"], row["listings_answered"])
            comparison.check("target listings", f"{where}, {name}", (model.expected, model.answered), figures)


def _compare_members(comparison: Comparison, where: str, verdict: ReferenceVerdict, opened: Night) -> None:
    rows = {(row["table"], row["id"]): row for row in _dicts(opened, "population")}
    for key in sorted(rows.keys() | verdict.members.keys()):
        row, model = rows.get(key), verdict.members.get(key)
        comparison.check("member", f"{where}, {key}", model is not None, row is not None)
        if row and model:
            comparison.check(
                "member first_seen", f"{where}, {key}", model.first_seen, _utc(row["first_seen"])
            )
            comparison.check(
                "member removed_at", f"{where}, {key}", model.removed_at, _utc(row["removed_at"])
            )


def _compare_figures(comparison: Comparison, where: str, verdict: ReferenceVerdict, opened: Night) -> None:
    said = {
        (row["metric"], row["dimension_value"]): row["value"]
        for row in _dicts(opened, "metrics")
        if row["dimension"] in ("all", "severity")
    }
    for key, expected in verdict.figures().items():
        if not key[1] or key[1] in RANKS:
            # A severity without findings has no row of its own.
            comparison.check("figure", f"{where}, {key}", expected, said.get(key, 0.0 if key[1] else None))


def _compare_exit_codes(
    comparison: Comparison,
    where: str,
    night: DrawnNight,
    verdict: ReferenceVerdict,
    opened: Night,
    manifest: Manifest,
) -> None:
    for fail_on in FAIL_ON:
        for min_coverage, max_unobserved in ((0.8, 0.2), (0.0, 1.0)):
            settings = Settings(
                collectors={}, fail_on=fail_on, min_coverage=min_coverage, max_unobserved=max_unobserved
            )
            outcome = assess_run(settings, manifest, [], night=opened, stopped=manifest.partial)
            expected = verdict.conditions(
                night, fail_on, min_coverage=min_coverage, max_unobserved=max_unobserved
            )
            place = f"{where}, fail_on {fail_on}, min_coverage {min_coverage}"
            comparison.check("conditions", place, sorted(expected), sorted({*outcome.conditions} - {"OK"}))
            code = 6 if "DEADLINE" in expected else 4 if "COVERAGE" in expected else 3 if expected else 0
            comparison.check("exit code", place, code, outcome.exit_code)


def _remember_hashes(
    comparison: Comparison,
    where: str,
    night: DrawnNight,
    opened: Night,
    hashes: dict[tuple[str, str, Severity, str], str],
) -> None:
    facts = {subject.id: subject.facts for subject in night.seen}
    for row in _dicts(opened, "findings"):
        if (
            row["rule"] in NEEDS
            and row["subject"] in facts
            and row["status"] not in ("unobserved", "error", "resolved")
        ):
            key = (row["rule"], row["subject"], row["severity"], facts[row["subject"]])
            said = row["state_hash"]
            comparison.check("state_hash", f"{where}, {key}", hashes.setdefault(key, said), said)
