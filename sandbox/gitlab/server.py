"""The make-believe GitLab as a server on 127.0.0.1.

    with GitLabSandbox(night=1) as sandbox:
        requests.get(f"{sandbox.url}/api/v4/groups/8001/members", headers={"PRIVATE-TOKEN": sandbox.token})

It answers read endpoints of https://docs.gitlab.com/api/rest/ and GraphQL queries with GitLab's pagination
(https://docs.gitlab.com/api/rest/#pagination), roles and rate limits.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from sandbox.aws.keys import token as made
from sandbox.estate import GITLAB_GROUP_ID
from sandbox.faults import Faults
from sandbox.gitlab import views
from sandbox.gitlab.complexity import MOST
from sandbox.gitlab.entities import WEB, member
from sandbox.gitlab.estate import build
from sandbox.gitlab.graphql import execute
from sandbox.gitlab.instance import ADMIN, DEVELOPER, MAINTAINER, OWNER, Instance, Json, Rows, Token
from sandbox.gitlab.limits import Limiter, Limits
from sandbox.gitlab.lint import lint
from sandbox.gitlab.routes import Route, route_of
from sandbox.http_server import Reply, Server
from sandbox.http_server import reply as reply_with

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

API = "/api/v4"
GRAPHQL = "/api/graphql"
COUNTED = 10_000
"""Above so many rows, GitLab leaves ``x-total`` and ``x-total-pages`` out."""
TOKEN = "SPRAWLSCAN_DEMO_GITLAB_TOKEN"
"""The environment variable that the demo's configuration refers to."""

Fault: TypeAlias = (
    int
    | Literal[
        "cut",
        "malformed",
        "foreign-next",
        "looping-next",
        "redirect",
        "too-many",
        "too-many-bare",
        "too-many-reset",
    ]
)
"""A status, or:

- ``cut``: the connection closes in the middle of the body;
- ``malformed``: a body that is no JSON: a sign-in page;
- ``foreign-next``, ``looping-next``: a ``Link: rel=next`` to another host, or back to the same page;
- ``redirect``: 302 to another host;
- ``too-many``, ``too-many-bare``, ``too-many-reset``: 429 with ``Retry-After``, with nothing, and with
  ``RateLimit-Reset`` alone, as some proxies leave it.
"""


