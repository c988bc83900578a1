"""Delegated permissions: what applications may do in the name of the users who sign in to them.

https://learn.microsoft.com/graph/api/oauth2permissiongrant-list
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.entra.consents import delegated_grant
from collectors.entra.records import text
from collectors.entra.scope import principal
from scanner.records import record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.entra.facts import ServicePrincipals
    from collectors.entra.scope import EntraScope
    from scanner.records import Record


def delegated(scope: EntraScope, known: ServicePrincipals) -> Iterator[Record]:
    """Yield a grant for each consent: for all users of the tenant, or for one."""
    app_ids = {number: app_id for app_id, number in known.app_ids.items()}

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        yield delegated_grant(
            scope,
            item,
            known,
            app_ids,
            number=record_id("entra", "delegated", text(item["id"])),
            holder=principal(text(item["clientId"])),
            via=f"delegated permission for {'all users' if item.get('consentType') == 'AllPrincipals' else 'one user'}",
        )

    yield from scope.listing(
        "/v1.0/oauth2PermissionGrants",
        convert,
        table="grants",
        kind="delegated",
        needs="Directory.Read.All",
        parameters={"$top": 999},
    )
