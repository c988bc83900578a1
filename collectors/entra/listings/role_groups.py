"""Members of groups that hold a directory role. https://learn.microsoft.com/graph/api/group-list-transitivemembers"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.entra.records import PEOPLE, person_or_group, text
from collectors.entra.scope import principal
from scanner.collect.failures import SourceError
from scanner.collect.listings import with_coverage
from scanner.records import Link, record_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from collectors.entra.scope import EntraScope
    from scanner.records import Record

NEEDS = "GroupMember.Read.All"
CALL = "GET /beta/groups/{id}/transitiveMembers"


def role_group_members(scope: EntraScope, groups: Iterable[str]) -> Iterator[Record]:
    """Yield who is in these groups, directly or through other groups."""
    paths = {
        f"/groups/{group}/transitiveMembers?$select=id,displayName,userPrincipalName,accountEnabled&$top=999": group
        for group in sorted(groups)
    }
    for path, answer in scope.client.lists(paths):
        group = paths[path]

        def read(answer: list[dict[str, Any]] | SourceError = answer, group: str = group) -> Iterator[Record]:
            if isinstance(answer, SourceError):
                raise answer
            for item in answer:
                member = text(item.get("id"))
                yield from person_or_group(scope, item)
                yield Link(
                    id=record_id("entra", "member", f"{group}/{member}"),
                    **scope.own,
                    source_id=principal(member),
                    relation="member_of",
                    target_id=principal(group),
                    evidence="member of a group that holds a directory role",
                )

        request = scope.request("links", CALL, kind="role-members", needs=NEEDS, item=group)
        yield from with_coverage(read(), request, fills=PEOPLE)
