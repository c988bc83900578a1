"""One organization's night: in which order its listings are read, and what is known to be invisible."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.azure_devops.access import Access, becoming, grants
from collectors.azure_devops.build_services import noted, runs_as
from collectors.azure_devops.facts import Guarded, Jobs, KnownResources
from collectors.azure_devops.listings import (
    access_lists,
    checks,
    identities,
    library,
    organization,
    repositories,
)
from collectors.azure_devops.listings.pipelines import pipelines
from collectors.azure_devops.listings.releases import releases
from collectors.azure_devops.listings.service_connections import service_connections
from collectors.azure_devops.permissions import ENDPOINTS
from collectors.azure_devops.scope import DevOpsScope, connection
from scanner.collect.failures import SourceError
from scanner.collect.listings import preflight, side_by_side, with_coverage
from scanner.records import Account

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from collectors.azure_devops.client import DevOpsClients
    from collectors.azure_devops.config import Config
    from collectors.azure_devops.scope import DevOpsProjectFacts
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
    found = yield from organization.projects(scope)
    settings = yield from organization.organization_settings(scope)
    yield from organization.pools(scope)
    yield from organization.service_principals(scope)
    users = yield from organization.people(scope)
    access = yield from _access(scope, found, users)
    yield from side_by_side([_project(scope, one, found, settings, access) for one in found], config.workers)


def _access(
    scope: DevOpsScope, projects: list[DevOpsProjectFacts], users: Mapping[str, str]
) -> Generator[Record, None, Access | None]:
    """Yield who holds what in the organization itself, and return the permissions; None if identities were not read."""
    lists = yield from access_lists.access_lists(scope)
    origins = yield from identities.entra_groups(scope)
    accounts = {one.id: one.account_id for one in projects}
    known = yield from identities.directory(scope, lists.values(), accounts, origins, users)
    if known is None:
        return None
    access = Access(lists=lists, directory=known)
    yield from _grants(scope, access, None, {}, scope.organization)
    return access


def _grants(
    scope: DevOpsScope,
    access: Access,
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
    scope: DevOpsScope,
    project: DevOpsProjectFacts,
    every: list[DevOpsProjectFacts],
    settings: Mapping[str, bool] | SourceError,
    access: Access | None,
) -> Iterator[Record]:
    jobs = Jobs()
    here = scope.within(project.account_id, project=project.id)
    connections = yield from service_connections(here, project, {one.id for one in every})
    groups = yield from library.variable_groups(here)
    files = yield from library.secure_files(here)
    known = KnownResources(project=project, connections=connections, library=groups)
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
    held = yield from repositories.repositories(here, project)
    yield from repositories.branch_policies(here, held)
    number = scope.target.params["id"]
    if access is not None:
        number = access.directory.collection_build_service(number)
    yield from organization.project_settings(
        here, settings, lambda in_force: runs_as(project, jobs, in_force, number)
    )
    if access is None:
        return
    names = {
        **{("connection", number): name for number, name in connections.names.items()},
        **{("repository", number): str(facts["name"]) for number, facts in held.items()},
        **{("variable group", number): name for number, name in groups.by_id.items()},
        **{("secure file", number): name for number, name in files.items()},
        **{("environment", one.id): one.name for one in environments},
        **jobs.names,
    }
    yield from _grants(here, access, project.id, names, project.name)
    yield from _becoming(here, access, project.id, connections.names)


def _becoming(
    scope: DevOpsScope, access: Access, project: str, connections: Mapping[str, str]
) -> Iterator[Record]:
    """Yield who becomes a connection. Without the lists of connections, `access_lists` has left the gap."""
    if ENDPOINTS not in access.lists:
        return
    request = scope.request(
        "links", f"GET {access_lists.CALL}", kind="access", item="ServiceEndpoints", needs=access_lists.NEEDS
    )
    yield from with_coverage(becoming(access, project, scope.account_id, connections), request)
