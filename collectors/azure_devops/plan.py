"""One organization's night: in which order its listings are read, and what is known to be invisible."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.azure_devops.access import DevOpsAccess, permission_digests
from collectors.azure_devops.build_services import unnamed
from collectors.azure_devops.listings import (
    access_lists,
    advanced_security,
    audit_log,
    doors,
    feeds,
    group_rules,
    identities,
    organization,
    organization_policies,
    tokens,
)
from collectors.azure_devops.listings.authorizations import AuthorizationTurns
from collectors.azure_devops.nights import DevOpsNights
from collectors.azure_devops.project_plan import (
    DevOpsOrganizationFacts,
    collection_number,
    permission_grants,
    project_night,
)
from collectors.azure_devops.scope import DevOpsProjectFacts, DevOpsScope
from collectors.azure_devops.unlisted import Watch, unlisted
from scanner.collect.failures import SourceError
from scanner.collect.listings import preflight, side_by_side, with_coverage
from scanner.records import Account

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from collectors.azure_devops.client import DevOpsClients
    from collectors.azure_devops.config import Config
    from scanner.collect.collector import Run, Target
    from scanner.collect.memory import Memory
    from scanner.records import Record

FIRST = "/_apis/connectionData"
"""Who asks, and the organization's immutable ID.
https://learn.microsoft.com/azure/devops/integrate/get-started/authentication/service-principal-managed-identity"""


def organization_night(
    clients: DevOpsClients, memory: Memory, target: Target, config: Config, run: Run
) -> Iterator[Record]:
    """Yield what one organization holds. ``memory`` has what earlier nights read."""
    name = target.params["organization"]
    scope = DevOpsScope(
        client=clients.main,
        clients=clients,
        run=run,
        target=target,
        account_id=target.account_id,
        config=config,
        organization=name,
        nights=DevOpsNights(memory, as_of=run.as_of, days=config.rotation_days, rotate=False),
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
    if len(found) > config.rotate_above:
        scope = scope.rotating()
    count = yield from organization.project_count(scope)
    settings = yield from organization.organization_settings(scope)
    deploying = yield from watch.over(organization.pools(scope))
    yield from organization.service_principals(scope)
    users, subjects = yield from organization.people(scope)
    access = yield from _access(scope, found, users)
    named = set() if access is None else {one.id for one in access.directory.by_descriptor.values()}
    services = unnamed(found, scope.account_id, collection_number(scope, access), named)
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
    yield from group_rules.group_rules(scope)
    news = yield from audit_log.audit_news(scope)
    yield from doors.extensions(scope)
    yield from doors.service_hooks(scope)
    yield from feeds.feeds(scope, access.directory if access is not None else None)
    above = DevOpsOrganizationFacts(
        projects=found,
        settings=settings,
        access=access,
        permissions=permission_digests(access, [one.id for one in found]),
        news=news,
        deployment_pools=deploying,
        turns=AuthorizationTurns(config.authorizations_a_night),
        enabled=enabled,
    )
    yield from side_by_side([project_night(scope, one, above) for one in found], config.workers)
    request = scope.request("coverage", "carried forward", kind="carried-forward")
    yield from scope.nights.carried.gaps(request, "readings of projects, connections and resources")


def _access(
    scope: DevOpsScope, projects: list[DevOpsProjectFacts], users: Mapping[str, str]
) -> Generator[Record, None, DevOpsAccess | None]:
    """Yield who holds what in the organization itself, and return the permissions; None if identities were not read."""
    lists = yield from access_lists.access_lists(scope)
    origins = yield from identities.entra_groups(scope)
    accounts = {one.id: one.account_id for one in projects}
    known = yield from identities.directory(scope, lists.read.values(), accounts, origins, users)
    if known is None:
        return None
    access = DevOpsAccess(lists=lists.read, directory=known, unread=lists.unread)
    yield from permission_grants(scope, access, None, {}, scope.organization)
    return access
