"""Executes GraphQL queries over the part of GitLab's schema that the collector asks.

https://docs.gitlab.com/api/graphql/ : who may not see a list gets an empty one, not an error.
"""

from __future__ import annotations

import base64
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from graphql import GraphQLError, GraphQLSchema, build_schema, execute_sync, parse, validate

from sandbox.gitlab.instance import MAINTAINER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.gitlab.instance import Instance, Json, Token

LARGEST = 100


@cache
def schema(without: frozenset[str] = frozenset()) -> GraphQLSchema:
    """Return the schema; an older GitLab is one without some fields."""
    text = (files("sandbox.gitlab") / "schema.graphql").read_text(encoding="utf-8")
    lines = [
        line for line in text.splitlines() if line.strip().partition(":")[0].partition("(")[0] not in without
    ]
    return build_schema("\n".join(lines))


def execute(
    instance: Instance, token: Token, query: str, variables: Mapping[str, Any], without: frozenset[str]
) -> Json:
    """Return the answer of one query: data, or errors as GitLab words them."""
    built = schema(without)
    try:
        document = parse(query)
    except GraphQLError as exc:
        return {"errors": [{"message": exc.message}]}
    wrong = validate(built, document)
    if wrong:
        return {"errors": [{"message": error.message} for error in wrong]}
    result = execute_sync(built, document, root_value=_Root(instance, token), variable_values=dict(variables))
    answer: Json = {"data": result.data}
    if result.errors:
        answer["errors"] = [{"message": error.message} for error in result.errors]
    return answer


def _page(rows: list[Json], first: int | None, after: str | None) -> Json:
    start = int(base64.b64decode(after)) if after else 0
    size = min(first or LARGEST, LARGEST)
    part = rows[start : start + size]
    more = start + size < len(rows)
    cursor = base64.b64encode(str(start + len(part)).encode()).decode()
    return {"nodes": part, "pageInfo": {"endCursor": cursor, "hasNextPage": more}}


def _user(held: Json | None) -> Json | None:
    return None if held is None else {**held, "id": f"gid://gitlab/User/{held['id']}"}


class _Root:
    def __init__(self, instance: Instance, token: Token) -> None:
        self._instance = instance
        self._token = token

    def group(self, _info: object, fullPath: str) -> Json | None:  # noqa: N803  GraphQL's own spelling
        found = self._instance.group_of(fullPath)
        if found is None:
            return None
        may = self._token.access_level >= MAINTAINER

        def runners(
            _info: object, membership: str = "DESCENDANTS", first: int | None = None, after: str | None = None
        ) -> Json:
            rows = [
                {**row, "projects": self._projects(row), "createdBy": _user(row["createdBy"])}
                for row in self._instance.runners
                if may and (membership == "ALL_AVAILABLE" or row["runnerType"] != "INSTANCE_TYPE")
            ]
            return _page(rows, first, after)

        return {"id": f"gid://gitlab/Group/{found['id']}", "fullPath": fullPath, "runners": runners}

    def _projects(self, runner: Json) -> Any:
        def projects(_info: object, first: int | None = None) -> Json:
            rows = [self._project(self._instance.projects[number]) for number in runner["projects"]]
            return _page(rows, first, None)

        return projects

    def project(self, _info: object, fullPath: str) -> Json | None:  # noqa: N803
        found = self._instance.project_of(fullPath)
        return None if found is None else self._project(found)

    def _project(self, found: Json) -> Json:
        may = self._token.access_level >= MAINTAINER

        def triggers(_info: object, first: int | None = None, after: str | None = None) -> Json:
            rows = self._instance.triggers.get(found["id"], []) if may else []
            shown = [{**row, "token": row["rest"]["token"], "owner": _user(row["owner"])} for row in rows]
            return _page(shown, first, after)

        return {
            "id": f"gid://gitlab/Project/{found['id']}",
            "fullPath": found["path_with_namespace"],
            "userPermissions": {"adminProject": may},
            "pipelineTriggers": triggers,
        }
