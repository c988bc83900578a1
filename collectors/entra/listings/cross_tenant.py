"""Cross-tenant access: which other tenants create users here, and whose multifactor authentication counts.

https://learn.microsoft.com/graph/api/crosstenantaccesspolicyconfigurationdefault-get,
https://learn.microsoft.com/graph/api/crosstenantaccesspolicy-list-partners
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.entra.records import text
from scanner.records import Control, record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from collectors.entra.scope import EntraScope
    from scanner.records import Enforcement, Record

NEEDS = "Policy.Read.All"
_BASE = "/v1.0/policies/crossTenantAccessPolicy"


def cross_tenant(scope: EntraScope) -> Iterator[Record]:
    """Yield a control for the default, and one for each partner."""

    def default(item: dict[str, Any]) -> Generator[Record, None, None]:
        accepted = bool(item["inboundTrust"]["isMfaAccepted"])
        yield _control(
            scope,
            "cross-tenant-mfa-trust",
            scope.tenant,
            name="MFA of other tenants",
            enforcement="absent" if accepted else "enforced",
            detail="MFA that any other tenant says was done is accepted"
            if accepted
            else "Guests do MFA here, unless their tenant is named as partner",
        )

    yield from scope.object(
        f"{_BASE}/default", default, table="controls", kind="cross-tenant-mfa-trust", needs=NEEDS
    )

    def partner(item: dict[str, Any]) -> Iterator[Record]:
        number = text(item["tenantId"]).lower()
        sync: dict[str, Any] = item.get("identitySynchronization") or {}
        creates = bool((sync.get("userSyncInbound") or {}).get("isSyncAllowed"))
        automatic = bool((item.get("automaticUserConsentSettings") or {}).get("inboundAllowed"))
        accepts = bool((item.get("inboundTrust") or {}).get("isMfaAccepted"))
        said = [
            words
            for true, words in (
                (creates, "creates users here"),
                (automatic, "needs no invitation to be redeemed"),
                (accepts, "does MFA for its users"),
                (item.get("isServiceProvider"), "is a service provider"),
            )
            if true
        ]
        yield _control(
            scope,
            "cross-tenant-partner",
            f"{scope.tenant}/{number}",
            name=f"Partner tenant {sync.get('displayName') or number}",
            enforcement="absent" if creates else "enforced",
            detail=f"The partner tenant {', '.join(said)}"
            if said
            else "The partner tenant has no further access",
        )

    yield from scope.listing(
        f"{_BASE}/partners",
        partner,
        table="controls",
        kind="cross-tenant-partner",
        needs=NEEDS,
        parameters={"$expand": "identitySynchronization"},
    )


def _control(
    scope: EntraScope, kind: str, number: str, *, name: str, enforcement: Enforcement, detail: str
) -> Control:
    return Control(
        id=record_id("entra", kind, number),
        **scope.own,
        stage="build",
        kind=kind,
        name=name,
        enforcement=enforcement,
        target=scope.account_id,
        detail=detail,
    )
