"""The section of delivery metrics: what is measured, of how many, and why the others are not."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from scanner.figures import figure_text

if TYPE_CHECKING:
    from scanner.findings import Metric
    from scanner.night import Night


class Measure(NamedTuple):
    """One delivery metric as a row of the table."""

    figure: str
    title: str
    value: str
    """``not measured`` if it was not."""
    basis: str
    """``12 of 29``; empty for what is no ratio."""
    unknown: str
    """How many more are unknown, or why it was not measured."""


TITLES = {
    "pipelines_without_static_secrets": "Pipelines without stored secrets",
    "service_connections_scoped_or_federated": "Service connections that are scoped or federated",
    "automation_with_short_lived_credentials": "Automation and workloads with only short-lived or federated credentials",
    "artifacts_signed_and_attested": "Artifacts with signature, provenance and SBOM",
    "deployments_with_policy_evidence": "Deployments gated by complete policy evidence",
    "deployments_of_the_approved_digest": "Deployments of the approved digest",
    "workloads_running_the_approved_digest": "Workloads that run the approved digest",
    "workloads_running_the_declared_digest": "Workloads that run the declared digest",
    "stages_enforced": "Delivery stages with an enforced control",
    "median_age_of_exceptions": "Median age of exceptions in force",
    "excepted_findings": "Findings accepted by an exception",
    "runtime_drift": "Workloads that drifted from the declared digest",
    "deployments_with_evidence": "Deployments with who, what, when and approval on record",
}
"""The figures shown, in this order."""


def read_measures(night: Night) -> list[Measure]:
    """Return the delivery metrics of a night."""
    return [_measure(night.figures.of(name), title) for name, title in TITLES.items()]


def _measure(figure: Metric, title: str) -> Measure:
    counted = figure.unit == "ratio" and figure.value is not None
    unknown = f"{figure.unknown:,.0f} unknown" if figure.unknown else ""
    return Measure(
        figure=figure.metric,
        title=title,
        value=figure_text(figure.value, figure.unit),
        basis=f"{figure.numerator:,.0f} of {figure.denominator:,.0f}" if counted else "",
        unknown=unknown if figure.value is not None else figure.reason or "",
    )
