"""The board of the twelve zero-trust metrics: what is measured, of how many, and why the others are not."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from scanner.figures import figure_text

if TYPE_CHECKING:
    from scanner.findings import Metric
    from scanner.night import Night


class Measure(NamedTuple):
    """One figure on the board."""

    figure: str
    title: str
    value: str
    """``not measured`` if it was not."""
    measured: bool
    basis: str
    """``12 of 29``; empty for what is no ratio."""
    unknown: str
    """How many more are unknown, or why it was not measured."""


class Tile(NamedTuple):
    """One of the twelve metrics, with one figure or several."""

    title: str
    figures: list[Measure]

    @property
    def measured(self) -> bool:
        """Whether any of its figures was measured."""
        return any(figure.measured for figure in self.figures)


BOARD: tuple[tuple[str, dict[str, str]], ...] = (
    ("Pipelines without static secrets", {"pipelines_without_static_secrets": ""}),
    ("Service connections scoped or federated", {"service_connections_scoped_or_federated": ""}),
    ("Automation with only short-lived or federated credentials", {"automation_with_short_lived_credentials": ""}),
    ("Artifacts with signature, provenance and SBOM", {"artifacts_signed_and_attested": ""}),
    ("Deployments gated by complete policy evidence", {"deployments_with_policy_evidence": ""}),
    ("Deployments of the approved digest", {"deployments_of_the_approved_digest": ""}),
    (
        "Workloads that run the approved digest",
        {
            "workloads_running_the_approved_digest": "approved",
            "workloads_running_the_declared_digest": "declared",
        },
    ),
    ("Stages with an enforced control", {"stages_enforced": ""}),
    (
        "Exceptions: age, with owner and expiry",
        {"median_age_of_exceptions": "median age of those in force"},
    ),
    ("Findings accepted by an exception", {"excepted_findings": "", "exceptions_in_force": "exceptions in force"}),
    ("Workloads that drifted from the declared digest", {"runtime_drift": ""}),
    ("Deployments with who, what, when and approval on record", {"deployments_with_evidence": ""}),
)  # fmt: skip
"""The twelve metrics in order, each with its figures and what tells them apart."""


def read_measures(night: Night) -> list[Tile]:
    """Return the board of a night."""
    return [
        Tile(title, [_measure(night.figures.of(name), label) for name, label in figures.items()])
        for title, figures in BOARD
    ]


def _measure(figure: Metric, title: str) -> Measure:
    counted = figure.unit == "ratio" and figure.value is not None
    unknown = f"unknown for {figure.unknown:,.0f} more" if figure.unknown else ""
    return Measure(
        figure=figure.metric,
        title=title,
        value=figure_text(figure.value, figure.unit),
        measured=figure.value is not None,
        basis=f"{figure.numerator:,.0f} of {figure.denominator:,.0f}" if counted else "",
        unknown=unknown if figure.value is not None else figure.reason or "",
    )
