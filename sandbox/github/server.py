"""The simulated GitHub as a server on 127.0.0.1.

    with GitHubSandbox(night=1) as sandbox:
        requests.get(f"{sandbox.url}/orgs/lanternpay/hooks", headers={"Authorization": f"token {sandbox.token}"})

It answers the read endpoints of https://docs.github.com/en/rest and GraphQL queries, with GitHub's pagination,
permissions, ETags and limits. The organization never changes while it is served: a second night is a second
sandbox.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from http.client import responses
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from sandbox.github import code_routes, org_routes, people_routes, repo_routes, user_routes
from sandbox.github.access import SCOPES, GitHubToken, Requirement
from sandbox.github.limits import GitHubLimiter, GitHubLimits, Resource, limit_headers
from sandbox.github.paging import page
from sandbox.github.route import Ask, Edition, GitHubRoute, Items
from sandbox.github.shapes import Site
from sandbox.github.tokens import AppKey, GitHubTokens
from sandbox.kit.api import ApiCall, HttpSandbox
from sandbox.kit.conditional import conditional
from sandbox.kit.faults import RETRY_AFTER, SetFault
from sandbox.kit.http import HttpRequest, RefusedError, Reply, reply
from sandbox.kit.routes import RouteTable, pattern

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox.github.organization import GitHubRepository, Organization
    from sandbox.kit.authority import CertificateAuthority
    from sandbox.kit.limits import RateWindow

ROUTES: tuple[GitHubRoute, ...] = (
    *user_routes.ROUTES,
    *org_routes.ROUTES,
    *people_routes.ROUTES,
    *repo_routes.ROUTES,
    *code_routes.ROUTES,
)
_TABLE = RouteTable((route.method, route.template, route) for route in ROUTES)
TOKEN_ROUTE = "/app/installations/{installation_id}/access_tokens"
_TOKEN_PATH = pattern(TOKEN_ROUTE)
GRAPHQL = "/graphql"
DOCUMENTATION = "https://docs.github.com/rest"


APP_KEY = "SPRAWLSCAN_DEMO_GITHUB_APP_KEY"
"""The environment variable that holds the inventory App's private key."""
TOKEN = "SPRAWLSCAN_DEMO_GITHUB_TOKEN"
"""The environment variable that holds the owner's token."""


