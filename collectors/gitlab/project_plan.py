"""The order in which a project's listings are read, tonight or carried forward from an earlier night. Audit events are
not used to find changed projects: https://docs.gitlab.com/api/audit_events/ lists a group's own events without those of
its projects, a project's events one project per request, and all events only to an administrator (Premium); and no
documented event type exists for each change that matters here. So all projects are read again in rotation.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import msgspec

from collectors.gitlab import powers
from collectors.gitlab.files import DefinitionFiles
from collectors.gitlab.listings import (
    agents,
    controls,
    credentials,
    definitions,
    deployments,
    environments,
    groups,
    job_tokens,
    schedules,
    secrets,
    triggers,
    webhooks,
)
from collectors.gitlab.survey import PAGE, ProjectSurvey
from scanner.collect.failures import Failure
from scanner.collect.listings import gap, side_by_side
from scanner.collect.memory import Carried
from scanner.records import record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

    from collectors.gitlab.facts import ProjectFacts, ProjectStructure
    from collectors.gitlab.scope import GitLabScope
    from scanner.records import Record


class CarriedFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a project's settings say about its pipeline. Carried forward with the project's records."""

    identifiers: dict[str, str] = {}
    """Identifiers in its variables: see `collectors.gitlab.records.variable`."""


_FACTS = msgspec.json.Decoder(CarriedFacts)
"""Made at import: msgspec crashes when two threads are the first to decode a type at the same time."""


class ProjectsNight(msgspec.Struct, frozen=True, kw_only=True):
    """State shared by the projects of one target in one night."""

    scope: GitLabScope
    rotate: bool
    """Whether there are so many projects that those without a visible change are read in rotation."""
    keys: dict[str, list[dict[str, Any]]] | None
    """Deploy keys by project number, if the instance listed them all."""
    carried: Carried = msgspec.field(default_factory=Carried)


def project_records(
    scope: GitLabScope, found: Sequence[ProjectFacts], identifiers: Mapping[str, Mapping[str, str]]
) -> Iterator[Record]:
    """Yield the records of the projects. ``identifiers`` are those in their groups' variables, by group id. Projects
    are read a hundred at a time: while REST reads one page, GraphQL describes the next.
    """
    config = scope.config
    night = ProjectsNight(
        scope=scope,
        rotate=len(found) > config.rotate_above,
        keys=credentials.keys_of_instance(scope)
        if scope.role == powers.ADMIN and len(found) >= PAGE
        else None,
    )
    survey = ProjectSurvey(scope.client.graphql, archived=config.archived)
    pages = [found[at : at + PAGE] for at in range(0, len(found), PAGE)]
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="survey") as ahead:

        def surveyed(page: Sequence[ProjectFacts]) -> tuple[dict[str, ProjectStructure], DefinitionFiles]:
            structures = survey.structures(page)
            files = DefinitionFiles(scope, structures)
            files.prefetch(survey, [one for one in page if config.archived or not one.archived])
            return structures, files

        waiting = ahead.submit(surveyed, pages[0]) if pages else None
        for number, page in enumerate(pages, 1):
            assert waiting is not None
            structures, files = waiting.result()
            waiting = ahead.submit(surveyed, pages[number]) if number < len(pages) else None
            yield from side_by_side(
                [
                    _project(
                        night,
                        files,
                        project,
                        structure=structures[project.place.number],
                        inherited=identifiers.get(project.namespace or "", {}),
                    )
                    for project in page
                ],
                config.workers,
            )
            scope.memory.save()
    request = scope.request("coverage", "carried forward", kind="carried-forward")
    yield from night.carried.gaps(request, "projects")


