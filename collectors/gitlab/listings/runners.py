"""Runners: whose jobs reach the machine. https://docs.gitlab.com/ci/runners/"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.gitlab import powers
from collectors.gitlab.client import QueryError
from collectors.gitlab.failures import GitLabError
from collectors.gitlab.listings.controls import control
from collectors.gitlab.scope import Place, Scope, path_of, time
from scanner.records import Identity, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

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
"""https://docs.gitlab.com/api/graphql/reference/#cirunner : REST gives most of this one runner a request."""


def runners(scope: Scope) -> Iterator[Record]:
    """Yield every runner that the group's jobs can land on: by GraphQL, where this GitLab has the fields; else by REST.

    GraphQL shows an empty list to who may not see a full one, so it is asked only with a Maintainer's role.
    """
    place = scope.place

    def read() -> Iterator[Record]:
        for row in _rows(scope):
            yield from _runner(scope, place, row)

    yield from scope.told(
        read(),
        scope.asked(
            "identities",
            "POST /api/graphql group.runners",
            kind="gitlab-runner",
            needs="Maintainer of the top-level group",
            place=place,
        ),
        fills=("controls/runner-exposure",),
    )


def _rows(scope: Scope) -> Iterator[dict[str, Any]]:
    if scope.role is not None and scope.role >= powers.MAINTAINER:
        try:
            yield from _query(scope)
        except QueryError as exc:
            if not exc.unknown:
                raise
        else:
            return
    for row in list(scope.client.items(path_of("/groups/:id/runners", scope.place))):
        yield scope.client.one(f"/runners/{int(row['id'])}")


def _query(scope: Scope) -> list[dict[str, Any]]:
    """Return runners as REST names their fields."""
    rows: list[dict[str, Any]] = []
    after: str | None = None
    seen: set[str] = set()
    while True:
        data = scope.client.query(_RUNNERS, {"path": scope.place.address, "after": after})
        page = (data.get("group") or {}).get("runners")
        if page is None:
            raise GitLabError("denied", "GraphQL does not return the group's runners")
        rows += [_as_rest(node) for node in page["nodes"] if node is not None]
        if not page["pageInfo"]["hasNextPage"]:
            return rows
        after = str(page["pageInfo"]["endCursor"])
        if after in seen:
            raise GitLabError("malformed", "GraphQL: the next page was already read")
        seen.add(after)


def _as_rest(node: dict[str, Any]) -> dict[str, Any]:
    projects = (node.get("projects") or {}).get("nodes") or []
    return {
        "id": str(node["id"]).rpartition("/")[2],
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


def _runner(scope: Scope, place: Place, item: dict[str, Any]) -> Iterator[Record]:
    number, kind = str(item["id"]), str(item["runner_type"])
    name = str(item.get("description") or f"runner {number}")
    shared = kind in {"instance_type", "group_type"}
    hosted = kind == "instance_type" and scope.settings.public
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
        created_at=time(item.get("created_at")),
        last_used_at=time(item.get("contacted_at")),
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
