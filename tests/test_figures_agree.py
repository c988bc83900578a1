"""One figure, one number: what HTML, CSV, JSON, Prometheus, console and webhook say of the same night."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from html import unescape
from typing import TYPE_CHECKING, NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from reports import prometheus
from scanner.command.summary import analysis_lines
from scanner.findings import SEVERITIES
from scanner.night import open_night
from scanner.pipeline.notify import message
from scanner.run_coverage import coverage_sentence
from scanner.snapshot import list_sealed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from scanner.records import Severity
    from tests.conftest import Demo

OPEN = ("new", "open", "reopened")


class Outputs(NamedTuple):
    """The outputs of one night, as their readers take them in."""

    html: str
    """Without tags."""
    marked: dict[str, list[str]]
    """The cells of each figure in tables of the page."""
    metrics: dict[tuple[str, str, str], dict[str, str]]
    """metrics.csv by metric, dimension and value."""
    findings: list[dict[str, str]]
    """findings.csv."""
    document: dict[str, object]
    """summary.json."""
    samples: dict[str, float]
    """Samples of the Prometheus file without labels."""
    findings_sampled: Counter[tuple[str, str]]
    """Its findings by status and severity."""
    console: str
    told: dict[str, object]
    """The webhook's message."""

    def total(self, name: str) -> dict[str, str]:
        return self.metrics[name, "all", ""]


