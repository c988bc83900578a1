"""The figures of a night as outputs read them: one definition each (`scanner.analyze.metrics`), looked up by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from scanner.findings import SEVERITIES, Metric

if TYPE_CHECKING:
    from scanner.records import Severity
    from scanner.tables import Tables


class Figures:
    """The figures of one night."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._found = {(one.metric, one.dimension, one.dimension_value): one for one in metrics}

    def of(self, name: str) -> Metric:
        """Return a figure of the whole night. Raises KeyError for a name that is none."""
        return self._found[name, "all", ""]

    def count(self, name: str) -> int:
        """Return a count of the whole night. Raises KeyError for a name that is none."""
        return round(self.of(name).value or 0)

    def by_severity(self, name: str) -> dict[Severity, int]:
        """Return a count of findings by severity, most severe first."""
        return {
            severity: round(self._found[name, "severity", severity].value or 0) for severity in SEVERITIES
        }

    def totals(self) -> list[Metric]:
        """Return every figure of the whole night, in the order of its analysis."""
        return [one for one in self._found.values() if one.dimension == "all"]


def read_figures(tables: Tables) -> Figures:
    """Return the figures of a night, from the view ``metrics``."""
    rows = tables.dicts("SELECT * FROM metrics WHERE dimension IN ('all', 'severity')")
    return Figures([msgspec.convert(row, Metric) for row in rows])


def share_text(figure: Metric, one: str, many: str | None = None) -> str:
    """Return a ratio as text: ``3 of 7 artifacts``, and for how many more it is unknown. Unknown is never shown as 0."""
    nouns = many or f"{one}s"
    if not figure.denominator:
        return f"unknown for all {figure.unknown:,.0f} {nouns}" if figure.unknown else f"no {nouns}"
    noun = one if figure.denominator == 1 else nouns
    more = f" (unknown for {figure.unknown:,.0f} more)" if figure.unknown else ""
    return f"{figure.numerator:,.0f} of {figure.denominator:,.0f} {noun}{more}"


def figure_text(value: float | None, unit: str) -> str:
    """Return the value of a figure with its unit; ``not measured`` if it has none."""
    if value is None:
        return "not measured"
    if unit == "ratio":
        return f"{value * 100:.1f} %"
    if unit == "days":
        return f"{value:,.0f} {'day' if round(value) == 1 else 'days'}"
    return f"{value:,.0f}"