def _project(
    night: ProjectsNight,
    files: DefinitionFiles,
    project: ProjectFacts,
    *,
    structure: ProjectStructure,
    inherited: Mapping[str, str],
) -> Iterator[Record]:
    scope = night.scope
    whole = scope.config.archived or not project.archived
    if whole:
        yield from groups.shares(scope, project.place, {"shared_with_groups": project.shares}, "resource")
    facts, carried = yield from _settings(
        night, project, structure, whole=whole, deploys=files.deploys(project)
    )
    if not whole:
        return
    identifiers = {**inherited, **facts.identifiers}
    yield from definitions.pipeline(scope, files, project, identifiers, carried=carried)
    if project.ci_enabled and not project.settings_visible:
        yield gap(
            scope.at(project.place).request(
                "identities",
                "GET /groups/:id/projects (CI/CD settings)",
                kind="gitlab-pipeline",
                needs="Maintainer of the project",
            ),
            Failure(
                reason="denied",
                detail="Not shown: what the subjects of its ID tokens are made of, whether its job token may push, and "
                "whether Auto DevOps runs.",
            ),
        )
    yield from triggers.triggers(scope, project, structure.triggers)
    yield from job_tokens.job_token_scope(scope, project, structure)
    needed = yield from controls.approvals(scope, project, structure.approvals, structure.branches)
    yield from controls.protected_branches(scope, project, structure.branches, needed)
    yield from agents.agents(scope, project, structure.agents)


def _settings(
    night: ProjectsNight,
    project: ProjectFacts,
    structure: ProjectStructure,
    *,
    whole: bool,
    deploys: bool,
) -> Generator[Record, None, tuple[CarriedFacts, bool]]:
    """Yield what REST returns about a project, tonight or on the last night that asked. Returns the facts about the
    pipeline, and whether they were carried forward. If not ``whole``, only what still gives access is read.
    ``deploys``: whether its pipeline may name an environment.
    """
    scope, number = night.scope, int(project.place.number)
    config, memory = scope.config, scope.memory
    keys = None if night.keys is None else night.keys.get(project.place.number, [])
    seen = msgspec.json.encode((structure.digest, whole, deploys, config.deployments, keys))
    digest = hashlib.sha256(seen).hexdigest()[:32]
    reading = memory.reading(number) if night.rotate else None
    if reading is not None and not reading.stale(
        number, digest, as_of=scope.run.as_of, days=config.rotation_days
    ):
        night.carried.note(reading.read_at)
        yield from reading.carried()
        return _FACTS.decode(reading.facts), True
    reading_now = _read_settings(scope, project, structure, keys, whole=whole, deploys=deploys)
    return (yield from memory.kept(number, digest, reading_now)), False


def _empty_if_known(seen: list[dict[str, Any]] | None) -> Iterable[dict[str, Any]] | None:
    """Return no rows if there are known to be none; None if REST must be asked."""
    return () if seen == [] else None


def _read_settings(
    scope: GitLabScope,
    project: ProjectFacts,
    structure: ProjectStructure,
    keys: list[dict[str, Any]] | None,
    *,
    whole: bool,
    deploys: bool,
) -> Generator[Record, None, CarriedFacts]:
    place = project.place
    identifiers: dict[str, str] = {}
    yield from groups.members(scope, place, _empty_if_known(structure.members))
    if whole:
        pipeline = record_id("gitlab", "pipeline", place.number) if project.ci_enabled else None
        identifiers = yield from secrets.variables(
            scope, place, holder=pipeline, rows=_empty_if_known(structure.variables)
        )
    yield from credentials.deploy_tokens(scope, place)
    yield from credentials.deploy_keys(scope, project, keys)
    yield from credentials.access_tokens(scope, place, _empty_if_known(structure.members))
    if not whole:
        yield scope.at(place).unseen(
            "secrets",
            "archived-project",
            "archived projects",
            "Archived: its members, keys and tokens were read, but not its variables, webhooks and protections. It runs no pipelines.",
            needs="archived: true",
        )
        return CarriedFacts()
    yield from schedules.schedules(scope, project, structure.schedules)
    existing = yield from environments.environments(scope, project, deploys=deploys)
    yield from webhooks.webhooks(scope, place)
    yield from webhooks.integrations(scope, project, _empty_if_known(structure.integrations))
    if scope.config.deployments:
        # A deployment is deleted with its environment.
        yield from deployments.deployments(scope, project, () if existing == [] else None)
    return CarriedFacts(identifiers=identifiers)
