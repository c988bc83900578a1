"""Projects: which there are, and what is read of each."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import msgspec

from collectors.gitlab import powers
from collectors.gitlab.listings import (
    agents,
    controls,
    credentials,
    definitions,
    groups,
    job_tokens,
    triggers,
)
from collectors.gitlab.listings.batches import PAGE
from collectors.gitlab.listings.files import Files
from collectors.gitlab.listings.settings import Facts, Night, settings
from collectors.gitlab.listings.structure import Structure, Survey
from collectors.gitlab.scope import Place, Scope, time
from scanner.collect.failures import Failure
from scanner.collect.listings import gap, side_by_side
from scanner.records import Account, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from scanner.collect.memory import Memory
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
    code: bool
    """Whether its repository is switched on."""
    infrastructure: bool
    """Whether its agents for Kubernetes are switched on."""
    ci_path: str
    """Where its definition stands: a path in its repository, ``path@other/project``, or a URL."""
    claims: list[str]
    """Parts of the subject of its ID tokens."""
    pushes: bool
    """Whether its job token may push to its repository."""
    auto_devops: bool
    settings: bool
    """Whether its CI/CD settings were shown, on which the three above depend: Maintainers see them."""
    url: str | None
    activity: str | None
    """When something last happened in it."""
    shares: list[dict[str, Any]]

    @property
    def elsewhere(self) -> bool:
        """Whether its definition stands outside its repository."""
        return "@" in self.ci_path or self.ci_path.startswith(("http://", "https://"))


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
        code=item.get("repository_access_level", "enabled") != "disabled",
        infrastructure=item.get("infrastructure_access_level", "enabled") != "disabled",
        ci_path=str(item.get("ci_config_path") or ".gitlab-ci.yml"),
        claims=[str(part) for part in item.get("ci_id_token_sub_claim_components") or []],
        pushes=bool(item.get("ci_push_repository_for_job_token_allowed")),
        auto_devops=bool(item.get("auto_devops_enabled")),
        settings="auto_devops_enabled" in item,
        url=item.get("web_url"),
        activity=item.get("last_activity_at"),
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
    scope: Scope, memory: Memory, found: Sequence[Project], identifiers: dict[str, dict[str, str]]
) -> Iterator[Record]:
    """Yield what the projects hold; ``identifiers`` are what their groups' variables name, by group id.

    A hundred at a time: while REST is asked about some, GraphQL is asked about the next.
    """
    config = scope.settings
    night = Night(
        memory=memory,
        rotate=len(found) > config.rotate_above,
        keys=credentials.keys_of_instance(scope)
        if scope.role == powers.ADMIN and len(found) >= PAGE
        else None,
    )
    survey = Survey(scope.client, archived=config.archived)
    pages = [found[at : at + PAGE] for at in range(0, len(found), PAGE)]
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="survey") as ahead:

        def surveyed(page: Sequence[Project]) -> tuple[dict[str, Structure], Files]:
            structures = survey.of(page)
            files = Files(scope, memory, structures)
            files.prefetch(survey.batches, [one for one in page if config.archived or not one.archived])
            return structures, files

        waiting = ahead.submit(surveyed, pages[0]) if pages else None
        for number, page in enumerate(pages, 1):
            assert waiting is not None
            structures, files = waiting.result()
            waiting = ahead.submit(surveyed, pages[number]) if number < len(pages) else None
            yield from side_by_side(
                [
                    _project(
                        scope,
                        night,
                        files,
                        project,
                        structure=structures[project.place.number],
                        identifiers=identifiers.get(project.namespace or "", {}),
                    )
                    for project in page
                ],
                config.workers,
            )
            memory.save()
    yield from night.carried.gaps(
        scope.asked("coverage", "carried forward", kind="carried-forward"), "projects"
    )


def _project(
    scope: Scope,
    night: Night,
    files: Files,
    project: Project,
    *,
    structure: Structure,
    identifiers: Mapping[str, str],
) -> Iterator[Record]:
    facts = Facts()
    whole = scope.settings.archived or not project.archived
    if whole:
        yield from groups.shares(scope, project.place, {"shared_with_groups": project.shares}, "resource")
    deploys = files.deploys(project)
    carried = yield from settings(scope, night, project, structure, facts, whole=whole, deploys=deploys)
    if not whole:
        return
    named = {**identifiers, **facts.identifiers}
    yield from definitions.pipeline(scope, night.memory, files, project, named, carried=carried)
    if project.builds and not project.settings:
        yield gap(
            scope.asked(
                "identities",
                "GET /groups/:id/projects (CI/CD settings)",
                kind="gitlab-pipeline",
                needs="Maintainer of the project",
                place=project.place,
            ),
            Failure(
                reason="denied",
                detail="Not shown: what the subjects of its ID tokens are made of, whether its job token may push, and "
                "whether Auto DevOps runs.",
            ),
        )
    yield from triggers.triggers(scope, project, structure.triggers)
    yield from job_tokens.job_token_scope(scope, project, structure)
    yield from controls.protected_branches(scope, project, structure.branches)
    yield from controls.approvals(scope, project, structure.approvals)
    yield from agents.agents(scope, project, structure.agents)
