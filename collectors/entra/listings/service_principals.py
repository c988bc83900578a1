"""Service principals: what signs in to the tenant, and what it was given beside its application.

https://learn.microsoft.com/graph/api/serviceprincipal-list. A service principal can have secrets and certificates of its
own, which the application's page does not show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.entra.facts import CredentialFacts, ServicePrincipals, SignIns
from collectors.entra.records import (
    EXPANDED,
    OWNER_FIELDS,
    PEOPLE,
    credentials,
    federated,
    owner_links,
    owner_name,
    policy,
    text,
)
from collectors.entra.scope import MICROSOFT, application, principal
from scanner.collect.failures import unsupported_on
from scanner.collect.listings import with_coverage
from scanner.records import Identity

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from collectors.entra.scope import EntraScope
    from scanner.records import Record, Surface

CALL = "/v1.0/servicePrincipals"
NEEDS = "Application.Read.All"
_FIELDS = (
    "id,appId,displayName,accountEnabled,appOwnerOrganizationId,servicePrincipalType,appRoles,"
    "passwordCredentials,keyCredentials,preferredSingleSignOnMode,signInAudience,tags,verifiedPublisher,"
    "disabledByMicrosoftStatus,appRoleAssignmentRequired"
)


def service_principals(
    scope: EntraScope,
    used: SignIns | None,
    facts: CredentialFacts,
    *,
    application_owners: Mapping[str, str],
    risks: Mapping[str, Mapping[str, str]],
) -> Generator[Record, None, ServicePrincipals]:
    """Yield every service principal with its credentials and owners, and return what later listings need of them.

    ``application_owners`` are names by client ID, ``risks`` tags by object ID.
    """
    found = ServicePrincipals()

    def read() -> Generator[Record, None, bool]:
        parameters: dict[str, str | int] = {
            "$select": _FIELDS,
            "$expand": f"owners({OWNER_FIELDS})",
            "$top": 999,
        }
        for item in scope.client.items(CALL, parameters):
            yield from _service_principal(
                scope,
                item,
                used,
                facts=facts,
                found=found,
                application_owners=application_owners,
                risks=risks,
            )
        return True

    request = scope.request("identities", f"GET {CALL}", kind="entra-service-principal", needs=NEEDS)
    fills = (
        "identities/entra-managed-identity",
        "identities/entra-agent",
        "identities/entra-agent-blueprint",
        "credentials",
        "policies/app-roles",
        "links/owners",
        *PEOPLE,
    )
    found.complete = (
        yield from with_coverage(
            read(),
            request,
            fills=fills,
            loses=(
                "grants/app-role",
                "grants/delegated",
                "grants/inherited-app-role",
                "identities/entra-application",
            ),
        )
    ) or False
    yield from _all_owners(scope, found)
    return found


def _service_principal(
    scope: EntraScope,
    item: dict[str, Any],
    used: SignIns | None,
    *,
    facts: CredentialFacts,
    found: ServicePrincipals,
    application_owners: Mapping[str, str],
    risks: Mapping[str, Mapping[str, str]],
) -> Iterator[Record]:
    number, app_id = text(item["id"]).lower(), text(item["appId"]).lower()
    name = item.get("displayName") or app_id
    found.app_ids[app_id] = number
    found.names[number] = name
    roles = {
        str(role["id"]).lower(): role.get("value") or role.get("displayName") or str(role["id"])
        for role in item["appRoles"]
        if "Application" in (role.get("allowedMemberTypes") or ())
    }
    if roles:
        found.roles[number] = roles
        yield policy(
            scope,
            "app-roles",
            number,
            name=name,
            document={
                "appId": app_id,
                "appRoles": [{"id": one, "value": roles[one]} for one in sorted(roles)],
            },
            attached=[principal(number)],
        )
    owner_tenant = str(item.get("appOwnerOrganizationId") or "").lower()
    owners = item["owners"]
    owner = owner_name(owners) or application_owners.get(app_id)
    last = used.applications.get(app_id) if used is not None else None
    kind, surface = _kind(str(item.get("servicePrincipalType") or ""), str(item.get("@odata.type") or ""))
    by_microsoft = str(item.get("disabledByMicrosoftStatus") or "").startswith("Disabled")
    enabled = False if by_microsoft else item.get("accountEnabled")
    if enabled is False:
        found.disabled.add(app_id)
    publisher: dict[str, Any] = item.get("verifiedPublisher") or {}
    yield Identity(
        id=principal(number),
        **scope.own,
        surface=surface,
        kind=kind,
        native_id=number,
        name=name,
        address=application(app_id),
        enabled=enabled,
        last_used_at=last,
        owner=owner,
        owner_source="application owner" if owner else None,
        managed_by="provider" if owner_tenant in MICROSOFT else None,
        issuer=f"https://login.microsoftonline.com/{scope.tenant}/v2.0",
        subjects=[number],
        url=f"https://entra.microsoft.com/#view/Microsoft_AAD_IAM/ManagedAppMenuBlade/~/Overview/objectId/{number}/appId/{app_id}",
        tags={
            "home_tenant": "own" if owner_tenant == scope.tenant else owner_tenant or "unknown",
            "verified_publisher": str(
                publisher.get("displayName") or publisher.get("verifiedPublisherId") or "none"
            ),
            "assignment_required": str(bool(item["appRoleAssignmentRequired"])).lower(),
            **({"sign_in_audience": str(item.get("signInAudience"))} if item.get("signInAudience") else {}),
            **{
                f"tag:{tag}": ""
                for tag in item.get("tags") or []
                if str(tag).startswith("power-virtual-agents-") or tag == "AgenticInstance"
            },
            **risks.get(number, {}),
        },
    )
    # Single sign-on by SAML signs its responses with a certificate here: no credential of the application.
    # https://learn.microsoft.com/entra/identity-platform/certificate-signing-algorithms
    shown = dict(item)
    if item.get("preferredSingleSignOnMode") == "saml":
        shown["keyCredentials"], shown["passwordCredentials"] = [], []
    yield from credentials(
        scope,
        shown,
        principal(number),
        facts,
        registered_on="service principal",
        disabled=enabled is False,
    )
    if len(owners) >= EXPANDED:
        found.many_owners.append(number)
    # An agent has no credentials of its own: its blueprint does.
    becomes = kind != "entra-agent"
    yield from owner_links(
        scope, owners, principal(number), "owner of the service principal", becomes=becomes
    )


def _kind(provider_type: str, odata_type: str) -> tuple[str, Surface]:
    """Return kind and surface. New types of Microsoft's are service principals until something else is known."""
    if odata_type == "#microsoft.graph.agentIdentityBlueprintPrincipal":
        return "entra-agent-blueprint", "automation"
    match provider_type:
        case "ManagedIdentity":
            return "entra-managed-identity", "workload"
        case "ServiceIdentity":
            return "entra-agent", "workload"
        case _:
            return "entra-service-principal", "automation"


