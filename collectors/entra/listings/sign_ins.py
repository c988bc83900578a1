"""When applications and credentials were last used.

https://learn.microsoft.com/graph/api/reportroot-list-serviceprincipalsigninactivities,
https://learn.microsoft.com/graph/api/reportroot-list-appcredentialsigninactivities : beta, the global cloud only, Entra ID
P1 or P2. Without them last use is unknown. A missing row proves nothing: reports lag by a day and start in 2023.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.entra.facts import SignIns
from scanner.collect.failures import unsupported_on
from scanner.collect.listings import with_coverage
from scanner.collect.scope import utc_time

if TYPE_CHECKING:
    from collections.abc import Generator
    from datetime import datetime

    from collectors.entra.scope import EntraScope
    from scanner.records import Record

_NEEDS = "AuditLog.Read.All"
_LICENSE = "Available with Entra ID P1 or P2, in the global cloud."
APPLICATIONS = "/beta/reports/servicePrincipalSignInActivities"
CREDENTIALS = "/beta/reports/appCredentialSignInActivities"


def sign_ins(scope: EntraScope) -> Generator[Record, None, SignIns | None]:
    """Return the last sign-ins of applications and credentials; None if neither could be read."""
    applications = yield from _latest(scope, APPLICATIONS, "appId", "lastSignInActivity", "identities")
    credentials = yield from _latest(scope, CREDENTIALS, "keyId", "signInActivity", "credentials")
    if applications is None and credentials is None:
        return None
    return SignIns(applications=applications or {}, credentials=credentials or {})


def _latest(
    scope: EntraScope, call: str, key: str, activity: str, table: str
) -> Generator[Record, None, dict[str, datetime] | None]:
    def read() -> Generator[Record, None, dict[str, datetime]]:
        found: dict[str, datetime] = {}
        for item in scope.client.items(call):
            shown: dict[str, Any] = item[activity] or {}
            when = utc_time(shown.get("lastSignInDateTime"))
            name = str(item[key]).lower()
            if when is not None and (name not in found or when > found[name]):
                found[name] = when
        yield from ()
        return found

    request = scope.request(table, f"GET {call}", kind="sign-in-activity", needs=_NEEDS)
    return (yield from with_coverage(read(), request, unsupported_on({400, 404}, _LICENSE)))
