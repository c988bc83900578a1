"""Service principals that Microsoft Entra ID Protection takes for compromised, or at risk.

https://learn.microsoft.com/graph/api/identityprotectionroot-list-riskyserviceprincipals : with Microsoft Entra Workload ID
Premium; not in the cloud operated by 21Vianet. Without it nobody knows, which is not "no risk".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.entra.records import text
from scanner.collect.failures import unsupported_on
from scanner.collect.listings import with_coverage
from scanner.collect.scope import utc_time

if TYPE_CHECKING:
    from collections.abc import Generator

    from collectors.entra.scope import EntraScope
    from scanner.records import Record

CALL = "/v1.0/identityProtection/riskyServicePrincipals"
NEEDS = "IdentityRiskyServicePrincipal.Read.All"
_LICENSE = "Available with Microsoft Entra Workload ID Premium."


def risky(scope: EntraScope) -> Generator[Record, None, dict[str, dict[str, str]]]:
    """Return the tags of each risky service principal, by object ID; empty if they could not be read.

    ``risk`` is the state (``atRisk``, ``confirmedCompromised``, ``dismissed``, ``remediated``, ...), ``risk_level`` is low,
    medium, high or hidden, ``risk_since`` the date of the last change.
    """

    def read() -> Generator[Record, None, dict[str, dict[str, str]]]:
        found: dict[str, dict[str, str]] = {}
        for item in scope.client.items(CALL):
            found[text(item.get("id")).lower()] = _tags(item)
        yield from ()
        return found

    request = scope.request("identities", f"GET {CALL}", kind="risk", needs=NEEDS)
    return (yield from with_coverage(read(), request, unsupported_on({400, 404}, _LICENSE))) or {}


def _tags(item: dict[str, Any]) -> dict[str, str]:
    since = utc_time(item.get("riskLastUpdatedDateTime"))
    return {
        "risk": str(item.get("riskState") or "unknown"),
        "risk_level": str(item.get("riskLevel") or "unknown"),
        **({"risk_since": f"{since:%Y-%m-%d}"} if since else {}),
    }
