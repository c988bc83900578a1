"""Federated domains: whoever signs for one signs in as any of its users.

https://learn.microsoft.com/graph/api/domain-list, https://learn.microsoft.com/graph/api/domain-list-federationconfiguration
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.entra.records import text
from scanner.records import Test, Trust, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.entra.scope import EntraScope
    from scanner.records import Record

NEEDS = "Domain.Read.All"
CALL = "/v1.0/domains/{id}/federationConfiguration"


def domains(scope: EntraScope) -> Iterator[Record]:
    """Yield a trust for each federation of a domain. ``identity_id`` is the tenant: every user of the domain is meant."""
    federated: list[str] = []

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        if item["authenticationType"] == "Federated" and item["isVerified"]:
            federated.append(text(item["id"]))
        yield from ()

    yield from scope.listing(
        "/v1.0/domains",
        convert,
        table="trusts",
        kind="federated-domain",
        needs=NEEDS,
        parameters={"$select": "id,authenticationType,isVerified"},
    )
    for name in sorted(federated):
        yield from scope.listing(
            CALL,
            lambda item, name=name: [_trust(scope, item, name)],  # type: ignore[misc]
            table="trusts",
            kind="federated-domain",
            needs=NEEDS,
            item=name,
            id=name,
        )


def _trust(scope: EntraScope, item: dict[str, Any], domain: str) -> Trust:
    """Return the trust of one federation.

    https://learn.microsoft.com/graph/api/resources/internaldomainfederation : without ``federatedIdpMfaBehavior``, or with
    ``acceptIfMfaDoneByFederatedIdp``, the identity provider also says that MFA was done.
    """
    issuer = str(item.get("issuerUri") or "")
    mfa = item.get("federatedIdpMfaBehavior")
    rejects = mfa == "rejectMfaByFederatedIdp"
    return Trust(
        id=record_id("entra", "federated-domain", f"{domain}/{text(item.get('id'))}"),
        **scope.own,
        identity_id=scope.account_id,
        kind="federated-domain",
        issuer=issuer,
        tests=[Test(claim="domain", operator="equals", values=[domain])],
        exposure="organization",
        why=f"{issuer or 'an identity provider'} signs in the users of {domain}"
        + (", and MFA is done here" if rejects else ", and says whether MFA was done"),
        fix="Set federatedIdpMfaBehavior to rejectMfaByFederatedIdp, or convert the domain to managed authentication.",
        severity="low" if rejects else "medium",
    )
