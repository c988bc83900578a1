"""Metrics of a night for Prometheus, as a file for node_exporter's textfile collector.

Without timestamps and written atomically, as required by
https://github.com/prometheus/node_exporter#textfile-collector.
"""

from __future__ import annotations

import logging
from pathlib import Path  # noqa: TC003  pydantic reads the annotations at run time
from typing import TYPE_CHECKING

from scanner.config import Section

if TYPE_CHECKING:
    from scanner.night import Night


log = logging.getLogger(__name__)


class Config(Section):
    """Metrics of a run for Prometheus, written if ``formats`` contains ``prometheus``."""

    textfile: Path
    """File for node_exporter's textfile collector: ``/var/lib/node_exporter/sprawlscan.prom``."""


def write(night: Night, folder: Path, config: Config) -> list[Path]:  # noqa: ARG001  the file's place is configured
    """Write the metrics to the configured file. Returns its path, or nothing if it cannot be written."""
    path = config.textfile
    from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

    registry = CollectorRegistry()

    def gauge(name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"sprawlscan_{name}", text, labels, registry=registry)

    manifest = night.manifest
    gauge("last_run_timestamp_seconds", "Time of the newest analyzed run").set(manifest.as_of.timestamp())
    gauge("coverage_ratio", "Listings answered in full, of those expected").set(night.coverage.ratio)
    states = gauge("targets", "Targets by how much of them was seen", "state")
    for state in ("complete", "partial", "unread", "not_requested"):
        states.labels(state).set(getattr(night.coverage, state))
    gauge("partial", "1 if the run was stopped before all targets finished").set(manifest.partial)
    seconds = gauge("collect_seconds", "Time spent on targets", "collector")
    gaps = gauge("gaps", "Incomplete listings", "collector")
    for name in sorted({target.collector for target in manifest.targets}):
        mine = [target for target in manifest.targets if target.collector == name]
        seconds.labels(name).set(sum(target.seconds for target in mine))
        gaps.labels(name).set(sum(target.gaps for target in mine))
    findings = gauge("findings", "Findings of the newest run", "status", "severity", "provider")
    query = "SELECT status, severity, provider, count(*) FROM findings GROUP BY ALL ORDER BY ALL"
    for status, severity, provider, count in night.rows(query):
        findings.labels(status, severity, provider).set(count)
    for figure in night.figures.totals():
        text = f"{figure.metric.replace('_', ' ').capitalize()}, see docs/analysis.md"
        if figure.value is not None:  # what was not measured has no sample
            gauge(f"figure_{figure.metric}", text).set(figure.value)
        if figure.unknown is not None:
            gauge(f"figure_{figure.metric}_unknown", f"{text}: of how many it is unknown").set(figure.unknown)
    rules = gauge("rule_results", "Rule results by status, one for each rule and account", "status")
    for status, count in night.rows("SELECT status, count(*) FROM rule_results GROUP BY ALL ORDER BY ALL"):
        rules.labels(status).set(count)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_to_textfile(str(path), registry)
        # node_exporter reads it as a different user.
        path.chmod(0o644)
    except OSError as exc:
        # The other reports matter more. The timestamp of the last run then ages, which alerts can detect.
        log.error("no metrics for Prometheus", extra={"path": str(path), "error": exc.strerror})  # noqa: TRY400
        return []
    return [path]
