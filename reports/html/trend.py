"""The metrics of the last runs as sparklines and as a table: ``history/<run id>.metrics.json`` and tonight's metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from scanner.findings import Metric
from scanner.ledger import Ledger

if TYPE_CHECKING:
    from scanner.night import Night

NIGHTS = 30
WIDTH, HEIGHT = 180, 32
"""Size of a line, in pixels."""


class TrendLine(NamedTuple):
    """One metric over the runs."""

    key: str
    """``open_findings`` or ``open_findings/critical``."""
    name: str
    unit: str
    values: list[float | None]
    """One value for each run, oldest first; None if the run has no value."""
    points: str
    """SVG polyline points."""
    end: tuple[float, float]
    """The end point of the line."""

    @property
    def known(self) -> list[float]:
        """The known values."""
        return [value for value in self.values if value is not None]

    @property
    def change(self) -> float:
        """The last value minus the first known one."""
        return self.known[-1] - self.known[0]


class Trend(NamedTuple):
    """The metrics of the runs, oldest first."""

    nights: list[str]
    """Days, ``2026-11-23``."""
    lines: list[TrendLine]


CHOSEN = (
    ("open_findings", "all", ""),
    ("open_findings", "severity", "critical"),
    ("open_findings", "severity", "high"),
    ("overdue_findings", "all", ""),
    ("median_age_of_open_findings", "all", ""),
    ("median_days_to_resolve", "all", ""),
    ("pipelines_exceeding_their_workload", "all", ""),
    ("pipelines_reaching_admin", "all", ""),
    ("pipelines_without_static_secrets", "all", ""),
    ("automation_with_short_lived_credentials", "all", ""),
    ("static_credentials", "all", ""),
    ("share_of_static_credentials", "all", ""),
    ("median_age_of_static_credentials", "all", ""),
    ("identities_with_owner", "all", ""),
    ("listings_complete", "all", ""),
)
"""The metrics shown, as metric, dimension and dimension value, in display order."""

Figures = dict[tuple[str, str, str], tuple[float, str]]
"""Value and unit of what was measured, by metric, dimension and dimension value."""


def read_trend(night: Night) -> Trend:
    """Return the chosen metrics of the last runs up to this one, without metrics that no run has."""
    runs: dict[str, Figures] = {}
    left_out = Ledger(night.state).out_of_force()
    for path in sorted((night.state / "history").glob("*.metrics.json")):
        run = path.name.split(".", maxsplit=1)[0]
        if run < night.run_id and run not in left_out:
            runs[run] = _figures(msgspec.json.decode(path.read_bytes(), type=list[Metric]))
    tonight = night.dicts("SELECT * FROM metrics ORDER BY ALL")
    runs[night.run_id] = _figures([msgspec.convert(row, Metric) for row in tonight])
    chosen = sorted(runs)[-NIGHTS:]
    lines = []
    for key in CHOSEN:
        figures = [runs[run].get(key) for run in chosen]
        if any(figure is not None for figure in figures):
            lines.append(_line(key, figures))
    return Trend([f"{run[:4]}-{run[4:6]}-{run[6:8]}" for run in chosen], lines)


def _figures(metrics: list[Metric]) -> Figures:
    """Return what a run measured."""
    return {
        (metric.metric, metric.dimension, metric.dimension_value): (metric.value, metric.unit)
        for metric in metrics
        if metric.value is not None
    }


def _line(key: tuple[str, str, str], figures: list[tuple[float, str] | None]) -> TrendLine:
    values = [None if figure is None else figure[0] for figure in figures]
    known = [value for value in values if value is not None]
    low, high = min(known), max(known)
    spread = high - low or 1.0
    places = [
        (
            round(2 + index * (WIDTH - 6) / max(len(values) - 1, 1), 1),
            round(HEIGHT - 4 - (value - low) * (HEIGHT - 8) / spread, 1) if high > low else HEIGHT / 2,
        )
        for index, value in enumerate(values)
        if value is not None
    ]
    unit = next(figure[1] for figure in figures if figure is not None)
    name, _, part = key
    words = name.replace("_", " ")
    return TrendLine(
        key=f"{name}/{part}" if part else name,
        name=f"{words}, {part}" if part else words,
        unit=unit,
        values=values,
        points=" ".join(f"{x},{y}" for x, y in places),
        end=places[-1],
    )
