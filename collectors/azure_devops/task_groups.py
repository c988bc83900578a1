"""Task groups: steps that classic pipelines and releases share. A change of one reaches all that use it.

https://learn.microsoft.com/rest/api/azure/devops/distributedtask/taskgroups/list
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.azure_devops.calls import PREVIEW, WHOLE

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from collectors.azure_devops.facts import TaskGroups
    from collectors.azure_devops.scope import DevOpsScope
    from scanner.records import Record

CALL = "/{project}/_apis/distributedtask/taskgroups"
NEEDS = "View task groups"


def task_groups(scope: DevOpsScope, found: TaskGroups, *, used: bool) -> Generator[Record, None, None]:
    """Find the steps of each task group, once. Inputs can hold values in clear: they are compared, and dropped.

    ``used``: whether there is anything that can use one. Where there is not, nothing is requested.
    """
    if found.asked:
        return
    found.asked = used

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        # Several versions have one ID: which one is used says the step.
        found.steps.setdefault(str(item["id"]).lower(), []).extend(item["tasks"] or [])
        yield from ()

    yield from scope.listing(
        CALL,
        convert,
        table="links",
        kind="ado-task-group",
        needs=NEEDS,
        parameters=PREVIEW,
        paginator=WHOLE,
        loses=("links/ado-pipeline", "links/ado-release"),
        rows=None if used else (),
    )
