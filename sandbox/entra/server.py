"""The simulated tenant as a server on 127.0.0.1: Microsoft Graph and the token service of Entra ID, on one origin.

It answers with Graph's pages (https://learn.microsoft.com/graph/paging), ``$select``, ``$expand`` of at most 20 objects
(https://learn.microsoft.com/graph/query-parameters#expand), batches (https://learn.microsoft.com/graph/json-batching) and
permissions. azure-identity insists on TLS, so that the sandbox always speaks it.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from sandbox.entra.company import build
from sandbox.entra.estate import GRAPH, TENANT, DirectoryTenant
from sandbox.entra.login import LOGIN, TenantSandbox, origin_of
from sandbox.kit.api import ApiCall
from sandbox.kit.faults import RETRY_AFTER
from sandbox.kit.http import HttpRequest, Json, RefusedError, Reply, reply
from sandbox.kit.paging import continued, next_link
from sandbox.kit.routes import RouteTable

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.kit.authority import CertificateAuthority
    from sandbox.kit.tokens import KnownToken

SECRET = "SPRAWLSCAN_DEMO_ENTRA_SECRET"
"""The environment variable that the demo's configuration refers to."""
EXPANDED = 20
BATCH = "/beta/$batch"
PIM = "/identityGovernance/privilegedAccess/group"
FIRST = "/v1.0/servicePrincipals(appId='{app_id}')"


class GraphRoute(msgspec.Struct, frozen=True, kw_only=True):
    """One list or object of Graph."""

    needs: str
    """The least privileged application permission."""
    read: Callable[[DirectoryTenant, dict[str, str]], Any]
    """Returns a list, or one object."""
    unpaged: bool = False