def _all_owners(scope: EntraScope, found: ServicePrincipals) -> Iterator[Record]:
    """Yield all owners of service principals that have more of them than a list shows."""
    paths = {f"/servicePrincipals/{number}/owners": number for number in found.many_owners}

    def convert(number: str, owners: list[dict[str, Any]]) -> Iterator[Record]:
        yield from owner_links(scope, owners, principal(number), "owner of the service principal")

    call = "GET /beta/servicePrincipals/{id}/owners"
    yield from scope.list_of_each(
        paths, convert, call, table="links", kind="owners", needs=NEEDS, fills=PEOPLE
    )


def managed_identity_trusts(scope: EntraScope) -> Iterator[Record]:
    """Yield federated credentials that are on service principals: those of user-assigned managed identities.

    ``federatedIdentityCredentials`` is a navigation property of the service principal that its page does not describe; a
    tenant that refuses it leaves them to Azure Resource Manager, identity by identity.
    """

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        number = text(item["id"])
        managed = number if item.get("servicePrincipalType") == "ManagedIdentity" else ""
        yield from federated(scope, item["federatedIdentityCredentials"] or [], principal(number), managed)

    yield from scope.listing(
        "/beta/servicePrincipals",
        convert,
        table="trusts",
        kind="oidc",
        needs=NEEDS,
        parameters={
            "$select": "id,servicePrincipalType",
            "$expand": "federatedIdentityCredentials",
            "$top": 999,
        },
        fills=("policies/federated-credential",),
        classify=unsupported_on(
            {400, 404}, "This tenant does not list them; read each identity through Azure instead."
        ),
    )
