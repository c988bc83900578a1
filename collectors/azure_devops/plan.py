"""One organization's night: in which order its listings are read, and what is known to be invisible."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.azure_devops.facts import Guarded, KnownResources
from collectors.azure_devops.listings import checks, library, organization, repositories
from collectors.azure_devops.listings.pipelines import pipelines
from collectors.azure_devops.listings.releases import releases
from collectors.azure_devops.listings.service_connections import service_connections
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
    yield from organization.people(scope)
    yield scope.unseen(
        "grants",
        "permissions",
        "GET /_apis/accesscontrollists/{securityNamespaceId}",
        "Permissions of people and build identities on pipelines, repositories and connections are not read yet.",
    )
    yield from side_by_side([_project(scope, one, found, settings) for one in found], config.workers)


def _project(
    scope: DevOpsScope,
    project: DevOpsProjectFacts,
    every: list[DevOpsProjectFacts],
    settings: Mapping[str, bool] | SourceError,
) -> Iterator[Record]:
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
    yield from pipelines(here, known)
    yield from releases(here.on(here.clients.release), known)
    held = yield from repositories.repositories(here, project)
    yield from repositories.branch_policies(here, held)
    yield from organization.project_settings(here, settings)