class RefusedError(Exception):
    """GitLab's own refusal of a request."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class GitLabSandbox:
    """Serves one instance. Thread-safe; use it as a context manager.

    ``without`` names fields that this GitLab is too old to have, of GraphQL and of the CI lint's answer, ``total`` above
    how many rows the count is left out; without ``limits``, requests are not counted.
    """

    def __init__(
        self,
        night: int = 1,
        *,
        instance: Instance | None = None,
        without: frozenset[str] = frozenset(),
        total: int = COUNTED,
        latency: float = 0.0,
        limits: Limits | None = None,
    ) -> None:
        self.instance = instance or build(night)
        self.calls: Counter[str] = Counter()
        """Requests by route: ``GET /projects/:id/hooks``."""
        self.log: list[str] = []
        """Every request in order: method, path and query."""
        self.headers: list[dict[str, str]] = []
        """The headers of every request, names in lower case."""
        self.faults: Faults[Fault] = Faults()
        self.deny: set[str] = set()
        """Routes that no token may read, whatever its role: ``/projects/:id/variables``. GraphQL hides the same."""
        self.complexity = MOST
        """The most that one GraphQL query may ask."""
        self.broken: dict[int, str] = {}
        """By project, the field that GraphQL cannot resolve in time."""
        self._without = without
        self._total = total
        self._latency = latency
        self._limiter = Limiter(limits) if limits else None
        self._lock = threading.Lock()
        self._tokens: dict[str, Token] = {}
        self._server = Server(self.answer, "gitlab")
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        """The base URL, without ``/api/v4``."""
        self.token = self.make_token("root", 1, ADMIN)
        """A token of an administrator, with the scope read_api."""
        self.owner_token = self.make_token("maya", 101, OWNER)
        """A token of an Owner of the top-level group, who is no administrator."""
        self.member_token = self.make_token("reader", 104, DEVELOPER)
        """A token of a Developer."""

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

    def make_token(self, name: str, user_id: int, access_level: int) -> str:
        """Make a token of a user with a role in the top-level group."""
        value = made(f"gitlab/sandbox/{name}", 20, "glpat-")
        self._tokens[value] = Token(value=value, user_id=user_id, access_level=access_level)
        return value

    def fail(self, pattern: str, trouble: Fault, times: int | None = None) -> None:
        """Switch on a fault for the paths or templates that match."""
        self.faults.add(pattern, trouble, times)

    # Requests

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply | None:
        """Answer one request; None means that the connection is to be cut."""
        parts = urlsplit(target)
        graphql = parts.path == GRAPHQL
        path = parts.path.removeprefix(API)
        found = None if graphql else route_of(path)
        template = GRAPHQL if graphql else found[0].template if found else path
        trouble = self.faults.strike(method, path, template)
        with self._lock:
            self.calls[f"{method} {template}"] += 1
            self.log.append(f"{method} {target}")
            self.headers.append(headers)
        if self._latency:
            time.sleep(self._latency)
        if trouble == "cut":
            return None
        troubled = self._trouble(trouble, graphql=graphql)
        if troubled is not None:
            return troubled
        try:
            token = self._token(headers)
            spent = self._limiter.refused(token.value, template) if self._limiter else None
            if spent is not None:
                return _too_many(spent, graphql=graphql)
            query = dict(parse_qsl(parts.query, keep_blank_values=True))
            if graphql and method == "POST":
                asked = json.loads(body)
                return reply_with(
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
            if method != "GET" or found is None or not parts.path.startswith(API):
                return reply_with(404, {"error": "404 Not Found"})
            reply = self._rest(token, found[0], found[1], path, query)
        except RefusedError as refused:
            if graphql:
                return reply_with(refused.status, {"errors": [{"message": "Invalid token"}]})
            return reply_with(refused.status, {"message": str(refused)})
        if trouble in {"foreign-next", "looping-next"}:
            origin = "https://elsewhere.example" if trouble == "foreign-next" else self.url
            reply.headers["Link"] = f'<{origin}{target}>; rel="next"'
        return reply

    def _trouble(self, trouble: Fault | None, *, graphql: bool) -> Reply | None:
        match trouble:
            case int():
                return reply_with(trouble, {"message": f"{trouble} (made by the sandbox)"})
            case "malformed":
                return Reply(status=200, body=b"<html>Sign in</html>", headers={})
            case "redirect":
                return Reply(status=302, body=b"", headers={"Location": "http://127.0.0.1:9/api/v4/user"})
            case "too-many" | "too-many-bare" | "too-many-reset":
                headers = {
                    "RateLimit-Limit": "60",
                    "RateLimit-Observed": "61",
                    "RateLimit-Remaining": "0",
                }
                if trouble != "too-many-bare":
                    headers["RateLimit-Reset"] = str(int(time.time()) + 1)
                if trouble == "too-many":
                    headers["Retry-After"] = "1"
                return _too_many(headers, graphql=graphql)
            case _:
                return None

    def _token(self, headers: dict[str, str]) -> Token:
        value = headers.get("private-token") or headers.get("authorization", "").removeprefix("Bearer ")
        token = self._tokens.get(value)
        if token is None:
            raise RefusedError(401, "401 Unauthorized")
        return token

    def _rest(
        self, token: Token, route: Route, values: tuple[str, ...], path: str, query: dict[str, str]
    ) -> Reply:
        path, values = self._place(path, values)
        if token.access_level < route.role or route.template in self.deny:
            raise RefusedError(403, "403 Forbidden")
        if route.template.endswith("/raw"):
            return self._file(values)
        answer = self._answer(token, route, values, path, query)
        if isinstance(answer, dict):
            return reply_with(200, answer)
        return self._page(answer, path, query, keyset=route.keyset and query.get("pagination") == "keyset")

    def _place(self, path: str, values: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
        """Return path and values with the id of the group or project that they name by path."""
        kind = path.split("/")[1]
        if kind not in {"groups", "projects"} or not values:
            return path, values
        key = unquote(values[0])
        found = self.instance.group_of(key) if kind == "groups" else self.instance.project_of(key)
        if found is None:
            raise RefusedError(404, "404 Group Not Found" if kind == "groups" else "404 Project Not Found")
        number = str(found["id"])
        return path.replace(values[0], number, 1), (number, *values[1:])

    def _answer(
        self, token: Token, route: Route, values: tuple[str, ...], path: str, query: dict[str, str]
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
            case _ if route.one:
                return _object(held.objects, path)
            case _:
                return held.lists.get(path, [])

    def _triggers(self, token: Token, project: int) -> list[Json]:
        rows = [one["rest"] for one in self.instance.triggers.get(project, [])]
        return [
            row if row["owner"]["id"] == token.user_id else {**row, "token": row["token"][:4]} for row in rows
        ]

    def _schedule(self, token: Token, path: str) -> Json:
        found = _object(self.instance.objects, path)
        if token.access_level >= MAINTAINER or self.instance.owners.get(path) == token.user_id:
            return found
        return {k: v for k, v in found.items() if k != "variables"}

    def _file(self, values: tuple[str, ...]) -> Reply:
        text = self.instance.files.get(f"{values[0]}/{unquote(values[1])}")
        if text is None:
            raise RefusedError(404, "404 File Not Found")
        return Reply(status=200, body=text.encode(), headers={"X-Gitlab-Ref": "main"})

    def _shown(self, rows: Sequence[Json], token: Token) -> Sequence[Json]:
        return Rows(len(rows), lambda place: views.project(rows[place], token.access_level))

    def _page(self, rows: Sequence[Json], path: str, query: dict[str, str], *, keyset: bool) -> Reply:
        size = min(int(query.get("per_page", 20)), 100)
        here = f"{self.url}{API}{path}"
        if keyset:
            order = query.get("order_by", "id")
            rows = sorted(rows, key=lambda row: row[order])
            after = query.get("cursor")
            if after is not None:
                rows = [row for row in rows if str(row[order]).zfill(20) > after]
            headers = {}
            if len(rows) > size:
                cursor = str(rows[size - 1][order]).zfill(20)
                headers["Link"] = f'<{here}?{urlencode({**query, "cursor": cursor})}>; rel="next"'
            return reply_with(200, rows[:size], headers)
        number = int(query.get("page", 1))
        pages = max(1, -(-len(rows) // size))
        more = number < pages
        headers = {
            "X-Page": str(number),
            "X-Per-Page": str(size),
            "X-Next-Page": str(number + 1) if more else "",
            "X-Prev-Page": str(number - 1) if number > 1 else "",
        }
        links = {"first": 1} | ({"next": number + 1} if more else {})
        if len(rows) <= self._total:
            headers |= {"X-Total": str(len(rows)), "X-Total-Pages": str(pages)}
            links["last"] = pages
        headers["Link"] = ", ".join(
            f'<{here}?{urlencode({**query, "page": page})}>; rel="{name}"' for name, page in links.items()
        )
        return reply_with(200, rows[(number - 1) * size : number * size], headers)


def _too_many(headers: dict[str, str], *, graphql: bool) -> Reply:
    if graphql:
        words = "This endpoint has been requested too many times. Try again later."
        return reply_with(429, {"errors": [{"message": words}]}, headers)
    return Reply(status=429, body=b"Retry later\n", headers=headers)


def _object(held: Mapping[str, Json], path: str) -> Json:
    if path not in held:
        raise RefusedError(404, "404 Not Found")
    return held[path]


def settings(sandbox: GitLabSandbox) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the collector's section of config.yaml, and the environment variables that it refers to."""
    section = {
        "base_url": sandbox.url,
        "token": f"${{env:{TOKEN}}}",
        "groups": [sandbox.instance.groups[GITLAB_GROUP_ID]["full_path"]],
        "oidc_issuer": WEB,
    }
    return section, {TOKEN: sandbox.token}
