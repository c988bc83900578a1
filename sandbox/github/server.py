"""The make-believe GitHub as a server on 127.0.0.1.

    with GitHubSandbox(night=1) as sandbox:
        requests.get(f"{sandbox.url}/orgs/lanternpay/hooks", headers={"Authorization": f"token {sandbox.token}"})

It answers the read endpoints of https://docs.github.com/en/rest and GraphQL queries, with GitHub's pagination,
permissions, ETags and limits. The organization never changes while it is served: a second night is a second
sandbox.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from sandbox.faults import Faults
from sandbox.github import code_routes, org_routes, people_routes, repo_routes, user_routes
from sandbox.github.access import SCOPES, Need, Token
from sandbox.github.limits import Limiter, Limits, Resource, Window
from sandbox.github.paging import page
from sandbox.github.route import Ask, Edition, Items, RefusedError, Route
from sandbox.github.shapes import Site
from sandbox.github.tokens import AppKey, Tokens
from sandbox.github.wire import Request, limit_headers, message, phrase
from sandbox.http_server import Reply, Server
from sandbox.http_server import reply as reply_with

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from sandbox.github.faults import Trouble
    from sandbox.github.organization import Organization, Repository

ROUTES: tuple[Route, ...] = (
    *user_routes.ROUTES,
    *org_routes.ROUTES,
    *people_routes.ROUTES,
    *repo_routes.ROUTES,
    *code_routes.ROUTES,
)
TOKEN_ROUTE = "/app/installations/{installation_id}/access_tokens"
GRAPHQL = "/graphql"


class Call(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One request that was answered."""

    method: str
    path: str
    template: str
    """The route, as in ``calls``."""
    status: int
    token: str
    """The kind of token."""
    conditional: bool
    """Whether it carried ``If-None-Match``."""


