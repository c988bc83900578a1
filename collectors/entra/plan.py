"""One tenant's night: in which order its listings are read, and what is known to be invisible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.entra.facts import CredentialFacts
from collectors.entra.listings import agents, app_roles, applications, delegated, directory_roles
from collectors.entra.listings.administrative_units import administrative_units
from collectors.entra.listings.conditional_access import conditional_access
from collectors.entra.listings.credential_changes import credential_changes
from collectors.entra.listings.cross_tenant import cross_tenant
from collectors.entra.listings.domains import domains
from collectors.entra.listings.memberships import memberships
from collectors.entra.listings.risky import risky
from collectors.entra.listings.role_groups import members_of_role_groups, role_groups
from collectors.entra.listings.service_principals import managed_identity_trusts, service_principals
from collectors.entra.listings.settings import settings
from collectors.entra.listings.sign_ins import sign_ins
from collectors.entra.scope import EntraScope
from scanner.collect.listings import preflight
from scanner.records import Account, Identity, Link

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from collectors.entra.client import GraphClient
    from collectors.entra.config import Config
    from scanner.collect.collector import Run, Target
    from scanner.records import Record

FIRST = "/v1.0/servicePrincipals(appId='00000003-0000-0000-c000-000000000000')"
"""The service principal of Microsoft Graph, which every tenant has."""


def tenant_night(client: GraphClient, target: Target, config: Config, run: Run) -> Iterator[Record]:
    """Yield what one tenant holds."""
    scope = EntraScope(client=client, run=run, target=target, account_id=target.account_id, config=config)

    def itself() -> Generator[Record, None, bool]:
        client.one(FIRST, {"$select": "id"})
        yield from ()
        return True

    if not (yield from preflight(itself(), scope.request("*", f"GET {FIRST}", needs=applications.NEEDS))):
        return
    yield from _account(scope)
    used = (yield from sign_ins(scope)) if config.sign_in_activity else None
    added_by = yield from credential_changes(scope)
    risks = yield from risky(scope)
    credentials = CredentialFacts(used=used.credentials if used else {}, added_by=added_by)
    registered = yield from applications.application_owners(scope)
    known = yield from service_principals(
        scope, used, credentials, application_owners=registered.owners, risks=risks
    )
    yield from applications.applications(scope, known, credentials)
    yield from managed_identity_trusts(scope)
    yield from app_roles.app_roles(scope, known)
    yield from delegated.delegated(scope, known)
    groups = yield from role_groups(scope)
    objects = {number: app_id for app_id, number in known.app_ids.items()} | registered.objects
    facts = directory_roles.RoleFacts(
        roles=(yield from directory_roles.definitions(scope)),
        units=(yield from administrative_units(scope)),
        applications=objects,
    )
    held = yield from directory_roles.assignments(scope, facts)
    if held is not None:
        yield from members_of_role_groups(scope, groups, held)
    yield from memberships(scope)
    if config.agents:
        yield from agents.agents(scope, known)
    yield from settings(scope)
    yield from conditional_access(scope)
    yield from domains(scope)
    yield from cross_tenant(scope)


def _account(scope: EntraScope) -> Iterator[Record]:
    """Yield the tenant. https://learn.microsoft.com/graph/api/organization-list"""

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        yield Account(
            id=scope.account_id,
            **scope.own,
            kind="entra-tenant",
            native_id=scope.tenant,
            name=item.get("displayName") or scope.tenant,
            issuer=f"https://login.microsoftonline.com/{scope.tenant}/v2.0",
            url="https://entra.microsoft.com/",
        )

    yield from scope.listing(
        "/v1.0/organization",
        convert,
        table="accounts",
        kind="entra-tenant",
        needs="Organization.Read.All",
        parameters={"$select": "id,displayName"},
    )


def once(records: Iterable[Record]) -> Iterator[Record]:
    """Yield records, and each identity and link only where it comes up first: one person owns many applications."""
    seen: set[str] = set()
    for record in records:
        if isinstance(record, Identity | Link):
            if record.id in seen:
                continue
            seen.add(record.id)
        yield record
