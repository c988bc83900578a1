"""Steps of the designer, in classic pipelines and releases: task groups are taken apart, and what they deploy is named.

https://learn.microsoft.com/azure/devops/pipelines/library/task-groups, and the tasks Azure Web App, Azure App Service deploy,
Azure Functions and AWS Lambda deploy function of https://learn.microsoft.com/azure/devops/pipelines/tasks/reference
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

from collectors.azure_devops.scope import PROVIDER
from scanner.records import Link, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.azure_devops.facts import KnownResources, TaskGroups
    from collectors.azure_devops.scope import DevOpsScope

_LEVELS = 10
_DEPLOYED = (
    ("webappname", "azure", "webapp"),
    ("appname", "azure", "webapp"),
    ("functionappname", "azure", "functionapp"),
    ("containerappname", "azure", "containerapp"),
    ("functionname", "aws", "lambda-function"),
)
"""Input of a task, in lower case -> provider and kind of what it deploys."""


class DesignerSteps(msgspec.Struct, kw_only=True):
    """The steps of one pipeline, without task groups."""

    inputs: list[dict[str, Any]] = []
    """Of each step."""
    unknown: str | None = None
    """What could not be taken apart."""


def designer_steps(steps: list[dict[str, Any]], groups: TaskGroups) -> DesignerSteps:
    """Return the steps with those of the task groups that they name. Steps that are off count: a click turns them on."""
    found = DesignerSteps()
    _add(found, steps, groups, 0)
    return found


def _add(found: DesignerSteps, steps: list[dict[str, Any]], groups: TaskGroups, level: int) -> None:
    for step in steps:
        found.inputs.append(step.get("inputs") or {})
        task: dict[str, Any] = step.get("task") or {}
        kind = task.get("definitionType") or step.get("definitionType")
        if str(kind).lower() != "metatask":
            continue
        number = str(task.get("id") or step.get("taskId") or "").lower()
        inner = groups.steps.get(number)
        if inner is None or level >= _LEVELS:
            found.unknown = f"the task group {number}"
        else:
            _add(found, inner, groups, level + 1)


def deploy_links(scope: DevOpsScope, known: KnownResources, me: str, steps: DesignerSteps) -> Iterator[Link]:
    """Yield what the steps deploy by a literal name, with a connection beside it."""
    seen: set[str] = set()
    for given in steps.inputs:
        inputs = {str(key).lower(): str(value) for key, value in given.items() if value}
        if not any(value.lower() in known.connections.names for value in inputs.values()):
            continue
        for name, provider, kind in _DEPLOYED:
            value = inputs.get(name, "")
            if not value or "$" in value:
                continue
            if kind == "webapp" and inputs.get("apptype", "").lower().startswith("functionapp"):
                kind = "functionapp"  # noqa: PLW2901  the same input names either
            target = f"{provider}:{kind}-name:{value}"
            if target in seen:
                continue
            seen.add(target)
            digest = hashlib.sha256(f"{me} {target}".encode()).hexdigest()[:24]
            yield Link(
                id=record_id(PROVIDER, "deploys", digest),
                **scope.own,
                source_id=me,
                relation="deploys",
                target_id=target,
                evidence=f"the input {name} of a task",
                why=f"deploys {value}",
                target_provider=provider,
                target_kind=kind,
                target_name=value,
            )
            break
