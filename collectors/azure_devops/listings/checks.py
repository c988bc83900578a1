"""Who may use a resource: pipelines that are authorized, and the checks that a run must pass.

https://learn.microsoft.com/azure/devops/pipelines/process/approvals : checks guard the resource and bind YAML pipelines only;
classic builds and releases pass them by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.azure_devops.calls import CHECKS, PREVIEW, WHOLE
from collectors.azure_devops.facts import CHECK_KINDS, GUARDS, Guarded
from collectors.azure_devops.scope import PROVIDER
from scanner.collect.failures import SourceError
from scanner.collect.listings import with_coverage
from scanner.records import Control, record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from collectors.azure_devops.scope import DevOpsScope
    from scanner.records import Enforcement, Record

AUTHORIZED = "/{project}/_apis/build/authorizedresources"
ENVIRONMENTS = "/{project}/_apis/pipelines/environments"
QUEUES = "/{project}/_apis/distributedtask/queues"
NEEDS = "View builds"
APPROVAL = "8c6f20a7-a545-4486-9777-f762fafe0d4d"
TASK = "fe1de3ee-a436-41b4-bb20-f6eb4cb879a7"
TEMPLATE = "4020e66e-b0f3-47e1-bc88-48f3cc59b5f3"
LOCK = "2ef31ad6-baa0-403a-8b45-2cbc9b4e5563"
BRANCH_CONTROL = "86b05a0c-73e6-4f7d-b3cf-e38f3b39a75b"
"""https://github.com/microsoft/terraform-provider-azuredevops/tree/main/azuredevops/internal/service/approvalsandchecks"""


def environments(scope: DevOpsScope) -> Generator[Record, None, list[Guarded]]:
    """Return the project's environments. They become controls with their checks."""
    found: list[Guarded] = []

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        found.append(
            Guarded(type="environment", id=str(item["id"]), name=str(item["name"]), target=str(item["name"]))
        )
        yield from ()

    # No record of its own: what is not listed has no approval that could be missed.
    yield from scope.listing(
        ENVIRONMENTS,
        convert,
        table="controls",
        kind="environment-approval",
        needs="Reader of the environments",
        parameters=PREVIEW,
        loses=(
            *(kind for kind in GUARDS if kind != "controls/environment-approval"),
            "deployments",
        ),
    )
    return found


def queues(scope: DevOpsScope) -> Generator[Record, None, list[Guarded]]:
    """Return the project's agent pools. Those of Microsoft are left out: each job gets a new machine, and nobody guards them.

    https://learn.microsoft.com/rest/api/azure/devops/distributedtask/queues/get-agent-queues
    """
    found: list[Guarded] = []

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        pool: dict[str, Any] = item["pool"]
        if not pool.get("isHosted"):
            target = record_id(PROVIDER, "agent-pool", str(pool["id"]))
            found.append(Guarded(type="queue", id=str(item["id"]), name=str(item["name"]), target=target))
        yield from ()

    yield from scope.listing(
        QUEUES,
        convert,
        table="controls",
        kind="pipeline-authorization",
        needs="Reader of the agent pools",
        parameters=PREVIEW,
        paginator=WHOLE,
        loses=[kind for kind in GUARDS if kind != "controls/pipeline-authorization"],
    )
    return found


def open_to_all(
    scope: DevOpsScope, resources: Sequence[Guarded]
) -> Generator[Record, None, list[Guarded] | None]:
    """Yield for each resource whether every pipeline of the project may use it.

    Returns those that only some may use, environments among them, whose own answer says it; None if that is unknown.
    """
    open_ids: set[tuple[str, str]] = set()
    restricted: list[Guarded] = []

    def read() -> Generator[Record, None, list[Guarded]]:
        for item in scope.client.items(scope.path(AUTHORIZED), PREVIEW, paginator=WHOLE):
            if item["authorized"]:
                open_ids.add((str(item["type"]).lower(), str(item["id"]).lower()))
        for one in resources:
            if one.type == "environment":
                restricted.append(one)
                continue
            everyone = (one.type, one.id.lower()) in open_ids
            if not everyone:
                restricted.append(one)
            yield Control(
                id=record_id(PROVIDER, "authorization", f"{scope.names['project']}/{one.type}/{one.id}"),
                **scope.own,
                stage="deploy",
                kind="pipeline-authorization",
                name=one.name,
                enforcement="absent" if everyone else "enforced",
                target=one.target,
                detail="Every pipeline of the project may use it"
                if everyone
                else "Pipelines are authorized one by one",
            )
        return restricted

    request = scope.request("controls", f"GET {AUTHORIZED}", kind="pipeline-authorization", needs=NEEDS)
    loses = ("controls/authorized-pipelines", "links/authorized")
    return (yield from with_coverage(read(), request, loses=loses))


