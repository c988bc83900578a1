"""Projects: which there are, and what is read of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from collectors.gitlab import agents, controls, credentials, definitions, groups, schedules, secrets
from collectors.gitlab.scope import Place, Scope, time
from scanner.collect import Failure, gap, side_by_side
from scanner.records import Account, Deployment, record_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from scanner.records import Record


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a project before its own listings are read."""

    place: Place
    branch: str | None
    """The default branch."""
    namespace: str | None
    """The id of the group that it is in."""
    visibility: str | None
    archived: bool
    empty: bool
    """Whether its repository has no commit."""
    builds: bool
    """Whether CI/CD is switched on."""
    ci_path: str
    claims: list[str]
    """Parts of the subject of its ID tokens."""
    pushes: bool
    """Whether its job token may push to its repository."""
    auto_devops: bool
    settings: bool
    """Whether its CI/CD settings were shown, on which the three above depend: Maintainers see them."""
    url: str | None
    shares: list[dict[str, Any]]


def read_project(item: dict[str, Any]) -> Project:
    """Return a project: https://docs.gitlab.com/api/projects/"""
    number = str(item["id"])
    return Project(
        place=Place(
            kind="project",
            number=number,
            address=str(item["path_with_namespace"]),
            account_id=record_id("gitlab", "project", number),
        ),
        branch=item.get("default_branch"),
        namespace=str(item["namespace"]["id"]) if item.get("namespace") else None,
        visibility=item.get("visibility"),
        archived=bool(item.get("archived")),
        empty=bool(item.get("empty_repo")),
        builds=item.get("builds_access_level", "enabled") != "disabled",
        ci_path=str(item.get("ci_config_path") or ".gitlab-ci.yml"),
        claims=[str(part) for part in item.get("ci_id_token_sub_claim_components") or []],
        pushes=bool(item.get("ci_push_repository_for_job_token_allowed")),
        auto_devops=bool(item.get("auto_devops_enabled")),
        settings="auto_devops_enabled" in item,
        url=item.get("web_url"),
        shares=list(item.get("shared_with_groups") or []),
    )


def account(item: dict[str, Any]) -> Account:
    """Return a project as an account."""
    project = read_project(item)
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
        created_at=time(item.get("created_at")),
        pushed_at=time(item.get("last_activity_at")),
        visibility=project.visibility,
        url=project.url,
    )


def everything(
    scope: Scope, found: Iterable[Project], identifiers: dict[str, dict[str, str]]
) -> Iterator[Record]:
    """Yield what the projects hold; ``identifiers`` are what their groups' variables name, by group id."""
    listings = [
        _project(scope, project, dict(identifiers.get(project.namespace or "", {}))) for project in found
    ]
    yield from side_by_side(listings, scope.settings.workers)


def _project(scope: Scope, project: Project, identifiers: dict[str, str]) -> Iterator[Record]:
    place = project.place
    named: dict[str, str] = {}
    if project.archived and not scope.settings.archived:
        # Its keys and tokens still open it; nothing runs.
        yield from groups.members(scope, place)
        yield from credentials.deploy_tokens(scope, place)
        yield from credentials.deploy_keys(scope, project)
        yield from credentials.access_tokens(scope, place)
        yield scope.unseen(
            "secrets",
            "archived-project",
            "archived projects",
            "Archived: its members, keys and tokens were read, its variables, hooks and guards not. It runs no pipelines.",
            needs="archived: true",
            place=place,
        )
        return
    pipeline = record_id("gitlab", "pipeline", place.number) if project.builds else None
    yield from groups.shares(scope, place, {"shared_with_groups": project.shares}, "resource")
    yield from groups.members(scope, place)
    yield from secrets.variables(scope, place, named, holder=pipeline)
    yield from definitions.pipeline(scope, project, identifiers | named)
    if project.builds and not project.settings:
        yield gap(
            scope.asked(
                "identities",
                "GET /groups/:id/projects (CI/CD settings)",
                kind="gitlab-pipeline",
                needs="Maintainer of the project",
                place=place,
            ),
            Failure(
                reason="denied",
                detail="Not shown: what the subjects of its ID tokens are made of, whether its job token may push, and "
                "whether Auto DevOps runs.",
            ),
        )
    yield from credentials.deploy_tokens(scope, place)
    yield from credentials.deploy_keys(scope, project)
    yield from credentials.access_tokens(scope, place)
    yield from credentials.triggers(scope, project)
    yield from schedules.schedules(scope, project)
    yield from controls.job_token_scope(scope, project)
    yield from controls.protected_branches(scope, project)
    yield from controls.approvals(scope, project)
    yield from controls.environments(scope, project)
    yield from agents.agents(scope, project)
    yield from controls.webhooks(scope, place)
    yield from controls.integrations(scope, project)
    if scope.settings.deployments:
        yield from _deployments(scope, project)


def _deployments(scope: Scope, project: Project) -> Iterator[Record]:
    """Yield the last deployments. https://docs.gitlab.com/api/deployments/"""
    place = project.place

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        yield Deployment(
            id=record_id("gitlab", "deployment", str(item["id"])),
            provider="gitlab",
            account_id=place.account_id,
            pipeline_id=record_id("gitlab", "pipeline", place.number),
            environment=(item.get("environment") or {}).get("name"),
            ref=item.get("sha") or item.get("ref"),
            deployed_by=(item.get("user") or {}).get("username"),
            deployed_at=time(item.get("created_at")),
            state=item.get("status"),
        )

    yield from scope.listing(
        "/projects/:id/deployments",
        convert,
        table="deployments",
        needs="Reporter of the project",
        place=place,
        parameters={"order_by": "id", "sort": "desc"},
        limit=scope.settings.deployments,
    )
