"""The organization: its pipeline settings, agent pools, people and service principals.

https://learn.microsoft.com/rest/api/azure/devops/distributedtask/pools/get-agent-pools,
https://learn.microsoft.com/rest/api/azure/devops/graph/service-principals/list,
https://learn.microsoft.com/rest/api/azure/devops/memberentitlementmanagement/user-entitlements/search-user-entitlements
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.azure_devops.calls import PREVIEW, SETTINGS, VERSION, WHOLE
from collectors.azure_devops.scope import PROVIDER, DevOpsProjectFacts
from scanner.collect.failures import SourceError
from scanner.collect.listings import with_coverage
from scanner.collect.paging import TokenInBody
from scanner.collect.scope import utc_time
from scanner.records import Account, Control, Gap, Identity, Link, record_id

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping

    from collectors.azure_devops.scope import DevOpsScope
    from scanner.records import Record

PROJECTS = "/_apis/projects"
USAGE = "/_apis/resourceusage"
PROJECT_SETTINGS = "/{project}/_apis/build/generalsettings"
POOLS = "/_apis/distributedtask/pools"
ELASTIC = "/_apis/distributedtask/elasticpools"
PRINCIPALS = "/_apis/graph/serviceprincipals"
USERS = "/_apis/userentitlements"
PROVIDER_ID = "ms.vss-build-web.pipelines-org-settings-data-provider"
_NEVER = "0001-01-01"
_MEMBERS = TokenInBody(
    at="members",
    token="continuationToken",  # noqa: S106  a place in the response
    parameter="continuationToken",
    total="totalCount",
)


def projects(scope: DevOpsScope) -> Generator[Record, None, list[DevOpsProjectFacts]]:
    """Yield the projects as accounts. Those that the scanner may not see are not in the list, without a sign."""
    found: list[DevOpsProjectFacts] = []

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        number = str(item["id"]).lower()
        one = DevOpsProjectFacts(
            id=number,
            name=str(item["name"]),
            account_id=record_id(PROVIDER, "project", number),
            public=item.get("visibility") == "public",
        )
        if item["state"] == "wellFormed":
            found.append(one)
        yield Account(
            id=one.account_id,
            provider=PROVIDER,
            account_id=one.account_id,
            kind="ado-project",
            native_id=number,
            name=one.name,
            address=f"{scope.organization}/{one.name}",
            parent_id=scope.account_id,
            active=item["state"] == "wellFormed",
            visibility="public" if one.public else "private",
            url=f"{scope.config.base_url}/{scope.organization}/{one.name}",
        )

    yield from scope.listing(
        PROJECTS,
        convert,
        table="accounts",
        kind="ado-project",
        needs="View project-level information",
        parameters={**VERSION, "$top": 500},
    )
    return found


def project_count(scope: DevOpsScope) -> Generator[Record, None, int | None]:
    """Return how many projects the organization has, whoever may see them; None if that is unknown.

    https://learn.microsoft.com/rest/api/azure/devops/resourceusage/get
    """

    def read() -> Generator[Record, None, int]:
        body = scope.client.one(USAGE, PREVIEW)
        shown = body.get("value") if isinstance(body.get("value"), dict) else body
        usage = (shown or {}).get("Projects") or (shown or {}).get("projects")
        count = usage.get("count") if isinstance(usage, dict) else None
        if not isinstance(count, int):
            raise SourceError("unsupported", "the response does not count projects")
        yield from ()
        return count

    request = scope.request("accounts", f"GET {USAGE}", kind="project-count", needs="Basic access")
    return (yield from with_coverage(read(), request))


def organization_settings(scope: DevOpsScope) -> Generator[Record, None, dict[str, bool] | SourceError]:
    """Return the organization's pipeline settings, which override those of projects when they are on; or why they could
    not be read.
    """
    failed = SourceError("unreachable", "not read")

    def read() -> Generator[Record, None, dict[str, bool]]:
        nonlocal failed
        try:
            found = ask()
        except SourceError as exc:
            failed = exc
            raise
        yield from ()
        return {str(name): value for name, value in found.items() if isinstance(value, bool)}

    def ask() -> dict[str, Any]:
        body = {"contributionIds": [PROVIDER_ID]}
        answer = scope.client.post(f"{SETTINGS}?api-version=7.1-preview.1", body).body
        providers = answer.get("dataProviders") if isinstance(answer, dict) else None
        found = providers.get(PROVIDER_ID) if isinstance(providers, dict) else None
        if not isinstance(found, dict):
            raise SourceError("unsupported", "the page data has no pipeline settings")
        return found

    request = scope.request(
        "controls", f"POST {SETTINGS}", kind="job-authorization-scope", needs="View organization settings"
    )
    loses = ("controls/settable-variables", "controls/fork-secrets", "links/runs-as")
    settings = yield from with_coverage(read(), request, loses=loses)
    return failed if settings is None else settings


_SETTINGS = (
    (
        "job-authorization-scope",
        "Job authorization scope",
        ("enforceJobAuthScope",),
        "Jobs can access every repository of the organization",
        "Jobs can access only the repositories of the project",
    ),
    (
        "settable-variables",
        "Variables settable at queue time",
        ("enforceSettableVar",),
        "Anyone who starts a run can set any variable",
        "Only variables marked as settable can be set",
    ),
    (
        "fork-secrets",
        "Secrets in builds of forks",
        ("enforceNoAccessToSecretsFromForks", "buildsEnabledForForks"),
        "Builds of forks have access to secrets",
        "Builds of forks have no access to secrets",
    ),
)


def project_settings(
    scope: DevOpsScope,
    above: Mapping[str, bool] | SourceError,
    follow: Callable[[Mapping[str, bool]], Iterable[Record]],
) -> Iterator[Record]:
    """Yield the pipeline settings that are in force in a project: on where the organization or the project has them on.

    Where the organization's could not be read, a setting that is off in the project is unknown: a Gap. ``follow`` returns what
    follows from the settings that are known: as whom jobs run.
    """
    known: dict[str, bool] = {}

    def convert(item: dict[str, Any]) -> Generator[Record, None, None]:
        unknown: list[str] = []
        for setting in ("enforceJobAuthScope", "enforceJobAuthScopeForReleases"):
            if item.get(setting) or not isinstance(above, SourceError):
                known[setting] = bool(
                    item.get(setting) or (not isinstance(above, SourceError) and above.get(setting))
                )
        for kind, name, (setting, *others), off, on in _SETTINGS:
            here = bool(item[setting])
            if isinstance(above, SourceError):
                if not here:
                    unknown.append(name)
                    continue
                on_above = False
            else:
                on_above = bool(above.get(setting))
            enforced = here or on_above or (bool(others) and item.get(others[0]) is False)
            yield Control(
                id=record_id(PROVIDER, kind, scope.names["project"]),
                **scope.own,
                stage="build",
                kind=kind,
                name=name,
                enforcement="enforced" if enforced else "absent",
                target=scope.account_id,
                detail=on if enforced else off,
            )
        yield from follow(known)
        if unknown and isinstance(above, SourceError):
            raise SourceError(above.reason, f"unknown without POST {SETTINGS}: {', '.join(unknown)}")

    yield from scope.object(
        PROJECT_SETTINGS,
        convert,
        table="controls",
        kind="job-authorization-scope",
        needs="View project-level information",
        fills=("controls/settable-variables", "controls/fork-secrets", "links/runs-as"),
    )


def pools(scope: DevOpsScope) -> Generator[Record, None, bool]:
    """Yield the agent pools, Microsoft's among them, and whether elastic ones start each job clean.

    Returns whether there are pools for deployment, as each deployment group has one; true if that is unknown. They are in a list of
    their own: https://learn.microsoft.com/rest/api/azure/devops/distributedtask/pools/get-agent-pools (``poolType``)
    """
    for_deployment = False

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        owner = (item.get("owner") or {}).get("uniqueName") or (item.get("createdBy") or {}).get("uniqueName")
        yield Identity(
            id=record_id(PROVIDER, "agent-pool", str(item["id"])),
            **scope.own,
            surface="automation",
            kind="ado-agent-pool",
            native_id=str(item["id"]),
            name=str(item["name"]),
            created_at=utc_time(item.get("createdOn")),
            owner=owner,
            owner_source="creator" if owner else None,
            managed_by="provider" if item["isHosted"] else None,
            runner="hosted" if item["isHosted"] else "self-hosted",
            tags={
                **({"all_projects": "yes"} if item.get("autoProvision") else {}),
                **({"pool": "deployment"} if item.get("poolType") == "deployment" else {}),
                **({"cloud": str(item["agentCloudId"])} if item.get("agentCloudId") is not None else {}),
            },
        )

    for kind in ("automation", "deployment"):
        for record in scope.listing(
            POOLS,
            convert,
            table="identities",
            kind="ado-agent-pool",
            needs="Reader of the agent pools",
            parameters={**VERSION, "poolType": kind},
            paginator=WHOLE,
            item=None if kind == "automation" else kind,
        ):
            for_deployment |= kind == "deployment" and isinstance(record, Identity | Gap)
            yield record

    def elastic(item: dict[str, Any]) -> Iterator[Record]:
        clean = bool(item["recycleAfterEachUse"])
        number = str(item["poolId"])
        yield Control(
            id=record_id(PROVIDER, "elastic-pool", number),
            **scope.own,
            stage="build",
            kind="elastic-pool-recycling",
            name=str(item.get("azureId") or number).rpartition("/")[2],
            enforcement="enforced" if clean else "absent",
            target=record_id(PROVIDER, "agent-pool", number),
            detail="Each job gets a new machine" if clean else "A machine is used by several jobs",
        )

    yield from scope.listing(
        ELASTIC,
        elastic,
        table="controls",
        kind="elastic-pool-recycling",
        needs="Reader of the agent pools",
        parameters=PREVIEW,
        paginator=WHOLE,
    )
    return for_deployment


def service_principals(scope: DevOpsScope) -> Iterator[Record]:
    """Yield applications and managed identities that are users of the organization; they are identities of Entra ID."""

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        descriptor, origin = str(item["descriptor"]), str(item["originId"]).lower()
        me = record_id(PROVIDER, "service-principal", descriptor)
        yield Identity(
            id=me,
            **scope.own,
            surface="automation",
            kind="ado-service-principal",
            native_id=descriptor,
            name=str(item["displayName"]),
        )
        yield Link(
            id=record_id(PROVIDER, "is-principal", origin),
            **scope.own,
            source_id=record_id("entra", "principal", origin),
            relation="can_become",
            target_id=me,
            evidence="originId",
            why="the Entra identity is this user of the organization",
        )

    yield from scope.on(scope.clients.graph).listing(
        PRINCIPALS,
        convert,
        table="identities",
        kind="ado-service-principal",
        needs="Read of Graph",
        parameters=PREVIEW,
        fills=("links/ado-service-principal",),
    )


def people(scope: DevOpsScope) -> Generator[Record, None, tuple[dict[str, str], dict[str, str]]]:
    """Yield users with their access level and last access.

    Returns the ids of their records, by sign-in name and by subject descriptor.

    ``0001-01-01`` as last access means never. Users of another tenant have ``#EXT#`` in their name, or come as guests
    (``metaType``): https://learn.microsoft.com/rest/api/azure/devops/graph/users/get
    """
    found: dict[str, str] = {}
    subjects: dict[str, str] = {}

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        user: dict[str, Any] = item["user"]
        me = record_id(PROVIDER, "user", str(item["id"]))
        if user.get("principalName"):
            found[str(user["principalName"]).lower()] = me
        if user.get("descriptor"):
            subjects[str(user["descriptor"])] = me
        level: dict[str, Any] = item.get("accessLevel") or {}
        seen = str(item.get("lastAccessedDate") or "")
        never = seen.startswith(_NEVER)
        yield Identity(
            id=me,
            **scope.own,
            surface="human",
            kind="ado-user",
            native_id=str(item["id"]),
            name=str(user.get("displayName") or item["id"]),
            address=f"{scope.organization} user {user['principalName']}"
            if user.get("principalName")
            else None,
            enabled=level.get("status") not in {"disabled", "expired"},
            created_at=utc_time(item.get("dateCreated"))
            if not str(item.get("dateCreated") or _NEVER).startswith(_NEVER)
            else None,
            last_used_at=None if never or not seen else utc_time(seen),
            never_used=True if never else None,
            tags={
                "access": str(
                    level.get("licenseDisplayName") or level.get("accountLicenseType") or "unknown"
                ),
                **({"membership": "guest"} if _is_guest(user) else {}),
                **({"assigned": "group rule"} if level.get("assignmentSource") == "groupRule" else {}),
            },
        )

    yield from scope.on(scope.clients.entitlement).listing(
        USERS,
        convert,
        table="identities",
        kind="ado-user",
        needs="Read of member entitlements",
        parameters={"api-version": "7.1-preview.3"},
        paginator=_MEMBERS,
        loses=("links/member_of", "grants/permissions", "credentials/ado-pat", "credentials/ado-ssh-key"),
    )
    return found, subjects


def _is_guest(user: dict[str, Any]) -> bool:
    return str(user.get("metaType")).lower() == "guest" or "#ext#" in str(user.get("principalName")).lower()
