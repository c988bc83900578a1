"""One organization's night: in which order its listings are read, and what is known to be invisible."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from collectors.azure_devops.access import DevOpsAccess, becoming, grants
from collectors.azure_devops.build_services import noted, runs_as, unnamed
from collectors.azure_devops.facts import Guarded, Jobs, KnownResources
from collectors.azure_devops.listings import (
    access_lists,
    advanced_security,
    checks,
    doors,
    feeds,
    history,
    identities,
    library,
    organization,
    organization_policies,
    repositories,
    tokens,
)
from collectors.azure_devops.listings.pipelines import pipelines
from collectors.azure_devops.listings.releases import releases
from collectors.azure_devops.listings.service_connections import service_connections
from collectors.azure_devops.listings.task_groups import task_groups
from collectors.azure_devops.permissions import ENDPOINTS
from collectors.azure_devops.scope import DevOpsProjectFacts, DevOpsScope, connection
from collectors.azure_devops.unlisted import Watch, unlisted
from scanner.collect.failures import SourceError
from scanner.collect.listings import preflight, side_by_side, with_coverage
from scanner.records import Account

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from collectors.azure_devops.client import DevOpsClients
    from collectors.azure_devops.config import Config
    from scanner.collect.collector import Run, Target
    from scanner.records import Record

FIRST = "/_apis/connectionData"
"""Who asks, and the organization's immutable ID.
https://learn.microsoft.com/azure/devops/integrate/get-started/authentication/service-principal-managed-identity"""


def organization_night(clients: DevOpsClients, target: Target, config: Config, run: Run) -> Iterator[Record]:
    """Yield what one organization holds."""
    name = target.params["organization"]
    scope = DevOpsScope(
        client=clients.main,
        clients=clients,
        run=run,
        target=target,
        account_id=target.account_id,
        config=config,
        organization=name,
    )

    def itself() -> Generator[Record, None, bool]:
        shown = clients.main.one(FIRST, {"api-version": "7.1-preview"})
        if str(shown["instanceId"]).lower() != target.params["id"]:
            # All records would be those of another account.
            raise SourceError("unreachable", "the organization's ID could not be read when the run began")
        yield from ()
        return True

    needs = "Access level Basic in the organization"
    if not (yield from preflight(itself(), scope.request("*", f"GET {FIRST}", needs=needs))):
        return
    account = Account(
        id=scope.account_id,
        **scope.own,
        kind="ado-organization",
        native_id=target.params["id"],
        name=name,
        address=name,
        url=f"{config.base_url}/{name}",
    )
    yield from with_coverage([account], scope.request("accounts", f"GET {FIRST}", kind="ado-organization"))
    watch = Watch()
    found = yield from watch.over(organization.projects(scope))
    count = yield from organization.project_count(scope)
    settings = yield from organization.organization_settings(scope)
    yield from watch.over(organization.pools(scope))
    yield from organization.service_principals(scope)
    users, subjects = yield from organization.people(scope)
    access = yield from _access(scope, found, users)
    named = set() if access is None else {one.id for one in access.directory.by_descriptor.values()}
    services = unnamed(found, scope.account_id, _collection(scope, access), named)
    request = scope.request(
        "identities", "GET /_apis/projects", kind="ado-build-service", item="build services"
    )
    yield from with_coverage(services, request)
    enabled = yield from advanced_security.enablement(scope)
    mentions = dict(access.mentioned.get(None, {})) if access is not None else {}
    mentions["project"] = {
        **(access.projects if access is not None else {}),
        **{number: "the enablement of Advanced Security" for number, _ in enabled or {}},
    }
    yield from unlisted(scope, watch, mentions, {"project": count or 0})
    yield from organization_policies.organization_policies(scope)
    yield from organization_policies.tenant_policies(scope)
    yield from tokens.tokens(scope, subjects)
    yield from doors.audit_streams(scope)
    yield from doors.extensions(scope)
    yield from doors.service_hooks(scope)
    yield from feeds.feeds(scope, access.directory if access is not None else None)
    above = DevOpsOrganizationFacts(projects=found, settings=settings, access=access, enabled=enabled)
    yield from side_by_side([_project(scope, one, above) for one in found], config.workers)


class DevOpsOrganizationFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the organization's lists found, and those of its projects need."""

    projects: list[DevOpsProjectFacts]
    settings: Mapping[str, bool] | SourceError
    """The pipeline settings that override those of projects, or the error of reading them."""
    access: DevOpsAccess | None
    """The permissions as an `Access`; None if they are unknown."""
    enabled: dict[tuple[str, str], dict[str, bool]] | None
    """What is on of Advanced Security, by project and repository (GUIDs); None if it is unknown."""


def _access(
    scope: DevOpsScope, projects: list[DevOpsProjectFacts], users: Mapping[str, str]
) -> Generator[Record, None, DevOpsAccess | None]:
    """Yield who holds what in the organization itself, and return the permissions; None if identities were not read."""
    lists = yield from access_lists.access_lists(scope)
    origins = yield from identities.entra_groups(scope)
    accounts = {one.id: one.account_id for one in projects}
    known = yield from identities.directory(scope, lists.values(), accounts, origins, users)
    if known is None:
        return None
    access = DevOpsAccess(lists=lists, directory=known)
    yield from _grants(scope, access, None, {}, scope.organization)
    return access


def _collection(scope: DevOpsScope, access: DevOpsAccess | None) -> str:
    """Return the number of the organization's build service."""
    number = scope.target.params["id"]
    return number if access is None else access.directory.collection_build_service(number)


def _grants(
    scope: DevOpsScope,
    access: DevOpsAccess,
    project: str | None,
    names: Mapping[tuple[str, str], str],
    where: str,
) -> Iterator[Record]:
    for lists in access.lists.values():
        space = lists.namespace
        if project is not None and "project" not in space.tokens:
            continue
        request = scope.request(
            "grants",
            f"GET {access_lists.CALL}",
            kind="permissions",
            item=space.name,
            needs=access_lists.NEEDS,
        )
        yield from with_coverage(
            grants(access, project, space.id, scope.account_id, names=names, where=where), request
        )


def _project(
    scope: DevOpsScope, project: DevOpsProjectFacts, above: DevOpsOrganizationFacts
) -> Iterator[Record]:
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
    here: DevOpsScope, project: DevOpsProjectFacts, above: DevOpsOrganizationFacts, watch: Watch, jobs: Jobs
) -> Generator[Record, None, None]:
    access = above.access
    connections = yield from service_connections(here, project, {one.id for one in above.projects})
    watch.list("connection", connections.names)
    groups = yield from library.variable_groups(here)
    files = yield from library.secure_files(here)
    shared_steps = yield from task_groups(here)
    known = KnownResources(project=project, connections=connections, library=groups, task_groups=shared_steps)
    guarded = [
        Guarded(type="endpoint", id=number, name=name, target=connection(number))
        for number, name in sorted(connections.names.items())
    ]
    guarded += [
        Guarded(type="variablegroup", id=number, name=name, target=f"variable group {name}")
        for number, name in sorted(groups.by_id.items())
    ]
    guarded += [
        Guarded(type="securefile", id=number, name=name, target=f"secure file {name}")
        for number, name in sorted(files.items())
    ]
    environments = yield from checks.environments(here)
    yield from checks.open_to_all(here, guarded)
    yield from checks.checks(here, [*guarded, *environments])
    yield from noted(pipelines(here, known), jobs)
    yield from noted(releases(here.on(here.clients.release), known), jobs)
    if here.config.history:
        if environments:
            yield from history.approved_runs(here, known)
        if jobs.releases:
            yield from history.released(here.on(here.clients.release), known)
    held = yield from repositories.repositories(here, project)
    yield from repositories.branch_policies(
        here, held, lambda number, ref: access.bypassing(project.id, number, ref) if access else None
    )
    repository_names = {number: str(facts["name"]) for number, facts in held.items()}
    if above.enabled is not None:
        yield from advanced_security.protection(here, project.id, above.enabled, repository_names)
    watch.list("variable group", groups.by_id)
    watch.list("secure file", files)
    watch.list("environment", (one.id for one in environments))
    number = _collection(here, access)
    yield from organization.project_settings(
        here, above.settings, lambda in_force: runs_as(project, jobs, in_force, number)
    )
    if access is None:
        return
    names = {
        **{("connection", number): name for number, name in connections.names.items()},
        **{("repository", number): name for number, name in repository_names.items()},
        **{("variable group", number): name for number, name in groups.by_id.items()},
        **{("secure file", number): name for number, name in files.items()},
        **{("environment", one.id): one.name for one in environments},
        **jobs.names,
    }
    yield from _grants(here, access, project.id, names, project.name)
    yield from _becoming(here, access, project.id, connections.names)


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
