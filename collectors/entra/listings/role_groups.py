"""Groups that can hold directory roles: their owners, members, and who may activate membership.

https://learn.microsoft.com/entra/identity/role-based-access-control/groups-concept : only these groups can hold a directory
role, and only their owners and two roles change their members.
https://learn.microsoft.com/graph/api/group-list-transitivemembers,
https://learn.microsoft.com/graph/api/privilegedaccessgroup-list-eligibilityscheduleinstances (Entra ID P2 or Governance)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from collectors.entra.records import EXPANDED, OWNER_FIELDS, PEOPLE, owner_links, person_or_group, text
from collectors.entra.scope import principal
from scanner.collect.failures import unsupported_on
from scanner.collect.scope import utc_time
from scanner.records import Grant, Identity, Link, record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping
    from datetime import datetime

    from collectors.entra.scope import EntraScope
    from scanner.records import Record

NEEDS = "GroupMember.Read.All"
MEMBERS = "GET /beta/groups/{id}/transitiveMembers"
OWNERS = "GET /beta/groups/{id}/owners"
PIM = "/identityGovernance/privilegedAccess/group"
_OWNER = "owner of the group"
_LICENSE = "Available with Entra ID P2 or Entra ID Governance."


def members_of_role_groups(
    scope: EntraScope, names: Mapping[str, str], held: Mapping[str, list[Grant]]
) -> Iterator[Record]:
    """Yield who is in these groups and who may be.

    ``names`` are by object ID, ``held`` the grants of the directory roles that groups hold.
    """
    every = sorted({*held, *names})
    ends = yield from _membership_ends(scope, every)
    yield from _members(scope, sorted(held), ends)
    yield from _eligible(scope, every, held, names)


def role_groups(scope: EntraScope) -> Generator[Record, None, dict[str, str]]:
    """Yield these groups with their owners, and return their names by object ID."""
    names: dict[str, str] = {}
    many_owners: list[str] = []

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        number, owners = text(item["id"]), item["owners"]
        name = item.get("displayName") or number
        names[number] = name
        if len(owners) >= EXPANDED:
            many_owners.append(number)
        yield Identity(
            id=principal(number),
            **scope.own,
            surface="human",
            kind="entra-group",
            native_id=number,
            name=name,
            created_at=utc_time(item.get("createdDateTime")),
            tags={"role_assignable": "true"},
        )
        yield from owner_links(scope, owners, principal(number), _OWNER)

    yield from scope.listing(
        "/v1.0/groups",
        convert,
        table="identities",
        kind="entra-group",
        needs=NEEDS,
        parameters={
            "$filter": "isAssignableToRole eq true",
            "$select": "id,displayName,createdDateTime",
            "$expand": f"owners({OWNER_FIELDS})",
            "$top": 999,
        },
        fills=("links/group-owners", "identities/entra-user"),
        loses=("grants/eligible-group", "links/membership-end", "identities/entra-agent-user"),
    )
    yield from _all_owners(scope, many_owners)
    return names


def _all_owners(scope: EntraScope, groups: Iterable[str]) -> Iterator[Record]:
    paths = {f"/groups/{group}/owners": group for group in groups}

    def convert(group: str, owners: list[dict[str, Any]]) -> Iterator[Record]:
        yield from owner_links(scope, owners, principal(group), _OWNER)

    yield from scope.list_of_each(
        paths, convert, OWNERS, table="links", kind="group-owners", needs=NEEDS, fills=PEOPLE
    )


def _members(
    scope: EntraScope, groups: Iterable[str], ends: Mapping[tuple[str, str], datetime]
) -> Iterator[Record]:
    """Yield who is in these groups, directly or through other groups."""
    paths = {f"/groups/{group}/transitiveMembers?{OWNER_FIELDS}&$top=999": group for group in groups}

    def convert(group: str, members: list[dict[str, Any]]) -> Iterator[Record]:
        for item in members:
            member = text(item.get("id"))
            yield from person_or_group(scope, item)
            yield Link(
                id=record_id("entra", "member", f"{group}/{member}"),
                **scope.own,
                source_id=principal(member),
                relation="member_of",
                target_id=principal(group),
                evidence="member of a group that holds a directory role",
                expires_at=ends.get((group, member)),
            )

    yield from scope.list_of_each(
        paths, convert, MEMBERS, table="links", kind="role-members", needs=NEEDS, fills=PEOPLE
    )


def _membership_ends(
    scope: EntraScope, groups: Iterable[str]
) -> Generator[Record, None, dict[tuple[str, str], datetime]]:
    """Return when memberships end that are for a time only, by group and member."""
    ends: dict[tuple[str, str], datetime] = {}
    paths = {f"{PIM}/assignmentScheduleInstances?$filter=groupId%20eq%20'{group}'": group for group in groups}

    def convert(group: str, memberships: list[dict[str, Any]]) -> Iterator[Record]:
        for item in memberships:
            end = utc_time(item.get("endDateTime"))
            if end is not None and item.get("accessId") == "member":
                ends[group, text(item.get("principalId"))] = end
        yield from ()

    yield from scope.list_of_each(
        paths,
        convert,
        f"GET /beta{PIM}/assignmentScheduleInstances",
        table="links",
        kind="membership-end",
        needs="PrivilegedAssignmentSchedule.Read.AzureADGroup",
        classify=unsupported_on({400}, _LICENSE),
    )
    return ends


def _eligible(
    scope: EntraScope, groups: Iterable[str], held: Mapping[str, list[Grant]], names: Mapping[str, str]
) -> Iterator[Record]:
    """Yield what those have who may activate membership or ownership of a group: not active, so a conditional grant.

    Each directory role that the group holds is one; a group that holds none here may hold Azure roles, so it is unknown.
    """
    paths = {
        f"{PIM}/eligibilityScheduleInstances?$filter=groupId%20eq%20'{group}'&$expand=principal": group
        for group in groups
    }

    def convert(group: str, eligible: list[dict[str, Any]]) -> Iterator[Record]:
        for item in eligible:
            yield from person_or_group(scope, item.get("principal") or {})
            yield from _eligible_grants(scope, item, group, names.get(group, group), held.get(group, []))

    yield from scope.list_of_each(
        paths,
        convert,
        f"GET /beta{PIM}/eligibilityScheduleInstances",
        table="grants",
        kind="eligible-group",
        needs="PrivilegedEligibilitySchedule.Read.AzureADGroup",
        classify=unsupported_on({400}, _LICENSE),
        fills=PEOPLE,
    )


def _eligible_grants(
    scope: EntraScope, item: dict[str, Any], group: str, name: str, held: list[Grant]
) -> Iterator[Record]:
    number, holder = text(item.get("id")), principal(text(item.get("principalId")))
    access = str(item.get("accessId") or "member")
    shared: dict[str, Any] = {
        "identity_id": holder,
        "conditional": True,
        "via": f"eligible {access} of the group {name}, by Privileged Identity Management",
        "granted_at": utc_time(item.get("startDateTime")),
        "expires_at": utc_time(item.get("endDateTime")),
    }
    for grant in held:
        yield msgspec.structs.replace(
            grant,
            id=record_id("entra", "eligible-group", f"{number}/{grant.id.rpartition(':')[2]}"),
            **shared,
        )
    if not held:
        yield Grant(
            id=record_id("entra", "eligible-group", number),
            **scope.own,
            role=f"{access} of {name}",
            resource=group,
            breadth="resource",
            confidence="low",
            **shared,
        )
