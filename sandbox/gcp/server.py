"""The make-believe Google Cloud as servers on 127.0.0.1, over TLS: REST for all APIs, and gRPC for ``google.iam.admin.v1``.

It answers by what the token may do, in pages that may hold fewer items than were asked for, and with errors in the shape of
https://docs.cloud.google.com/apis/design/errors.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from sandbox.estate import GOOGLE_ORGANIZATION
from sandbox.gcp.answers import GoogleAnswers
from sandbox.gcp.company import build
from sandbox.gcp.iam_grpc import IamGrpcServer
from sandbox.gcp.routes import ASSET_TYPES, KEYS_NEED, PERMISSIONS, ROUTES, RPCS, TABLE, GoogleRoute
from sandbox.kit.api import ApiCall, HttpSandbox
from sandbox.kit.authority import CertificateAuthority
from sandbox.kit.faults import RETRY_AFTER
from sandbox.kit.http import HttpRequest, Json, RefusedError, Reply, reply
from sandbox.kit.issued import secret_value
from sandbox.kit.limits import RateBuckets
from sandbox.kit.paging import continued
from sandbox.kit.tokens import KnownToken, TokenStore, bearer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from sandbox.kit.faults import SetFault

TOKEN = "SPRAWLSCAN_DEMO_GCP_TOKEN"
_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto"""
_OFF = "SERVICE_DISABLED"


