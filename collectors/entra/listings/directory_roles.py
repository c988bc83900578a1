"""Directory roles: their definitions, who holds them now, and who may activate them.

https://learn.microsoft.com/graph/api/rbacapplication-list-roleassignments,
https://learn.microsoft.com/graph/api/rbacapplication-list-roleeligibilityscheduleinstances,
https://learn.microsoft.com/graph/api/rbacapplication-list-roleassignmentscheduleinstances (both need Entra ID P2)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from collectors.entra.evaluator import grant_with_powers
from collectors.entra.powers import elevation
from collectors.entra.records import PEOPLE, becoming, person_or_group, policy, text
from collectors.entra.scope import application, principal
from scanner.collect.failures import unsupported_on
from scanner.collect.listings import with_coverage
from scanner.collect.scope import utc_time
from scanner.records import Grant, Policy, level_of, record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from datetime import datetime

    from collectors.entra.scope import EntraScope
    from scanner.records import Breadth, Record

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
        loses=("grants/directory-role", "grants/eligible-directory-role", "links/role-over-application"),
    )
    return found


class RoleFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What explains an assignment."""

    roles: dict[str, Policy]
    """Definitions by ID."""
    units: dict[str, str]
    """Names of administrative units by ID."""
    applications: dict[str, str]
    """Client IDs by object ID of an application or service principal."""


def assignments(
    scope: EntraScope, facts: RoleFacts
) -> Generator[Record, None, dict[str, list[Grant]] | None]:
    """Yield a grant for each assignment, and return what groups hold, by their object ID: active roles only.

    Returns None if the assignments were not read to the end.
    """
    ends = yield from _ends(scope)
    groups: dict[str, list[Grant]] = {}

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        holder = item.get("principal") or {}
        grant = _grant(scope, item, facts, "directory-role", expires=(ends or {}).get(_key(item)))
        if holder.get("@odata.type") == "#microsoft.graph.group":
            groups.setdefault(text(item["principalId"]), []).append(grant)
        yield from person_or_group(scope, holder)
        yield grant
        yield from _elevation(scope, item, grant, facts)
        yield from _over_application(scope, grant, facts)

    def read() -> Generator[Record, None, bool]:
        for item in scope.client.items(f"{BASE}/roleAssignments", {"$expand": "principal"}):
            yield from convert(item)
        return True

    request = scope.request("grants", f"GET {BASE}/roleAssignments", kind="directory-role", needs=NEEDS)
    complete = yield from with_coverage(
        read(),
        request,
        fills=(*PEOPLE, "links/role-over-application"),
        loses=("links/role-members", "grants/eligible-group"),
    )

    def eligible(item: dict[str, Any]) -> Iterator[Record]:
        holder = item.get("principal") or {}
        if holder.get("@odata.type") == "#microsoft.graph.group":
            groups.setdefault(text(item["principalId"]), [])
        yield from person_or_group(scope, holder)
        expires = utc_time(item.get("endDateTime"))
        grant = _grant(scope, item, facts, "eligible-directory-role", expires=expires)
        yield grant
        yield from _elevation(scope, item, grant, facts)

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
    return groups if complete else None


def _key(item: dict[str, Any]) -> tuple[str, str, str]:
    return text(item["principalId"]), text(item["roleDefinitionId"]), _where(item)


def _where(item: dict[str, Any]) -> str:
    """Return where an assignment applies: ``/``, ``/administrativeUnits/ID``, ``/ID`` of an object, or a service's scope."""
    return str(item.get("directoryScopeId") or item.get("appScopeId") or "/")


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
    scope: EntraScope, item: dict[str, Any], facts: RoleFacts, kind: str, *, expires: datetime | None
) -> Grant:
    where = _where(item)
    role = facts.roles.get(text(item["roleDefinitionId"]))
    unit = facts.units.get(where.rpartition("/")[2])
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
        via=(
            "eligible, by Privileged Identity Management" if kind == "eligible-directory-role" else "assigned"
        )
        + (f", over the administrative unit {unit}" if unit else ""),
        granted_at=utc_time(item.get("startDateTime")),
        expires_at=expires,
    )
    return grant if role is None else grant_with_powers(grant, role)


def _elevation(scope: EntraScope, item: dict[str, Any], grant: Grant, facts: RoleFacts) -> Iterator[Record]:
    """Yield that a Global Administrator can give itself User Access Administrator at the root of Azure.

    https://learn.microsoft.com/azure/role-based-access-control/elevate-access-global-admin : people only, and those in a group
    that holds the role; the call acts for a signed-in user. Who has done so is a role assignment at ``/``, which Azure lists.
    """
    role = facts.roles.get(text(item["roleDefinitionId"]))
    kind = (item.get("principal") or {}).get("@odata.type")
    if (
        role is None
        or grant.resource != "*"
        or kind not in {"#microsoft.graph.user", "#microsoft.graph.group"}
    ):
        return
    path = elevation()
    if role.native_id.lower() not in path.templates:
        return
    powers = list(path.action_powers)
    yield Grant(
        id=record_id("entra", "elevate-access", text(item["id"])),
        **scope.own,
        identity_id=grant.identity_id,
        role="User Access Administrator, by elevateAccess",
        resource="/",
        breadth="organization",
        powers=powers,
        level=level_of(powers),
        conditional=grant.conditional,
        via=f"{grant.role}, {grant.via}",
        why=path.way,
        actions=["Microsoft.Authorization/elevateAccess/action"],
        granted_at=grant.granted_at,
        expires_at=grant.expires_at,
    )


def _over_application(scope: EntraScope, grant: Grant, facts: RoleFacts) -> Iterator[Record]:
    """Yield that whoever holds a role over one application can become it, if the role's actions add a credential.

    https://learn.microsoft.com/entra/identity/role-based-access-control/assign-roles-different-scopes
    """
    client = facts.applications.get(grant.resource.strip("/").lower())
    if client is None or grant.level not in {"admin", "escalation"}:
        return
    number = record_id("entra", "role-over-application", grant.id.rpartition(":")[2])
    evidence = "directory role over the application"
    yield becoming(
        scope, number, grant.identity_id, application(client), evidence,
        fix="Remove the assignment, or make it eligible.", expires_at=grant.expires_at,
    )  # fmt: skip


def _breadth(where: str) -> Breadth:
    """Return the breadth of a scope: the tenant, an administrative unit, or one object."""
    if where == "/":
        return "organization"
    return "group" if where.startswith("/administrativeUnits/") else "resource"
