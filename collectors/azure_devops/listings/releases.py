"""Classic releases: which connections their tasks use, and who approves each stage.

https://learn.microsoft.com/rest/api/azure/devops/release/definitions/list : ``isAutomated`` means that nobody approves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.azure_devops.calls import VERSION
from collectors.azure_devops.designer import deploy_links, designer_steps
from collectors.azure_devops.records import (
    connection_links,
    connections_of,
    linked_groups,
    names_in,
    stored_names,
    unknown_use,
    variable,
)
from collectors.azure_devops.scope import PROVIDER
from collectors.azure_devops.task_groups import task_groups
from scanner.collect.scope import utc_time
from scanner.records import Control, Identity, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.azure_devops.facts import KnownResources
    from collectors.azure_devops.scope import DevOpsScope
    from scanner.records import Record

CALL = "/{project}/_apis/release/definitions"
NEEDS = "View releases"


def releases(scope: DevOpsScope, known: KnownResources) -> Iterator[Record]:
    """Yield every release definition of the project."""

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        yield from task_groups(scope.on(scope.clients.main), known.task_groups, used=True)
        number = f"{known.project.id}/{item['id']}"
        me = record_id(PROVIDER, "release", number)
        stages: list[dict[str, Any]] = item["environments"]
        tasks = [
            task
            for stage in stages
            for phase in stage.get("deployPhases") or []
            for task in phase.get("workflowTasks") or []
        ]
        # Gates run tasks, too: https://learn.microsoft.com/azure/devops/pipelines/release/approvals/gates
        for stage in stages:
            for side in ("preDeploymentGates", "postDeploymentGates"):
                for gate in (stage.get(side) or {}).get("gates") or []:
                    tasks += gate.get("tasks") or []
        steps = designer_steps(tasks, known.task_groups)
        last: dict[str, Any] = item.get("lastRelease") or {}
        changed: dict[str, Any] = item.get("createdBy") or {}
        owner = changed.get("uniqueName") or changed.get("displayName")
        names = {
            name
            for variables in (item.get("variables"), *(stage.get("variables") for stage in stages))
            for name, shown in (variables or {}).items()
            if (shown or {}).get("isSecret")
        }
        groups = {group for one in (item, *stages) for group in linked_groups(known, one)}
        used = connections_of(known, steps.inputs, {}, groups)
        names |= names_in(known, groups) | stored_names(known, used)
        yield Identity(
            id=me,
            **scope.own,
            surface="automation",
            kind="ado-release",
            is_pipeline=True,
            native_id=number,
            name=str(item["name"]),
            address=f"{scope.organization}/{known.project.name}/release/{item['name']}",
            enabled=False if item.get("isDisabled") else None,
            created_at=utc_time(item.get("createdOn")),
            last_used_at=utc_time(last.get("createdOn")),
            owner=owner,
            owner_source="creator" if owner else None,
            environments=sorted({str(stage["name"]) for stage in stages}),
            secrets=sorted(names),
            triggers=sorted({str(one.get("triggerType") or "unknown") for one in item.get("triggers") or []}),
        )
        yield from connection_links(scope, known, me, used)
        yield from deploy_links(scope, known, me, steps)
        if steps.unknown:
            yield unknown_use(scope, me, f"{steps.unknown} was not read")
        for variables, where in (
            (item.get("variables"), "all"),
            *((s.get("variables"), s["id"]) for s in stages),
        ):
            for name, shown in sorted((variables or {}).items()):
                native = f"{number}/{where}/{name}"
                yield from variable(scope, native, name, shown or {}, holder=me, store="ado-release-variable")
        for stage in stages:
            yield _approval(scope, known, item, stage)
            yield from _gates(scope, known, item, stage)

    yield from scope.listing(
        CALL,
        convert,
        table="identities",
        kind="ado-release",
        needs=NEEDS,
        parameters={**VERSION, "$expand": "environments,artifacts,variables,lastRelease,triggers"},
        fills=(
            "links/ado-release",
            "secrets/ado-release-variable",
            "controls/release-approval",
            "controls/release-gate",
        ),
        loses=("deployments",),
    )


def _approval(
    scope: DevOpsScope, known: KnownResources, item: dict[str, Any], stage: dict[str, Any]
) -> Control:
    before: dict[str, Any] = stage.get("preDeployApprovals") or {}
    people = [one for one in before.get("approvals") or [] if not one.get("isAutomated")]
    options: dict[str, Any] = before.get("approvalOptions") or {}
    oneself = bool(people) and bool(options.get("releaseCreatorCanBeApprover"))
    approvers = sorted(str((one.get("approver") or {}).get("displayName") or "?") for one in people)
    return Control(
        id=record_id(PROVIDER, "release-approval", f"{known.project.id}/{item['id']}/{stage['id']}"),
        **scope.own,
        stage="deploy",
        kind="release-approval",
        name=f"{item['name']}: {stage['name']}",
        enforcement="enforced" if people else "absent",
        target=str(stage["name"]),
        approvers=approvers,
        bypass=["the release's creator"] if oneself else [],
        detail=f"{len(people)} approvers" if people else "The stage is approved automatically",
    )


def _gates(
    scope: DevOpsScope, known: KnownResources, item: dict[str, Any], stage: dict[str, Any]
) -> Iterator[Control]:
    """Yield what is asked automatically before a stage; a gate without tasks, or turned off, asks nothing."""
    gates: dict[str, Any] = stage.get("preDeploymentGates") or {}
    tasks = [task for gate in gates.get("gates") or [] for task in gate.get("tasks") or []]
    if not tasks:
        return
    on = [task for task in tasks if task.get("enabled", True)]
    enabled = bool((gates.get("gatesOptions") or {}).get("isEnabled", True)) and bool(on)
    yield Control(
        id=record_id(PROVIDER, "release-gate", f"{known.project.id}/{item['id']}/{stage['id']}"),
        **scope.own,
        stage="deploy",
        kind="release-gate",
        name=f"{item['name']}: {stage['name']}",
        enforcement="enforced" if enabled else "documented",
        target=str(stage["name"]),
        detail=", ".join(sorted(str(task.get("name") or "a task") for task in tasks)),
    )
