"""The metrics of the last runs as sparklines and as a table: ``history/<run id>.metrics.json`` and tonight's metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from scanner.findings import Metric
from scanner.ledger import Ledger

if TYPE_CHECKING:
    from scanner.night import Night

NIGHTS = 30
WIDTH, HEIGHT = 180, 48
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
    good: str
    """The direction that is better: ``down``, ``up``, or empty if neither is."""
    goal: float | None
    """The value to reach."""
    goal_at: float | None
    """The height of that value in the picture."""

    @property
    def known(self) -> list[float]:
        """The known values."""
        return [value for value in self.values if value is not None]

    @property
    def change(self) -> float:
        """The last value minus the one before it; 0 if there is none."""
        return self.known[-1] - self.known[-2] if len(self.known) > 1 else 0.0

    @property
    def verdict(self) -> str:
        """better, worse, changed or same, since the run before."""
        if not self.change:
            return "same"
        if not self.good:
            return "changed"
        return "better" if (self.change < 0) == (self.good == "down") else "worse"


class Trend(NamedTuple):
    """The metrics of the runs, oldest first."""

    nights: list[str]
    """Days, ``2026-11-23``."""
    lines: list[TrendLine]


CHOSEN: dict[tuple[str, str, str], tuple[str, str, float | None]] = {
    ("open_findings", "all", ""): ("Open findings", "down", None),
    ("open_findings", "severity", "critical"): ("Critical findings", "down", 0),
    ("overdue_findings", "all", ""): ("Overdue findings", "down", 0),
    ("median_days_to_resolve", "all", ""): ("Median days to resolve", "down", None),
    ("pipelines_exceeding_their_workload", "all", ""): ("Pipelines exceeding their workload", "down", 0),
    ("pipelines_reaching_admin", "all", ""): ("Pipelines reaching administrator", "down", 0),
    ("pipelines_without_static_secrets", "all", ""): ("Pipelines without static secrets", "up", 1),
    ("automation_with_short_lived_credentials", "all", ""): (
        "Automation with short-lived credentials",
        "up",
        1,
    ),
    ("static_credentials", "all", ""): ("Static credentials in use", "down", None),
    ("median_age_of_static_credentials", "all", ""): ("Median age of static credentials in use", "", 90),
    ("secrets_readable", "all", ""): ("Secrets readable in clear", "down", 0),
    ("open_trusts", "all", ""): ("Trusts open to outsiders", "down", 0),
    ("admin_grants", "all", ""): ("Administrator grants", "down", None),
    ("identities_with_owner", "all", ""): ("Identities with an owner", "up", 1),
    ("listings_complete", "all", ""): ("Listings answered in full", "up", 1),
}
"""The metrics shown, in display order: name, the better direction, and the goal. A median age falls, too, when keys are added."""

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
    label, good, goal = CHOSEN[key]
    scale = [*known, goal] if goal is not None else known
    low, high = min(scale), max(scale)
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
    return TrendLine(
        key=f"{name}/{part}" if part else name,
        name=label,
        unit=unit,
        values=values,
        points=" ".join(f"{x},{y}" for x, y in places),
        end=places[-1],
        good=good,
        goal=goal,
        goal_at=None
        if goal is None
        else round(HEIGHT - 4 - (goal - low) * (HEIGHT - 8) / spread, 1)
        if high > low
        else HEIGHT / 2,
    )
