"""Directory roles: their definitions, who holds them now, and who may activate them.

https://learn.microsoft.com/graph/api/rbacapplication-list-roleassignments,
https://learn.microsoft.com/graph/api/rbacapplication-list-roleeligibilityscheduleinstances,
https://learn.microsoft.com/graph/api/rbacapplication-list-roleassignmentscheduleinstances (both need Entra ID P2)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.entra.evaluator import grant_with_powers
from collectors.entra.records import PEOPLE, person_or_group, policy, text
from collectors.entra.scope import principal
from scanner.collect.failures import unsupported_on
from scanner.collect.listings import with_coverage
from scanner.collect.scope import utc_time
from scanner.records import Grant, record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from datetime import datetime

    from collectors.entra.scope import EntraScope
    from scanner.records import Breadth, Policy, Record

NEEDS = "RoleManagement.Read.Directory"
_LICENSE = "Available with Entra ID P2."
BASE = "/v1.0/roleManagement/directory"
DEFINITIONS = "/beta/roleManagement/directory/roleDefinitions"
_KEPT = ("allowedPrincipalTypes", "description", "displayName", "isBuiltIn", "isEnabled", "isPrivileged", "resourceScopes",
         "rolePermissions", "templateId")  # fmt: skip


def definitions(scope: EntraScope) -> Generator[Record, None, dict[str, Policy]]:
    """Yield the definition of every role as a `Policy`, and return them by ID."""
    found: dict[str, Policy] = {}

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        number = text(item["id"])
        kept = policy(
            scope,
            "directory-role",
            str(item.get("templateId") or number),
            name=text(item["displayName"]),
            document={key: item[key] for key in _KEPT if item.get(key) is not None},
            attached=[scope.account_id],
        )
        found[number] = kept
        yield kept

    # Without the definition, an assignment is known and its powers are not.
    yield from scope.listing(
        DEFINITIONS,
        convert,
        table="policies",
        kind="directory-role",
        needs=NEEDS,
        loses=("grants/directory-role", "grants/eligible-directory-role"),
    )
    return found


def assignments(scope: EntraScope, roles: dict[str, Policy]) -> Generator[Record, None, set[str]]:
    """Yield a grant for each assignment, and return the object IDs of the groups that hold a role."""
    ends = yield from _ends(scope)
    groups: set[str] = set()

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        holder = item.get("principal") or {}
        if holder.get("@odata.type") == "#microsoft.graph.group":
            groups.add(text(item["principalId"]))
        yield from person_or_group(scope, holder) if holder else ()
        yield _grant(scope, item, roles, "directory-role", expires=(ends or {}).get(_key(item)))

    yield from scope.listing(
        f"{BASE}/roleAssignments",
        convert,
        table="grants",
        kind="directory-role",
        needs=NEEDS,
        parameters={"$expand": "principal"},
        fills=PEOPLE,
        loses=("links/role-members",),
    )

    def eligible(item: dict[str, Any]) -> Iterator[Record]:
        holder = item.get("principal") or {}
        if holder.get("@odata.type") == "#microsoft.graph.group":
            groups.add(text(item["principalId"]))
        yield from person_or_group(scope, holder) if holder else ()
        expires = utc_time(item.get("endDateTime"))
        yield _grant(scope, item, roles, "eligible-directory-role", expires=expires)

    yield from scope.listing(
        f"{BASE}/roleEligibilityScheduleInstances",
        eligible,
        table="grants",
        kind="eligible-directory-role",
        needs="RoleEligibilitySchedule.Read.Directory",
        parameters={"$expand": "principal"},
        fills=PEOPLE,
        classify=unsupported_on({400}, _LICENSE),
    )
    return groups


def _key(item: dict[str, Any]) -> tuple[str, str, str]:
    return text(item["principalId"]), text(item["roleDefinitionId"]), str(item.get("directoryScopeId") or "/")


def _ends(scope: EntraScope) -> Generator[Record, None, dict[tuple[str, str, str], datetime] | None]:
    """Return when assignments end that are for a time only; None if it could not be read."""
    call = f"{BASE}/roleAssignmentScheduleInstances"

    def read() -> Generator[Record, None, dict[tuple[str, str, str], datetime]]:
        found: dict[tuple[str, str, str], datetime] = {}
        for item in scope.client.items(call):
            end = utc_time(item.get("endDateTime"))
            if end is not None:
                found[_key(item)] = end
        yield from ()
        return found

    needs = "RoleAssignmentSchedule.Read.Directory"
    request = scope.request("grants", f"GET {call}", kind="role-end", needs=needs)
    return (yield from with_coverage(read(), request, unsupported_on({400}, _LICENSE)))


def _grant(
    scope: EntraScope, item: dict[str, Any], roles: dict[str, Policy], kind: str, *, expires: datetime | None
) -> Grant:
    where = str(item.get("directoryScopeId") or "/")
    role = roles.get(text(item["roleDefinitionId"]))
    grant = Grant(
        id=record_id("entra", kind, text(item["id"])),
        **scope.own,
        identity_id=principal(text(item["principalId"])),
        role=role.name if role else text(item["roleDefinitionId"]),
        resource="*" if where == "/" else where,
        breadth=_breadth(where),
        # Eligible is not active: it takes an activation, with what the role's settings demand for it.
        conditional=kind == "eligible-directory-role",
        confidence="low",
        via="eligible, by Privileged Identity Management"
        if kind == "eligible-directory-role"
        else "assigned",
        granted_at=utc_time(item.get("startDateTime")),
        expires_at=expires,
    )
    return grant if role is None else grant_with_powers(grant, role)


def _breadth(where: str) -> Breadth:
    """Return the breadth of a scope: the tenant, an administrative unit, or one object."""
    if where == "/":
        return "organization"
    return "group" if where.startswith("/administrativeUnits/") else "resource"
