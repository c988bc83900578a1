"""Who added a credential, by the directory's audit log of the last 30 days.

https://learn.microsoft.com/graph/api/directoryaudit-list : Entra ID P1 keeps 30 days, so that an older credential is unknown.
https://learn.microsoft.com/entra/identity/monitoring-health/reference-audit-activities : both activities tell the key IDs
before and after in the modified property ``KeyDescription``.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from scanner.collect.failures import unsupported_on
from scanner.collect.listings import with_coverage

if TYPE_CHECKING:
    from collections.abc import Generator

    from collectors.entra.scope import EntraScope
    from scanner.records import Record

CALL = "/v1.0/auditLogs/directoryAudits"
DAYS = 30
_KEY = re.compile(r"KeyIdentifier=([0-9a-fA-F-]{36})")


def credential_changes(scope: EntraScope) -> Generator[Record, None, dict[str, str]]:
    """Return who added each credential, by key ID; empty if it could not be read."""
    since = (scope.run.as_of - timedelta(days=DAYS)).strftime("%Y-%m-%dT%H:%M:%SZ")
    # The other activity ends in a dash and a space that not every release writes alike.
    filtered = (
        f"activityDateTime ge {since} and (activityDisplayName eq 'Add service principal credentials'"
        " or startswith(activityDisplayName,'Update application'))"
    )

    def read() -> Generator[Record, None, dict[str, str]]:
        found: dict[str, str] = {}
        for item in scope.client.items(CALL, {"$filter": filtered, "$top": 999}):
            if item["result"] != "success":
                continue
            who = _initiator(item.get("initiatedBy") or {})
            if who is not None:
                # Newest first: the latest event that added a key is the one that counts.
                for key in _added(item):
                    found.setdefault(key, who)
        yield from ()
        return found

    request = scope.request(
        "credentials", f"GET {CALL}", kind="credential-changes", needs="AuditLog.Read.All"
    )
    license_ = "Available with Entra ID P1."
    return (yield from with_coverage(read(), request, unsupported_on({400}, license_))) or {}


def _initiator(initiated: dict[str, Any]) -> str | None:
    user, app = initiated.get("user") or {}, initiated.get("app") or {}
    name = user.get("userPrincipalName") or user.get("displayName") or user.get("id")
    name = name or app.get("displayName") or app.get("servicePrincipalId") or app.get("appId")
    return str(name) if name else None


def _added(item: dict[str, Any]) -> set[str]:
    """Return the key IDs that an event added."""
    added: set[str] = set()
    for target in item["targetResources"] or []:
        for change in target.get("modifiedProperties") or []:
            if change.get("displayName") == "KeyDescription":
                before = _KEY.findall(str(change.get("oldValue") or ""))
                after = _KEY.findall(str(change.get("newValue") or ""))
                added |= {key.lower() for key in after} - {key.lower() for key in before}
    return added
