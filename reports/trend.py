"""The last nights' figures as lines and as a table: ``history/<run id>.metrics.json`` and tonight's metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from scanner.findings import Metric

if TYPE_CHECKING:
    from scanner.night import Night

NIGHTS = 30
WIDTH, HEIGHT = 180, 32
"""Size of a line, in pixels."""


class Line(NamedTuple):
    """One figure over the nights."""

    name: str
    unit: str
    values: list[float | None]
    """One a night, oldest first; None where the night has no such figure."""
    points: str
    """SVG polyline points."""
    end: tuple[float, float]
    """Where the line ends."""

    @property
    def known(self) -> list[float]:
        """The values that are known."""
        return [value for value in self.values if value is not None]

    @property
    def change(self) -> float:
        """Tonight's value less the first known one."""
        return self.known[-1] - self.known[0]


class Trend(NamedTuple):
    """Figures of the nights, oldest first."""

    nights: list[str]
    """Days, ``2026-11-23``."""
    lines: list[Line]


_FIRST = (
    ("open_findings", ""),
    ("open_findings", "critical"),
    ("open_findings", "high"),
)


def read_trend(night: Night) -> Trend:
    """Return the figures over the whole estate, and open findings by the two worst severities."""
    runs: dict[str, list[Metric]] = {}
    for path in sorted((night.state / "history").glob("*.metrics.json")):
        run = path.name.split(".", maxsplit=1)[0]
        if run < night.run_id:
            runs[run] = msgspec.json.decode(path.read_bytes(), type=list[Metric])
    runs[night.run_id] = [
        msgspec.convert(row, Metric) for row in night.dicts("SELECT * FROM metrics ORDER BY ALL")
    ]
    chosen = sorted(runs)[-NIGHTS:]
    figures: dict[tuple[str, str], dict[str, Metric]] = {}
    for run in chosen:
        for metric in runs[run]:
            key = (metric.metric, metric.dimension_value)
            if metric.dimension == "all" or key in _FIRST:
                figures.setdefault(key, {})[run] = metric
    order = sorted(figures, key=lambda key: (_FIRST.index(key) if key in _FIRST else len(_FIRST), key))
    lines = [
        _line(key, [found.get(run) for run in chosen])
        for key in order
        if (found := figures[key]).get(night.run_id) is not None
    ]
    return Trend([f"{run[:4]}-{run[4:6]}-{run[6:8]}" for run in chosen], lines)


def _line(key: tuple[str, str], metrics: list[Metric | None]) -> Line:
    values = [None if metric is None else metric.value for metric in metrics]
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
    unit = next(metric.unit for metric in metrics if metric is not None)
    name, part = key
    words = name.replace("_", " ")
    return Line(
        name=f"{words}, {part}" if part else words,
        unit=unit,
        values=values,
        points=" ".join(f"{x},{y}" for x, y in places),
        end=places[-1],
    )
