"""The simulated API server of a Kubernetes cluster, on 127.0.0.1.

It serves discovery, lists and single objects, read-only, with ``limit`` and ``continue`` at one resource version, the
representations of `sandbox.kubernetes.representations`, gzip, and RBAC for each caller. Callers sign in with a bearer token
or, with TLS, a client certificate: its common name is the user, its organizations are the groups. One difference: an expired
client certificate ends the handshake, while kube-apiserver answers 401.

https://kubernetes.io/docs/reference/using-api/api-concepts/
"""

from __future__ import annotations

import base64
import gzip
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec

from sandbox.kit.api import ApiCall, HttpSandbox
from sandbox.kit.canaries import rewritten
from sandbox.kit.http import HttpRequest, RefusedError, Reply, reply
from sandbox.kit.issued import secret_value
from sandbox.kit.paging import whole_number
from sandbox.kit.routes import RouteTable
from sandbox.kit.server import CLIENT_SUBJECT
from sandbox.kit.tokens import bearer
from sandbox.kubernetes import company, small
from sandbox.kubernetes.authorization import (
    ALL_AUTHENTICATED,
    AskedAccess,
    ClusterCaller,
    reason,
    service_account,
)
from sandbox.kubernetes.discovery import discovery
from sandbox.kubernetes.positions import ExpiredError, is_selected, place_after, position_of, token_of
from sandbox.kubernetes.representations import form, item, partial, table
from sandbox.kubernetes.resource_types import ResourceType  # noqa: TC001  msgspec reads the annotations at run time

if TYPE_CHECKING:
    from types import TracebackType

    from sandbox.kit.authority import CertificateAuthority
    from sandbox.kit.canaries import Planter
    from sandbox.kit.faults import SetFault, Trouble
    from sandbox.kit.http import Json
    from sandbox.kit.provider import Size
    from sandbox.kubernetes.cluster import Cluster

TOKEN = "SPRAWLSCAN_DEMO_KUBERNETES_TOKEN"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
ANONYMOUS = ClusterCaller(name="system:anonymous", groups=("system:unauthenticated",))
_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    410: "Expired",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}
_SMALLEST_ZIPPED = 128 * 1024
"""Answers below this are not compressed by an API server."""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """What stands at a path: objects of a resource, a document, or the review of access."""

    template: str
    resource: ResourceType | None = None
    document: dict[str, Any] | None = None
    review: bool = False