def checks(scope: DevOpsScope, resources: Sequence[Guarded]) -> Iterator[Record]:
    """Yield the checks of all resources, and an approval that is absent for each environment without one."""

    def read() -> Iterator[Record]:
        configured: list[dict[str, Any]] = []
        if resources:
            path = f"{scope.path(CHECKS)}?$expand=settings&api-version=7.1-preview.1"
            body = [{"type": one.type, "id": one.id, "name": one.name} for one in resources]
            answer = scope.client.post(path, body).body
            value = answer.get("value") if isinstance(answer, dict) else None
            if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
                raise SourceError("malformed", "the checks' response has no list of checks")
            if isinstance(answer, dict) and answer.get("count", len(value)) != len(value):
                raise SourceError("truncated", f"{len(value)} of {answer['count']} checks were returned")
            configured = value
        by_key = {(one.type, one.id.lower()): one for one in resources}
        approved: set[tuple[str, str]] = set()
        for item in configured:
            resource = item.get("resource") or {}
            key = (str(resource.get("type", "")).lower(), str(resource.get("id", "")).lower())
            guarded = by_key.get(key)
            if guarded is None:
                continue
            control = _control(scope, item, guarded)
            if control is None:
                continue
            if (
                control.kind in {"resource-approval", "environment-approval"}
                and control.enforcement == "enforced"
            ):
                approved.add(key)
            yield control
        for one in resources:
            if one.type == "environment" and (one.type, one.id.lower()) not in approved:
                yield Control(
                    id=record_id(PROVIDER, "environment", f"{scope.names['project']}/{one.id}"),
                    **scope.own,
                    stage="deploy",
                    kind="environment-approval",
                    name=one.name,
                    enforcement="absent",
                    target=one.target,
                    detail="No approval is required",
                )

    request = scope.request("controls", f"POST {CHECKS}", kind="resource-approval", needs=NEEDS)
    fills = [f"controls/{kind}" for kind in CHECK_KINDS[1:]]
    yield from with_coverage(read(), request, fills=fills)


def _control(scope: DevOpsScope, item: dict[str, Any], guarded: Guarded) -> Control | None:
    kind_id = str((item.get("type") or {}).get("id", "")).lower()
    settings: dict[str, Any] = item.get("settings") or {}
    approvers: list[str] = []
    bypass: list[str] = []
    known = True
    match kind_id:
        case _ if kind_id == APPROVAL:
            kind = "environment-approval" if guarded.type == "environment" else "resource-approval"
            approvers = sorted(
                str(one.get("displayName") or one.get("id")) for one in settings.get("approvers") or []
            )
            least = settings.get("minRequiredApprovers") or len(approvers)
            oneself = settings.get("requesterCannotBeApprover") is False
            if oneself:
                bypass = ["the requester"]
            detail = f"{least} of {len(approvers)} approvers" + (
                "; the requester may approve" if oneself else ""
            )
        case _ if kind_id == TEMPLATE:
            kind = "required-template"
            detail = "; ".join(
                f"extends {one.get('templatePath')} of {one.get('repositoryName')} at {one.get('repositoryRef')}"
                for one in settings.get("extendsChecks") or []
            )
        case _ if kind_id == TASK and _task(settings) == BRANCH_CONTROL:
            kind = "branch-control"
            inputs: dict[str, Any] = settings.get("inputs") or {}
            detail = f"Branches: {inputs.get('allowedBranches') or 'any'}" + (
                ""
                if str(inputs.get("ensureProtectionOfBranch")).lower() == "true"
                else "; unprotected ones, too"
            )
        case _ if kind_id == LOCK:
            # Orders runs, and is no gate.
            return None
        case _:
            kind = "resource-check"
            name = str(settings.get("displayName") or (item.get("type") or {}).get("name") or "a check")
            known = kind_id == TASK
            detail = name if known else f"{name}: a check of an unknown type, which may stop no run"
    enforcement: Enforcement = "enforced" if known else "audited"
    if item.get("isDisabled"):
        enforcement = "documented"
    return Control(
        id=record_id(PROVIDER, "check", str(item["id"])),
        **scope.own,
        stage="deploy",
        kind=kind,
        name=guarded.name,
        enforcement=enforcement,
        target=guarded.target,
        approvers=approvers,
        bypass=bypass,
        detail=detail,
    )


def _task(settings: dict[str, Any]) -> str:
    return str((settings.get("definitionRef") or {}).get("id", "")).lower()
