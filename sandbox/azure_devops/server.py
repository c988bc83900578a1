"""The make-believe Azure DevOps as a server on 127.0.0.1: its four hosts are four prefixes of one origin.

It answers with pages (``x-ms-continuationtoken``), the ``count`` of a list, 203 with a sign-in page for a wrong token, and
hides ``authorization`` from a Reader. https://learn.microsoft.com/rest/api/azure/devops
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec

from sandbox.azure_devops.access import AccessEstate
from sandbox.azure_devops.company import build
from sandbox.azure_devops.doors import DoorEstate
from sandbox.azure_devops.estate import ORGANIZATION, TOKEN, DevOpsOrganization, DevOpsProject, guid
from sandbox.kit.api import ApiCall, HttpSandbox
from sandbox.kit.http import HttpRequest, Json, RefusedError, Reply, reply
from sandbox.kit.paging import continued
from sandbox.kit.routes import RouteTable

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.kit.authority import CertificateAuthority

VARIABLE = "SPRAWLSCAN_DEMO_AZURE_DEVOPS_TOKEN"
HOSTS = ("main", "release", "graph", "entitlement", "extension", "audit", "security", "feeds")
CHECKS = "/{project}/_apis/pipelines/checks/queryconfigurations"
SETTINGS = "/_apis/Contribution/HierarchyQuery"
DATA = "ms.vss-build-web.pipelines-org-settings-data-provider"
POLICY_PAGE = "/_settings/organizationPolicy"
TENANT_POLICY = "/_apis/TenantPolicy/Policies/{policy}"
TOKENS = "/_apis/tokenadmin/personalaccesstokens/{user}"
POOLS = "/_apis/distributedtask/pools"
AUDIT = "/_apis/audit/auditlog"
ITEM = "/{project}/_apis/git/repositories/{repository}/items"
ENDPOINTS = "/{project}/_apis/serviceendpoint/endpoints"
IDENTITIES = "/_apis/identities"


class DevOpsRoute(msgspec.Struct, frozen=True, kw_only=True):
    """One list of the API."""

    host: str = "main"
    scope: str
    """The scope of a token that reads it."""
    read: Callable[[DevOpsOrganization, DevOpsProject, dict[str, str]], Any]
    """Returns the list, or one object."""
    paged: bool = False
    at: str = "value"


def _access(organization: DevOpsOrganization) -> AccessEstate:
    """Return the permissions of an organization; a small one in a test has none."""
    found: AccessEstate | None = organization.access
    return found or AccessEstate()


def _doors(organization: DevOpsOrganization) -> DoorEstate:
    found: DoorEstate | None = organization.doors
    return found or DoorEstate()


def _permitted(project: DevOpsProject, kind: str, number: str) -> Json:
    everyone = any((one["type"], str(one["id"])) == (kind, number) for one in project.authorized)
    return {
        "resource": {"type": kind, "id": number},
        "allPipelines": {"authorized": True, "authorizedBy": {}, "authorizedOn": None} if everyone else None,
        "pipelines": [
            {"id": one, "authorized": True} for one in project.permissions.get(f"{kind}/{number}", ())
        ],
    }


def _refs(project: DevOpsProject, repository: str) -> list[Json]:
    held = next((one for one in project.repositories if repository in {one["id"], one["name"]}), None)
    if held is None:
        raise RefusedError(404, "TF401019: The Git repository does not exist")
    commit = project.commits.get(str(held["id"])) or hashlib.sha1(str(held["id"]).encode()).hexdigest()  # noqa: S324  a name
    return [{"name": held["defaultBranch"], "objectId": commit}]


def _history(_: DevOpsOrganization, project: DevOpsProject, at: dict[str, str]) -> list[Json]:
    if at["id"] not in project.history:
        raise RefusedError(404, "Service endpoint was not found")
    return project.history[at["id"]]


ROUTES: dict[str, DevOpsRoute] = {
    "/_apis/connectionData": DevOpsRoute(
        scope="vso.profile",
        read=lambda _o, _p, _a: {
            "authenticatedUser": {"id": guid("scanner"), "providerDisplayName": "sprawlscan"},
            "instanceId": guid("organization"),
        },
    ),
    "/_apis/projects": DevOpsRoute(
        scope="vso.project", paged=True, read=lambda o, _p, _a: [one.shown for one in o.projects]
    ),
    POOLS: DevOpsRoute(scope="vso.agentpools", read=lambda o, _p, _a: o.pools),
    "/_apis/groupentitlements": DevOpsRoute(
        host="entitlement", scope="vso.memberentitlementmanagement", read=lambda o, _p, _a: o.group_rules
    ),
    "/{project}/_apis/distributedtask/queues": DevOpsRoute(
        scope="vso.agentpools", read=lambda _o, p, _a: p.queues
    ),
    "/{project}/_apis/distributedtask/deploymentgroups": DevOpsRoute(
        scope="vso.machinegroup_manage", paged=True, read=lambda _o, p, _a: p.deployment_groups
    ),
    "/{project}/_apis/pipelines/environments/{id}/environmentdeploymentrecords": DevOpsRoute(
        scope="vso.environment", paged=True, read=lambda _o, p, a: p.deployed.get(a["id"], [])
    ),
    "/{project}/_apis/pipelines/pipelinepermissions/{type}/{id}": DevOpsRoute(
        scope="vso.build", read=lambda _o, p, a: _permitted(p, a["type"], a["id"])
    ),
    "/{project}/_apis/git/repositories/{repository}/refs": DevOpsRoute(
        scope="vso.code", paged=True, read=lambda _o, p, a: _refs(p, a["repository"])
    ),
    "/_apis/distributedtask/elasticpools": DevOpsRoute(
        scope="vso.agentpools", read=lambda o, _p, _a: o.elastic_pools
    ),
    "/_apis/resourceusage": DevOpsRoute(
        scope="vso.project",
        read=lambda o, _p, _a: {"Projects": {"count": _doors(o).projects or len(o.projects), "limit": 1000}},
    ),
    POLICY_PAGE: DevOpsRoute(scope="vso.profile", read=lambda o, _p, _a: _doors(o).shown_policies()),
    TENANT_POLICY: DevOpsRoute(
        host="graph",
        scope="vso.tenantpolicy",
        read=lambda o, _p, a: {
            "name": a["policy"],
            **_doors(o).tenant_policies.get(a["policy"], {"value": None}),
        },
    ),
    "/_apis/audit/streams": DevOpsRoute(
        host="audit", scope="vso.auditstreams", read=lambda o, _p, _a: _doors(o).streams
    ),
    "/_apis/extensionmanagement/installedextensions": DevOpsRoute(
        host="extension", scope="vso.extension", read=lambda o, _p, _a: _doors(o).extensions
    ),
    "/_apis/packaging/feeds": DevOpsRoute(
        host="feeds", scope="vso.packaging", read=lambda o, _p, _a: _doors(o).feeds
    ),
    "/_apis/packaging/feeds/{feed}/permissions": DevOpsRoute(
        host="feeds",
        scope="vso.packaging",
        read=lambda o, _p, a: _doors(o).feed_permissions.get(a["feed"], []),
    ),
    "/_apis/hooks/subscriptions": DevOpsRoute(scope="vso.hooks", read=lambda o, _p, _a: _doors(o).hooks),
    "/_apis/management/enablement": DevOpsRoute(
        host="security",
        scope="vso.advsec",
        read=lambda o, _p, _a: {
            "reposEnablementStatus": _doors(o).enablement,
            "enablementOnCreateSettings": {},
        },
    ),
    "/{project}/_apis/alert/repositories/{repository}/alerts": DevOpsRoute(
        host="security",
        scope="vso.advsec",
        paged=True,
        read=lambda o, _p, a: _doors(o).alerts.get(a["repository"], []),
    ),
    "/_apis/securitynamespaces": DevOpsRoute(
        scope="vso.security", read=lambda o, _p, _a: _access(o).shown_namespaces()
    ),
    "/_apis/accesscontrollists/{namespace}": DevOpsRoute(
        scope="vso.security", read=lambda o, _p, a: _access(o).shown_lists(a["namespace"])
    ),
    "/_apis/graph/groups": DevOpsRoute(
        host="graph", scope="vso.graph", paged=True, read=lambda o, _p, _a: _access(o).shown_groups()
    ),
    "/_apis/graph/memberships/{descriptor}": DevOpsRoute(
        host="graph", scope="vso.graph", read=lambda o, _p, a: _access(o).shown_memberships(a["descriptor"])
    ),
    "/_apis/graph/serviceprincipals": DevOpsRoute(
        host="graph", scope="vso.graph", paged=True, read=lambda o, _p, _a: o.principals
    ),
    "/_apis/userentitlements": DevOpsRoute(
        host="entitlement",
        scope="vso.memberentitlementmanagement",
        paged=True,
        at="members",
        read=lambda o, _p, _a: o.members,
    ),
    ENDPOINTS: DevOpsRoute(scope="vso.serviceendpoint", read=lambda _o, p, _a: p.endpoints),
    "/{project}/_apis/serviceendpoint/{id}/executionhistory": DevOpsRoute(
        scope="vso.serviceendpoint", paged=True, read=_history
    ),
    "/{project}/_apis/distributedtask/variablegroups": DevOpsRoute(
        scope="vso.variablegroups_read", paged=True, read=lambda _o, p, _a: p.variable_groups
    ),
    "/{project}/_apis/distributedtask/securefiles": DevOpsRoute(
        scope="vso.securefiles_read", read=lambda _o, p, _a: p.secure_files
    ),
    "/{project}/_apis/distributedtask/taskgroups": DevOpsRoute(
        scope="vso.taskgroups_read", read=lambda _o, p, _a: p.task_groups
    ),
    "/{project}/_apis/pipelines/approvals": DevOpsRoute(
        scope="vso.build", read=lambda _o, p, _a: p.approvals
    ),
    "/{project}/_apis/build/builds": DevOpsRoute(
        scope="vso.build", paged=True, read=lambda _o, p, _a: p.builds
    ),
    "/{project}/_apis/release/deployments": DevOpsRoute(
        host="release", scope="vso.release", paged=True, read=lambda _o, p, _a: p.deployments
    ),
    "/{project}/_apis/build/definitions": DevOpsRoute(
        scope="vso.build", paged=True, read=lambda _o, p, _a: p.definitions
    ),
    "/{project}/_apis/build/authorizedresources": DevOpsRoute(
        scope="vso.build", read=lambda _o, p, _a: p.authorized
    ),
    "/{project}/_apis/build/generalsettings": DevOpsRoute(
        scope="vso.project", read=lambda _o, p, _a: p.settings
    ),
    "/{project}/_apis/pipelines/environments": DevOpsRoute(
        scope="vso.environment", paged=True, read=lambda _o, p, _a: p.environments
    ),
    "/{project}/_apis/git/repositories": DevOpsRoute(scope="vso.code", read=lambda _o, p, _a: p.repositories),
    "/{project}/_apis/policy/configurations": DevOpsRoute(
        scope="vso.policy", paged=True, read=lambda _o, p, _a: p.policies
    ),
    "/{project}/_apis/release/definitions": DevOpsRoute(
        host="release", scope="vso.release", paged=True, read=lambda _o, p, _a: p.releases
    ),
}
OTHERS = {
    f"GET {ITEM}": "vso.code",
    f"GET {IDENTITIES}": "vso.identity",
    f"GET {TOKENS}": "vso.tokenadministration",
    f"GET {AUDIT}": "vso.auditlog",
    f"POST {CHECKS}": "vso.build",
    f"POST {SETTINGS}": "vso.profile",
}
SCOPES = tuple(sorted({route.scope for route in ROUTES.values()} | set(OTHERS.values())))
_TABLE = RouteTable(
    [
        *(("GET", template, template) for template in ROUTES),
        *((name.split(" ")[0], name.split(" ")[1], name.split(" ")[1]) for name in OTHERS),
    ]
)


class AzureDevOpsSandbox(HttpSandbox):
    """Serves one organization. Thread-safe; use it as a context manager. ``reader`` hides how connections sign in."""

    provider = "azure-devops"
    reads = frozenset((f"POST {CHECKS}", f"POST {SETTINGS}"))

    def __init__(
        self,
        *,
        reader: bool = False,
        page: int = 2,
        latency: float = 0.0,
        authority: CertificateAuthority | None = None,
    ) -> None:
        super().__init__("Microsoft-HTTPAPI/2.0", latency=latency, authority=authority)
        self.organization = build(1)
        self.reader = reader
        self.page = page
        self._revoked: set[str] = set()

    def section(self) -> dict[str, Any]:
        """Return the collector's section of config.yaml."""
        section: dict[str, Any] = {
            "organizations": [ORGANIZATION],
            "token": f"${{env:{VARIABLE}}}",
            "personal_access_tokens": True,
            **{f"{'base' if host == 'main' else host}_url": f"{self.url}/{host}" for host in HOSTS},
        }
        if self.bundle is not None:
            section["ca_bundle"] = str(self.bundle)
        return section

    def environment(self) -> dict[str, str]:
        """Return the environment variable that the section refers to: a personal access token."""
        return {VARIABLE: TOKEN}

    def show(self, night: int) -> None:
        """Serve the organization as it is on a night."""
        self.organization = build(night)

    def permissions(self) -> tuple[str, ...]:
        """Return the scopes of the token."""
        return SCOPES

    def revoke(self, permission: str) -> None:
        """Take a scope away."""
        self._revoked.add(permission)

    def restore(self) -> None:
        """Give back everything that was revoked."""
        self._revoked.clear()

    def recognize(self, request: HttpRequest) -> ApiCall:
        """Return the route of a request."""
        host, _, rest = request.path.removeprefix("/").partition("/")
        organization, _, path = rest.partition("/")
        path = f"/{path}"
        known = host in HOSTS and organization == ORGANIZATION
        found = _TABLE.find(request.method, path) if known else None
        template, values = found or (path, {})
        return ApiCall(
            request=request,
            name=f"{request.method} {template}",
            template=template,
            path=path,
            route=(host, ROUTES.get(template)),
            values={name: unquote(value) for name, value in values.items()},
        )

    def answer(self, call: ApiCall) -> Reply:
        """Answer one request."""
        expected = base64.b64encode(f":{TOKEN}".encode()).decode()
        if call.request.headers.get("authorization") != f"Basic {expected}":
            page = b"<!DOCTYPE html><html><head><title>Azure DevOps Services | Sign In</title></head></html>"
            return Reply(status=203, body=page, headers={"Content-Type": "text/html; charset=utf-8"})
        scope = OTHERS.get(call.name)
        if scope is not None:
            self._admit(scope)
            return self._other(call)
        host, route = call.route
        if call.method != "GET" or route is None or route.host != host:
            raise RefusedError(404, "The controller for path was not found")
        self._admit(route.scope)
        held = route.read(self.organization, self._project(call), call.values)
        if isinstance(held, dict):
            return reply(200, held)
        return self._list(call, route, held)

    def _admit(self, scope: str) -> None:
        if scope in self._revoked:
            raise RefusedError(403, f"TF400813: the token lacks the scope {scope}")

    def _project(self, call: ApiCall) -> DevOpsProject:
        wanted = call.values.get("project")
        if wanted is None:
            return self.organization.projects[0]
        for one in self.organization.projects:
            if wanted in {one.id, one.name}:
                return one
        raise RefusedError(404, f"TF200016: The following project does not exist: {wanted}")

    def _list(self, call: ApiCall, route: DevOpsRoute, rows: list[Json]) -> Reply:
        query = call.request.query
        if call.template == POOLS:
            rows = [row for row in rows if row.get("poolType", "automation") == query.get("poolType")]
        if call.template == ENDPOINTS:
            if query.get("includeFailed") != "true":
                rows = [row for row in rows if row["isReady"]]
            if self.reader:
                rows = [{key: value for key, value in row.items() if key != "authorization"} for row in rows]
        if not route.paged:
            return reply(200, {"count": len(rows), route.at: rows})
        size = min(int(query.get("$top", query.get("top", self.page))), self.page)
        page, following = continued(rows, query.get("continuationToken"), size)
        if route.at == "members":
            body: Json = {"members": list(page.rows), "continuationToken": following, "totalCount": len(rows)}
            return reply(200, body)
        headers = {"x-ms-continuationtoken": following} if following else {}
        return reply(200, {"count": len(page.rows), route.at: list(page.rows)}, headers)

    def _other(self, call: ApiCall) -> Reply:
        if call.template == TOKENS:
            public = "/true" if call.request.query.get("isPublic") == "true" else ""
            rows = _doors(self.organization).tokens.get(f"{call.values['user']}{public}", [])
            return reply(200, {"value": rows, "continuationToken": None})
        if call.template == AUDIT:
            query = call.request.query
            rows = [
                row
                for row in self.organization.events
                if query["startTime"] <= row["timestamp"] <= query["endTime"]
            ]
            size = min(int(query.get("batchSize", 100)), max(self.page, 10))
            page, following = continued(rows, query.get("continuationToken"), size)
            more = {"continuationToken": following, "hasMore": following is not None}
            return reply(200, {"decoratedAuditLogEntries": list(page.rows), **more})
        if call.template == IDENTITIES:
            found = _access(self.organization).shown_identities(call.request.query)
            return reply(200, {"count": len(found), "value": found})
        if call.template == SETTINGS:
            asked = json.loads(call.request.body)["contributionIds"]
            return reply(200, {"dataProviders": {DATA: self.organization.settings} if DATA in asked else {}})
        project = self._project(call)
        if call.template == CHECKS:
            wanted = {(one["type"], str(one["id"]).lower()) for one in json.loads(call.request.body)}
            found = [
                one
                for one in project.checks
                if (one["resource"]["type"], str(one["resource"]["id"]).lower()) in wanted
            ]
            return reply(200, {"count": len(found), "value": found})
        path = call.request.query.get("path", "").lstrip("/")
        asked = call.values["repository"]
        held = next((one for one in project.repositories if asked in {one["id"], one["name"]}), None)
        if held is None:
            raise RefusedError(
                404, f"TF401019: The Git repository with name or identifier {asked} does not exist"
            )
        version = call.request.query.get("versionDescriptor.version")
        branch = str(held["defaultBranch"] or "").removeprefix("refs/heads/")
        at = f"@{version}" if version not in {None, branch} else ""
        text = project.files.get(f"{held['id']}{at}/{path}")
        if text is None:
            raise RefusedError(404, f"TF401174: The item '{path}' could not be found")
        return Reply(status=200, body=text.encode(), headers={"Content-Type": "text/plain"})

    def refusal(self, call: ApiCall, status: int, text: str | None = None) -> Reply:
        """Return an error as Azure DevOps words it."""
        words = text or f"{status} (made by the sandbox)"
        return reply(status, {"$id": "1", "message": words, "typeKey": "SandboxException", "errorCode": 0})

    def lead_on(self, call: ApiCall, answer: Reply, url: str) -> None:
        """Write into an answer that another page follows; the token cannot name a host, so that it only loops."""
        answer.headers["x-ms-continuationtoken"] = call.request.query.get("continuationToken", "first")