ROUTES: dict[str, GraphRoute] = {
    FIRST: GraphRoute(
        needs="Application.Read.All",
        read=lambda held, at: next(one for one in held.service_principals if one["appId"] == at["app_id"]),
    ),
    "/v1.0/organization": GraphRoute(
        needs="Organization.Read.All",
        read=lambda _held, _at: [{"id": TENANT, "displayName": "Lantern Pay"}],
    ),
    "/v1.0/servicePrincipals": GraphRoute(
        needs="Application.Read.All", read=lambda held, _at: held.service_principals
    ),
    "/beta/servicePrincipals": GraphRoute(
        needs="Application.Read.All", read=lambda held, _at: held.service_principals
    ),
    "/beta/applications": GraphRoute(needs="Application.Read.All", read=lambda held, _at: held.applications),
    "/v1.0/applications": GraphRoute(needs="Application.Read.All", read=lambda held, _at: held.applications),
    "/beta/reports/servicePrincipalSignInActivities": GraphRoute(
        needs="AuditLog.Read.All", read=lambda held, _at: held.application_sign_ins
    ),
    "/beta/reports/appCredentialSignInActivities": GraphRoute(
        needs="AuditLog.Read.All", read=lambda held, _at: held.credential_sign_ins
    ),
    "/v1.0/oauth2PermissionGrants": GraphRoute(
        needs="Directory.Read.All", read=lambda held, _at: held.consents
    ),
    "/beta/roleManagement/directory/roleDefinitions": GraphRoute(
        needs="RoleManagement.Read.Directory", read=lambda held, _at: held.role_definitions
    ),
    "/v1.0/roleManagement/directory/roleAssignments": GraphRoute(
        needs="RoleManagement.Read.Directory", read=lambda held, _at: held.role_assignments
    ),
    "/v1.0/roleManagement/directory/roleEligibilityScheduleInstances": GraphRoute(
        needs="RoleEligibilitySchedule.Read.Directory", read=lambda held, _at: held.role_eligibilities
    ),
    "/v1.0/roleManagement/directory/roleAssignmentScheduleInstances": GraphRoute(
        needs="RoleAssignmentSchedule.Read.Directory", read=lambda held, _at: held.role_schedules
    ),
    "/beta/servicePrincipals/microsoft.graph.agentIdentity": GraphRoute(
        needs="AgentIdentity.Read.All", read=lambda held, _at: held.agents
    ),
    "/beta/users/microsoft.graph.agentUser": GraphRoute(
        needs="User.Read.All", read=lambda held, _at: held.agent_users
    ),
    "/v1.0/groups": GraphRoute(
        needs="GroupMember.Read.All",
        read=lambda held, _at: [one for one in held.groups.values() if one["isAssignableToRole"]],
    ),
    "/v1.0/directory/administrativeUnits": GraphRoute(
        needs="AdministrativeUnit.Read.All", read=lambda held, _at: held.units
    ),
    "/beta/servicePrincipals/microsoft.graph.agentIdentityBlueprintPrincipal": GraphRoute(
        needs="AgentIdentityBlueprintPrincipal.Read.All", read=lambda held, _at: held.blueprints
    ),
    "/v1.0/auditLogs/directoryAudits": GraphRoute(
        needs="AuditLog.Read.All", read=lambda held, _at: held.audits
    ),
    "/v1.0/identityProtection/riskyServicePrincipals": GraphRoute(
        needs="IdentityRiskyServicePrincipal.Read.All", read=lambda held, _at: held.risky
    ),
    "/v1.0/domains": GraphRoute(needs="Domain.Read.All", read=lambda held, _at: held.domains),
    "/v1.0/domains/{id}/federationConfiguration": GraphRoute(
        needs="Domain.Read.All", read=lambda held, at: held.federations[at["id"]]
    ),
    "/beta/identity/conditionalAccess/policies": GraphRoute(
        needs="Policy.Read.All", read=lambda held, _at: held.conditional_access
    ),
    "/v1.0/policies/crossTenantAccessPolicy/default": GraphRoute(
        needs="Policy.Read.All", read=lambda held, _at: held.cross_tenant_default
    ),
    "/v1.0/policies/crossTenantAccessPolicy/partners": GraphRoute(
        needs="Policy.Read.All", read=lambda held, _at: held.partners
    ),
    "/v1.0/policies/permissionGrantPolicies": GraphRoute(
        needs="Policy.Read.All", read=lambda held, _at: held.consent_policies
    ),
    "/v1.0/policies/appManagementPolicies": GraphRoute(
        needs="Policy.Read.All", read=lambda held, _at: held.app_policies
    ),
    "/v1.0/policies/authorizationPolicy": GraphRoute(
        needs="Policy.Read.All", read=lambda held, _at: held.authorization_policy
    ),
    "/v1.0/policies/defaultAppManagementPolicy": GraphRoute(
        needs="Policy.Read.All", read=lambda held, _at: held.credential_policy
    ),
}
BATCHED: dict[str, GraphRoute] = {
    "/servicePrincipals/{id}/owners": GraphRoute(
        needs="Application.Read.All", read=lambda held, at: _owners(held, held.service_principals, at["id"])
    ),
    "/applications/{id}/owners": GraphRoute(
        needs="Application.Read.All", read=lambda held, at: _owners(held, held.applications, at["id"])
    ),
    "/servicePrincipals/{id}/appRoleAssignedTo": GraphRoute(
        needs="Application.Read.All",
        read=lambda held, at: [one for one in held.app_roles if one["resourceId"] == at["id"]],
    ),
    "/servicePrincipals/microsoft.graph.agentIdentity/{id}/inheritedAppRoleAssignments": GraphRoute(
        needs="Application.Read.All", read=lambda held, at: _inherited(held, at["id"]), unpaged=True
    ),
    "/servicePrincipals/microsoft.graph.agentIdentity/{id}/inheritedOauth2PermissionGrants": GraphRoute(
        needs="Application.Read.All",
        read=lambda held, at: held.inherited_consents.get(at["id"], []),
        unpaged=True,
    ),
    "/groups/{id}/transitiveMembers": GraphRoute(
        needs="GroupMember.Read.All",
        read=lambda held, at: [held.principal(number) for number in held.members.get(at["id"], [])],
    ),
    "/groups/{id}/transitiveMemberOf": GraphRoute(
        needs="GroupMember.Read.All", read=lambda held, at: held.above(at["id"], nested=True)
    ),
    "/servicePrincipals/{id}/transitiveMemberOf": GraphRoute(
        needs="GroupMember.Read.All", read=lambda held, at: held.above(at["id"], nested=True)
    ),
    "/groups/{id}/owners": GraphRoute(
        needs="GroupMember.Read.All",
        read=lambda held, at: _owners(held, list(held.groups.values()), at["id"]),
    ),
    f"{PIM}/eligibilityScheduleInstances": GraphRoute(
        needs="PrivilegedEligibilitySchedule.Read.AzureADGroup",
        read=lambda held, at: _of_group(held, held.group_eligibilities, at),
    ),
    f"{PIM}/assignmentScheduleInstances": GraphRoute(
        needs="PrivilegedAssignmentSchedule.Read.AzureADGroup",
        read=lambda held, at: _of_group(held, held.group_schedules, at),
    ),
}
PERMISSIONS = tuple(sorted({route.needs for route in (*ROUTES.values(), *BATCHED.values())}))
_TABLE = RouteTable(("GET", template, template) for template in ROUTES if template != FIRST)
_PARTS = RouteTable(("GET", template, template) for template in BATCHED)
_BY_APP = re.compile(r"/v1\.0/servicePrincipals\(appId='(?P<app_id>[0-9a-f-]+)'\)")


