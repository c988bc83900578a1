"""What a consent to delegated permissions amounts to.

https://learn.microsoft.com/graph/api/resources/oauth2permissiongrant : when a grant was made is not shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.entra import powers
from collectors.entra.records import text
from scanner.records import POWERS, Grant, level_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from collectors.entra.facts import ServicePrincipals
    from collectors.entra.scope import EntraScope

_LOW = frozenset(("openid", "profile", "email", "offline_access", "User.Read"))
"""Scopes that sign a user in and read the user's own profile."""


def delegated_grant(
    scope: EntraScope,
    item: dict[str, Any],
    known: ServicePrincipals,
    app_ids: Mapping[str, str],
    *,
    number: str,
    holder: str,
    via: str,
) -> Grant:
    """Return the grant of one consent. ``app_ids`` are client IDs by object ID of the API."""
    scopes = sorted(set(str(item.get("scope") or "").split()))
    resource = text(item["resourceId"]).lower()
    api = app_ids.get(resource, "")
    verdict = [powers.of_delegated(api, one) for one in scopes if one not in _LOW]
    held = {power for one in verdict for power in one.powers} or ({"read"} if scopes else set())
    unsure = any(not one.powers for one in verdict)
    can = [power for power in POWERS if power in held]
    return Grant(
        id=number,
        **scope.own,
        identity_id=holder,
        role=" ".join(scopes)[:500] or "no scope",
        resource=known.names.get(resource, resource),
        breadth="organization" if item.get("consentType") == "AllPrincipals" else "resource",
        powers=can,
        level=level_of(can) if not unsure or can else "unknown",
        # Only in the name of a user who signs in.
        conditional=True,
        confidence="low" if unsure else "high",
        via=via,
        why=next((one.way for one in verdict if one.way), None),
        actions=[one for one in scopes if one not in _LOW][:10],
    )
