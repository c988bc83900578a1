"""Group rules: what every member of a group gets at the first sign-in, a license and membership in project groups.

https://learn.microsoft.com/rest/api/azure/devops/memberentitlementmanagement/group-entitlements/list : so the list of users
misses people who may enter at any time, namely the members of the groups here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.azure_devops.calls import PREVIEW, WHOLE
from collectors.azure_devops.scope import PROVIDER
from scanner.collect.scope import utc_time
from scanner.records import Identity, Link, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.azure_devops.scope import DevOpsScope
    from scanner.records import Record

CALL = "/_apis/groupentitlements"
_NEVER = "0001-01-01"


def group_rules(scope: DevOpsScope) -> Iterator[Record]:
    """Yield the group rules. A group of Entra ID is linked to its rule."""

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        group: dict[str, Any] = item["group"]
        number, rule = str(item["id"]).lower(), item.get("licenseRule") or {}
        projects = sorted(
            f"{(one.get('projectRef') or {}).get('name')}: {(one.get('group') or {}).get('displayName') or (one.get('group') or {}).get('groupType')}"
            for one in item.get("projectEntitlements") or []
        )
        ran = str(item.get("lastExecuted") or _NEVER)
        me = record_id(PROVIDER, "group-rule", number)
        yield Identity(
            id=me,
            **scope.own,
            surface=None,
            kind="ado-group-rule",
            native_id=number,
            name=str(group.get("displayName") or number),
            last_used_at=None if ran.startswith(_NEVER) else utc_time(ran),
            never_used=True if ran.startswith(_NEVER) and item.get("lastExecuted") else None,
            permissions=projects,
            tags={
                "access": str(rule.get("licenseDisplayName") or rule.get("accountLicenseType") or "unknown"),
                "status": str(item.get("status") or "unknown"),
            },
        )
        if str(group.get("origin")) == "aad" and group.get("originId"):
            origin = record_id("entra", "principal", str(group["originId"]).lower())
            yield Link(
                id=record_id(PROVIDER, "group-rule", number),
                **scope.own,
                source_id=origin,
                relation="member_of",
                target_id=me,
                evidence="originId",
                why="every member of the Entra group is given what the rule says",
            )

    yield from scope.on(scope.clients.entitlement).listing(
        CALL,
        convert,
        table="identities",
        kind="ado-group-rule",
        needs="Read of member entitlements",
        parameters=PREVIEW,
        paginator=WHOLE,
        fills=("links/member_of",),
    )