class GitHubSandbox(HttpSandbox):
    """Serves one organization. Thread-safe; use it as a context manager.

    ``shape`` is ``cloud`` (github.com with Enterprise Cloud), ``team`` (github.com without: no audit log, no
    credential authorizations, no custom roles) or ``ghes`` (Enterprise Server 3.19 under ``/api/v3``, without
    what that edition lacks, without rate limits). ``latency`` is added to every answer, in seconds.

    In addition to the faults of the kit (`sandbox.kit.faults`), there are GitHub's own:

    - ``primary``: 403 with ``X-RateLimit-Remaining: 0`` and the reset time;
    - ``secondary``, ``secondary-bare``: 403 of the secondary limit with and without ``Retry-After``;
    - ``RATE_LIMITED``, ``RATE_LIMIT``: GraphQL's limit inside a 200, in both known spellings;
    - ``timeout``: GraphQL gives up after ten seconds: an error without a type in a 200, and null for the data;
    - ``FORBIDDEN``: GraphQL answers the first repository with an error and the rest with data.

    ``repositories`` are those that the collector is configured to read, by name; ``signs_in`` is ``app`` or ``token``.
    """

    provider = "github"
    reads = frozenset({f"POST {GRAPHQL}", f"POST {TOKEN_ROUTE}"})

    def __init__(
        self,
        night: int = 1,
        shape: Edition = "cloud",
        *,
        organization: Organization | None = None,
        limits: GitHubLimits | None = None,
        latency: float = 0.0,
        repositories: tuple[str, ...] = (),
        signs_in: str = "app",
        authority: CertificateAuthority | None = None,
    ) -> None:
        super().__init__("github.com", latency=latency, authority=authority)
        if organization is None:
            from sandbox.github.estate import build

            organization = build(night)
        self.shape: Edition = shape
        self.limiter = GitHubLimiter(limits or GitHubLimits())
        self.prefix = "/api/v3" if shape == "ghes" else ""
        self.url = self.origin + self.prefix
        """The base URL for REST clients."""
        self.graphql_url = self.origin + ("/api/graphql" if shape == "ghes" else GRAPHQL)
        self.tokens = GitHubTokens(organization, self.limiter.limits.scale)
        self.serve(organization)
        self.token = self.tokens.classic_token(*SCOPES)
        """A classic token of an owner of the organization, with every scope."""

        self._repositories = repositories
        self._signs_in = signs_in

    def section(self) -> dict[str, Any]:
        """Return the collector's section of config.yaml."""
        section: dict[str, Any] = {
            "organizations": [self.organization.login],
            "base_url": self.url,
        }
        if self._signs_in == "app":
            section["app"] = {
                "app_id": self.app.app_id,
                "installation_id": self.app.installation_id,
                "private_key": f"${{env:{APP_KEY}}}",
            }
        else:
            section["token"] = f"${{env:{TOKEN}}}"
        section |= {
            "oidc_issuer": "https://token.actions.githubusercontent.com",
            "seconds_between_requests": 0,
        }
        if self._repositories:
            section["repositories"] = {"include": list(self._repositories)}
        if self.bundle is not None:
            section["ca_bundle"] = str(self.bundle)
        return section

    def environment(self) -> dict[str, str]:
        """Return the environment variable that the section refers to."""
        return {APP_KEY: self.app.private_key} if self._signs_in == "app" else {TOKEN: self.token}

    def show(self, night: int) -> None:
        """Serve Lantern Pay as it is on a night."""
        from sandbox.github.estate import build

        self.serve(build(night))

    def permissions(self) -> tuple[str, ...]:
        """Return the App's permissions, or the scopes of the owner's token."""
        return tuple(self.tokens.app_permissions) if self._signs_in == "app" else tuple(SCOPES)

    def serve(self, organization: Organization) -> None:
        """Serve another organization, or another night of the same, from now on; tokens stay valid."""
        web = "https://github.lanternpay.example" if self.shape == "ghes" else "https://github.com"
        self.organization = organization
        self.site = Site(organization, self.url, web)

    @property
    def app(self) -> AppKey:
        """The inventory App: its ids and its private key, made for this sandbox."""
        return self.tokens.app

    def revoke(self, permission: str) -> None:
        """Take a permission (``organization_secrets``) or a classic scope (``admin:org``) from every token."""
        self.tokens.revoke(permission)

    def restore(self) -> None:
        """Give back everything that was revoked."""
        self.tokens.restore()

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

    # Requests

    def recognize(self, request: HttpRequest) -> ApiCall:
        """Return the route of a request.

        The addresses by id that GitHub writes into ``Link`` headers lead to the same routes.
        """
        if self.origin + request.path == self.graphql_url:
            return ApiCall(
                request=request, name=f"{request.method} {GRAPHQL}", template=GRAPHQL, path=GRAPHQL
            )
        path = request.path.removeprefix(self.prefix)
        inside = request.path.startswith(self.prefix)
        found = self._find(request.method, path) if inside else None
        if found is None:
            template = TOKEN_ROUTE if _TOKEN_PATH.fullmatch(path) else path
            return ApiCall(request=request, name=f"{request.method} {template}", template=template, path=path)
        route, values = found
        return ApiCall(
            request=request,
            name=f"{request.method} {route.template}",
            template=route.template,
            path=path,
            route=route,
            values={key: unquote(value) for key, value in values.items()},
        )

    def _find(self, method: str, path: str) -> tuple[GitHubRoute, dict[str, str]] | None:
        organization = self.organization
        path = path.replace(f"/organizations/{organization.id}/", f"/orgs/{organization.login}/", 1)
        by_id = re.match(r"/repositories/(\d+)(?=/|$)", path)
        if by_id:
            found = organization.repositories.numbered(int(by_id[1]))
            if found is None:
                return None
            path = f"/repos/{organization.login}/{found.name}{path[by_id.end() :]}"
        return _TABLE.find(method, path)

    def answer(self, call: ApiCall) -> Reply:
        """Answer one request, or refuse it because of a secondary limit."""
        token = self._token(call)
        if call.path == "/rate_limit":
            return self._rate_limit(token)
        graphql = call.path == GRAPHQL
        wait = self.limiter.burst(token.value, graphql=graphql) if self._limited else None
        if wait is not None:
            return self._secondary(retry_after=wait)
        return self._graphql(call, token) if graphql else self._limited_rest(call, token)

    def admit(self, call: ApiCall) -> Reply | None:
        """Refuse a request above the limit of concurrent requests."""
        return None if self.limiter.enter() else self._secondary(retry_after=RETRY_AFTER)

    def finish(self, call: ApiCall) -> None:
        """Make room for another request."""
        self.limiter.leave()

    def _token(self, call: ApiCall) -> GitHubToken:
        call.caller = "unknown"
        token = self.tokens.authenticate(call.request.headers.get("authorization"))
        call.caller = token.kind
        return token

    @property
    def _limited(self) -> bool:
        return self.shape != "ghes"

    def _limited_rest(self, call: ApiCall, token: GitHubToken) -> Reply:
        """Answer a REST request: count it, write its headers, and return 304 if nothing changed."""
        resource: Resource = "audit_log" if call.path.endswith("/audit-log") else "core"
        window: RateWindow | None = self.limiter.primary(token.value, resource)
        if self._limited:
            window = self.limiter.spend(token.value, resource, 1)
        if window is None:
            return self._exhausted(token, resource)
        answered = self._rest(call, token)
        answered.headers |= self._token_headers(token, call.route.need if call.route else Requirement())
        unchanged = conditional(call.request, answered, varies=token.value, origin=self.origin)
        if self._limited:
            if unchanged:
                self.limiter.refund(token.value, resource)
            answered.headers |= limit_headers(window, resource)
        return answered

    def _rest(self, call: ApiCall, token: GitHubToken) -> Reply:
        values = call.values
        if call.method == "POST" and (made := _TOKEN_PATH.fullmatch(call.path)):
            return self._installation_token(token, made["installation_id"], call.request.body)
        route: GitHubRoute | None = call.route
        if route is None:
            raise RefusedError(404, "Not Found")
        if (not route.ghes and self.shape == "ghes") or (route.enterprise and self.shape == "team"):
            raise RefusedError(404, "Not Found")
        owner = values.get("owner") or values.get("org")
        if owner is not None and owner.lower() != self.organization.login:
            raise RefusedError(404, "Not Found")
        repository = self._repository(token, values["repo"]) if "repo" in values else None
        refused = route.need.refusal(
            token,
            about_repository=repository is not None,
            private=repository is not None and repository.private,
        )
        if refused is not None:
            return message(*refused)
        answer = route.answer(
            Ask(
                site=self.site,
                organization=self.organization,
                token=token,
                edition=self.shape,
                path=values,
                query=call.request.query,
                found=repository,
            )
        )
        if isinstance(answer, Items):
            written, link = page(answer, call.request.query, self._list_url(call.path, repository))
            return reply(200, written, {"Link": link} if link else {})
        return reply(200, answer)

    def _list_url(self, path: str, repository: GitHubRepository | None) -> str:
        """Return a list's address as ``Link`` writes it: by id on github.com, as it was asked on a server."""
        organization = self.organization
        if self.shape != "ghes":
            if repository is not None:
                path = re.sub(r"^/repos/[^/]+/[^/]+", f"/repositories/{repository.id}", path)
            path = re.sub(rf"^/orgs/{organization.login}(?=/)", f"/organizations/{organization.id}", path)
        return self.url + path

    def _repository(self, token: GitHubToken, name: str) -> GitHubRepository:
        repository = self.organization.repositories.named(name)
        if repository is None or (repository.private and not token.sees(name)):
            raise RefusedError(404, "Not Found")
        if repository.private and token.kind == "classic" and not token.has_scope({"repo"}):
            allowed = token.has_scope({"repo_deployment", "security_events", "read:repo_hook"})
            if not allowed:
                raise RefusedError(404, "Not Found")
        return repository

    def _installation_token(self, token: GitHubToken, installation: str, body: bytes) -> Reply:
        if token.kind != "jwt":
            raise RefusedError(401, "A JSON web token could not be decoded")
        own = self.organization.installations[0]
        if installation != str(own.id):
            raise RefusedError(404, "Not Found")
        if own.suspended_at is not None:
            raise RefusedError(403, "This installation has been suspended")
        wish = json.loads(body or b"{}")
        # PyGithub sends an empty object to request all permissions.
        asked: dict[str, str] | None = wish.get("permissions") or None
        if asked is not None and not asked.keys() <= self.tokens.app_permissions.keys():
            raise RefusedError(422, "The permissions requested are not granted to this installation.")
        made = self.tokens.installation_token(asked, wish.get("repositories") or None)
        ends = datetime.fromtimestamp(made.expires_at or 0.0, UTC)
        return reply(
            201,
            {
                "token": made.value,
                "expires_at": ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "permissions": made.permissions,
                "repository_selection": "all" if made.repositories is None else "selected",
            },
        )

    def _graphql(self, call: ApiCall, token: GitHubToken) -> Reply:
        from sandbox.github.graphql import execute

        if call.method != "POST":
            raise RefusedError(404, "Not Found")
        if token.kind in {"anonymous", "jwt"}:
            raise RefusedError(401, "This endpoint requires you to be authenticated.")
        try:
            asked = json.loads(call.request.body)
            query, variables = str(asked["query"]), asked.get("variables") or {}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise RefusedError(400, "Problems parsing JSON") from None
        window = self.limiter.primary(token.value, "graphql")
        forbidden = call.fault is not None and call.fault.kind == "FORBIDDEN"
        answer, cost = execute(query, variables, self.site, token, window, forbidden=forbidden)
        if self._limited and self.limiter.spend(token.value, "graphql", cost) is None:
            return self._graphql_limited(token, "RATE_LIMITED")
        answered = reply(200, answer)
        answered.headers |= self._token_headers(token, Requirement())
        if self._limited:
            answered.headers |= limit_headers(self.limiter.primary(token.value, "graphql"), "graphql")
        return answered

    # Headers, limits and faults

    def _token_headers(self, token: GitHubToken, needs: Requirement) -> dict[str, str]:
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

    def _rate_limit(self, token: GitHubToken) -> Reply:
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
        return reply(200, {"resources": resources, "rate": resources["core"]})

    def _exhausted(self, token: GitHubToken, resource: Resource) -> Reply:
        who = "installation ID" if token.kind == "installation" else "user ID"
        window = self.limiter.primary(token.value, resource)
        refused = message(403, f"API rate limit exceeded for {who} {self.organization.id}.")
        headers = limit_headers(window, resource)
        headers["X-RateLimit-Remaining"] = "0"
        refused.headers |= headers
        return refused

    def _secondary(self, *, retry_after: int | None, status: int = 403) -> Reply:
        refused = message(
            status,
            "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
        )
        if retry_after is not None:
            refused.headers["Retry-After"] = str(retry_after)
        return refused

    def _graphql_limited(self, token: GitHubToken, kind: str) -> Reply:
        error = {"type": kind, "message": f"API rate limit exceeded for user ID {self.organization.id}."}
        limited = reply(200, {"errors": [error]})
        limited.headers |= limit_headers(self.limiter.primary(token.value, "graphql"), "graphql")
        limited.headers["X-RateLimit-Remaining"] = "0"
        return limited

    def refusal(self, call: ApiCall, status: int, text: str | None = None) -> Reply:
        """Return a refusal in GitHub's format."""
        usual = "Resource not accessible by integration" if status == 403 else responses.get(status, "Error")
        return message(status, text or usual)

    def trouble(self, call: ApiCall, fault: SetFault) -> Reply | None:
        """Return the answer to a fault that is GitHub's own."""
        match fault.kind:
            case "primary":
                return self._exhausted(self._token(call), "core")
            case "secondary":
                return self._secondary(retry_after=RETRY_AFTER)
            case "secondary-bare":
                return self._secondary(retry_after=None)
            case "too-many":
                return self._secondary(retry_after=RETRY_AFTER, status=429)
            case "too-many-bare":
                return self._secondary(retry_after=None, status=429)
            case "RATE_LIMITED" | "RATE_LIMIT":
                return self._graphql_limited(self._token(call), str(fault.kind))
            case "timeout":
                words = (
                    "Something went wrong while executing your query. This may be the result of a timeout."
                )
                return reply(200, {"data": {"organization": None}, "errors": [{"message": words}]})
            case _:
                return None


def message(status: int, text: str) -> Reply:
    """Return an error in GitHub's format."""
    return reply(status, {"message": text, "documentation_url": DOCUMENTATION, "status": str(status)})


def _resource(name: str) -> Resource:
    return "graphql" if name == "graphql" else "core"
