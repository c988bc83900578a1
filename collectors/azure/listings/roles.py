"""Role definitions and role assignments.

Those of the whole tenant are two queries of Resource Graph. Where it is denied, each subscription is asked through
azure-mgmt-authorization (https://learn.microsoft.com/python/api/azure-mgmt-authorization).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.azure.calls import GRAPH
from collectors.azure.evaluator import ASSIGNMENT
from collectors.azure.records import role_grant, stored_policy
from scanner.collect.by_account import by_account
from scanner.collect.scope import utc_time
from scanner.records import record_id

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from collectors.azure.evaluator import RoleEvaluator
    from collectors.azure.facts import Containers
    from collectors.azure.library import AuthorizationLibrary
    from collectors.azure.scope import AzureScope
    from scanner.records import Policy, Record

NEEDS = "Reader at the root management group"
DEFINITIONS = (
    "authorizationresources | where type =~ 'microsoft.authorization/roledefinitions' "
    "| project id, name, properties | order by id asc"
)
ASSIGNMENTS = (
    "authorizationresources | where type =~ 'microsoft.authorization/roleassignments' "
    "| project id, name, properties | order by id asc"
)


def definitions(
    scope: AzureScope, held: Containers, library: AuthorizationLibrary
) -> Generator[Record, None, list[Policy]]:
    """Yield every role definition, and return them."""
    found: dict[str, Policy] = {}
    names: dict[str, str] = {}

    def kept(rows: Iterable[dict[str, Any]]) -> Iterator[Record]:
        for row in rows:
            number = str(row["name"]).lower()
            # A definition comes once for each scope that it can be assigned at.
            if number in found:
                continue
            properties: dict[str, Any] = row["properties"]
            document = {
                key: properties[key]
                for key in ("assignableScopes", "description", "permissions", "roleName", "type")
                if properties.get(key) is not None
            }
            name = str(properties.get("roleName") or number)
            # Grants name their role: a custom role may have the name of a built-in one.
            if names.setdefault(name, number) != number:
                name = f"{name} ({number})"
            policy = stored_policy(
                "role-definition", scope.account_id, number, name, document=document, to=[scope.account_id]
            )
            found[number] = policy
            yield policy

    # Without the definition, an assignment is known and its powers are not: in every account.
    yield from by_account(
        scope,
        held.accounts,
        kept(scope.client.query(DEFINITIONS)),
        call=f"POST {GRAPH} roledefinitions",
        table="policies",
        kind="role-definition",
        needs=NEEDS,
        loses=("grants/role-assignment", "grants/eligible-role", "grants/lighthouse", "links/can_become"),
        instead=_one_by_one(held.subscriptions, lambda number: kept(library.definitions(number))),
    )
    return list(found.values())


def _via(properties: Mapping[str, Any], until: datetime | None) -> str:
    """Return how a role is held. Entra ID lists every service principal: one that it lacks was deleted."""
    if until is not None:
        return "activated for a while"
    kind = str(properties.get("principalType") or "")
    return "role assignment to a service principal" if kind == "ServicePrincipal" else "role assignment"


def _one_by_one(
    subscriptions: Sequence[str], read: Callable[[str], Iterable[Record]]
) -> Callable[[str], Iterable[Record] | None]:
    """Return what reads the subscription of an account; None for another account."""
    known = {record_id("azure", "subscription", number): number for number in subscriptions}
    return lambda account: read(known[account]) if account in known else None


def assignments(
    scope: AzureScope,
    held: Containers,
    evaluator: RoleEvaluator,
    activated: Mapping[str, datetime],
    library: AuthorizationLibrary,
) -> Iterator[Record]:
    """Yield a grant for each role assignment of the tenant, and whom its holder can become.

    An assignment with a condition comes with its text as a `Policy`. ``activated`` are the ends of assignments that Privileged
    Identity Management made for a while, by their GUIDs.
    """
    seen: set[str] = set()

    def kept(rows: Iterable[dict[str, Any]]) -> Iterator[Record]:
        for row in rows:
            number = str(row["name"]).lower()
            if number in seen:
                continue
            seen.add(number)
            properties: dict[str, Any] = row["properties"]
            until = activated.get(number)
            grant = role_grant(
                scope,
                f"{ASSIGNMENT}{number}",
                principal_id=str(properties["principalId"]),
                role_id=str(properties["roleDefinitionId"]),
                where=str(properties["scope"]),
                evaluator=evaluator,
                granted=utc_time(properties.get("createdOn")),
                until=until,
                via=_via(properties, until),
            )
            condition = properties.get("condition")
            if condition:
                yield stored_policy(
                    "role-condition",
                    grant.account_id,
                    number,
                    f"condition of {grant.role}",
                    document={"condition": condition, "version": properties.get("conditionVersion")},
                    to=[grant.id],
                )
            if not evaluator.knows(grant.role):
                yield grant
                continue
            text = str(condition) if condition else None
            found = evaluator.allowed(grant, text)
            yield evaluator.evaluated(grant, text, found)
            yield from evaluator.links(grant, found)
        yield from evaluator.combined()

    yield from by_account(
        scope,
        held.accounts,
        kept(scope.client.query(ASSIGNMENTS)),
        call=f"POST {GRAPH} roleassignments",
        table="grants",
        kind="role-assignment",
        needs=NEEDS,
        fills=("policies/role-condition", "links/can_become"),
        instead=_one_by_one(held.subscriptions, lambda number: kept(library.assignments(number))),
    )
