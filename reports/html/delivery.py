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
    figures = first(
        night,
        """
        SELECT count(*) FILTER (WHERE len(excess) = 0 AND complete) AS equal FROM excess
        """,
    )
    return DeliveryComparison(
        excess,
        int(figures["equal"]),
        unknown,
        night.figures.count("pipelines_compared"),
        night.figures.count("pipelines_exceeding_their_workload"),
    )
