"""Delegated permissions: what applications may do in the name of the users who sign in to them.

https://learn.microsoft.com/graph/api/oauth2permissiongrant-list : when a grant was made is not shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.entra import powers
from collectors.entra.records import text
from collectors.entra.scope import principal
from scanner.records import POWERS, Grant, level_of, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.entra.facts import ServicePrincipals
    from collectors.entra.scope import EntraScope
    from scanner.records import Record

_LOW = frozenset(("openid", "profile", "email", "offline_access", "User.Read"))
"""Scopes that sign a user in and read the user's own profile."""


def delegated(scope: EntraScope, known: ServicePrincipals) -> Iterator[Record]:
    """Yield a grant for each consent: for all users of the tenant, or for one."""
    app_ids = {number: app_id for app_id, number in known.app_ids.items()}

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        scopes = sorted(set(text(item["scope"]).split())) if str(item["scope"] or "").strip() else []
        resource = text(item["resourceId"]).lower()
        api = app_ids.get(resource, "")
        verdict = [powers.of_delegated(api, one) for one in scopes if one not in _LOW]
        held = {power for one in verdict for power in one.powers} or ({"read"} if scopes else set())
        unsure = any(not one.powers for one in verdict)
        can = [power for power in POWERS if power in held]
        everyone = item["consentType"] == "AllPrincipals"
        name = known.names.get(resource, resource)
        yield Grant(
            id=record_id("entra", "delegated", text(item["id"])),
            **scope.own,
            identity_id=principal(text(item["clientId"])),
            role=" ".join(scopes)[:500] or "no scope",
            resource=name,
            breadth="organization" if everyone else "resource",
            powers=can,
            level=level_of(can) if not unsure or can else "unknown",
            # Only in the name of a user who signs in.
            conditional=True,
            confidence="low" if unsure else "high",
            via=f"delegated permission for {'all users' if everyone else 'one user'}",
            actions=[one for one in scopes if one not in _LOW][:10],
        )

    yield from scope.listing(
        "/v1.0/oauth2PermissionGrants",
        convert,
        table="grants",
        kind="delegated",
        needs="Directory.Read.All",
        parameters={"$top": 999},
    )
