"""The simulated GitLab as a server on 127.0.0.1.

    with GitLabSandbox(night=1) as sandbox:
        requests.get(f"{sandbox.url}/api/v4/groups/8001/members", headers={"PRIVATE-TOKEN": sandbox.token})

It answers read endpoints of https://docs.gitlab.com/api/rest/ and GraphQL queries with GitLab's pagination
(https://docs.gitlab.com/api/rest/#pagination), roles and rate limits.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from sandbox.estate import GITLAB_GROUP_ID
from sandbox.gitlab import views
from sandbox.gitlab.complexity import MOST
from sandbox.gitlab.entities import WEB, approvals, member
from sandbox.gitlab.estate import build
from sandbox.gitlab.graphql import execute
from sandbox.gitlab.instance import ADMIN, DEVELOPER, MAINTAINER, OWNER, GitLabToken, Instance, MadeRows
from sandbox.gitlab.limits import GitLabLimiter, GitLabLimits
from sandbox.gitlab.lint import lint
from sandbox.gitlab.routes import ROUTES, GitLabRoute, route_of
from sandbox.kit.api import ApiCall, HttpSandbox
from sandbox.kit.faults import RETRY_AFTER, SetFault
from sandbox.kit.http import HttpRequest, Json, RefusedError, Reply, reply
from sandbox.kit.issued import secret_value
from sandbox.kit.paging import keyset, link_header, numbered, whole_number
from sandbox.kit.tokens import TokenStore, bearer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandbox.kit.authority import CertificateAuthority

API = "/api/v4"
GRAPHQL = "/api/graphql"
COUNTED = 10_000
"""For longer lists, GitLab omits ``x-total`` and ``x-total-pages``."""
TOKEN = "SPRAWLSCAN_DEMO_GITLAB_TOKEN"
"""The environment variable that the demo's configuration refers to."""


