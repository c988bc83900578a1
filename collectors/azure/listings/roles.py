"""Role definitions, role assignments, eligible assignments and deny assignments.

Assignments and definitions of the whole tenant are two queries of Resource Graph. It has neither eligible assignments, for which
azure-mgmt-authorization asks (https://learn.microsoft.com/python/api/azure-mgmt-authorization), nor deny assignments, which are
asked with an API version that tells audit from enforcement
(https://learn.microsoft.com/rest/api/authorization/deny-assignments/list-for-scope).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from collectors.azure.by_account import by_account
from collectors.azure.calls import GRAPH
from collectors.azure.evaluator import Deny, deny_of, evaluated
from collectors.azure.scope import own, principal, subscription
from scanner.collect.failures import unsupported_on
from scanner.collect.listings import with_coverage
from scanner.collect.scope import utc_time
from scanner.policies import canonical_document, policy_record
from scanner.records import Breadth, Control, Grant, Policy, record_id

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence

    from collectors.azure.facts import EligibleRole
    from collectors.azure.scope import AzureScope
    from scanner.records import Record

NEEDS = "Reader at the root management group"
DEFINITIONS = (
    "authorizationresources | where type =~ 'microsoft.authorization/roledefinitions' "
    "| project id, name, properties | order by id asc"
)
ASSIGNMENTS = (
    "authorizationresources | where type =~ 'microsoft.authorization/roleassignments' "
    "| project id, name, properties | order by id asc"
)
DENIES = "/subscriptions/{subscription}/providers/Microsoft.Authorization/denyAssignments"
ELIGIBLE = "/subscriptions/{subscription}/providers/Microsoft.Authorization/roleEligibilityScheduleInstances"
_LICENSE = "Available with Entra ID P2 or Microsoft Entra ID Governance."


def _policy(
    kind: str, account: str, native: str, name: str, *, document: Mapping[str, Any], to: list[str]
) -> Policy:
    return policy_record(
        **own(account),
        kind=kind,
        native_id=native,
        name=name,
        document=canonical_document(document),
        attached_to=to,
    )


def definitions(scope: AzureScope, accounts: Sequence[str]) -> Generator[Record, None, dict[str, Policy]]:
    """Yield every role definition, and return them by their GUID."""
    found: dict[str, Policy] = {}

    def read() -> Iterator[Record]:
        for row in scope.client.query(DEFINITIONS):
            properties: dict[str, Any] = row["properties"]
            number = str(row["name"]).lower()
            document = {
                key: properties[key]
                for key in ("assignableScopes", "description", "permissions", "roleName", "type")
                if properties.get(key) is not None
            }
            name = str(properties.get("roleName") or number)
            kept = _policy(
                "role-definition", scope.account_id, number, name, document=document, to=[scope.account_id]
            )
            # A definition comes once for each scope that it can be assigned at.
            if number not in found:
                found[number] = kept
                yield kept

    # Without the definition, an assignment is known and its powers are not: in every account.
    yield from by_account(
        scope,
        accounts,
        read(),
        call=f"POST {GRAPH} roledefinitions",
        table="policies",
        kind="role-definition",
        needs=NEEDS,
        loses=("grants/role-assignment", "grants/eligible-role"),
    )
    return found


def denies(scope: AzureScope, subscriptions: Iterable[str]) -> Generator[Record, None, list[Deny]]:
    """Yield the deny assignments of each subscription, and return those that certainly subtract."""
    found: list[Deny] = []
    for number in subscriptions:

        def convert(item: dict[str, Any], number: str = number) -> Iterator[Record]:
            properties: dict[str, Any] = item["properties"]
            native = str(item["name"]).lower()
            deny = deny_of(properties)
            if deny is not None:
                found.append(deny)
            account = subscription(number)
            name = str(properties.get("denyAssignmentName") or native)
            yield _policy("deny-assignment", account, native, name, document=properties, to=[account])
            effect = str(properties.get("denyAssignmentEffect") or "").lower()
            yield Control(
                id=record_id("azure", "deny-assignment-control", native),
                **own(account),
                stage="runtime",
                kind="deny-assignment",
                name=name,
                enforcement="enforced"
                if deny is not None
                else ("audited" if effect == "audit" else "documented"),
                target=str(properties.get("scope") or ""),
                bypass=sorted(str(one.get("id")) for one in properties.get("excludePrincipals") or []),
            )

        here = scope.within(subscription(number), subscription=number)
        yield from here.listing(
            DENIES,
            convert,
            table="policies",
            kind="deny-assignment",
            needs="Microsoft.Authorization/denyAssignments/read",
            parameters={"api-version": "2024-07-01-preview"},
            fills=("controls/deny-assignment",),
            loses=("grants/role-assignment",),
        )
    return found


def assignments(
    scope: AzureScope, accounts: Sequence[str], roles: dict[str, Policy], denied: list[Deny]
) -> Iterator[Record]:
    """Yield a grant for each role assignment of the tenant; one of a condition comes with its text as a `Policy`."""

    def read() -> Iterator[Record]:
        for row in scope.client.query(ASSIGNMENTS):
            properties: dict[str, Any] = row["properties"]
            grant = _grant(
                scope,
                f"azure:role-assignment:{str(row['name']).lower()}",
                principal_id=str(properties["principalId"]),
                role_id=str(properties["roleDefinitionId"]),
                where=str(properties["scope"]),
                roles=roles,
                granted=properties.get("createdOn"),
            )
            condition = properties.get("condition")
            if condition:
                yield _policy(
                    "role-condition",
                    grant.account_id,
                    str(row["name"]).lower(),
                    f"condition of {grant.role}",
                    document={"condition": condition, "version": properties.get("conditionVersion")},
                    to=[grant.id],
                )
            yield _judged(grant, properties, condition, roles, denied)

    yield from by_account(
        scope,
        accounts,
        read(),
        call=f"POST {GRAPH} roleassignments",
        table="grants",
        kind="role-assignment",
        needs=NEEDS,
        fills=("policies/role-condition",),
    )


def _judged(
    grant: Grant,
    properties: dict[str, Any],
    condition: str | None,
    roles: dict[str, Policy],
    denied: list[Deny],
) -> Grant:
    role = roles.get(str(properties["roleDefinitionId"]).rpartition("/")[2].lower())
    return grant if role is None else evaluated(grant, role, condition, denied)


def _grant(
    scope: AzureScope, number: str, *, principal_id: str, role_id: str, where: str, roles: dict[str, Policy],
    granted: str | None = None,
) -> Grant:  # fmt: skip
    role = roles.get(role_id.rpartition("/")[2].lower())
    return Grant(
        id=number,
        **own(scope.account_of(where)),
        identity_id=principal(principal_id),
        role=role.name if role else role_id.rpartition("/")[2].lower(),
        resource=where or "/",
        breadth=_breadth(where),
        confidence="low",
        via="role assignment",
        granted_at=utc_time(granted),
    )


def _breadth(where: str) -> Breadth:
    parts = where.lower().strip("/").split("/")
    if parts == [""] or "managementgroups" in parts:
        return "organization"
    match len(parts):
        case 2:
            return "account"
        case 4:
            return "group"
        case _:
            return "resource"


def eligible(
    scope: AzureScope,
    roles: dict[str, Policy],
    subscriptions: Iterable[str],
    ask: Callable[[str], Iterator[EligibleRole]],
) -> Iterator[Record]:
    """Yield a conditional grant for each assignment that may be activated. ``ask`` lists those of one subscription."""
    for number in subscriptions:

        def read(number: str = number) -> Iterator[Record]:
            for one in ask(number):
                if one.member_type in {"Inherited", "Group"}:
                    continue
                grant = _grant(
                    scope,
                    f"azure:eligible-role:{one.name.lower()}",
                    principal_id=one.principal_id,
                    role_id=one.role_definition_id,
                    where=one.scope,
                    roles=roles,
                )
                role = roles.get(one.role_definition_id.rpartition("/")[2].lower())
                verdict = grant if role is None else evaluated(grant, role, one.condition, [])
                yield msgspec.structs.replace(
                    verdict,
                    conditional=True,
                    via="eligible, by Privileged Identity Management",
                    expires_at=one.until,
                )

        here = scope.within(subscription(number), subscription=number)
        request = here.request(
            "grants",
            f"GET {ELIGIBLE}",
            kind="eligible-role",
            needs="Microsoft.Authorization/roleEligibilityScheduleInstances/read",
        )
        yield from with_coverage(read(), request, unsupported_on({400}, _LICENSE))
