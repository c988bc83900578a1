"""Projects of a group and personal projects. https://docs.gitlab.com/api/projects/"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.gitlab.facts import ProjectFacts, project_facts
from scanner.collect.scope import utc_time
from scanner.records import TABLES, Account, record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from collectors.gitlab.scope import GitLabScope
    from scanner.records import Record

IN_DOUBT = [
    name
    for name in TABLES
    if name not in {"accounts", "gaps", "coverage", "trusts", "policies", "artifacts", "rollouts"}
]
"""Tables that are incomplete if projects or subgroups could not be listed."""


def projects_of_group(scope: GitLabScope) -> Generator[Record, None, list[ProjectFacts]]:
    """Yield the projects of a top-level group and its subgroups as accounts, and return those that the configuration
    includes.
    """
    found: list[ProjectFacts] = []

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        if scope.includes(str(item["path_with_namespace"])):
            yield account(item)
            found.append(project_facts(item))

    yield from scope.listing(
        "/groups/:id/projects",
        convert,
        table="accounts",
        kind="gitlab-project",
        needs="a member of the group",
        parameters={"include_subgroups": "true", "with_shared": "false", "order_by": "id", "sort": "asc"},
        loses=IN_DOUBT,
    )
    return found


def personal_projects(scope: GitLabScope, needs: str) -> Generator[Record, None, list[ProjectFacts]]:
    """Yield the projects in personal namespaces, and return those that the configuration includes. Other projects are
    read with their group.
    """
    found: list[ProjectFacts] = []

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        personal = (item.get("namespace") or {}).get("kind") == "user"
        if personal and scope.includes(str(item["path_with_namespace"])):
            yield account(item)
            found.append(project_facts(item))

    yield from scope.listing(
        "/projects",
        convert,
        table="accounts",
        kind="gitlab-project",
        needs=needs,
        parameters={"pagination": "keyset", "order_by": "id", "sort": "asc"},
    )
    return found


def account(item: dict[str, Any]) -> Account:
    """Return a project as an account."""
    project = project_facts(item)
    kind = (item.get("namespace") or {}).get("kind")
    return Account(
        id=project.place.account_id,
        provider="gitlab",
        account_id=project.place.account_id,
        kind="gitlab-project",
        native_id=project.place.number,
        name=str(item["name"]),
        address=project.place.address,
        parent_id=record_id("gitlab", "group", project.namespace)
        if project.namespace and kind == "group"
        else None,
        active=not project.archived and item.get("marked_for_deletion_on") is None,
        created_at=utc_time(item.get("created_at")),
        pushed_at=utc_time(item.get("last_activity_at")),
        visibility=project.visibility,
        url=project.url,
    )
