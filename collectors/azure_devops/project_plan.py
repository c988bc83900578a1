"""One project's night: its lists in their order, what is read again tonight, and what follows from all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from collectors.azure_devops.access import DevOpsAccess, becoming, grants
from collectors.azure_devops.build_services import noted, runs_as
from collectors.azure_devops.facts import Guarded, Jobs, KnownResources, Runs, Settled, TaskGroups
from collectors.azure_devops.listings import (
    access_lists,
    advanced_security,
    authorizations,
    checks,
    history,
    library,
    organization,
    repositories,
)
from collectors.azure_devops.listings.deployment_groups import deployment_groups
from collectors.azure_devops.listings.pipelines import listed_pipelines, pipelines, runs_of
from collectors.azure_devops.listings.releases import releases
from collectors.azure_devops.listings.service_connections import service_connections
from collectors.azure_devops.nights import digest_of
from collectors.azure_devops.permissions import ENDPOINTS
from collectors.azure_devops.scope import DevOpsProjectFacts, DevOpsScope, connection, repository
from collectors.azure_devops.task_groups import task_groups
from collectors.azure_devops.unlisted import Watch, unlisted
from scanner.collect.failures import Failure, SourceError
from scanner.collect.listings import gap, with_coverage

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from collectors.azure_devops.listings.audit_log import AuditNews
    from collectors.azure_devops.listings.authorizations import AuthorizationTurns
    from scanner.records import Record

_SETTLED = msgspec.json.Decoder(Settled)
_COUNT = msgspec.json.Decoder(int)
"""Made at import: msgspec crashes when two threads are the first to decode a type at the same time."""


class DevOpsOrganizationFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the organization's lists found, and those of its projects need."""

    projects: list[DevOpsProjectFacts]
    settings: Mapping[str, bool] | SourceError
    """The pipeline settings that override those of projects, or the error of reading them."""
    access: DevOpsAccess | None
    """The permissions as an `Access`; None if they are unknown."""
    permissions: Mapping[str, str]
    """A digest of the permissions in each project, by its GUID."""
    news: AuditNews | None
    """What the audit log says of the time since the last night; None without it."""
    turns: AuthorizationTurns
    deployment_pools: bool
    """Whether there are, or may be, pools for deployment."""
    enabled: dict[tuple[str, str], dict[str, bool]] | None
    """What is on of Advanced Security, by project and repository (GUIDs); None if it is unknown."""


def collection_number(scope: DevOpsScope, access: DevOpsAccess | None) -> str:
    """Return the number of the organization's build service."""
    number = scope.target.params["id"]
    return number if access is None else access.directory.collection_build_service(number)


def permission_grants(
    scope: DevOpsScope,
    access: DevOpsAccess,
    project: str | None,
    names: Mapping[tuple[str, str], str],
    where: str,
) -> Iterator[Record]:
    """Yield who holds what in a project, or, for None, in the organization itself."""
    for space, failure in (
        *((lists.namespace, None) for lists in access.lists.values()),
        *access.unread,
    ):
        if project is not None and "project" not in space.tokens:
            continue
        request = scope.request(
            "grants",
            f"GET {access_lists.CALL}",
            kind="permissions",
            item=space.name,
            needs=access_lists.NEEDS,
        )
        if failure is not None:
            reason = Failure(reason=failure.reason, detail=failure.detail, needs=failure.needs)
            yield gap(request, reason)
            continue
        yield from with_coverage(
            grants(access, project, space.id, scope.account_id, names=names, where=where), request
        )


def project_night(
    scope: DevOpsScope, project: DevOpsProjectFacts, above: DevOpsOrganizationFacts
) -> Iterator[Record]:
    """Yield what one project holds."""
    watch, jobs = Watch(), Jobs()
    here = scope.within(project.account_id, project=project.id)
    yield from watch.over(_lists(here, project, above, watch, jobs))
    access = above.access
    mentions: dict[str, dict[str, str]] = dict(access.mentioned.get(project.id, {})) if access else {}
    mentions["connection"] = {**mentions.get("connection", {}), **jobs.unlisted}
    mentions["repository"] = {
        **mentions.get("repository", {}),
        **{
            number: "the enablement of Advanced Security"
            for of, number in above.enabled or {}
            if of == project.id
        },
    }
    yield from unlisted(here, watch, mentions)


