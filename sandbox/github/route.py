"""What a route is: a path of GitHub's REST API, its requirements, and its handler."""

from __future__ import annotations

from collections.abc import Callable, Sequence  # noqa: TC003  msgspec reads the annotations at run time
from typing import Any, Literal, TypeAlias

import msgspec

from sandbox.github.access import GitHubToken, Requirement
from sandbox.github.organization import Environment, GitHubRepository, Organization  # noqa: TC001
from sandbox.github.shapes import Json, Site
from sandbox.kit.http import RefusedError

Edition = Literal["cloud", "team", "ghes"]
"""github.com with Enterprise Cloud, github.com without it, GitHub Enterprise Server."""


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One admitted request."""

    site: Site
    organization: Organization
    token: GitHubToken
    edition: Edition
    path: dict[str, str]
    """Values of the path's parameters."""
    query: dict[str, str]
    found: GitHubRepository | None = None
    body: Any = None

    @property
    def repository(self) -> GitHubRepository:
        """The repository that the path names."""
        if self.found is None:
            raise RefusedError(404, "Not Found")
        return self.found

    @property
    def environment(self) -> Environment:
        """The environment that the path names."""
        name = self.path["environment_name"]
        for environment in self.repository.environments:
            if environment.name == name:
                return environment
        raise RefusedError(404, "Not Found")

    def flag(self, name: str) -> bool:
        """Read a boolean of the query."""
        return self.query.get(name, "").lower() == "true"


class Items(msgspec.Struct, frozen=True, kw_only=True):
    """A list to be paged: only the rows of the requested page are written."""

    rows: Sequence[Any]
    write: Callable[[Any], Json]
    wrap: str | None = None
    """The key of the page next to ``total_count``."""
    extra: Json = {}
    """Further keys next to it."""
    largest: int = 100
    """The maximum of ``per_page``."""
    usual: int = 30
    """The default page size."""
    cursor: bool = False
    """True for the lists that page by ``after`` instead of ``page``."""


Answer: TypeAlias = Json | list[Json] | Items


class GitHubRoute(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint. ``template`` is written as in GitHub's OpenAPI description."""

    template: str
    answer: Callable[[Ask], Answer]
    need: Requirement = Requirement()
    method: Literal["GET", "POST"] = "GET"
    ghes: bool = True
    """Whether GitHub Enterprise Server has it."""
    enterprise: bool = False
    """Whether github.com has it only with Enterprise Cloud."""


def need(permission: str | None, *scopes: str, apps: bool = True, only_apps: bool = False) -> Requirement:
    """Abbreviate `Requirement` for the tables of routes."""
    return Requirement(permission=permission, scopes=frozenset(scopes), apps=apps, only_apps=only_apps)
