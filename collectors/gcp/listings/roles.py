"""Predefined roles through google-cloud-iam, and custom roles.

https://docs.cloud.google.com/iam/docs/roles-overview. Of some 2,500 predefined roles, those that are granted become records.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from collectors.gcp.calls import LIST_ROLES
from collectors.gcp.records import role_policy
from scanner.collect.listings import with_coverage

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from collectors.gcp.iam_library import IamLibrary
    from collectors.gcp.scope import GcpScope
    from scanner.records import Policy, Record

CUSTOM = "iam.googleapis.com/Role"
_LOSES = ("grants/iam-binding", "links/can_become", "trusts/oidc", "trusts/account")
NEEDS = "iam.roles.list"


def predefined_roles(
    scope: GcpScope, library: IamLibrary
) -> Generator[Record, None, dict[str, dict[str, Any]] | None]:
    """Read the predefined roles, and return them by name. What is granted of them is yielded with the policies."""

    def read() -> Generator[Record, None, dict[str, dict[str, Any]]]:
        found = {}
        for role in library.roles():
            # The same permissions are in many roles.
            role["includedPermissions"] = [sys.intern(one) for one in role["includedPermissions"]]
            found[str(role["name"])] = role
        yield from ()
        return found

    request = scope.request("policies", LIST_ROLES, kind="predefined-roles", needs=NEEDS)
    found: dict[str, dict[str, Any]] | None = yield from with_coverage(read(), request, loses=_LOSES)
    return found


def custom_roles(scope: GcpScope, library: IamLibrary) -> Generator[Record, None, list[Policy]]:
    """Yield the custom roles of the organization and its projects, and return them."""
    found: list[Policy] = []

    def kept(rows: Iterable[tuple[dict[str, Any], str]]) -> Iterator[Record]:
        for row, account in rows:
            policy = role_policy(row, account, "gcp-custom-role")
            found.append(policy)
            yield policy

    yield from scope.assets(
        CUSTOM,
        lambda _, data, account: kept([(data, account)]) if _is_custom(data) else (),
        table="policies",
        kind="gcp-custom-role",
        loses=_LOSES,
        instead=lambda account: _custom_of(scope, library, account, kept),
    )
    return found


def _is_custom(data: dict[str, Any]) -> bool:
    return not str(data["name"]).startswith("roles/") and not data.get("deleted")


def _custom_of(scope: GcpScope, library: IamLibrary, account: str, kept: Any) -> Iterable[Record] | None:
    project = account.removeprefix("gcp:project:")
    if project not in scope.held.projects:
        return None
    read: Iterable[Record] = kept(
        (row, account) for row in library.roles(f"projects/{project}") if not row.get("deleted")
    )
    return read
