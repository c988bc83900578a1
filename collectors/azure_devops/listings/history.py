"""What was deployed, who started it, and who approved it.

https://learn.microsoft.com/rest/api/azure/devops/release/deployments/list,
https://learn.microsoft.com/rest/api/azure/devops/approvalsandchecks/approvals/query,
https://learn.microsoft.com/rest/api/azure/devops/environments/environmentdeploymentrecords/list : one record for each job,
https://learn.microsoft.com/rest/api/azure/devops/build/builds/list : an approval names the run, and the run who asked for it.
Comments are free text, and are dropped.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from collectors.azure_devops.calls import PREVIEW, VERSION, WHOLE
from collectors.azure_devops.scope import PROVIDER, pipeline
from scanner.collect.failures import SourceError
from scanner.collect.listings import with_coverage
from scanner.collect.scope import utc_time
from scanner.records import Deployment, record_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from collectors.azure_devops.facts import Guarded, KnownResources
    from collectors.azure_devops.scope import DevOpsScope
    from scanner.records import Record

T = TypeVar("T")
RELEASED = "/{project}/_apis/release/deployments"
APPROVALS = "/{project}/_apis/pipelines/approvals"
RECORDS = "/{project}/_apis/pipelines/environments/{id}/environmentdeploymentrecords"
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


def runs(scope: DevOpsScope, known: KnownResources, environments: Sequence[Guarded]) -> Iterator[Record]:
    """Yield the newest deployments to each environment, and the newest runs that somebody approved, each with who started it.

    A run that deploys to two environments is two deployments; one that was approved and deployed nowhere, as for a check on a
    connection, is one.
    """
    approved = _attempted(partial(_approvals, scope))
    deployed = [(one, _attempted(partial(_records, scope, one))) for one in environments]
    places = {_run(row) for _, rows in deployed if isinstance(rows, list) for row in rows}
    approvals = approved if isinstance(approved, dict) else {}
    started = _attempted(partial(_started, scope)) if places or approvals else {}
    shown = started if isinstance(started, dict) else {}

    def to(environment: Guarded, rows: list[dict[str, Any]] | SourceError) -> Iterator[Record]:
        if isinstance(rows, SourceError):
            raise rows
        for row in rows:
            number = _run(row)
            yield Deployment(
                id=record_id(
                    PROVIDER, "deployment", f"{known.project.id}/environment/{environment.id}/{row['id']}"
                ),
                **scope.own,
                pipeline_id=pipeline(known.project.id, (row.get("definition") or {}).get("id")),
                environment=environment.name,
                ref=shown.get(number, {}).get("sourceVersion") or None,
                approved_by=sorted(approvals[number][1]) if number in approvals else [],
                deployed_by=_person(shown.get(number, {}).get("requestedFor")),
                deployed_at=utc_time(row["finishTime"]),
                state=row.get("result") or None,
            )

    def elsewhere() -> Iterator[Record]:
        if isinstance(approved, SourceError):
            raise approved
        if isinstance(started, SourceError):
            raise started
        for number, (definition, people) in sorted(approved.items()):
            if number in places:
                continue
            run = shown.get(number, {})
            yield Deployment(
                id=record_id(PROVIDER, "deployment", f"{known.project.id}/run/{number}"),
                **scope.own,
                pipeline_id=pipeline(known.project.id, definition),
                ref=run.get("sourceVersion") or None,
                approved_by=sorted(people),
                deployed_by=_person(run.get("requestedFor")),
                deployed_at=utc_time(run.get("finishTime") or run.get("startTime")),
                state=run.get("result") or None,
            )

    for environment, rows in deployed:
        item = f"environment {environment.id}"
        request = scope.request(
            "deployments", f"GET {RECORDS}", needs="Reader of the environments", item=item
        )
        yield from with_coverage(to(environment, rows), request)
    request = scope.request("deployments", f"GET {APPROVALS}", needs="View builds")
    yield from with_coverage(elsewhere(), request)


def _attempted(ask: Callable[[], T]) -> T | SourceError:
    try:
        return ask()
    except SourceError as exc:
        return exc


def _run(row: dict[str, Any]) -> str:
    return str((row.get("owner") or {}).get("id"))


def _approvals(scope: DevOpsScope) -> dict[str, tuple[str, set[str]]]:
    """Return the pipeline and the approvers of each approved run, by its number."""
    found: dict[str, tuple[str, set[str]]] = {}
    asked: dict[str, str | int] = {**PREVIEW, "state": "approved", "$expand": "steps", "top": MOST}
    for item in scope.client.items(scope.path(APPROVALS), asked, paginator=WHOLE):
        run: dict[str, Any] = item["pipeline"] or {}
        people = _people(
            one.get("actualApprover") for one in item.get("steps") or [] if one.get("status") == "approved"
        )
        found.setdefault(_run(run), (str(run.get("id")), set()))[1].update(people)
    return found


def _records(scope: DevOpsScope, environment: Guarded) -> list[dict[str, Any]]:
    """Return the newest deployments to an environment: job by job, of which the last of each run and stage counts."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    path = scope.path(RECORDS, id=environment.id)
    for item in scope.client.items(path, {**PREVIEW, "top": MOST}, limit=MOST):
        if item.get("finishTime") is not None:
            found.setdefault((_run(item), str(item.get("stageName"))), item)
    return list(found.values())


def _started(scope: DevOpsScope) -> dict[str, dict[str, Any]]:
    """Return the newest runs by their number."""
    asked: dict[str, str | int] = {**VERSION, "queryOrder": "queueTimeDescending", "$top": 2 * MOST}
    return {str(item["id"]): item for item in scope.client.items(scope.path(BUILDS), asked, limit=2 * MOST)}


def _person(shown: Any) -> str | None:
    """Return a person's sign-in name, or else the name that is shown."""
    given: dict[str, Any] = shown or {}
    return given.get("uniqueName") or given.get("displayName")


def _people(shown: Iterator[Any]) -> list[str]:
    return sorted({name for one in shown if (name := _person(one)) is not None})
