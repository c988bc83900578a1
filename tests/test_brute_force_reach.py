"""Edges, reach, excess and figures of random estates, compared with a brute force of docs/analysis.md.

``ESTATES=300`` compares so many estates in place of a few, ``ESTATES_FROM=1000`` beginning with another one.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import pytest

from scanner.analyze.steps import AnalyzeSettings, analyze
from scanner.ledger import Ledger
from scanner.night import open_night
from scanner.records import POWERS, level_of
from scanner.snapshot import RunInfo, begin, run_id_of, seal
from scanner.target_writer import TargetWriter
from tests.brute_force_reach import OWN_POWERS, BruteForce
from tests.comparison import Comparison
from tests.random_estates import EstateDrawing
from tests.sealed_night import FINGERPRINT

if TYPE_CHECKING:
    from pathlib import Path

    from scanner.night import Night
    from tests.random_estates import RandomEstate

ESTATES = int(os.environ.get("ESTATES", "6"))
FROM = int(os.environ.get("ESTATES_FROM", "1"))


@pytest.mark.parametrize("seed", range(FROM, FROM + ESTATES))
def test_analysis_is_what_the_documentation_says(tmp_path: Path, seed: int) -> None:
    """Every edge, way, comparison and figure of one random estate."""
    comparison = compare_estate(tmp_path, seed)
    assert not comparison.samples, "\n".join(comparison.samples[:20])
    assert comparison.compared["figure"] > 50


def compare_estate(folder: Path, seed: int) -> Comparison:
    """Draw an estate, analyze it, and compare it with the brute force."""
    comparison = Comparison()
    estate = EstateDrawing(seed).draw()
    run_id = _seal(folder, estate)
    analyze(folder, run_id, settings=AnalyzeSettings(frameworks=[], threads=1), rules=[])
    truth = BruteForce(estate)
    with open_night(folder, run_id) as opened:
        _compare_edges(comparison, f"seed {seed}", truth, opened)
        _compare_reach(comparison, f"seed {seed}", truth, opened)
        _compare_excess(comparison, f"seed {seed}", truth, opened)
        _compare_figures(comparison, f"seed {seed}", truth, opened)
    return comparison


def _seal(folder: Path, estate: RandomEstate) -> str:
    run_id = run_id_of(estate.as_of)
    info = RunInfo(run_id=run_id, as_of=estate.as_of, tool_version="test", config_digest="")
    snapshot = folder / "snapshots" / run_id
    begin(snapshot, info)
    for provider in ("aws", "github"):
        writer = TargetWriter(snapshot, provider, provider, f"{provider}:account", fingerprint=FINGERPRINT)
        for record in estate.records:
            if record.provider == provider:
                writer.write(record)
        writer.finish(0.0)
    seal(snapshot, info, record=Ledger(folder).sealing(info))
    return run_id


def _dicts(opened: Night, table: str) -> list[dict[str, Any]]:
    return list(opened.dicts(f"SELECT * FROM {table}"))


def _compare_edges(comparison: Comparison, where: str, truth: BruteForce, opened: Night) -> None:
    rows = [(row["source_id"], row["target_id"], row["kind"]) for row in _dicts(opened, "edges")]
    comparison.check("edges occur once", where, len(set(rows)), len(rows))
    for edge in sorted({*rows} | truth.edges):
        comparison.check(f"edge {edge[2]}", f"{where}, {edge}", edge in truth.edges, edge in rows)


def _compare_reach(comparison: Comparison, where: str, truth: BruteForce, opened: Night) -> None:
    grants = {grant.id: grant for grant in truth.grants}
    rows: dict[tuple[str, Any, bool], dict[str, Any]] = {}
    for row in _dicts(opened, "reach"):
        key = (row["identity_id"], row["power"], row["steps"] == 0)
        comparison.check("reach row occurs once", f"{where}, {key}", False, key in rows)
        rows[key] = row
    for key in sorted(rows.keys() | truth.reach.keys()):
        row = rows.get(key) or {}
        comparison.check("reach", f"{where}, {key}", truth.reach.get(key), row.get("steps"))
        if row and key in truth.reach:
            grant = grants.get(row["grant_id"])
            sound = (
                grant is not None and grant.identity_id == row["target_id"] and row["power"] in grant.powers
            )
            comparison.check("reach grant", f"{where}, {key}, {row['grant_id']}", True, sound)
            comparison.check(
                "reach account", f"{where}, {key}", grant and grant.account_id, row["account_id"]
            )
            way = _walks(truth, row["identity_id"], row["target_id"], row["path"][1:-1])
            length = len(row["path"]) == (row["steps"] + 2 if row["steps"] else 1)
            comparison.check("reach path", f"{where}, {key}, {row['path']}", (True, True), (way, length))
            comparison.check("reach level", f"{where}, {key}", level_of([row["power"]]), row["level"])


def _walks(truth: BruteForce, start: str, target: str, clauses: list[str]) -> bool:
    """Return whether there is a way along edges on which each clause names the identity that it leads to."""
    at = {start}
    for clause in clauses:
        at = {
            following
            for name in at
            for following in truth.neighbors.get(name, ())
            if re.search(rf"(?<!\w){re.escape(truth.identities[following].name)}(?!\w)", clause)
        }
    return target in at


def _compare_excess(comparison: Comparison, where: str, truth: BruteForce, opened: Night) -> None:
    rows = {(row["pipeline_id"], row["workload_id"]): row for row in _dicts(opened, "excess")}
    comparison.check("excess occurs once", where, len(rows), len(_dicts(opened, "excess")))
    for key in sorted(rows.keys() | truth.excess.keys()):
        row, model = rows.get(key), truth.excess.get(key)
        comparison.check("excess row", f"{where}, {key}", model is not None, row is not None)
        if row is None or model is None:
            continue
        for name, expected in (
            ("pipeline_powers", model.pipeline_powers),
            ("workload_powers", model.workload_powers),
            ("excess", model.excess),
        ):
            ordered = sorted(expected, key=POWERS.index)
            comparison.check(name, f"{where}, {key}", ordered, row[name])
        comparison.check("complete", f"{where}, {key}", model.complete, row["complete"])
        levels = (level_of(list(model.pipeline_powers)), level_of(list(model.workload_powers)))
        comparison.check(
            "excess levels", f"{where}, {key}", levels, (row["pipeline_level"], row["workload_level"])
        )
        comparison.check("excess path given", f"{where}, {key}", bool(model.excess), bool(row["path"]))
        if model.excess and row["path"]:
            clauses = [step["what"] for step in row["path"]][:-1]
            strongest = min(model.excess, key=POWERS.index)
            ends = {
                name
                for name, steps in truth.distances(key[0]).items()
                if steps == len(clauses)
                and strongest in truth.powers_of(name)
                and _walks(truth, key[0], name, clauses)
            }
            comparison.check("excess path", f"{where}, {key}, {clauses}", True, bool(ends))


def _compare_figures(comparison: Comparison, where: str, truth: BruteForce, opened: Night) -> None:
    rows = {
        (row["metric"], row["dimension"], row["dimension_value"]): row for row in _dicts(opened, "metrics")
    }
    for key, figure in truth.figures.items():
        row = rows.get(key)
        if key[1] != "all":
            left_out = figure.value is None or (figure.value == 0 and figure.numerator is None)
            comparison.check("figure left out", f"{where}, {key}", left_out, row is None)
            if row is None:
                continue
        expected = (figure.value, figure.numerator, figure.denominator)
        said = row and (row["value"], row.get("numerator"), row.get("denominator"))
        comparison.check("figure", f"{where}, {key}", expected, said)
        comparison.check("figure unknown", f"{where}, {key}", figure.unknown, row and row.get("unknown"))
        if row and figure.value is None:
            comparison.check("figure reason", f"{where}, {key}", True, bool(row.get("reason")))


def test_random_estates_hold_every_case() -> None:
    """Every operator, relation and kind of trust occurs in the estates that are compared."""
    estates = [EstateDrawing(seed).draw() for seed in range(1, 40)]
    edges = {kind for estate in estates for _, _, kind in BruteForce(estate).edges}
    assert edges == {
        "trust", "trust-pattern", "uses", "holds-key", "runs_as", "member_of", "escalation",
    }  # fmt: skip
    rows = [row for estate in estates for row in BruteForce(estate).excess.values()]
    assert {row.complete for row in rows} == {True, False}
    assert {power for row in rows for power in row.excess} >= set(OWN_POWERS)
