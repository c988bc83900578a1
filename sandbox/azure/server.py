"""The make-believe Azure Resource Manager as a server on 127.0.0.1, with Resource Graph and the token service, over TLS.

It answers with pages of 1,000 rows or fewer (``$skipToken``), with ``totalRecords``, and by what the token may read.
https://learn.microsoft.com/rest/api/azureresourcegraph/resourcegraph/resources/resources
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlencode

import msgspec

from sandbox.azure import query
from sandbox.azure.company import build
from sandbox.entra.login import LOGIN, TenantSandbox, origin_of
from sandbox.kit.api import ApiCall
from sandbox.kit.http import HttpRequest, RefusedError, Reply, reply
from sandbox.kit.paging import continued
from sandbox.kit.routes import RouteTable

if TYPE_CHECKING:
    from sandbox.kit.authority import CertificateAuthority
    from sandbox.kit.http import Json

SECRET = "SPRAWLSCAN_DEMO_AZURE_SECRET"
GRAPH = "/providers/Microsoft.ResourceGraph/resources"
BATCH = "/batch"
_PLACES = ("/subscriptions/{subscription}", "/providers/Microsoft.Management/managementGroups/{group}")
_RESOURCE = "/subscriptions/{subscription}/resourceGroups/{resourceGroup}/providers"
_LISTS = {
    "Microsoft.ManagedIdentity/userAssignedIdentities/{identity}/federatedIdentityCredentials": (
        "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/read"
    ),
    "Microsoft.KeyVault/vaults/{vault}/secrets": "Microsoft.KeyVault/vaults/secrets/read",
    "Microsoft.KeyVault/vaults/{vault}/keys": "Microsoft.KeyVault/vaults/keys/read",
    "Microsoft.ContainerRegistry/registries/{registry}/tokens": (
        "Microsoft.ContainerRegistry/registries/tokens/read"
    ),
    "Microsoft.ContainerRegistry/registries/{registry}/scopeMaps": (
        "Microsoft.ContainerRegistry/registries/scopeMaps/read"
    ),
    "Microsoft.Web/sites/{site}/config/configreferences/appsettings": "Microsoft.Web/sites/config/read",
    "Microsoft.Web/sites/{site}/config/configreferences/connectionstrings": "Microsoft.Web/sites/config/read",
    "Microsoft.Web/sites/{site}/basicPublishingCredentialsPolicies": (
        "Microsoft.Web/sites/basicPublishingCredentialsPolicies/read"
    ),
    **{
        f"Microsoft.Automation/automationAccounts/{{account}}/{name}": (
            f"Microsoft.Automation/automationAccounts/{name}/read"
        )
        for name in ("certificates", "connections", "credentials", "variables", "webhooks")
    },
}
"""Lists of one resource, and the permission of each."""
LICENSED = (
    "roleEligibilityScheduleInstances",
    "roleAssignmentScheduleInstances",
    "roleManagementPolicyAssignments",
)
"""Lists that take Entra ID P2."""
ROUTES = {
    "/subscriptions": "Microsoft.Resources/subscriptions/read",
    **{
        f"{place}/providers/Microsoft.Authorization/{name}": f"Microsoft.Authorization/{name}/read"
        for place in (*_PLACES, "/subscriptions/{subscription}/resourceGroups/{resourceGroup}")
        for name in ("denyAssignments", "roleAssignments", "roleDefinitions", *LICENSED)
    },
    **{f"{_RESOURCE}/{name}": needs for name, needs in _LISTS.items()},
}
QUERIES = {
    "resourcecontainers": "Microsoft.Management/managementGroups/read",
    "roledefinitions": "Microsoft.Authorization/roleDefinitions/read",
    "roleassignments": "Microsoft.Authorization/roleAssignments/read",
    "userassignedidentities": "Microsoft.ManagedIdentity/userAssignedIdentities/read",
    "resources with an identity": "*/read",
    "clusters": "Microsoft.ContainerService/managedClusters/read",
    "stores of credentials": "Microsoft.KeyVault/vaults/read",
    "applications": "Microsoft.Web/sites/read",
    "registrationassignments": "Microsoft.ManagedServices/registrationAssignments/read",
    "policyassignments": "Microsoft.Authorization/policyAssignments/read",
    "policydefinitions": "Microsoft.Authorization/policyDefinitions/read",
}
"""What each query of the collector needs. It is recognized by what it asks for."""
_MARKS = {
    "isnotempty(identity)": "resources with an identity",
    "managedclusters": "clusters",
    "containerapps": "applications",
    "vaults": "stores of credentials",
    **{name: name for name in QUERIES if " " not in name and name not in {"clusters", "applications"}},
}
PERMISSIONS = tuple(sorted({*ROUTES.values(), *QUERIES.values()}))
_TABLE = RouteTable(("GET", template, template) for template in ROUTES)


class AzureSandbox(TenantSandbox):
    """Serves one tenant over TLS. Thread-safe; use it as a context manager.

    ``licensed``: with Entra ID P2. ``batches``: whether it answers several GETs in one request; ``calls`` counts such a
    request once, while ``log`` has its parts, too.
    """

    provider = "azure"
    secret = SECRET
    reads = frozenset((*(f"POST {GRAPH} {name}" for name in QUERIES), f"POST {BATCH}", f"POST {LOGIN}"))

    def __init__(
        self,
        *,
        licensed: bool = True,
        batches: bool = True,
        page: int = 4,
        latency: float = 0.0,
        authority: CertificateAuthority | None = None,
    ) -> None:
        super().__init__("Microsoft-HTTPAPI/2.0", PERMISSIONS, latency=latency, authority=authority)
        self.tenant = build(1)
        self.licensed = licensed
        self.batches = batches
        self.page = page

    def section(self) -> dict[str, Any]:
        """Return the collector's section of config.yaml."""
        return {**super().section(), "management_url": self.url}

    def show(self, night: int) -> None:
        """Serve the tenant as it is on a night."""
        self.tenant = build(night)

    def recognize(self, request: HttpRequest) -> ApiCall:
        """Return the route of a request; queries are distinguished by what they request."""
        found = _TABLE.find(request.method, request.path)
        template, values = found or (request.path, {})
        if request.path == GRAPH:
            template = f"{GRAPH} {_query_name(request.body)}"
        return ApiCall(
            request=request,
            name=f"{request.method} {template}",
            template=template,
            path=template if request.path == GRAPH else request.path,
            values=values,
        )

    def answer(self, call: ApiCall) -> Reply:
        """Answer one request."""
        signed_in = self._service.answer(
            call.method, call.request.path, call.request, origin_of(call.request, self.url)
        )
        if signed_in is not None:
            return signed_in
        token = self._service.token(call.request)
        if call.method == "POST" and call.request.path == GRAPH:
            asked = json.loads(call.request.body)
            self._admit(token.scopes, QUERIES[_query_name(call.request.body)])
            return reply(200, self._rows(asked))
        if call.method == "POST" and call.request.path == BATCH and self.batches:
            return reply(200, self._parts(call.request))
        needs = ROUTES.get(call.template)
        if call.method != "GET" or needs is None:
            raise RefusedError(404, "The resource type could not be found")
        self._admit(token.scopes, needs)
        return reply(200, self._list(call))

    def _parts(self, received: HttpRequest) -> Json:
        """Answer several GETs."""
        asked = json.loads(received.body)["requests"]
        if len(asked) > 20:
            raise RefusedError(400, "More than 20 requests are answered later")
        parts = []
        for one in asked:
            given = self.handle("GET", one["relativeUrl"], received.headers, b"")
            with self._lock:
                self.calls[self.log[-1].name] -= 1
            try:
                content = msgspec.json.decode(given.body)
            except msgspec.DecodeError:
                content = None
            parts.append(
                {"name": one["name"], "httpStatusCode": given.status, "headers": {}, "content": content}
            )
        # They come in any order.
        return {"responses": parts[::-1]}

    def _admit(self, scopes: set[str], needs: str) -> None:
        if needs not in scopes:
            raise RefusedError(403, f"The client does not have authorization to perform action '{needs}'")

    def _rows(self, asked: Json) -> Json:
        tables = self.tenant.tables()
        rows = query.run(asked["query"], tables)
        options = asked.get("options") or {}
        if options.get("authorizationScopeFilter") != "AtScopeAboveAndBelow":
            rows = [row for row in rows if str(row["id"]).startswith("/subscriptions/")]
        size = min(int(options.get("$top", 1000)), self.page)
        page, following = continued(rows, options.get("$skipToken"), size)
        body: Json = {
            "totalRecords": len(rows),
            "count": len(page.rows),
            "resultTruncated": "false",
            "data": list(page.rows),
        }
        return {**body, "$skipToken": following} if following else body

    def _list(self, call: ApiCall) -> Json:
        name = call.template.rpartition("/")[2]
        if name in LICENSED and not self.licensed:
            raise RefusedError(400, "AadPremiumLicenseRequired")
        if name == "subscriptions":
            rows = [
                {"subscriptionId": row["subscriptionId"], "displayName": row["name"], "state": "Enabled"}
                for row in self.tenant.resourcecontainers
                if row["subscriptionId"]
            ]
        else:
            rows = self.tenant.listed(unquote(call.request.path), call.request.query)
        size = min(self.page, 100)
        page, following = continued(rows, call.request.query.get("$skiptoken"), size)
        body: Json = {"value": list(page.rows)}
        if following:
            kept = {key: value for key, value in call.request.query.items() if key != "$skiptoken"}
            link = urlencode({**kept, "$skiptoken": following})
            body["nextLink"] = f"{origin_of(call.request, self.url)}{call.request.path}?{link}"
        return body

    def refusal(self, call: ApiCall, status: int, text: str | None = None) -> Reply:
        """Return an error as ARM words it, or as the token service does."""
        words = text or f"{status} (made by the sandbox)"
        if call.path == LOGIN:
            return reply(status, {"error": "invalid_client", "error_description": words})
        return reply(status, {"error": {"code": "AuthorizationFailed", "message": words}})

    def lead_on(self, call: ApiCall, answer: Reply, url: str) -> None:
        """Write into an answer that another page follows: at a link, or by a token that only loops."""
        body = msgspec.json.decode(answer.body)
        if isinstance(body, dict) and "value" in body:
            answer.body = msgspec.json.encode({**body, "nextLink": url})
        elif isinstance(body, dict) and "data" in body:
            asked = (json.loads(call.request.body).get("options") or {}).get("$skipToken")
            answer.body = msgspec.json.encode({**body, "$skipToken": asked or "bG9vcA=="})


def _query_name(body: bytes) -> str:
    try:
        text = str(json.loads(body)["query"]).lower()
    except (ValueError, KeyError, TypeError):
        return "unknown"
    return next((name for mark, name in _MARKS.items() if mark in text), "unknown")
