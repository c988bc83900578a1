"""Azure Lighthouse: roles that principals of other tenants hold here. They are not among the role assignments.

https://learn.microsoft.com/azure/lighthouse/concepts/architecture,
https://learn.microsoft.com/rest/api/managedservices/registration-definitions/list
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from collectors.azure.calls import GRAPH
from collectors.azure.evaluator import ELIGIBLE, HANDS_OUT
from collectors.azure.records import breadth
from collectors.azure.scope import own
from scanner.collect.by_account import by_account
from scanner.records import Grant, Identity, Trust, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.azure.evaluator import RoleEvaluator
    from collectors.azure.facts import Containers
    from collectors.azure.scope import AzureScope
    from scanner.records import Record

NEEDS = "Microsoft.ManagedServices/*/read"
DELEGATIONS = (
    "managedserviceresources | where type in~ ('microsoft.managedservices/registrationdefinitions', "
    "'microsoft.managedservices/registrationassignments') | project id, name, type, properties | order by id asc"
)
_KIND = "lighthouse-principal"


def delegations(scope: AzureScope, held: Containers, evaluator: RoleEvaluator) -> Iterator[Record]:
    """Yield the principals of other tenants with their roles, and the trust in their tenant."""

    def read() -> Iterator[Record]:
        offers: dict[str, dict[str, Any]] = {}
        assigned: list[dict[str, Any]] = []
        for row in scope.client.query(DELEGATIONS):
            if str(row["type"]).lower().endswith("/registrationdefinitions"):
                offers[str(row["id"]).lower()] = row["properties"]
            else:
                assigned.append(row)
        for row in assigned:
            offer = offers.get(str(row["properties"].get("registrationDefinitionId") or "").lower())
            where = str(row["id"]).lower().partition("/providers/microsoft.managedservices/")[0]
            if offer is not None:
                yield from _delegation(scope, offer, where, str(row["name"]).lower(), evaluator)
        yield from evaluator.combined()

    yield from by_account(
        scope,
        held.accounts,
        _once(read()),
        call=f"POST {GRAPH} registrationassignments",
        table="grants",
        kind="lighthouse",
        needs=NEEDS,
        fills=(f"identities/{_KIND}", "links/can_become", "trusts/lighthouse"),
    )


def _once(records: Iterator[Record]) -> Iterator[Record]:
    """Yield each record where it comes up first: one principal holds several roles at several places."""
    seen: set[str] = set()
    for record in records:
        if record.id not in seen:
            seen.add(record.id)
            yield record


def _delegation(
    scope: AzureScope, offer: dict[str, Any], where: str, number: str, evaluator: RoleEvaluator
) -> Iterator[Record]:
    tenant = str(offer.get("managedByTenantId") or "").lower()
    name = str(offer.get("managedByTenantName") or tenant)
    account = scope.account_of(where)
    for eligible, one in (
        *((False, one) for one in offer.get("authorizations") or []),
        *((True, one) for one in offer.get("eligibleAuthorizations") or []),
    ):
        principal = str(one["principalId"]).lower()
        me = record_id("azure", _KIND, f"{tenant}/{principal}")
        yield Identity(
            id=me,
            **own(scope.account_id),
            # A user, a group or an application: Lighthouse does not say which.
            surface="human",
            kind=_KIND,
            native_id=f"{tenant}/{principal}",
            name=f"{one.get('principalIdDisplayName') or principal} of {name}",
            tags={"home_tenant": tenant},
        )
        yield Trust(
            id=record_id("azure", "lighthouse-trust", f"{number}/{principal}"),
            **own(account),
            identity_id=me,
            kind="lighthouse",
            issuer=f"https://login.microsoftonline.com/{tenant}/v2.0",
            trusted_account=record_id("azure", "tenant", tenant),
            exposure="exact",
            external=True,
            why=f"the tenant {name} decides who is {one.get('principalIdDisplayName') or principal}",
        )
        guid = str(one["roleDefinitionId"]).rpartition("/")[2].lower()
        handed = [str(role) for role in one.get("delegatedRoleDefinitionIds") or []]
        ending = HANDS_OUT if handed else ELIGIBLE if eligible else "/active"
        grant = Grant(
            id=record_id("azure", "lighthouse", f"{number}/{principal}/{guid}{ending}"),
            **own(account),
            identity_id=me,
            role=evaluator.name_of(guid) or guid,
            resource=where or "/",
            breadth=breadth(where),
            confidence="low",
            via="Azure Lighthouse, eligible" if eligible else "Azure Lighthouse",
        )
        if handed:
            # It assigns these roles only, and to managed identities only.
            grant = evaluator.handed_out(grant, handed)
        elif evaluator.knows(grant.role):
            found = evaluator.allowed(grant, None)
            grant = evaluator.evaluated(grant, None, found)
            grant = msgspec.structs.replace(grant, conditional=eligible or grant.conditional)
            if not eligible:
                yield from evaluator.links(grant, found)
        yield grant
