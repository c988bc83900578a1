"""Folders and projects as accounts.

https://docs.cloud.google.com/asset-inventory/docs/asset-types: a project's resource has the shape of Resource Manager's v1 API,
a folder's that of v2; later versions say ``state`` and ``displayName``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.gcp.calls import ASSETS, PROJECTS
from collectors.gcp.names import folder_id, last, own, project_id
from collectors.gcp.records import environment_of, owner_of, tags_of
from collectors.gcp.scope import NEEDS
from scanner.collect.failures import SourceError
from scanner.collect.listings import with_coverage
from scanner.collect.scope import utc_time
from scanner.records import Account

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.gcp.scope import GcpScope
    from scanner.records import Record

FOLDER = "cloudresourcemanager.googleapis.com/Folder"
PROJECT = "cloudresourcemanager.googleapis.com/Project"
_LOSES = ("policies/gcp-deny-policy", "identities/last-authentication", "credentials/last-authentication")
"""What is asked of each folder or project."""


def hierarchy(scope: GcpScope) -> Iterator[Record]:
    """Yield folders and projects, and fill ``scope.held``. Where the inventory is denied, projects come from a search."""

    def folders() -> Iterator[Record]:
        for asset in scope.asset_rows(FOLDER):
            data = asset["resource"]["data"]
            number = last(str(data["name"]))
            scope.held.folders.append(number)
            yield Account(
                id=folder_id(number),
                **own(folder_id(number)),
                kind="gcp-folder",
                native_id=number,
                name=str(data.get("displayName") or number),
                address=f"folders/{number}",
                parent_id=scope.held.account_of(str(data.get("parent") or "")) or scope.account_id,
                active=_active(data),
                created_at=utc_time(data.get("createTime")),
            )

    def projects() -> Iterator[Record]:
        failure: SourceError | None = None
        try:
            for asset in scope.asset_rows(PROJECT):
                data = asset["resource"]["data"]
                yield _project(scope, data, _above(asset) or _parent(data))
        except SourceError as exc:
            failure = exc
        if failure is not None:
            for row in _searched(scope):
                if str(row["projectId"]) not in scope.held.names.values():
                    yield _project(scope, row, str(row.get("parent") or ""))
            raise failure

    call = f"GET {scope.documented(ASSETS)}"
    loses = (*_LOSES, "controls/gcp-organization-policy")
    request = scope.request("accounts", f"{call} ({PROJECT})", kind="gcp-project", needs=NEEDS)
    yield from with_coverage(projects(), request, loses=loses)
    if scope.kind == "organizations":
        request = scope.request("accounts", f"{call} ({FOLDER})", kind="gcp-folder", needs=NEEDS)
        yield from with_coverage(folders(), request, loses=_LOSES[:1])


def own_project(scope: GcpScope, data: dict[str, Any]) -> Account:
    """Return the project of a target that is one project."""
    return _project(scope, data, "")


def _searched(scope: GcpScope) -> list[dict[str, Any]]:
    """Return the projects that the credential may get; none if they cannot be searched. The inventory's Gap stands."""
    try:
        return (
            list(scope.client.items(scope.path(PROJECTS), at="projects"))
            if scope.kind == "organizations"
            else []
        )
    except SourceError:
        return []


def _project(scope: GcpScope, data: dict[str, Any], parent: str) -> Account:
    project = str(data["projectId"])
    number = str(data.get("projectNumber") or last(str(data["name"])))
    scope.held.names[number] = project
    active = _active(data)
    if active:
        scope.held.projects[project] = number
    tags = tags_of(data.get("labels"))
    owner, source = owner_of(tags)
    shown = data.get("displayName") or (data.get("name") if data.get("projectNumber") else None)
    return Account(
        id=project_id(project),
        **own(project_id(project)),
        kind="gcp-project",
        native_id=number,
        name=str(shown or project),
        address=project,
        parent_id=(scope.held.account_of(parent) or scope.account_id)
        if project_id(project) != scope.account_id
        else None,
        environment=environment_of(tags),
        owner=owner,
        owner_source=source,
        active=active,
        created_at=utc_time(data.get("createTime")),
        tags=tags,
    )


def _active(data: dict[str, Any]) -> bool:
    """Return whether a folder or project is in use: one that is being deleted works no more, and can be restored.

    https://docs.cloud.google.com/resource-manager/reference/rest/v3/projects#State
    """
    return str(data.get("state") or data.get("lifecycleState") or "ACTIVE") == "ACTIVE"


def _above(asset: dict[str, Any]) -> str:
    ancestors = asset.get("ancestors") or []
    return str(ancestors[1]) if len(ancestors) > 1 else ""


def _parent(data: dict[str, Any]) -> str:
    parent = data.get("parent")
    return f"{parent['type']}s/{parent['id']}" if isinstance(parent, dict) else str(parent or "")