class GitLabSandbox(HttpSandbox):
    """Serves one instance. Thread-safe; use it as a context manager.

    ``without`` names fields that an old GitLab lacks, in GraphQL and in the CI lint's answer; lists longer than
    ``total`` have no count; without ``limits``, requests are not limited. In addition to the faults of the kit
    (`sandbox.kit.faults`), there is ``too-many-reset``: 429 with only ``RateLimit-Reset``, as some proxies send.
    """

    provider = "gitlab"
    reads = frozenset({f"POST {GRAPHQL}"})

    def __init__(
        self,
        night: int = 1,
        *,
        instance: Instance | None = None,
        without: frozenset[str] = frozenset(),
        total: int = COUNTED,
        latency: float = 0.0,
        limits: GitLabLimits | None = None,
        authority: CertificateAuthority | None = None,
    ) -> None:
        super().__init__("gitlab", latency=latency, authority=authority)
        self.instance = instance or build(night)
        self.deny: set[str] = set()
        """Routes that no token may read, regardless of its role: ``/projects/:id/variables``. They are hidden in
        GraphQL too."""
        self.complexity = MOST
        """Maximum complexity of a GraphQL query."""
        self.broken: dict[int, str] = {}
        """By project, the GraphQL field that times out."""
        self._without = without
        self._total = total
        self._limiter = GitLabLimiter(limits) if limits else None
        self._tokens: TokenStore[GitLabToken] = TokenStore()
        self.token = self.make_token("root", 1, ADMIN)
        """A token of an administrator, with the scope read_api."""
        self.owner_token = self.make_token("maya", 101, OWNER)
        """A token of an Owner of the top-level group who is not an administrator."""
        self.member_token = self.make_token("reader", 104, DEVELOPER)
        """A token of a Developer."""

    def section(self) -> dict[str, Any]:
        """Return the collector's section of config.yaml."""
        section = {
            "base_url": self.url,
            "token": f"${{env:{TOKEN}}}",
            "groups": [self.instance.groups[GITLAB_GROUP_ID]["full_path"]],
            "oidc_issuer": WEB,
        }
        if self.bundle is not None:
            section["ca_bundle"] = str(self.bundle)
        return section

    def environment(self) -> dict[str, str]:
        """Return the environment variable that the section refers to: the administrator's token."""
        return {TOKEN: self.token}

    def show(self, night: int) -> None:
        """Serve Lantern Pay as it is on a night."""
        self.instance = build(night)

    def permissions(self) -> tuple[str, ...]:
        """Return the routes that need a role. Revoking one also hides it in GraphQL."""
        return tuple(sorted({route.template for route in ROUTES if route.role}))

    def revoke(self, permission: str) -> None:
        """Take the right to read a route from every token."""
        self.deny.add(permission)

    def restore(self) -> None:
        """Give back everything that was revoked."""
        self.deny.clear()

    def make_token(self, name: str, user_id: int, access_level: int) -> str:
        """Make a token of a user with a role in the top-level group."""
        value = secret_value(f"gitlab/sandbox/{name}", 20, "glpat-")
        return self._tokens.add(GitLabToken(value=value, user_id=user_id, access_level=access_level)).value

    # Requests

    def credential(self, request: HttpRequest) -> str:
        """Return the token of a request."""
        return request.headers.get("private-token") or bearer(request.headers)

    def recognize(self, request: HttpRequest) -> ApiCall:
        """Return the route of a request."""
        path = request.path.removeprefix(API)
        if request.path == GRAPHQL:
            return ApiCall(
                request=request, name=f"{request.method} {GRAPHQL}", template=GRAPHQL, path=GRAPHQL
            )
        found = route_of(path)
        template = found[0].template if found else path
        return ApiCall(
            request=request,
            name=f"{request.method} {template}",
            template=template,
            path=path,
            route=found[0] if found else None,
            values=found[1] if found else {},
        )

    def answer(self, call: ApiCall) -> Reply:
        """Answer one request."""
        graphql = call.template == GRAPHQL
        token = self._tokens.get(self.credential(call.request))
        if token is None:
            raise RefusedError(401, "Invalid token" if graphql else "401 Unauthorized")
        spent = self._limiter.refused(token.value, call.template) if self._limiter else None
        if spent is not None:
            return _too_many(spent, graphql=graphql)
        if graphql and call.method == "POST":
            return self._graphql(call, token)
        if call.method != "GET" or call.route is None or not call.request.path.startswith(API):
            return reply(404, {"error": "404 Not Found"})
        return self._rest(token, call)

    def refusal(self, call: ApiCall, status: int, text: str | None = None) -> Reply:
        """Return an error in GitLab's format."""
        if text is not None and call.template == GRAPHQL:
            return reply(status, {"errors": [{"message": text}]})
        return reply(status, {"message": text or f"{status} (made by the sandbox)"})

    def trouble(self, call: ApiCall, fault: SetFault) -> Reply | None:
        """Return GitLab's rate limit, in three shapes."""
        if fault.kind not in {"too-many", "too-many-bare", "too-many-reset"}:
            return None
        headers = {"RateLimit-Limit": "60", "RateLimit-Observed": "61", "RateLimit-Remaining": "0"}
        if fault.kind != "too-many-bare":
            headers["RateLimit-Reset"] = str(int(time.time()) + RETRY_AFTER)
        if fault.kind == "too-many":
            headers["Retry-After"] = str(RETRY_AFTER)
        return _too_many(headers, graphql=call.template == GRAPHQL)

    def _graphql(self, call: ApiCall, token: GitLabToken) -> Reply:
        asked = json.loads(call.request.body)
        return reply(
            200,
            execute(
                self.instance,
                token,
                asked["query"],
                asked.get("variables") or {},
                without=self._without,
                deny=self.deny,
                broken=self.broken,
                most=self.complexity,
            ),
        )

    def _rest(self, token: GitLabToken, call: ApiCall) -> Reply:
        route: GitLabRoute = call.route
        query = call.request.query
        path, values = self._place(call.path, tuple(call.values.values()))
        if token.access_level < route.role or route.template in self.deny:
            raise RefusedError(403, "403 Forbidden")
        if route.template.endswith("/raw"):
            return self._file(values)
        answer = self._answer_of(token, route, values, path, query)
        if isinstance(answer, dict):
            return reply(200, answer)
        return self._page(answer, path, query, keyset=route.keyset and query.get("pagination") == "keyset")

    def _place(self, path: str, values: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
        """Return path and values, with the id of a group or project that is given by path."""
        kind = path.split("/")[1]
        if kind not in {"groups", "projects"} or not values:
            return path, values
        key = unquote(values[0])
        found = self.instance.group_of(key) if kind == "groups" else self.instance.project_of(key)
        if found is None:
            raise RefusedError(404, "404 Group Not Found" if kind == "groups" else "404 Project Not Found")
        number = str(found["id"])
        return path.replace(values[0], number, 1), (number, *values[1:])

    def _answer_of(
        self,
        token: GitLabToken,
        route: GitLabRoute,
        values: tuple[str, ...],
        path: str,
        query: dict[str, str],
    ) -> Json | Sequence[Json]:
        held = self.instance
        everybody = token.access_level >= ADMIN
        match route.template:
            case "/version":
                return {"version": "19.6.0-ee", "revision": "5f9de3b1a2c"}
            case "/user":
                return views.oneself(held.users[token.user_id])
            case "/users":
                return [views.user(one, token.access_level) for one in held.users.values()]
            case "/users/:id":
                user = held.users.get(int(values[0]))
                if user is None:
                    raise RefusedError(404, "404 User Not Found")
                return views.user(user, token.access_level)
            case "/groups":
                top = query.get("top_level_only") == "true"
                found = [one for one in held.groups.values() if not top or one["parent_id"] is None]
                return [views.listed_group(one) for one in found]
            case "/projects":
                return self._shown(list(held.projects.values()), token)
            case "/groups/:id":
                return views.group(held.groups[int(values[0])], token.access_level)
            case "/groups/:id/descendant_groups":
                return [views.listed_group(one) for one in held.below(held.groups[int(values[0])])]
            case "/groups/:id/projects":
                below = query.get("include_subgroups") == "true"
                rows = held.projects_of(held.groups[int(values[0])], subgroups=below)
                return self._shown(rows, token)
            case "/groups/:id/members/all/:user_id":
                if everybody and values[1] == "1":
                    raise RefusedError(404, "404 Not found")
                return member(held.users[int(values[1])], token.access_level)
            case "/deploy_keys":
                return held.deploy_keys()
            case "/projects/:id":
                return views.project(held.projects[int(values[0])], token.access_level)
            case "/projects/:id/triggers":
                return self._triggers(token, int(values[0]))
            case "/groups/:id/runners" | "/runners/all" | "/projects/:id/runners":
                return [views.runner(one) for one in held.runners]
            case "/runners/:id":
                found = [one for one in held.runners if one["id"].endswith(f"/{values[0]}")]
                return _object({"": views.single_runner(found[0], held)} if found else {}, "")
            case "/projects/:id/pipeline_schedules/:schedule_id":
                return self._schedule(token, path)
            case "/projects/:id/ci/lint" if path not in held.objects:
                pushes = token.access_level >= MAINTAINER
                answer = lint(held, held.projects[int(values[0])], pushes=pushes)
                return {key: value for key, value in answer.items() if key not in self._without}
            case "/projects/:id/approvals":
                return held.objects.get(path) or approvals()
            case _ if route.one:
                return _object(held.objects, path)
            case _:
                return held.lists.get(path, [])

    def _triggers(self, token: GitLabToken, project: int) -> list[Json]:
        rows = [one["rest"] for one in self.instance.triggers.get(project, [])]
        return [
            row if row["owner"]["id"] == token.user_id else {**row, "token": row["token"][:4]} for row in rows
        ]

    def _schedule(self, token: GitLabToken, path: str) -> Json:
        found = _object(self.instance.objects, path)
        if token.access_level >= MAINTAINER or self.instance.owners.get(path) == token.user_id:
            return found
        return {k: v for k, v in found.items() if k != "variables"}

    def _file(self, values: tuple[str, ...]) -> Reply:
        text = self.instance.files.get(f"{values[0]}/{unquote(values[1])}")
        if text is None:
            raise RefusedError(404, "404 File Not Found")
        return Reply(status=200, body=text.encode(), headers={"X-Gitlab-Ref": "main"})

    def _shown(self, rows: Sequence[Json], token: GitLabToken) -> Sequence[Json]:
        return MadeRows(len(rows), lambda place: views.project(rows[place], token.access_level))

    def _page(self, rows: Sequence[Json], path: str, query: dict[str, str], *, keyset: bool) -> Reply:
        size = whole_number(query.get("per_page"), 20, 100)
        here = f"{self.url}{API}{path}"
        if keyset:
            return _after_key(rows, here, query, size)
        number = whole_number(query.get("page"), 1)
        cut = numbered(rows, number, size)
        pages = max(1, -(-cut.total // size))
        headers = {
            "X-Page": str(number),
            "X-Per-Page": str(size),
            "X-Next-Page": str(number + 1) if cut.more else "",
            "X-Prev-Page": str(number - 1) if number > 1 else "",
        }
        links = {"first": {"page": "1"}} | ({"next": {"page": str(number + 1)}} if cut.more else {})
        if cut.total <= self._total:
            headers |= {"X-Total": str(cut.total), "X-Total-Pages": str(pages)}
            links["last"] = {"page": str(pages)}
        headers["Link"] = link_header(here, query, links)
        return reply(200, cut.rows, headers)


def _after_key(rows: Sequence[Json], here: str, query: dict[str, str], size: int) -> Reply:
    order = query.get("order_by", "id")

    def key(row: Json) -> str:
        return str(row[order]).zfill(20)

    cut = keyset(sorted(rows, key=lambda row: row[order]), key, query.get("cursor"), size)
    more = {"next": {"cursor": key(cut.rows[-1])}} if cut.more else {}
    return reply(200, cut.rows, {"Link": link_header(here, query, more)} if more else {})


def _too_many(headers: dict[str, str], *, graphql: bool) -> Reply:
    if graphql:
        words = "This endpoint has been requested too many times. Try again later."
        return reply(429, {"errors": [{"message": words}]}, headers)
    return Reply(status=429, body=b"Retry later\n", headers=headers)


def _object(held: Mapping[str, Json], path: str) -> Json:
    if path not in held:
        raise RefusedError(404, "404 Not Found")
    return held[path]
