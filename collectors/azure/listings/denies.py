"""Deny assignments of subscriptions and management groups.

Resource Graph has none. They are asked with an API version that tells audit from enforcement; the newest is 2026-09-01
(https://learn.microsoft.com/rest/api/authorization/deny-assignments/list-for-scope).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.azure.evaluator.denies import Deny, deny_of
from collectors.azure.records import stored_policy
from collectors.azure.scope import own, scopes_of
from scanner.collect.listings import with_coverage
from scanner.records import Control, record_id

if TYPE_CHECKING:
    from collections.abc import Generator

    from collectors.azure.facts import Containers
    from collectors.azure.scope import AzureScope
    from scanner.records import Record

CALL = "/providers/Microsoft.Authorization/denyAssignments"
NEEDS = "Microsoft.Authorization/denyAssignments/read"


def denies(scope: AzureScope, held: Containers) -> Generator[Record, None, list[Deny]]:
    """Yield the deny assignments of each place, and return those that certainly subtract."""
    found: list[Deny] = []
    seen: set[str] = set()
    places = {f"{place.path}{CALL}?api-version=2024-07-01-preview": place for place in scopes_of(held)}
    for path, answer in scope.client.lists(places):
        place = places[path]

        def read(answer: list[dict[str, Any]] | Exception = answer) -> Generator[Record, None, None]:
            if isinstance(answer, Exception):
                raise answer
            for item in answer:
                native = str(item["name"]).lower()
                # One of a management group is listed below it, too.
                if native not in seen:
                    seen.add(native)
                    yield from _deny(scope, item["properties"], native, found)

        request = scope.within(place.account).request(
            "policies", f"GET {place.template}{CALL}", kind="deny-assignment", needs=NEEDS
        )
        yield from with_coverage(
            read(), request, fills=("controls/deny-assignment",), loses=("grants/role-assignment",)
        )
    return found


def _deny(
    scope: AzureScope, properties: dict[str, Any], native: str, found: list[Deny]
) -> Generator[Record, None, None]:
    deny = deny_of(properties)
    if deny is not None:
        found.append(deny)
    where = str(properties.get("scope") or "/")
    account = scope.account_of(where)
    name = str(properties.get("denyAssignmentName") or native)
    yield stored_policy("deny-assignment", account, native, name, document=properties, to=[account])
    effect = str(properties.get("denyAssignmentEffect") or "").lower()
    yield Control(
        id=record_id("azure", "deny-assignment-control", native),
        **own(account),
        stage="runtime",
        kind="deny-assignment",
        name=name,
        # A condition, or a group that is left out: it holds for some.
        enforcement="audited" if effect == "audit" else ("enforced" if deny is not None else "documented"),
        target=where,
        bypass=sorted(str(one.get("id")) for one in properties.get("excludePrincipals") or []),
    )
