"""The section that compares pipelines with the workloads they deploy."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reports.html.queries import Cut, cut, first

if TYPE_CHECKING:
    from scanner.night import Night


class DeliveryComparison(NamedTuple):
    """Pipelines with excess access, and comparisons that were not possible."""

    excess: Cut
    equal: int
    unknown: Cut
    pipelines: int
    pipelines_in_excess: int


class ReachStep(NamedTuple):
    """A displayed step of a path."""

    what: str
    because: str
    """The evidence, if any."""


def step_of(text: str) -> ReachStep:
    """Split a step into its text and the reason in parentheses at its end. ``(role)`` is part of a name."""
    if not text.endswith(")"):
        return ReachStep(text, "")
    depth = 0
    for at in range(len(text) - 1, 0, -1):
        depth += (text[at] == ")") - (text[at] == "(")
        if depth == 0:
            because = text[at + 1 : -1].removesuffix(".")
            return ReachStep(text, "") if " " not in because else ReachStep(text[:at].rstrip(), because)
    return ReachStep(text, "")


def read_delivery(night: Night) -> DeliveryComparison:
    """Return the pipelines with more access than the workload they deploy, strongest first."""
    columns = """
        SELECT e.pipeline_id, e.pipeline_name, e.workload_name, e.pipeline_powers, e.workload_powers, e.excess,
               e.pipeline_level, e.workload_level, e.path, e.fix, e.complete, e.why, i.owner
        FROM excess e LEFT JOIN identities i ON i.id = e.pipeline_id
    """
    excess = cut(
        night,
        f"""{columns} WHERE len(e.excess) > 0
        ORDER BY list_position(['admin', 'escalation', 'write', 'read', 'unknown'], e.pipeline_level),
                 len(e.excess) DESC, e.pipeline_name, e.workload_name, e.pipeline_id, e.workload_id""",
    )
    unknown = cut(
        night,
        f"{columns} WHERE len(e.excess) = 0 AND NOT e.complete "
        "ORDER BY e.pipeline_name, e.workload_name, e.pipeline_id, e.workload_id",
        20,
    )
    for row in excess.rows:
        # The row starts with the pipeline.
        path = row["path"][1:] if row["path"][:1] == [row["pipeline_name"]] else row["path"]
        row["steps"] = [step_of(text) for text in path]
    figures = first(
        night,
        """
        SELECT count(*) FILTER (WHERE len(excess) = 0 AND complete) AS equal, count(DISTINCT pipeline_id) AS pipelines,
               count(DISTINCT pipeline_id) FILTER (WHERE len(excess) > 0) AS in_excess
        FROM excess
        """,
    )
    return DeliveryComparison(
        excess, int(figures["equal"]), unknown, int(figures["pipelines"]), int(figures["in_excess"])
    )
