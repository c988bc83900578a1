"""Deployment groups: machines with an agent of their own that classic releases deploy to.

https://learn.microsoft.com/rest/api/azure/devops/distributedtask/deploymentgroups/list : each group has a pool of its kind. An agent
runs the jobs of every release that names its group, as the account of its machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.azure_devops.calls import PREVIEW
from collectors.azure_devops.scope import PROVIDER
from scanner.records import Identity, Link, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.azure_devops.scope import DevOpsScope
    from scanner.records import Record

CALL = "/{project}/_apis/distributedtask/deploymentgroups"


def deployment_groups(scope: DevOpsScope, *, pools: bool) -> Iterator[Record]:
    """Yield the deployment groups of a project. Without ``pools`` for deployment there is none, and nothing is requested."""

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        me = record_id(PROVIDER, "deployment-group", f"{scope.names['project']}/{item['id']}")
        pool: dict[str, Any] = item.get("pool") or {}
        machines = item.get("machineCount")
        yield Identity(
            id=me,
            **scope.own,
            surface="automation",
            kind="ado-deployment-group",
            native_id=f"{scope.names['project']}/{item['id']}",
            name=str(item["name"]),
            runner="self-hosted",
            tags={"machines": str(machines)} if isinstance(machines, int) else {},
        )
        if pool.get("id") is not None:
            yield Link(
                id=record_id(PROVIDER, "deployment-group", f"{scope.names['project']}/{item['id']}"),
                **scope.own,
                source_id=me,
                relation="member_of",
                target_id=record_id(PROVIDER, "agent-pool", str(pool["id"])),
                evidence="the group's pool",
                why="its machines are agents of this pool",
            )

    yield from scope.listing(
        CALL,
        convert,
        table="identities",
        kind="ado-deployment-group",
        needs="Reader of the deployment groups",
        parameters=PREVIEW,
        fills=("links/member_of",),
        rows=None if pools else (),
    )