@pytest.fixture(scope="module")
def outputs(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Outputs:
    return read(demo.folder, list_sealed(demo.folder / "snapshots")[-1].name, tmp_path_factory.mktemp("prom"))


def read(state: Path, run_id: str, scratch: Path) -> Outputs:
    reports = state / "reports" / run_id
    page = (reports / "report.html").read_text(encoding="utf-8")
    marked = {
        name: re.findall(r"<td class=\"num[^>]*>(?:<b>)?([^<]*)", row)
        for name, row in re.findall(r"<tr data-figure=\"(\w+)\"[^>]*>(.*?)</tr>", page, re.DOTALL)
    }
    shown = re.findall(r"<(?:b|p|a)[^>]* data-figure=\"([\w/]+)\"[^>]*>([^<]*)</", page)
    with (
        (reports / "metrics.csv").open(newline="", encoding="utf-8") as metrics,
        (reports / "findings.csv").open(newline="", encoding="utf-8") as findings,
    ):
        figures = {
            (row["metric"], row["dimension"], row["dimension_value"]): row for row in csv.DictReader(metrics)
        }
        rows = list(csv.DictReader(findings))
    sampled: Counter[tuple[str, str]] = Counter()
    samples = {}
    with open_night(state, run_id) as night:
        (file,) = prometheus.write(night, scratch, prometheus.Config(textfile=scratch / "night.prom"))
        told = message(night, "info", None)
        sentence = coverage_sentence(night.coverage)
    for family in text_string_to_metric_families(file.read_text()):
        for sample in family.samples:
            if not sample.labels:
                samples[sample.name.removeprefix("sprawlscan_")] = sample.value
            if sample.name == "sprawlscan_findings":
                sampled[sample.labels["status"], sample.labels["severity"]] += int(sample.value)
    assert told is not None
    return Outputs(
        html=re.sub(
            r"\s+", " ", unescape(re.sub(r"<script.*?</script>|<[^>]+>", " ", page, flags=re.DOTALL))
        ),
        marked=marked | {name: [value] for name, value in shown},
        metrics=figures,
        findings=rows,
        document=json.loads((reports / "summary.json").read_text()),
        samples=samples,
        findings_sampled=sampled,
        console="\n".join([*analysis_lines(state, run_id), sentence]),
        told=told,
    )


def number(text: str) -> float:
    """Return a figure as the page shows it: ``1,204``, ``97.6 %``, ``3 days``."""
    return float(text.split(" ", maxsplit=1)[0].replace(",", "")) / (100 if "%" in text else 1)


@pytest.mark.parametrize(
    ("figure", "statuses"),
    [("open_findings", OPEN), ("new_findings", ("new", "reopened")), ("resolved_findings", ("resolved",)),
     ("unobserved_findings", ("unobserved",)), ("excepted_findings", ("excepted",)), ("error_findings", ("error",))],
)  # fmt: skip
def test_findings_by_severity_are_the_same_everywhere(
    outputs: Outputs, figure: str, statuses: tuple[str, ...]
) -> None:
    counted = Counter(row["severity"] for row in outputs.findings if row["status"] in statuses)
    said = {name: float(outputs.metrics[figure, "severity", name]["value"]) for name in SEVERITIES}
    assert said == {name: counted[name] for name in SEVERITIES}
    assert float(outputs.total(figure)["value"]) == counted.total()
    assert outputs.samples[f"figure_{figure}"] == counted.total()
    sampled: Counter[str] = Counter()
    for (status, severity), count in outputs.findings_sampled.items():
        sampled[severity] += count if status in statuses else 0
    assert +sampled == +counted


def words(counts: Mapping[Severity, float]) -> str:
    return ", ".join(f"{counts[name]:.0f} {name}" for name in SEVERITIES if counts[name]) or "none"


def test_console_and_webhook_say_what_the_export_says(outputs: Outputs) -> None:
    by = {
        figure: {name: float(outputs.metrics[figure, "severity", name]["value"]) for name in SEVERITIES}
        for figure in ("open_findings", "new_findings", "resolved_findings", "unobserved_findings")
    }
    assert f"open findings: {words(by['open_findings'])}\n" in outputs.console
    assert f"new: {words(by['new_findings'])}; resolved: {words(by['resolved_findings'])}" in outputs.console
    assert f"unobserved: {words(by['unobserved_findings'])}\n" in outputs.console
    assert outputs.told["open"] == by["open_findings"]
    assert outputs.told["new"] == {name: count for name, count in by["new_findings"].items() if count}
    assert outputs.told["unobserved"] == sum(by["unobserved_findings"].values())


def test_the_page_says_what_the_export_says(outputs: Outputs) -> None:
    compared = 0
    for name, cells in outputs.marked.items():
        figure, _, severity = name.partition("/")
        if len(cells) == 6:
            expected = [float(outputs.total(figure)["value"])] + [
                float(outputs.metrics[figure, "severity", one]["value"]) for one in SEVERITIES
            ]
            assert [number(cell) for cell in cells] == expected, name
        else:
            row = outputs.metrics[figure, "severity" if severity else "all", severity]
            if row["value"] == "":
                assert cells == ["not measured"], name
                continue
            slack = 0.0006 if row["unit"] == "ratio" else 0.51
            assert number(cells[0]) == pytest.approx(float(row["value"]), abs=slack), name
        compared += 1
    assert compared >= 15


def test_the_sentences_of_the_page_say_what_the_export_says(outputs: Outputs) -> None:
    def said(pattern: str) -> tuple[float, ...]:
        found = re.search(pattern, outputs.html)
        assert found, pattern
        return tuple(float(part.replace(",", "")) for part in found.groups())

    def value(name: str) -> float:
        return float(outputs.total(name)["value"])

    def share(name: str) -> tuple[float, float]:
        return float(outputs.total(name)["numerator"]), float(outputs.total(name)["denominator"])

    assert said(r"([\d,]+) of ([\d,]+) credentials are static") == (
        value("static_credentials"),
        value("credentials"),
    )
    (age,) = said(r"Their median age is ([\d,]+) days")
    assert age == pytest.approx(value("median_age_of_static_credentials"), abs=0.51)
    assert said(r"Enforced: ([\d,]+) of ([\d,]+) gates") == share("gates_enforced")
    assert said(r"([\d,]+) findings are open, ") == (value("open_findings"),)
    assert said(r"open, [\d,]+ of them critical or high; ([\d,]+) have no owner") == (
        value("unowned_findings"),
    )
    pipelines = (value("pipelines_exceeding_their_workload"), value("pipelines_compared"))
    assert said(r"([\d,]+) of ([\d,]+) pipelines can do more than the workload they deploy") == pipelines


def test_coverage_is_one_figure(outputs: Outputs) -> None:
    figure = outputs.total("listings_complete")
    ratio = float(figure["value"])
    sentence = f"Coverage {ratio:.1%}: {float(figure['numerator']):,.0f} of {float(figure['denominator']):,.0f} listings"
    assert sentence in outputs.html
    assert sentence in outputs.console
    assert sentence in str(outputs.told["text"])
    assert outputs.samples["coverage_ratio"] == pytest.approx(ratio, abs=1e-6)
    assert outputs.samples["figure_listings_complete"] == ratio
    for said in (outputs.document["coverage"], outputs.told["coverage"]):
        assert isinstance(said, dict)
        assert said["ratio"] == pytest.approx(ratio, abs=1e-6)
        assert said["unread"] == float(outputs.total("targets_unread")["value"])


def test_every_figure_of_the_night_is_in_the_export_json_and_prometheus(outputs: Outputs) -> None:
    document = outputs.document["figures"]
    assert isinstance(document, list)
    totals = {name: row for (name, dimension, _), row in outputs.metrics.items() if dimension == "all"}
    assert {figure["metric"] for figure in document} == totals.keys()
    for figure in document:
        row = totals[figure["metric"]]
        assert row["value"] == ("" if figure["value"] is None else str(figure["value"]))
        assert (figure["value"] is None) == bool(row["reason"]), "what was not measured says why"
        sample = f"figure_{figure['metric']}"
        if figure["value"] is None:
            assert sample not in outputs.samples, "unknown is never a number"
        else:
            assert outputs.samples[sample] == figure["value"]


def test_unknown_is_not_zero(outputs: Outputs) -> None:
    """The demo's images have no signature that any collector could look up."""
    row = outputs.total("signed_artifacts")
    assert (row["value"], row["denominator"]) == ("", "0.0")
    assert f"Signed: unknown for all {float(row['unknown']):.0f} artifacts" in outputs.html


def test_transitions_add_up_from_one_night_to_the_next(demo: Demo, tmp_path: Path) -> None:
    nights = [
        read(demo.folder, sealed.name, tmp_path) for sealed in list_sealed(demo.folder / "snapshots")[-2:]
    ]
    before, after = nights
    assert after.total("open_before")["value"] == before.total("open_findings")["value"]
    for dimension, part in [("all", ""), *(("severity", name) for name in SEVERITIES)]:
        of = {
            name: float(row["value"])
            for (name, *key), row in after.metrics.items()
            if key == [dimension, part] and row["value"]
        }
        come = sum(of[f"became_{name}"] for name in ("new", "reopened", "unexcepted", "observed"))
        go = sum(of[f"became_{name}"] for name in ("resolved", "excepted", "unobserved", "error"))
        assert of["open_before"] + come - go == of["open_findings"], part