class GcpSandbox(HttpSandbox):
    """Serves one organization over TLS. Thread-safe; use it as a context manager.

    ``inventory``: whether Cloud Asset Inventory is on and the credential belongs to the organization; otherwise it knows
    the projects alone. ``page`` is the most items of any page. ``quota`` is the requests a minute to each API; None for no
    limit.
    """

    provider = "gcp"
    reads = frozenset(
        (
            *(route.template for route in RPCS.values()),
            *(f"POST {one.template}" for one in ROUTES if one.post),
        )
    )

    def __init__(
        self,
        *,
        inventory: bool = True,
        page: int = 7,
        quota: int | None = None,
        latency: float = 0.0,
        authority: CertificateAuthority | None = None,
    ) -> None:
        self._stack = ExitStack()
        if authority is None:
            authority = self._stack.enter_context(CertificateAuthority())
        super().__init__("ESF", latency=latency, authority=authority)
        # There is no link to point anywhere, only a token of the same list; and an empty list is an empty object.
        self.unfit = self.unfit | {"foreign-next", "empty-object"}
        self.company = build(1)
        self.inventory = inventory
        self.page = page
        self._quota = quota
        self._buckets = RateBuckets(1.0, None)
        self._tokens: TokenStore[KnownToken] = TokenStore()
        self.token = self._tokens.add(
            KnownToken(value=secret_value("gcp/token", 120, "ya29."), scopes=set(PERMISSIONS))
        )
        self._grpc = IamGrpcServer(self.handle, authority)
        self.iam_grpc = self._grpc.address
        """Host and port of the gRPC API of IAM."""

    def __enter__(self) -> Self:
        self._grpc.start()
        return super().__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._grpc.stop()
        super().__exit__(kind, error, trace)
        self._stack.close()

    @contextmanager
    def front(self, authority: CertificateAuthority) -> Iterator[dict[str, Any]]:
        """Serve both kinds of APIs a second time."""
        grpc = IamGrpcServer(self.handle, authority)
        grpc.start()
        try:
            with super().front(authority) as where:
                yield {**where, "iam_grpc": grpc.address}
        finally:
            grpc.stop()

    def section(self) -> dict[str, Any]:
        """Return the collector's section of config.yaml."""
        active = [one.id for one in self.company.projects.values() if one.state == "ACTIVE"]
        return {
            **({"organizations": [GOOGLE_ORGANIZATION]} if self.inventory else {"projects": active}),
            "token": f"${{env:{TOKEN}}}",
            "endpoint": f"{self.url}/{{api}}",
            "iam_grpc": self.iam_grpc,
            "ca_bundle": str(self.bundle),
        }

    def environment(self) -> dict[str, str]:
        """Return the environment variable that the section refers to: the access token."""
        return {TOKEN: self.token.value}

    def show(self, night: int) -> None:
        """Serve the organization as it is on a night."""
        self.company = build(night)

    def permissions(self) -> tuple[str, ...]:
        """Return the permissions of the collector's role that the company's night needs."""
        return PERMISSIONS

    def revoke(self, permission: str) -> None:
        """Take a permission away."""
        self._tokens.revoke(permission)

    def restore(self) -> None:
        """Give back everything that was revoked."""
        self._tokens.restore()

    def recognize(self, request: HttpRequest) -> ApiCall:
        """Return the route of a request; lists of assets are one route for each type."""
        rpc = RPCS.get(request.path)
        if rpc is not None:
            return ApiCall(
                request=request, name=rpc.template, template=rpc.template, path=request.path, route=rpc
            )
        route, values = TABLE.find(request.method, request.path) or (None, {})
        template = request.path if route is None else route.template
        if route is not None and route.answer == "assets":
            template = f"{template} ({', '.join(asked_types(request)) or 'every type'})"
        return ApiCall(
            request=request,
            name=f"{request.method} {template}",
            template=template,
            path=request.path,
            route=route,
            values={name: unquote(value) for name, value in values.items()},
        )

    def answer(self, call: ApiCall) -> Reply:
        """Answer one request."""
        route: GoogleRoute | None = call.route
        if route is None:
            raise RefusedError(404, "The requested URL was not found on this server.")
        token = self._tokens.get(bearer(call.request.headers))
        if token is None:
            raise RefusedError(401, "Request had invalid authentication credentials.")
        api = route.template.strip("/").partition("/")[0]
        self._spend(api)
        if api == "cloudasset" and not self.inventory:
            raise RefusedError(
                403, f"{_OFF}: Cloud Asset API has not been used in project before or it is disabled."
            )
        self._admit(token, route.needs)
        if KEYS_NEED.startswith(api) and "iam.googleapis.com/ServiceAccountKey" in asked_types(call.request):
            self._admit(token, KEYS_NEED)
        found = GoogleAnswers(self.company, in_organization=self.inventory).of(call, route)
        if not isinstance(found, list):
            return reply(200, found)
        return reply(200, self._page(call, route, found))

    def _spend(self, api: str) -> None:
        if self._quota is not None and not self._buckets.spend("scanner", api, self._quota, 60)[1]:
            raise RefusedError(
                429, f"Quota exceeded for quota metric 'Requests' of service '{api}.googleapis.com'"
            )

    def _admit(self, token: KnownToken, permission: str) -> None:
        if permission not in token.scopes:
            raise RefusedError(403, f"Permission '{permission}' denied on resource (or it may not exist).")

    def _page(self, call: ApiCall, route: GoogleRoute, rows: list[Any]) -> Json:
        asked = _parameters(call)
        size = asked.get("pageSize") or asked.get("page_size") or asked.get("maxResults") or 0
        most = min(route.largest or 1000, self.page)
        page, following = continued(
            rows, str(asked.get("pageToken") or ""), min(int(size), most) if int(size) > 0 else most
        )
        # As protobuf's JSON: what is empty is left out.
        body: Json = {route.at: list(page.rows)} if page.rows else {}
        return {**body, "nextPageToken": following} if following else body

    def refusal(self, call: ApiCall, status: int, text: str | None = None) -> Reply:
        """Return an error as Google's APIs word it."""
        words = text or f"{status} (made by the sandbox)"
        error: Json = {"code": status, "message": words, "status": _STATUS.get(status, "UNKNOWN")}
        reason = {
            403: _OFF if words.startswith(_OFF) else "IAM_PERMISSION_DENIED",
            429: "RATE_LIMIT_EXCEEDED",
        }
        if status in reason:
            info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason[status]}
            domain = "iam.googleapis.com" if status == 403 and reason[403] != _OFF else "googleapis.com"
            error["details"] = [{**info, "domain": domain}]
        return reply(status, {"error": error})

    def trouble(self, call: ApiCall, fault: SetFault) -> Reply | None:
        """Return an exhausted quota as Google's APIs word it."""
        if fault.kind not in {"too-many", "too-many-bare"}:
            return None
        answer = self.refusal(call, 429, "Quota exceeded")
        if fault.kind == "too-many":
            answer.headers["Retry-After"] = str(RETRY_AFTER)
        return answer

    def lead_on(self, call: ApiCall, answer: Reply, url: str) -> None:
        """Write into an answer that the same page follows."""
        body = msgspec.json.decode(answer.body)
        if isinstance(body, dict):
            same = _parameters(call).get("pageToken") or "Y3Vyc29yOjA="
            answer.body = msgspec.json.encode({**body, "nextPageToken": same})


def asked_types(request: HttpRequest) -> list[str]:
    """Return the types of assets that a request names, in its order."""
    return parse_qs(urlsplit(request.target).query).get("assetTypes", [])


def _parameters(call: ApiCall) -> dict[str, Any]:
    """Return a request's parameters: of its query, or of its message."""
    if call.method != "POST":
        return dict(call.request.query)
    try:
        body = msgspec.json.decode(call.request.body or b"{}")
    except msgspec.DecodeError:
        raise RefusedError(400, "Invalid JSON payload received.") from None
    return body if isinstance(body, dict) else {}


__all__ = ["ASSET_TYPES", "GcpSandbox"]
