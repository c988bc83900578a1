"""Applications: registrations with their secrets, certificates and federated credentials.

https://learn.microsoft.com/graph/api/application-list. Read from beta: v1.0 leaves ``claimsMatchingExpression`` out, and a
flexible credential then looks like one without a subject.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.entra.facts import RegisteredApplications
from collectors.entra.records import (
    EXPANDED,
    OWNER_FIELDS,
    PEOPLE,
    credentials,
    federated,
    owner_links,
    owner_name,
    text,
)
from collectors.entra.scope import application
from scanner.collect.scope import utc_time
from scanner.records import Control, Identity, record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from collectors.entra.facts import CredentialFacts, ServicePrincipals
    from collectors.entra.scope import EntraScope
    from scanner.records import Record

CALL = "/beta/applications"
OWNERS = "/v1.0/applications"
NEEDS = "Application.Read.All"
_FIELDS = (
    "id,appId,displayName,createdDateTime,isDisabled,signInAudience,servicePrincipalLockConfiguration,"
    "passwordCredentials,keyCredentials"
)


def applications(scope: EntraScope, known: ServicePrincipals, facts: CredentialFacts) -> Iterator[Record]:
    """Yield the credentials and trusts of every application; the identity is its service principal."""

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        number, app_id = text(item["id"]), text(item["appId"]).lower()
        if known.complete and app_id not in known.app_ids:
            yield _without_service_principal(scope, item, number, app_id)
        yield from credentials(
            scope,
            item,
            application(app_id),
            facts,
            registered_on="application",
            disabled=bool(item.get("isDisabled")) or app_id in known.disabled,
        )
        yield from _instance_lock(scope, item, app_id)
        yield from federated(scope, item["federatedIdentityCredentials"] or [], application(app_id))

    yield from scope.listing(
        CALL,
        convert,
        table="credentials",
        needs=NEEDS,
        parameters={"$select": _FIELDS, "$expand": "federatedIdentityCredentials", "$top": 999},
        fills=(
            "identities/entra-application",
            "trusts/oidc",
            "policies/federated-credential",
            "controls/app-instance-lock",
        ),
    )


def _instance_lock(scope: EntraScope, item: dict[str, Any], app_id: str) -> Iterator[Record]:
    """Yield whether other tenants can add credentials to their instance of a multi-tenant application.

    https://learn.microsoft.com/entra/identity-platform/howto-configure-app-instance-property-locks
    """
    if item.get("signInAudience") in {None, "AzureADMyOrg"}:
        return
    lock: dict[str, Any] = item.get("servicePrincipalLockConfiguration") or {}
    locked = bool(lock.get("isEnabled")) and (
        bool(lock.get("allProperties"))
        or bool(lock.get("credentialsWithUsageSign") and lock.get("credentialsWithUsageVerify"))
    )
    yield Control(
        id=record_id("entra", "app-instance-lock", text(item["id"])),
        **scope.own,
        stage="build",
        kind="app-instance-lock",
        name=f"Instance property lock of {item['displayName'] or app_id}",
        enforcement="enforced" if locked else "absent",
        target=application(app_id),
        detail="Credentials cannot be added in other tenants"
        if locked
        else "Other tenants can add credentials to it",
    )


def _without_service_principal(scope: EntraScope, item: dict[str, Any], number: str, app_id: str) -> Identity:
    return Identity(
        id=record_id("entra", "application-object", number),
        **scope.own,
        surface="automation",
        kind="entra-application",
        native_id=number,
        name=item.get("displayName") or app_id,
        address=application(app_id),
        enabled=False if item.get("isDisabled") else None,
        created_at=utc_time(item.get("createdDateTime")),
    )


def application_owners(scope: EntraScope) -> Generator[Record, None, RegisteredApplications]:
    """Yield the owners of every application, and return what later listings need of them.

    https://learn.microsoft.com/graph/api/application-list-owners
    """
    many: dict[str, str] = {}
    found = RegisteredApplications()

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        owners, app_id = item["owners"], text(item["appId"])
        found.objects[text(item["id"]).lower()] = app_id.lower()
        name = owner_name(owners)
        if name is not None:
            found.owners[app_id.lower()] = name
        if len(owners) >= EXPANDED:
            many[f"/applications/{item['id']}/owners"] = app_id
        yield from owner_links(scope, owners, application(app_id), "owner of the application")

    yield from scope.listing(
        OWNERS,
        convert,
        table="links",
        kind="owners",
        needs=NEEDS,
        fills=PEOPLE,
        # They are the owners of its service principal as well, of whatever kind.
        loses=(
            "identities/entra-application",
            "identities/entra-service-principal",
            "identities/entra-agent-blueprint",
            "identities/entra-agent",
        ),
        parameters={
            "$select": "id,appId",
            "$expand": f"owners({OWNER_FIELDS})",
            "$top": 999,
        },
    )

    def of_one(app_id: str, owners: list[dict[str, Any]]) -> Iterator[Record]:
        yield from owner_links(scope, owners, application(app_id), "owner of the application")

    call = "GET /beta/applications/{id}/owners"
    yield from scope.list_of_each(many, of_one, call, table="links", kind="owners", needs=NEEDS, fills=PEOPLE)
    return found