def _lists(
    here: DevOpsScope,
    project: DevOpsProjectFacts,
    above: DevOpsOrganizationFacts,
    watch: Watch,
    jobs: Jobs,
) -> Generator[Record, None, None]:
    access = above.access
    permissions = above.permissions.get(project.id, "unknown")
    news = above.news
    if news is not None and project.id in news.changed:
        permissions = f"{permissions} {here.run.as_of}"
    had = here.nights.earlier(f"releases of {project.id}")
    released = had is None or bool(_COUNT.decode(had.facts))
    listed = listed_pipelines(here)
    ran = runs_of(listed, released=released)
    connections = yield from service_connections(
        here, project, {one.id for one in above.projects}, ran, news.used if news else {}
    )
    watch.list("connection", connections.names)
    groups = yield from library.variable_groups(here)
    watch.list("variable group", groups.by_id)
    known = KnownResources(project=project, connections=connections, library=groups, task_groups=TaskGroups())
    yield from noted(pipelines(here, known, listed), jobs)
    # Where there were releases, what they do is read every night.
    yield from here.nights.reading(
        f"releases of {project.id}",
        f"{permissions} {here.run.as_of}" if released else permissions,
        _releases(here, known, jobs),
        _COUNT,
        slowly=news is not None,
    )
    yield from task_groups(here, known.task_groups, used=False)
    settled = yield from here.nights.reading(
        f"project {project.id}",
        digest_of(
            permissions, project, connections, groups, _settings(above, project), jobs.builds, jobs.releases
        ),
        _settled(here, known, above, jobs),
        _SETTLED,
        slowly=news is not None,
    )
    watch.list("secure file", settled.files)
    watch.list("environment", (one.id for one in settled.environments))
    if here.config.history:
        yield from _deployments(here, known, settled, jobs, ran)
    if here.config.authorized_pipelines:
        yield from authorizations.authorizations(here, settled.restricted, jobs, above.turns)
    repository_names = {number: str(facts["name"]) for number, facts in settled.repositories.items()}
    if above.enabled is not None:
        yield from advanced_security.protection(here, project.id, above.enabled, repository_names)
    if access is None:
        return
    names = {
        **{("connection", number): name for number, name in connections.names.items()},
        **{("repository", number): name for number, name in repository_names.items()},
        **{("variable group", number): name for number, name in groups.by_id.items()},
        **{("secure file", number): name for number, name in settled.files.items()},
        **{("environment", one.id): one.name for one in settled.environments},
        **jobs.names,
    }
    yield from permission_grants(here, access, project.id, names, project.name)
    yield from _becoming(here, access, project.id, connections.names)


def _settings(above: DevOpsOrganizationFacts, project: DevOpsProjectFacts) -> Any:
    """Return what of the organization a project's records depend on."""
    enabled = sorted(number for of, number in above.enabled or {} if of == project.id)
    settings = None if isinstance(above.settings, SourceError) else dict(above.settings)
    return settings, enabled, above.deployment_pools


def _releases(here: DevOpsScope, known: KnownResources, jobs: Jobs) -> Generator[Record, None, int]:
    yield from noted(releases(here.on(here.clients.release), known), jobs)
    return len(jobs.releases)


def _settled(
    here: DevOpsScope, known: KnownResources, above: DevOpsOrganizationFacts, jobs: Jobs
) -> Generator[Record, None, Settled]:
    """Yield what changes seldom, and return it: files, environments, pools, repositories, and what guards all of these."""
    project, access = known.project, above.access
    files = yield from library.secure_files(here)
    yield from deployment_groups(here, pools=above.deployment_pools)
    guarded = [
        Guarded(type="endpoint", id=number, name=name, target=connection(number))
        for number, name in sorted(known.connections.names.items())
    ]
    guarded += [
        Guarded(type="variablegroup", id=number, name=name, target=f"variable group {name}")
        for number, name in sorted(known.library.by_id.items())
    ]
    guarded += [
        Guarded(type="securefile", id=number, name=name, target=f"secure file {name}")
        for number, name in sorted(files.items())
    ]
    environments = yield from checks.environments(here)
    queues = yield from checks.queues(here)
    held = yield from repositories.repositories(here, project)
    coded = [
        Guarded(
            type="repository",
            id=f"{project.id}.{number}",
            name=str(facts["name"]),
            target=repository(number),
        )
        for number, facts in sorted(held.items())
    ]
    restricted = yield from checks.open_to_all(here, [*guarded, *queues, *environments])
    yield from checks.checks(here, [*guarded, *queues, *environments, *coded])
    yield from repositories.branch_policies(
        here, held, lambda number, ref: access.bypassing(project.id, number, ref) if access else None
    )
    number = collection_number(here, access)
    yield from organization.project_settings(
        here, above.settings, lambda in_force: runs_as(project, jobs, in_force, number)
    )
    return Settled(
        files=files,
        environments=environments,
        queues=queues,
        restricted=restricted or [],
        repositories=held,
    )


def _deployments(
    here: DevOpsScope, known: KnownResources, settled: Settled, jobs: Jobs, ran: Runs
) -> Iterator[Record]:
    """Yield what was deployed. While no pipeline runs, nothing is, so that it is not asked again."""

    def read() -> Generator[Record, None, int]:
        if settled.environments:
            yield from history.runs(here, known, settled.environments)
        return len(settled.environments)

    places = [one.id for one in settled.environments]
    key = f"deployments of {known.project.id}"
    yield from here.nights.reading(key, digest_of(ran.newest, places), read(), _COUNT)
    if jobs.releases:
        yield from history.released(here.on(here.clients.release), known)


def _becoming(
    scope: DevOpsScope, access: DevOpsAccess, project: str, connections: Mapping[str, str]
) -> Iterator[Record]:
    """Yield who becomes a connection. Without the lists of connections, `access_lists` has left the gap."""
    if ENDPOINTS not in access.lists:
        return
    request = scope.request(
        "links", f"GET {access_lists.CALL}", kind="access", item="ServiceEndpoints", needs=access_lists.NEEDS
    )
    yield from with_coverage(becoming(access, project, scope.account_id, connections), request)
