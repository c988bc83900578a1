"""Groups of service principals: what they are in is what they hold, in Azure, Azure DevOps and elsewhere.

https://learn.microsoft.com/graph/api/serviceprincipal-list-memberof,
https://learn.microsoft.com/graph/api/group-list-transitivememberof
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.entra.records import EXPANDED, text
from collectors.entra.scope import principal
from scanner.records import Identity, Link, record_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from collectors.entra.scope import EntraScope
    from scanner.records import Record

NEEDS = "GroupMember.Read.All"
CALL = "/beta/servicePrincipals"
_GROUP = "#microsoft.graph.group"


def memberships(scope: EntraScope) -> Iterator[Record]:
    """Yield the groups that contain service principals, and the groups that contain those."""
    groups: set[str] = set()
    many: list[str] = []

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        number, above = text(item["id"]), item["memberOf"]
        if len(above) >= EXPANDED:
            many.append(number)
        for one in above:
            if one.get("@odata.type") == _GROUP:
                groups.add(text(one.get("id")))
                yield from _member(scope, number, one)

    yield from scope.listing(
        CALL,
        convert,
        table="links",
        kind="memberships",
        needs=NEEDS,
        fills=("identities/entra-group",),
        parameters={"$select": "id", "$expand": "memberOf($select=id,displayName)", "$top": 999},
    )
    yield from _above(scope, "servicePrincipals", many)
    yield from _above(scope, "groups", sorted(groups))


def _above(scope: EntraScope, collection: str, numbers: Iterable[str]) -> Iterator[Record]:
    """Yield every group that contains these objects, directly or not."""
    paths = {
        f"/{collection}/{number}/transitiveMemberOf?$select=id,displayName&$top=999": number
        for number in numbers
    }

    def convert(number: str, groups: list[dict[str, Any]]) -> Iterator[Record]:
        for one in groups:
            if one.get("@odata.type") == _GROUP:
                yield from _member(scope, number, one)

    yield from scope.list_of_each(
        paths,
        convert,
        f"GET /beta/{collection}/{{id}}/transitiveMemberOf",
        table="links",
        kind="memberships",
        needs=NEEDS,
        fills=("identities/entra-group",),
    )


def _member(scope: EntraScope, member: str, item: dict[str, Any]) -> Iterator[Record]:
    group = text(item.get("id"))
    yield Identity(
        id=principal(group),
        **scope.own,
        surface="human",
        kind="entra-group",
        native_id=group,
        name=item.get("displayName") or group,
    )
    yield Link(
        id=record_id("entra", "member", f"{group}/{member}"),
        **scope.own,
        source_id=principal(member),
        relation="member_of",
        target_id=principal(group),
        evidence="member of a group",
    )