def _owners(held: DirectoryTenant, objects: list[Json], number: str) -> list[Json]:
    found = next((one for one in objects if one["id"] == number), None)
    if found is None:
        raise RefusedError(404, f"Resource '{number}' does not exist")
    return [held.principal(owner) for owner in found["owners"]]


def _of_group(held: DirectoryTenant, instances: list[Json], at: dict[str, str]) -> list[Json]:
    """https://learn.microsoft.com/graph/api/privilegedaccessgroup-list-eligibilityscheduleinstances: $filter is required."""
    match = re.fullmatch(r"groupId eq '([0-9a-f-]+)'", at.get("$filter", ""))
    if match is None:
        raise RefusedError(400, "The $filter on groupId or principalId is required.")
    expanded = at.get("$expand") == "principal"
    return [
        {**one, **({"principal": held.principal(one["principalId"])} if expanded else {})}
        for one in instances
        if one["groupId"] == match[1]
    ]


def _inherited(held: DirectoryTenant, number: str) -> list[Json]:
    if number not in held.inherited:
        raise RefusedError(404, f"Resource '{number}' does not exist or is no agent identity")
    return held.inherited[number]


class EntraSandbox(TenantSandbox):
    """Serves one tenant over TLS. Thread-safe; use it as a context manager.

    ``licensed`` says whether the tenant has Entra ID P2, ``agents`` whether it knows agent identities; ``page`` is the size
    of a page. ``throttled`` is how many requests of each batch get a 429 inside the batch's 200.
    """

    provider = "entra"
    secret = SECRET
    reads = frozenset((f"POST {BATCH}", f"POST {LOGIN}"))

    def __init__(
        self,
        *,
        licensed: bool = True,
        agents: bool = True,
        page: int = 10,
        latency: float = 0.0,
        authority: CertificateAuthority | None = None,
    ) -> None:
        super().__init__("Microsoft-IIS/10.0", PERMISSIONS, latency=latency, authority=authority)
        self.directory = build(1)
        self.licensed = licensed
        self.agents = agents
        self.page = page
        self.throttled = 0

    def section(self) -> dict[str, Any]:
        """Return the collector's section of config.yaml."""
        return {**super().section(), "graph_url": self.url}

    def show(self, night: int) -> None:
        """Serve the tenant as it is on a night."""
        self.directory = build(night)

    # Requests

    def recognize(self, request: HttpRequest) -> ApiCall:
        """Return the route of a request."""
        path = unquote(request.path)
        values: dict[str, str] = {}
        template = path
        by_app = _BY_APP.fullmatch(path)
        found = _TABLE.find("GET", path)
        if by_app:
            template, values = FIRST, by_app.groupdict()
        elif found:
            template, values = found
        # As the collector writes it, so that a Gap names the route.
        name = template.replace("{app_id}", GRAPH)
        return ApiCall(
            request=request,
            name=f"{request.method} {name}",
            template=name,
            path=path,
            route=ROUTES.get(template),
            values=values,
        )

    def answer(self, call: ApiCall) -> Reply:
        """Answer one request."""
        signed_in = self._service.answer(
            call.method, call.path, call.request, origin_of(call.request, self.url)
        )
        if signed_in is not None:
            return signed_in
        token = self._service.token(call.request)
        if (call.method, call.path) == ("POST", BATCH):
            return reply(200, self._batch(call.request, token))
        if call.method != "GET" or call.route is None:
            raise RefusedError(404, "Resource not found for the segment")
        return reply(200, self._read(call.route, call.template, call.values, call.request, token))

    def _batch(self, request: HttpRequest, token: KnownToken) -> Json:
        parts = json.loads(request.body)["requests"]
        if len(parts) > 20:
            raise RefusedError(400, "Number of batch request steps exceeds the maximum value of 20.")
        answers = []
        for place, part in enumerate(parts):
            if place < self.throttled:
                answers.append(
                    {
                        "id": part["id"],
                        "status": 429,
                        "headers": {"Retry-After": str(RETRY_AFTER)},
                        "body": _error(429, "Too many requests"),
                    }
                )
                continue
            try:
                answers.append({"id": part["id"], "status": 200, "body": self._part(part, token)})
            except RefusedError as refused:
                body = _error(refused.status, refused.message)
                answers.append({"id": part["id"], "status": refused.status, "body": body})
        self.throttled = 0
        # The parts of a batch come in any order.
        return {"responses": answers[::-1]}

    def _part(self, part: Json, token: KnownToken) -> Any:
        if part["method"] != "GET":
            raise RefusedError(405, "The sandbox reads")
        url = urlsplit(part["url"])
        found = _PARTS.find("GET", url.path)
        if found is None:
            raise RefusedError(404, "Resource not found for the segment")
        template, values = found
        route = BATCHED[template]
        if route.needs not in token.scopes:
            raise RefusedError(403, f"Insufficient privileges: {route.needs}")
        if not self.licensed and PIM in template:
            raise RefusedError(400, "The tenant needs a license of Microsoft Entra ID P2")
        values = {**values, **dict(parse_qsl(url.query))}
        return {
            "value": route.read(self.directory, values),
            **({} if route.unpaged else {"@odata.context": "x"}),
        }

    def _read(
        self,
        route: GraphRoute,
        template: str,
        values: dict[str, str],
        request: HttpRequest,
        token: KnownToken,
    ) -> Any:
        if route.needs not in token.scopes:
            raise RefusedError(403, "Insufficient privileges to complete the operation.")
        unknown = "agent" in template.lower() and not self.agents
        premium = any(
            part in template for part in ("Schedule", "/reports/", "/auditLogs/", "/identityProtection/")
        )
        if unknown or (not self.licensed and premium):
            raise RefusedError(400 if "Schedule" in template or unknown else 403, "AadPremiumLicenseRequired")
        query = dict(parse_qsl(urlsplit(request.target).query, keep_blank_values=True))
        held = route.read(self.directory, values)
        if isinstance(held, dict):
            return self._shown(held, query)
        size = min(int(query.get("$top", "999")), self.page)
        page, following = continued(held, query.get("$skiptoken"), size)
        answer: Json = {
            "@odata.context": f"{origin_of(request, self.url)}{template}",
            "value": [self._shown(one, query) for one in page.rows],
        }
        if following:
            answer["@odata.nextLink"] = next_link(
                f"{origin_of(request, self.url)}{request.path}", {**query, "$skiptoken": following}
            )
        return answer

    def _shown(self, item: Json, query: dict[str, str]) -> Json:
        """Return what ``$select`` and ``$expand`` show of an object."""
        fields = [name for name in query.get("$select", "").split(",") if name]
        missing = [name for name in fields if name not in item]
        if missing:
            raise RefusedError(400, f"Could not find a property named '{missing[0]}'")
        navigated = {"owners", "federatedIdentityCredentials", "sponsors", "memberOf"}
        shown = {name: item[name] for name in fields or item if name not in navigated}
        if "@odata.type" in item:
            shown["@odata.type"] = item["@odata.type"]
        expanded = query.get("$expand", "").partition("(")[0]
        match expanded:
            case "owners" | "sponsors":
                shown[expanded] = [self.directory.principal(one) for one in item[expanded][:EXPANDED]]
            case "memberOf":
                shown["memberOf"] = self.directory.above(item["id"])[:EXPANDED]
            case "principal":
                shown["principal"] = self.directory.principal(item["principalId"])
            case "":
                pass
            case "identitySynchronization":
                shown[expanded] = item[expanded]
            case _:
                shown[expanded] = item[expanded][:EXPANDED]
        return shown

    def refusal(self, call: ApiCall, status: int, text: str | None = None) -> Reply:
        """Return an error as Graph words it, or as the token service does."""
        words = text or f"{status} (made by the sandbox)"
        if call.path == LOGIN:
            return reply(status, {"error": "invalid_client", "error_description": words})
        return reply(status, _error(status, words))

    def lead_on(self, call: ApiCall, answer: Reply, url: str) -> None:
        """Write into an answer that its next page is at ``url``."""
        body = msgspec.json.decode(answer.body)
        if isinstance(body, dict) and "value" in body:
            body["@odata.nextLink"] = url
            answer.body = msgspec.json.encode(body)


def _error(status: int, words: str) -> Json:
    code = {401: "InvalidAuthenticationToken", 403: "Authorization_RequestDenied", 429: "TooManyRequests"}
    return {"error": {"code": code.get(status, "UnknownError"), "message": words}}
