"""Executes GraphQL queries over the part of GitLab's schema that the collector uses.

https://docs.gitlab.com/api/graphql/ : a caller who may not read a list gets an empty one, not an error.
"""

from __future__ import annotations

from functools import cache, lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from graphql import GraphQLError, GraphQLSchema, build_schema, execute_sync, parse, validate

from sandbox.gitlab.complexity import MOST, complexity
from sandbox.gitlab.instance import GUEST, MAINTAINER
from sandbox.gitlab.project_node import page, project_node, user_node
from sandbox.gitlab.routes import ROUTES

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from graphql import DocumentNode

    from sandbox.gitlab.instance import GitLabToken, Instance
    from sandbox.kit.http import Json

LONGEST = 10_000
"""Maximum characters of a query."""
_ROLES = {route.template: route.role for route in ROUTES}


@cache
def schema(without: frozenset[str] = frozenset()) -> GraphQLSchema:
    """Return the schema, for an older GitLab without some fields."""
    text = (files("sandbox.gitlab") / "schema.graphql").read_text(encoding="utf-8")
    lines = [
        line for line in text.splitlines() if line.strip().partition(":")[0].partition("(")[0] not in without
    ]
    return build_schema("\n".join(lines))


@lru_cache(maxsize=200)
def _understood(query: str, without: frozenset[str]) -> tuple[DocumentNode | None, list[str]]:
    """Return a valid query, or None and its errors."""
    try:
        document = parse(query)
    except GraphQLError as exc:
        return None, [exc.message]
    wrong = [error.message for error in validate(schema(without), document)]
    return (None if wrong else document), wrong


def execute(
    instance: Instance,
    token: GitLabToken,
    query: str,
    variables: Mapping[str, Any],
    *,
    without: frozenset[str],
    deny: Collection[str],
    broken: Mapping[int, str],
    most: int = MOST,
) -> Json:
    """Return the answer of one query: data, or errors in GitLab's format, or both.

    ``deny`` are REST routes that the token may not read, regardless of its role; ``broken`` are fields by project that
    time out; ``most`` is the maximum complexity.
    """
    if len(query) > LONGEST:
        return {"errors": [{"message": "Query too large"}]}
    built = schema(without)
    document, wrong = _understood(query, without)
    if document is None:
        return {"errors": [{"message": message} for message in wrong]}
    asked = complexity(document, variables)
    if asked > most:
        message = f"Query has complexity of {asked}, which exceeds max complexity of {most}"
        return {"errors": [{"message": message}]}
    root = _Root(instance, token, deny, broken)
    result = execute_sync(built, document, root_value=root, variable_values=dict(variables))
    answer: Json = {"data": result.data}
    if result.errors:
        answer["errors"] = [{"message": error.message, "path": error.path} for error in result.errors]
    return answer


class _Root:
    def __init__(
        self, instance: Instance, token: GitLabToken, deny: Collection[str], broken: Mapping[int, str]
    ) -> None:
        self._instance = instance
        self._token = token
        self._deny = deny
        self._broken = broken

    def _may(self, route: str) -> bool:
        if route == "adminProject":
            # Administrators of a project can read all of it.
            hidden = any(denied.startswith("/projects/") for denied in self._deny)
            return self._token.access_level >= MAINTAINER and not hidden
        return self._token.access_level >= _ROLES[route] and route not in self._deny

    def group(self, _info: object, fullPath: str) -> Json | None:  # noqa: N803  GraphQL's own spelling
        found = self._instance.group_of(fullPath)
        if found is None:
            return None
        may = self._may("/groups/:id/runners")

        def runners(
            _info: object, membership: str = "DESCENDANTS", first: int | None = None, after: str | None = None
        ) -> Json:
            rows = [
                {**row, "projects": self._projects(row), "createdBy": user_node(row["createdBy"])}
                for row in self._instance.runners
                if may and (membership == "ALL_AVAILABLE" or row["runnerType"] != "INSTANCE_TYPE")
            ]
            return page(rows, first, after)

        return {"id": f"gid://gitlab/Group/{found['id']}", "fullPath": fullPath, "runners": runners}

    def _projects(self, runner: Json) -> Any:
        def projects(_info: object, first: int | None = None) -> Json:
            rows = [self._project(self._instance.projects[number]) for number in runner["projects"]]
            return page(rows, first, None)

        return projects

    def project(self, _info: object, fullPath: str) -> Json | None:  # noqa: N803
        found = self._instance.project_of(fullPath)
        return None if found is None else self._project(found)

    def projects(
        self,
        _info: object,
        ids: list[str] | None = None,
        first: int | None = None,
        after: str | None = None,
    ) -> Json:
        held = self._instance.projects
        if ids is None:
            numbers = sorted(held, reverse=True)
        else:
            asked = {int(one.rpartition("/")[2]) for one in ids}
            numbers = sorted((number for number in asked if number in held), reverse=True)
        if self._token.access_level < GUEST:
            numbers = []
        shown = page([{"number": number} for number in numbers], first, after)
        shown["nodes"] = [self._project(held[one["number"]]) for one in shown["nodes"]]
        return shown

    def _project(self, found: Json) -> Json:
        return project_node(self._instance, self._may, found, self._broken.get(found["id"]))