class GitHubSandbox:
    """Serves one organization. Thread-safe; use it as a context manager.

    ``shape`` is ``cloud`` (github.com with Enterprise Cloud), ``team`` (github.com without: no audit log, no
    credential authorizations, no custom roles) or ``ghes`` (Enterprise Server 3.19 under ``/api/v3``, without
    what that edition lacks, without rate limits). ``latency`` is added to every answer, in seconds.
    """

    def __init__(
        self,
        night: int = 1,
        shape: Edition = "cloud",
        *,
        organization: Organization | None = None,
        limits: Limits | None = None,
        latency: float = 0.0,
    ) -> None:
        if organization is None:
            from sandbox.github.estate import build

            organization = build(night)
        self.shape: Edition = shape
        self.latency = latency
        self.calls: Counter[str] = Counter()
        """Requests by route: ``GET /repos/{owner}/{repo}/keys``."""
        self.log: list[Call] = []
        """Every request in order of arrival."""
        self.limiter = Limiter(limits or Limits())
        self.faults: Faults[Trouble] = Faults()
        self._lock = threading.Lock()
        self._routes = [(route, _pattern(route.template)) for route in ROUTES]
        self._server = Server(self.answer, "github.com")
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self.origin = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.prefix = "/api/v3" if shape == "ghes" else ""
        self.url = self.origin + self.prefix
        """The base URL for REST clients."""
        self.graphql_url = self.origin + ("/api/graphql" if shape == "ghes" else GRAPHQL)
        self.tokens = Tokens(organization, self.limiter.limits.scale)
        self.serve(organization)
        self.token = self.tokens.classic_token(*SCOPES)
        """A classic token of an owner of the organization, with every scope."""

    def serve(self, organization: Organization) -> None:
        """Serve another organization, or another night of the same, from now on; tokens stay valid."""
        web = "https://github.lanternpay.example" if self.shape == "ghes" else "https://github.com"
        self.organization = organization
        self.site = Site(organization, self.url, web)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.cut_all()
        self._server.server_close()
        self._thread.join()

    @property
    def app(self) -> AppKey:
        """The inventory App: its ids and its private key, made for this sandbox."""
        return self.tokens.app

    def revoke(self, permission: str) -> None:
        """Take a permission (``organization_secrets``) or a classic scope (``admin:org``) from every token."""
        self.tokens.revoke(permission)

    def classic_token(self, *scopes: str, login: str | None = None, expires_in: float | None = None) -> str:
        """Make a classic personal access token of an owner (or of ``login``) with those scopes."""
        return self.tokens.classic_token(*scopes, login=login, expires_in=expires_in)

    def fine_grained_token(
        self, permissions: dict[str, str], repositories: Iterable[str] | None = None
    ) -> str:
        """Make a fine-grained token of an owner with those permissions, on all or on some repositories."""
        return self.tokens.fine_grained_token(permissions, repositories)

    def installation_token(
        self, permissions: dict[str, str] | None = None, repositories: Iterable[str] | None = None
    ) -> str:
        """Make an installation token, as the App would get one; for tests that need no App of their own."""
        return self.tokens.installation_token(permissions, repositories).value

    def fail(self, pattern: str, trouble: Trouble, times: int | None = None) -> None:
        """Switch on a fault for the paths that match: see `sandbox.github.faults`."""
        self.faults.add(pattern, trouble, times)

    # Requests

    def route(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """Return the route of a path and the values of its parameters.

        The addresses by id that GitHub writes into ``Link`` headers lead to the same routes.
        """
        organization = self.organization
        path = path.replace(f"/organizations/{organization.id}/", f"/orgs/{organization.login}/", 1)
        by_id = re.match(r"/repositories/(\d+)(?=/|$)", path)
        if by_id:
            found = organization.repositories.numbered(int(by_id[1]))
            if found is None:
                return None
            path = f"/repos/{organization.login}/{found.name}{path[by_id.end() :]}"
        for route, pattern in self._routes:
            match = pattern.fullmatch(path)
            if match and route.method == method:
                return route, {key: unquote(value) for key, value in match.groupdict().items()}
        return None

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply | None:
        """Answer one request; None means that the connection is to be cut."""
        parts = urlsplit(target)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        graphql = self.origin + parts.path == self.graphql_url
        path = GRAPHQL if graphql else parts.path.removeprefix(self.prefix)
        inside = graphql or parts.path.startswith(self.prefix)
        found = self.route(method, path) if inside else None
        template = GRAPHQL if graphql else found[0].template if found else _known(path)
        trouble = self.faults.strike(method, path, template)
        kind, reply = "unknown", None
        try:
            token = self.tokens.authenticate(headers.get("authorization"))
            kind = token.kind
            request = Request(
                method=method,
                path=path if inside else "",
                query=query,
                headers=headers,
                body=body,
                token=token,
                route=found[0] if found else None,
                values=found[1] if found else {},
                trouble=trouble,
            )
            reply = self._trouble(request)
            if reply is None and trouble != "cut":
                reply = self._answer(request)
        except RefusedError as refused:
            reply = message(refused.status, refused.message)
        if reply is not None:
            self._damage(reply, trouble, f"{self.origin}{target}")
        with self._lock:
            self.calls[f"{method} {template}"] += 1
            self.log.append(
                Call(
                    method=method,
                    path=target,
                    template=template,
                    status=reply.status if reply else 0,
                    token=kind,
                    conditional="if-none-match" in headers,
                )
            )
        return reply

    def _answer(self, request: Request) -> Reply:
        if request.path == "/rate_limit":
            return self._rate_limit(request.token)
        if not self.limiter.enter():
            return self._secondary(retry_after=1)
        try:
            graphql = request.path == GRAPHQL
            wait = self.limiter.burst(request.token.value, graphql=graphql) if self._limited else None
            if wait is not None:
                return self._secondary(retry_after=wait)
            if self.latency:
                time.sleep(self.latency)
            return self._graphql(request) if graphql else self._limited_rest(request)
        finally:
            self.limiter.leave()

    @property
    def _limited(self) -> bool:
        return self.shape != "ghes"

    def _limited_rest(self, request: Request) -> Reply:
        """Answer a REST request: count it, write its headers, and say 304 where nothing changed."""
        token = request.token
        resource: Resource = "audit_log" if request.path.endswith("/audit-log") else "core"
        window: Window | None = self.limiter.primary(token.value, resource)
        if self._limited:
            window = self.limiter.spend(token.value, resource, 1)
        if window is None:
            return self._exhausted(token, resource)
        reply = self._rest(request)
        reply.headers |= self._token_headers(token, request.route.need if request.route else Need())
        if reply.status == 200:
            # Without the port, so that a later sandbox gives the same tag where nothing changed.
            content = reply.body.replace(self.origin.encode(), b"")
            etag = hashlib.sha256(f"{token.value}\0".encode() + content).hexdigest()
            reply.headers["ETag"] = f'W/"{etag}"'
            if _same(request.headers.get("if-none-match", ""), etag):
                reply.status, reply.body = 304, b""
                if self._limited:
                    self.limiter.refund(token.value, resource)
        if self._limited:
            reply.headers |= limit_headers(window, resource)
        return reply

    def _rest(self, request: Request) -> Reply:
        token, route, values = request.token, request.route, request.values
        if request.method == "POST" and (made := re.fullmatch(_pattern(TOKEN_ROUTE), request.path)):
            return self._installation_token(token, made["installation_id"], request.body)
        if route is None:
            raise RefusedError(404, "Not Found")
        if (not route.ghes and self.shape == "ghes") or (route.enterprise and self.shape == "team"):
            raise RefusedError(404, "Not Found")
        owner = values.get("owner") or values.get("org")
        if owner is not None and owner.lower() != self.organization.login:
            raise RefusedError(404, "Not Found")
        repository = self._repository(token, values["repo"]) if "repo" in values else None
        refusal = route.need.refusal(
            token,
            about_repository=repository is not None,
            private=repository is not None and repository.private,
        )
        if refusal is not None:
            return message(*refusal)
        answer = route.answer(
            Ask(
                site=self.site,
                organization=self.organization,
                token=token,
                edition=self.shape,
                path=values,
                query=request.query,
                found=repository,
            )
        )
        if isinstance(answer, Items):
            written, link = page(answer, request.query, self._list_url(request.path, repository))
            return reply_with(200, written, {"Link": link} if link else {})
        return reply_with(200, answer)

    def _list_url(self, path: str, repository: Repository | None) -> str:
        """Return a list's address as ``Link`` writes it: by id on github.com, as it was asked on a server."""
        organization = self.organization
        if self.shape != "ghes":
            if repository is not None:
                path = re.sub(r"^/repos/[^/]+/[^/]+", f"/repositories/{repository.id}", path)
            path = re.sub(rf"^/orgs/{organization.login}(?=/)", f"/organizations/{organization.id}", path)
        return self.url + path

    def _repository(self, token: Token, name: str) -> Repository:
        repository = self.organization.repositories.named(name)
        if repository is None or (repository.private and not token.sees(name)):
            raise RefusedError(404, "Not Found")
        if repository.private and token.kind == "classic" and not token.has_scope({"repo"}):
            allowed = token.has_scope({"repo_deployment", "security_events", "read:repo_hook"})
            if not allowed:
                raise RefusedError(404, "Not Found")
        return repository

    def _installation_token(self, token: Token, installation: str, body: bytes) -> Reply:
        if token.kind != "jwt":
            raise RefusedError(401, "A JSON web token could not be decoded")
        own = self.organization.installations[0]
        if installation != str(own.id):
            raise RefusedError(404, "Not Found")
        if own.suspended_at is not None:
            raise RefusedError(403, "This installation has been suspended")
        wish = json.loads(body or b"{}")
        # PyGithub sends an empty object when it wants all of them.
        asked: dict[str, str] | None = wish.get("permissions") or None
        if asked is not None and not asked.keys() <= self.tokens.app_permissions.keys():
            raise RefusedError(422, "The permissions requested are not granted to this installation.")
        made = self.tokens.installation_token(asked, wish.get("repositories") or None)
        ends = datetime.fromtimestamp(made.expires_at or 0.0, UTC)
        return reply_with(
            201,
            {
                "token": made.value,
                "expires_at": ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "permissions": made.permissions,
                "repository_selection": "all" if made.repositories is None else "selected",
            },
        )

    def _graphql(self, request: Request) -> Reply:
        from sandbox.github.graphql import execute

        token = request.token
        if request.method != "POST":
            raise RefusedError(404, "Not Found")
        if token.kind in {"anonymous", "jwt"}:
            raise RefusedError(401, "This endpoint requires you to be authenticated.")
        try:
            asked = json.loads(request.body)
            query, variables = str(asked["query"]), asked.get("variables") or {}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise RefusedError(400, "Problems parsing JSON") from None
        window = self.limiter.primary(token.value, "graphql")
        answer, cost = execute(
            query, variables, self.site, token, window, forbidden=request.trouble == "FORBIDDEN"
        )
        if self._limited and self.limiter.spend(token.value, "graphql", cost) is None:
            return self._graphql_limited(token, "RATE_LIMITED")
        reply = reply_with(200, answer)
        reply.headers |= self._token_headers(token, Need())
        if self._limited:
            reply.headers |= limit_headers(self.limiter.primary(token.value, "graphql"), "graphql")
        return reply

    # Headers, limits and faults

    def _token_headers(self, token: Token, needs: Need) -> dict[str, str]:
        headers = {"X-GitHub-Media-Type": "github.v3; format=json"}
        if self.shape == "ghes":
            headers["X-GitHub-Enterprise-Version"] = "3.19.1"
        else:
            headers["X-GitHub-Api-Version-Selected"] = "2022-11-28"
        if token.kind == "classic":
            headers["X-OAuth-Scopes"] = ", ".join(sorted(token.scopes))
            headers["X-Accepted-OAuth-Scopes"] = ", ".join(sorted(needs.scopes))
        elif token.kind in {"installation", "fine-grained"}:
            headers["X-Accepted-GitHub-Permissions"] = str(needs)
        if token.kind in {"classic", "fine-grained"} and token.expires_at is not None:
            ends = datetime.fromtimestamp(token.expires_at, UTC)
            headers["github-authentication-token-expiration"] = ends.strftime("%Y-%m-%d %H:%M:%S UTC")
        return headers

    def _rate_limit(self, token: Token) -> Reply:
        if self.shape == "ghes":
            raise RefusedError(404, "Rate limiting is not enabled.")
        windows = {
            name: self.limiter.primary(token.value, resource)
            for name, resource in (("core", "core"), ("search", "core"), ("graphql", "graphql"))
            for resource in (_resource(resource),)
        }
        resources = {
            name: {
                "limit": window.limit,
                "remaining": window.remaining,
                "reset": window.reset,
                "used": window.used,
            }
            for name, window in windows.items()
        }
        return reply_with(200, {"resources": resources, "rate": resources["core"]})

    def _exhausted(self, token: Token, resource: Resource) -> Reply:
        who = "installation ID" if token.kind == "installation" else "user ID"
        window = self.limiter.primary(token.value, resource)
        reply = message(403, f"API rate limit exceeded for {who} {self.organization.id}.")
        headers = limit_headers(window, resource)
        headers["X-RateLimit-Remaining"] = "0"
        reply.headers |= headers
        return reply

    def _secondary(self, *, retry_after: int | None, status: int = 403) -> Reply:
        reply = message(
            status,
            "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
        )
        if retry_after is not None:
            reply.headers["Retry-After"] = str(retry_after)
        return reply

    def _graphql_limited(self, token: Token, kind: str) -> Reply:
        error = {"type": kind, "message": f"API rate limit exceeded for user ID {self.organization.id}."}
        reply = reply_with(200, {"errors": [error]})
        reply.headers |= limit_headers(self.limiter.primary(token.value, "graphql"), "graphql")
        reply.headers["X-RateLimit-Remaining"] = "0"
        return reply

    def _trouble(self, request: Request) -> Reply | None:
        """Return the answer that a fault gives in place of the real one."""
        token = request.token
        match request.trouble:
            case int(trouble):
                text = "Resource not accessible by integration" if trouble == 403 else phrase(trouble)
                return message(trouble, text)
            case "primary":
                return self._exhausted(token, "core")
            case "secondary":
                return self._secondary(retry_after=1)
            case "secondary-bare":
                return self._secondary(retry_after=None)
            case "too-many":
                return self._secondary(retry_after=1, status=429)
            case "too-many-bare":
                return self._secondary(retry_after=None, status=429)
            case "RATE_LIMITED" | "RATE_LIMIT":
                return self._graphql_limited(token, str(request.trouble))
            case "timeout":
                words = (
                    "Something went wrong while executing your query. This may be the result of a timeout."
                )
                return reply_with(200, {"data": {"organization": None}, "errors": [{"message": words}]})
            case _:
                return None

    @staticmethod
    def _damage(reply: Reply, trouble: Trouble | None, url: str) -> None:
        """Spoil an answer that was otherwise right."""
        match trouble:
            case "malformed":
                reply.body = reply.body[: max(1, len(reply.body) // 2)] + b"\x00<html>"
            case "foreign-next":
                reply.headers["Link"] = '<http://attacker.example/stolen?page=2>; rel="next"'
            case "looping-next":
                reply.headers["Link"] = f'<{url}>; rel="next"'


def _pattern(template: str) -> re.Pattern[str]:
    names = re.split(r"\{(\w+)\}", template)
    parts = [
        (r"(?P<path>.*)" if text == "path" else rf"(?P<{text}>[^/]+)") if index % 2 else re.escape(text)
        for index, text in enumerate(names)
    ]
    return re.compile("".join(parts))


def _known(path: str) -> str:
    return TOKEN_ROUTE if re.fullmatch(_pattern(TOKEN_ROUTE), path) else path


def _resource(name: str) -> Resource:
    return "graphql" if name == "graphql" else "core"


def _same(header: str, etag: str) -> bool:
    return any(part.strip().removeprefix("W/").strip('"') == etag for part in header.split(","))
