"""Roles granted directly on one repository, not by membership or teams.

https://docs.github.com/en/rest/collaborators/collaborators
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from collectors.github import powers
from collectors.github.records import user_id
from scanner.records import Grant, level_of, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from collectors.github.facts import RepositoryFacts
    from collectors.github.scope import OrganizationScope
    from scanner.records import Power, Record


def collaborators(
    scope: OrganizationScope, repository: RepositoryFacts, roles: Mapping[str, list[Power]]
) -> Iterator[Record]:
    """Yield the roles of direct collaborators; ``roles`` are what custom repository roles allow."""
    if repository.more_collaborators:
        yield from scope.of(repository).listing(
            "/repos/{owner}/{repo}/collaborators",
            lambda user: (_grant(repository, roles, user["id"], str(user.get("role_name") or "unknown")),),
            table="grants",
            kind="github-repository-role",
            needs="metadata: read",
            parameters={"affiliation": "direct"},
            salt=str(sorted(roles.items())),
        )
        return
    edges = repository.collaborators
    yield from scope.part(
        repository,
        None if edges is None else [edge for edge in edges if edge.get("node")],
        partial(_from_edge, repository, roles),
        table="grants",
        kind="github-repository-role",
        field="collaborators",
        needs="metadata: read, and push access for users",
    )


def _from_edge(repository: RepositoryFacts, roles: Mapping[str, list[Power]], edge: dict[str, Any]) -> Grant:
    # `permission` is the base role of a custom one; its own name stands with the source of the access.
    own = [
        str(source["roleName"])
        for source in edge.get("permissionSources") or []
        if source.get("roleName") and (source.get("source") or {}).get("__typename") == "Repository"
    ]
    role = next((name for name in own if name in roles), str(edge["permission"]).lower())
    return _grant(repository, roles, edge["node"]["databaseId"], role)


def _grant(repository: RepositoryFacts, roles: Mapping[str, list[Power]], user: object, role: str) -> Grant:
    can = roles.get(role) or powers.of_role(role)
    return Grant(
        id=record_id("github", "grant", f"{repository.number}/{user_id(user)}/{role}"),
        provider="github",
        account_id=repository.account_id,
        identity_id=user_id(user),
        role=role,
        resource=repository.full_name,
        breadth="resource",
        powers=can,
        level=level_of(can),
        confidence="high" if can else "low",
        via="repository collaborator",
    )
