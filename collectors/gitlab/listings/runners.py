"""Runners, and which projects' jobs they run. https://docs.gitlab.com/ci/runners/"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.gitlab import powers
from collectors.gitlab.facts import number_of
from collectors.gitlab.records import control
from scanner.collect.graphql import QueryError
from scanner.collect.listings import with_coverage
from scanner.collect.scope import utc_time
from scanner.records import Identity, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.gitlab.facts import GitLabPlace
    from collectors.gitlab.scope import GitLabScope
    from scanner.records import Record

_RUNNERS = """
query Runners($path: ID!, $after: String) {
  group(fullPath: $path) {
    runners(membership: ALL_AVAILABLE, first: 100, after: $after) {
      nodes { id description runnerType runUntagged locked accessLevel paused status contactedAt createdAt tagList
              createdBy { username } projects(first: 20) { nodes { id fullPath } } }
      pageInfo { endCursor hasNextPage }
    }
  }
}
"""
"""https://docs.gitlab.com/api/graphql/reference/#cirunner : with REST, most of this takes one request per runner."""


def runners(scope: GitLabScope) -> Iterator[Record]:
    """Yield every runner that can run the group's jobs, by GraphQL if this GitLab has the fields, else by REST. GraphQL
    returns an empty list to users who may not read the full one, so it is used only with a Maintainer's role, and REST
    confirms that there is none.
    """
    place = scope.place

    def read() -> Iterator[Record]:
        for row in _rows(scope):
            yield from _runner(scope, place, row)

    yield from with_coverage(
        read(),
        scope.at(place).request(
            "identities",
            "POST /api/graphql group.runners",
            kind="gitlab-runner",
            needs="Maintainer of the top-level group",
        ),
        fills=("controls/runner-exposure",),
    )


def _rows(scope: GitLabScope) -> Iterator[dict[str, Any]]:
    if scope.role is not None and scope.role >= powers.MAINTAINER:
        asked = {"path": scope.place.address}
        found = scope.client.graphql.connection(_RUNNERS, asked, at="group/runners", cursor="after")
        try:
            nodes = list(found)
        except QueryError as exc:
            if not exc.lacks:
                raise
        else:
            yield from map(_as_rest, nodes)
            if nodes:
                return
            # An empty list is also what GraphQL returns to those who may not read it: REST says which it is.
    for row in list(scope.client.items(scope.at(scope.place).path("/groups/:id/runners"))):
        yield scope.client.one(f"/runners/{int(row['id'])}")


def _as_rest(node: dict[str, Any]) -> dict[str, Any]:
    projects = (node.get("projects") or {}).get("nodes") or []
    return {
        "id": number_of(node),
        "description": node.get("description"),
        "runner_type": str(node["runnerType"]).lower(),
        "run_untagged": node["runUntagged"],
        "locked": node.get("locked"),
        "access_level": str(node["accessLevel"]).lower(),
        "paused": node["paused"],
        "status": str(node.get("status") or "").lower(),
        "contacted_at": node.get("contactedAt"),
        "created_at": node.get("createdAt"),
        "created_by": node.get("createdBy"),
        "tag_list": node.get("tagList") or [],
        "projects": [{"path_with_namespace": one["fullPath"]} for one in projects],
    }


def _runner(scope: GitLabScope, place: GitLabPlace, item: dict[str, Any]) -> Iterator[Record]:
    number, kind = str(item["id"]), str(item["runner_type"])
    name = str(item.get("description") or f"runner {number}")
    shared = kind in {"instance_type", "group_type"}
    hosted = kind == "instance_type" and scope.config.public
    untagged, protected = bool(item["run_untagged"]), item["access_level"] == "ref_protected"
    tags = sorted(str(tag) for tag in item.get("tag_list") or [])
    reach = {
        "instance_type": "every project of the instance",
        "group_type": "every project of its group",
    }.get(
        kind,
        ", ".join(str(one["path_with_namespace"]) for one in (item.get("projects") or [])[:20])
        or "its projects",
    )
    identity = record_id("gitlab", "runner", number)
    creator = (item.get("created_by") or {}).get("username")
    yield Identity(
        id=identity,
        provider="gitlab",
        account_id=place.account_id,
        surface="automation",
        kind="gitlab-runner",
        native_id=number,
        name=name,
        address=f"{place.address} runner {number}",
        enabled=not item.get("paused"),
        created_at=utc_time(item.get("created_at")),
        last_used_at=utc_time(item.get("contacted_at")),
        never_used=str(item.get("status")) == "never_contacted" or None,
        owner=creator,
        owner_source="creator" if creator else None,
        managed_by="provider" if hosted else None,
        tags={"type": kind, "labels": ",".join(tags), "status": str(item.get("status") or "")},
    )
    if hosted:
        return
    yield control(
        place,
        "runner-exposure",
        number,
        stage="build",
        name=name,
        enforcement="absent" if shared and untagged and not protected else "enforced",
        target=identity,
        detail=f"Serves {reach}; jobs without tags: {'yes' if untagged else 'no'}; protected branches only: "
        f"{'yes' if protected else 'no'}.",
    )