class KubernetesSandbox(HttpSandbox):
    """Serves one cluster. Thread-safe; use it as a context manager.

    ``longest`` is the most items of a page, whatever a client asks for; an API server has no such bound.
    """

    provider = "kubernetes"
    reads = frozenset({f"POST {REVIEWS}"})
    # Positions are tokens in the body, not links; and no list says how long it is when it is read whole.
    unfit: frozenset[Trouble] = frozenset({"foreign-next"})

    def __init__(
        self,
        size: Size,
        version: str,
        *,
        longest: int | None = None,
        latency: float = 0.0,
        authority: CertificateAuthority | None = None,
    ) -> None:
        super().__init__("", latency=latency, authority=authority)
        self._build = company.build if size == "company" else small.build
        self._version = version
        self._authority = authority
        self.longest = longest
        self.smallest_zipped = _SMALLEST_ZIPPED
        self.cluster: Cluster = self._build(1, version)
        self.compacted = 0
        """Tokens of resource versions up to this one have expired."""
        self.token = secret_value("kubernetes scanner", 48)
        self.callers = {
            self.token: service_account("sprawlscan", "scanner"),
            secret_value("kubernetes developer", 48): ClusterCaller(
                name="maya.lindt@lanternpay.example", groups=("payments-developers", ALL_AUTHENTICATED)
            ),
        }
        """Who signs in with each token."""
        self._revoked: set[str] = set()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._index()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        if self._folder is not None:
            self._folder.cleanup()

    def _index(self) -> None:
        """Set the routes: those of the resources that the cluster has."""
        types = self.cluster.types()
        documents = discovery(self.cluster)
        routes = [("GET", path, Route(template=path, document=one)) for path, one in documents.items()]
        routes.append(("POST", REVIEWS, Route(template=REVIEWS, review=True)))
        for one in types:
            everywhere = f"{one.root}/{one.plural}"
            inside = f"{one.root}/namespaces/{{namespace}}/{one.plural}"
            lists = {everywhere, inside} if one.namespaced else {everywhere}
            single = f"{inside if one.namespaced else everywhere}/{{name}}"
            routes += [("GET", path, Route(template=path, resource=one)) for path in sorted({*lists, single})]
        self._routes = RouteTable(routes)

    def serve_cluster(self, cluster: Cluster) -> None:
        """Serve another cluster. The tokens stay."""
        self.cluster = cluster
        self._index()

    # What the collector needs

    def section(self) -> dict[str, Any]:
        """Return the collector's section of config.yaml."""
        section: dict[str, Any] = {
            "url": self.url,
            "token": f"${{env:{TOKEN}}}",
            "name": self.cluster.name,
            "secrets": True,
        }
        return section if self.bundle is None else {**section, "ca_bundle": str(self.bundle)}

    def environment(self) -> dict[str, str]:
        return {TOKEN: self.token}

    def show(self, night: int) -> None:
        """Serve the cluster as it is on a night."""
        self.serve_cluster(self._build(night, self._version))

    def permissions(self) -> tuple[str, ...]:
        """Return what the scanner's roles allow: ``list pods``."""
        held = set()
        for role in ("clusterroles", "roles"):
            for one in self.cluster.listed(f"{role}.rbac.authorization.k8s.io"):
                if one["metadata"]["name"] == "sprawlscan":
                    held |= {
                        f"{verb} {resource}.{group}".rstrip(".")
                        for rule in one["rules"]
                        for verb in rule["verbs"]
                        for group in rule["apiGroups"]
                        for resource in rule["resources"]
                        if any(
                            found.key == f"{resource}.{group}".rstrip(".") for found in self.cluster.types()
                        )
                    }
        return tuple(sorted(held))

    def revoke(self, permission: str) -> None:
        self._revoked.add(permission)

    def restore(self) -> None:
        self._revoked.clear()

    def connection(self) -> dict[str, Any]:
        """Return the path of a kubeconfig, which is removed with the server: ``KUBECONFIG=... kubectl get pods -A``.

        Its contexts are the scanner, a developer and, with TLS, an administrator with a client certificate.
        """
        self._folder = self._folder or tempfile.TemporaryDirectory(prefix="sandbox-kubeconfig-")
        path = Path(self._folder.name) / "kubeconfig"
        path.touch(mode=0o600)
        path.write_text(json.dumps(self._kubeconfig(), indent=1))
        return {"kubeconfig": str(path)}

    def _kubeconfig(self) -> Json:
        scanner, developer = self.callers
        users: dict[str, Json] = {"scanner": {"token": scanner}, "developer": {"token": developer}}
        cluster: Json = {"server": self.url}
        if self._authority is not None:
            cluster["certificate-authority"] = str(self._authority.bundle)
            certificate, key = self._authority.client("kubernetes-admin", ("system:masters",))
            users["administrator"] = {
                "client-certificate-data": base64.b64encode(certificate).decode(),
                "client-key-data": base64.b64encode(key).decode(),
            }
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": self.cluster.name, "cluster": cluster}],
            "users": [{"name": name, "user": user} for name, user in users.items()],
            "contexts": [
                {"name": name, "context": {"cluster": self.cluster.name, "user": name}} for name in users
            ],
            "current-context": "scanner",
        }

    # Requests

    def recognize(self, request: HttpRequest) -> ApiCall:
        """Return the route of a request."""
        path = request.path.rstrip("/") or "/"
        route, values = self._routes.find(request.method, path) or (Route(template=path), {})
        caller = self._caller(request)
        return ApiCall(
            request=request,
            name=f"{request.method} {route.template}",
            template=route.template,
            path=path,
            route=route,
            values={name: unquote(value) for name, value in values.items()},
            caller="" if caller is None else caller.name,
        )

    def answer(self, call: ApiCall) -> Reply:
        """Answer one request."""
        caller = self._caller(call.request)
        if caller is None:
            raise RefusedError(401, "Unauthorized")
        route: Route = call.route
        if route.resource is not None:
            return self._zipped(call, self._resource(call, caller, route.resource))
        if route.review:
            return reply(201, self._review(call, caller))
        self._admit(caller, AskedAccess(verb=call.method.lower(), path=call.path), call)
        if route.document is None:
            raise RefusedError(404, "the server could not find the requested resource")
        return reply(200, route.document)

    def refusal(self, call: ApiCall, status: int, text: str | None = None) -> Reply:
        """Return an error as a ``Status``."""
        body: Json = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": text or f"{status} (made by the sandbox)",
            "reason": _REASONS.get(status, "Unknown"),
            "code": status,
        }
        return reply(status, body)

    def trouble(self, call: ApiCall, fault: SetFault) -> Reply | None:
        """Return what the server says of a token that has expired: with a fresh one, or, rarely, without."""
        token = call.request.query.get("continue")
        if fault.kind in {"expired", "expired-bare"} and token:
            answer = self._expired(call)
            if fault.kind == "expired":
                body = msgspec.json.decode(answer.body)
                body["metadata"] = {"continue": token_of(-1, position_of(token)[1])}
                answer.body = msgspec.json.encode(body)
            return answer
        return None

    def lead_on(self, call: ApiCall, answer: Reply, url: str) -> None:
        """Let the next page of a list be this one."""
        body = msgspec.json.decode(answer.body)
        if isinstance(body, dict) and ("items" in body or "rows" in body):
            again = call.request.query.get("continue") or token_of(self.cluster.resource_version, ("", ""))
            answer.body = msgspec.json.encode({**body, "metadata": {**body["metadata"], "continue": again}})

    def rewrite(self, call: ApiCall, answer: Reply, planter: Planter) -> bytes:
        """Pass every text through the planter, but the words that say what the answer is."""
        body = msgspec.json.decode(answer.body)
        changed = rewritten(body, call.name, planter)
        kept = {name: body[name] for name in ("kind", "apiVersion") if name in body}
        return msgspec.json.encode({**changed, **kept})

    def _caller(self, request: HttpRequest) -> ClusterCaller | None:
        """Return who sends a request; None for an unknown token."""
        given = request.headers.get("authorization")
        if given is not None:
            return self.callers.get(bearer(request.headers)) if given.startswith("Bearer ") else None
        subject = request.headers.get(CLIENT_SUBJECT)
        if subject is None:
            return ANONYMOUS
        name, *groups = json.loads(subject)
        return ClusterCaller(name=name, groups=(*groups, ALL_AUTHENTICATED))

    def _allowed(self, caller: ClusterCaller, access: AskedAccess) -> str | None:
        key = f"{access.verb} {access.resource}.{access.group}".rstrip(".")
        if key in self._revoked and caller == self.callers[self.token]:
            return None
        return reason(self.cluster, caller, access)

    def _admit(self, caller: ClusterCaller, access: AskedAccess, call: ApiCall) -> None:
        if self._allowed(caller, access) is not None:
            return
        if access.path:
            raise RefusedError(
                403, f'forbidden: User "{caller.name}" cannot {access.verb} path "{access.path}"'
            )
        place = f'in the namespace "{access.namespace}"' if access.namespace else "at the cluster scope"
        which = f"{access.resource}{f'.{access.group}' if access.group else ''}"
        named = f' "{access.name}"' if access.name else ""
        raise RefusedError(
            403,
            f'{which}{named} is forbidden: User "{caller.name}" cannot {access.verb} resource '
            f'"{access.resource}" in API group "{access.group}" {place}',
        )

    def _resource(self, call: ApiCall, caller: ClusterCaller, found: ResourceType) -> Json:
        query = call.request.query
        name, namespace = call.values.get("name", ""), call.values.get("namespace", "")
        access = AskedAccess(
            verb="get" if name else "list",
            group=found.group,
            resource=found.plural,
            namespace=namespace,
            name=name,
        )
        self._admit(caller, access, call)
        wanted = form(call.request.headers.get("accept", ""), lists=not name)
        include = query.get("includeObject", "Metadata")
        if name:
            row = self.cluster.named(found.key, name, namespace)
            if row is None:
                raise RefusedError(404, f'{found.key} "{name}" not found')
            if wanted == "Table":
                version = {"resourceVersion": row["metadata"]["resourceVersion"]}
                return table(found, [row], include, version)
            return row if wanted == "whole" else partial(row)
        rows, metadata = self._page(call, found, namespace)
        match wanted:
            case "Table":
                return table(found, rows, include, metadata)
            case "PartialObjectMetadataList":
                return {
                    "kind": "PartialObjectMetadataList",
                    "apiVersion": "meta.k8s.io/v1",
                    "metadata": metadata,
                    "items": [{"metadata": row["metadata"]} for row in rows],
                }
            case _:
                return {
                    "kind": f"{found.kind}List",
                    "apiVersion": found.api_version,
                    "metadata": metadata,
                    "items": [item(found, row) for row in rows],
                }

    def _page(self, call: ApiCall, found: ResourceType, namespace: str) -> tuple[list[Json], Json]:
        query = call.request.query
        selected = bool(query.get("labelSelector") or query.get("fieldSelector"))
        rows = [
            row for row in self.cluster.listed(found.key, namespace) if is_selected(row, query)
        ] if selected else self.cluster.listed(found.key, namespace)  # fmt: skip
        version, start = self.cluster.resource_version, 0
        if query.get("continue"):
            version, after = position_of(query["continue"])
            if version >= 0 and version <= self.compacted:
                raise ExpiredError
            version = self.cluster.resource_version if version < 0 else version
            start = place_after(rows, after)
        limit = whole_number(query.get("limit"), len(rows) or 1, self.longest)
        page = rows[start : start + limit]
        metadata: Json = {"resourceVersion": str(version)}
        left = len(rows) - start - len(page)
        if left > 0:
            last = page[-1]["metadata"]
            metadata["continue"] = token_of(version, (last.get("namespace", ""), last["name"]))
            if not selected:
                # With a selector the server does not know how many are left.
                metadata["remainingItemCount"] = left
        return page, metadata

    def _review(self, call: ApiCall, caller: ClusterCaller) -> Json:
        """Answer a ``SelfSubjectAccessReview``."""
        own = AskedAccess(verb="create", group="authorization.k8s.io", resource="selfsubjectaccessreviews")
        self._admit(caller, own, call)
        if "json" not in call.request.headers.get("content-type", "application/json"):
            raise RefusedError(
                415,
                "the body of the request was in an unknown format - accepted media types include: application/json",
            )
        try:
            spec = json.loads(call.request.body)["spec"]
            asked = spec.get("resourceAttributes")
            if asked is None:
                access = AskedAccess(
                    verb=spec["nonResourceAttributes"]["verb"], path=spec["nonResourceAttributes"]["path"]
                )
            else:
                resource = "/".join(filter(None, (asked["resource"], asked.get("subresource"))))
                access = AskedAccess(
                    verb=asked["verb"],
                    group=asked.get("group", ""),
                    resource=resource,
                    namespace=asked.get("namespace", ""),
                    name=asked.get("name", ""),
                )
        except (ValueError, KeyError, TypeError, AttributeError):
            raise RefusedError(400, "the object provided is unrecognized") from None
        why = self._allowed(caller, access)
        status: Json = {"allowed": why is not None}
        return {
            "kind": "SelfSubjectAccessReview",
            "apiVersion": "authorization.k8s.io/v1",
            "metadata": {},
            "spec": spec,
            "status": {**status, "reason": why} if why else status,
        }

    def _expired(self, call: ApiCall) -> Reply:
        return self.refusal(
            call,
            410,
            "The provided continue parameter is too old to display a consistent list result. You can start a new list "
            "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
            "results. Continuing with the provided token results in an inconsistent list - objects that were created, "
            "modified, or deleted between the time the first chunk was returned and now may show up in the list.",
        )

    def _answer(self, call: ApiCall) -> Reply:
        try:
            return super()._answer(call)
        except ExpiredError:
            answer = self._expired(call)
            body = msgspec.json.decode(answer.body)
            body["metadata"] = {"continue": token_of(-1, position_of(call.request.query["continue"])[1])}
            answer.body = msgspec.json.encode(body)
            return answer

    def _zipped(self, call: ApiCall, body: Json) -> Reply:
        answer = reply(200, body)
        if (
            self.canaries is None
            and call.fault is None
            and len(answer.body) >= self.smallest_zipped
            and "gzip" in call.request.headers.get("accept-encoding", "")
        ):
            answer.body = gzip.compress(answer.body, 1)
            answer.headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
        return answer
