"""What was deployed, who started it, and who approved it.

https://learn.microsoft.com/rest/api/azure/devops/release/deployments/list,
https://learn.microsoft.com/rest/api/azure/devops/approvalsandchecks/approvals/query,
https://learn.microsoft.com/rest/api/azure/devops/build/builds/list : an approval names the run, and the run who asked for it.
Comments are free text, and are dropped.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from collectors.azure_devops.calls import PREVIEW, VERSION, WHOLE
from collectors.azure_devops.scope import PROVIDER, pipeline
from scanner.collect.listings import with_coverage
from scanner.collect.scope import utc_time
from scanner.records import Deployment, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.azure_devops.facts import KnownResources
    from collectors.azure_devops.scope import DevOpsScope
    from scanner.records import Record

RELEASED = "/{project}/_apis/release/deployments"
APPROVALS = "/{project}/_apis/pipelines/approvals"
BUILDS = "/{project}/_apis/build/builds"
DAYS = 30
MOST = 100
"""Of each: the newest."""


def released(scope: DevOpsScope, known: KnownResources) -> Iterator[Record]:
    """Yield the newest deployments of classic releases, of the last month."""

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        before = [one for one in item.get("preDeployApprovals") or [] if not one.get("isAutomated")]
        number = str((item.get("releaseDefinition") or {}).get("id"))
        yield Deployment(
            id=record_id(PROVIDER, "deployment", f"{known.project.id}/release/{item['id']}"),
            **scope.own,
            pipeline_id=record_id(PROVIDER, "release", f"{known.project.id}/{number}"),
            environment=str((item.get("releaseEnvironment") or {}).get("name") or "") or None,
            ref=str((item.get("release") or {}).get("name") or "") or None,
            approved_by=_people(one.get("approvedBy") for one in before if one.get("status") == "approved"),
            deployed_by=_person(item.get("requestedFor") or item.get("requestedBy")),
            deployed_at=utc_time(item.get("completedOn") or item.get("startedOn")),
            state=str(item.get("deploymentStatus") or "") or None,
        )

    since = (scope.run.as_of - timedelta(days=DAYS)).strftime("%Y-%m-%dT%H:%M:%SZ")
    yield from scope.listing(
        RELEASED,
        convert,
        table="deployments",
        needs="View releases",
        parameters={**VERSION, "queryOrder": "descending", "$top": MOST, "minStartedTime": since},
        limit=MOST,
    )


def approved_runs(scope: DevOpsScope, known: KnownResources) -> Iterator[Record]:
    """Yield the newest runs of YAML pipelines that somebody approved."""

    def read() -> Iterator[Record]:
        approvals: dict[str, tuple[str, set[str]]] = {}
        asked: dict[str, str | int] = {**PREVIEW, "state": "approved", "$expand": "steps", "top": MOST}
        for item in scope.client.items(scope.path(APPROVALS), asked, paginator=WHOLE):
            run: dict[str, Any] = item["pipeline"] or {}
            number = str((run.get("owner") or {}).get("id"))
            people = _people(
                one.get("actualApprover")
                for one in item.get("steps") or []
                if one.get("status") == "approved"
            )
            approvals.setdefault(number, (str(run.get("id")), set()))[1].update(people)
        if not approvals:
            return
        runs = {
            str(item["id"]): item
            for item in scope.client.items(
                scope.path(BUILDS),
                {**VERSION, "queryOrder": "queueTimeDescending", "$top": 2 * MOST},
                limit=2 * MOST,
            )
        }
        for number, (definition, approvers) in sorted(approvals.items()):
            shown = runs.get(number, {})
            yield Deployment(
                id=record_id(PROVIDER, "deployment", f"{known.project.id}/run/{number}"),
                **scope.own,
                pipeline_id=pipeline(known.project.id, definition),
                ref=shown.get("sourceVersion") or None,
                approved_by=sorted(approvers),
                deployed_by=_person(shown.get("requestedFor")),
                deployed_at=utc_time(shown.get("finishTime") or shown.get("startTime")),
                state=shown.get("result") or None,
            )

    request = scope.request("deployments", f"GET {APPROVALS}", needs="View builds")
    yield from with_coverage(read(), request)


def _person(shown: Any) -> str | None:
    """Return a person's sign-in name, or else the name that is shown."""
    given: dict[str, Any] = shown or {}
    return given.get("uniqueName") or given.get("displayName")


def _people(shown: Iterator[Any]) -> list[str]:
    return sorted({name for one in shown if (name := _person(one)) is not None})
