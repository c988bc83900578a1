"""The tenant's own settings: who may register and consent to applications, invite guests, and what credentials may be.

https://learn.microsoft.com/graph/api/authorizationpolicy-get,
https://learn.microsoft.com/graph/api/tenantappmanagementpolicy-get
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scanner.records import Control, Enforcement, record_id

if TYPE_CHECKING:
    from collections.abc import Generator

    from collectors.entra.scope import EntraScope
    from scanner.records import Record

NEEDS = "Policy.Read.All"
_ANY_CONSENT = "ManagePermissionGrantsForSelf.microsoft-user-default-legacy"
_LOW_CONSENT = "ManagePermissionGrantsForSelf.microsoft-user-default-low"


def settings(scope: EntraScope) -> Generator[Record, None, None]:
    """Yield a control for each setting."""

    def authorization(item: dict[str, Any]) -> Generator[Record, None, None]:
        defaults: dict[str, Any] = item["defaultUserRolePermissions"] or {}
        registers = defaults.get("allowedToCreateApps")
        yield _control(
            scope,
            "app-registration-by-users",
            "Application registration by users",
            "enforced" if registers is False else "absent",
            "Only administrators register applications"
            if registers is False
            else "Every member registers applications",
        )
        consents = [str(one) for one in defaults.get("permissionGrantPoliciesAssigned") or []]
        if any(one.lower() == _ANY_CONSENT.lower() for one in consents):
            state: Enforcement = "absent"
            detail = "Users consent to any application for permissions that need no administrator"
        elif any(one.lower() == _LOW_CONSENT.lower() for one in consents):
            state, detail = (
                "enforced",
                "Users consent to verified publishers for permissions classified as low",
            )
        else:
            state = "enforced"
            detail = (
                f"Users consent by {', '.join(consents)}"
                if consents
                else "Users cannot consent to applications"
            )
        yield _control(scope, "user-consent", "User consent to applications", state, detail)
        invites = str(item["allowInvitesFrom"] or "")
        yield _control(
            scope,
            "guest-invitation",
            "Guest invitations",
            "absent" if invites == "everyone" else "enforced",
            f"Guests are invited by: {invites}",
        )

    yield from scope.object(
        "/v1.0/policies/authorizationPolicy",
        authorization,
        table="controls",
        kind="app-registration-by-users",
        needs=NEEDS,
        fills=("controls/user-consent", "controls/guest-invitation"),
    )

    def credentials(item: dict[str, Any]) -> Generator[Record, None, None]:
        on = bool(item["isEnabled"])
        rules: dict[str, Any] = item.get("applicationRestrictions") or {}
        restricted = [
            f"{one.get('restrictionType')}" + (f" ({one['maxLifetime']})" if one.get("maxLifetime") else "")
            for field in ("passwordCredentials", "keyCredentials")
            for one in rules.get(field) or []
            if one.get("state", "enabled") == "enabled"
        ]
        yield _control(
            scope,
            "app-credential-policy",
            "Restrictions on application credentials",
            "enforced" if on and restricted else "absent",
            f"Restricted: {', '.join(sorted(restricted))}"
            if on and restricted
            else "No restriction is in force",
        )

    yield from scope.object(
        "/v1.0/policies/defaultAppManagementPolicy",
        credentials,
        table="controls",
        kind="app-credential-policy",
        needs=NEEDS,
    )


def _control(scope: EntraScope, kind: str, name: str, enforcement: Enforcement, detail: str) -> Control:
    return Control(
        id=record_id("entra", kind, scope.tenant),
        **scope.own,
        stage="build",
        kind=kind,
        name=name,
        enforcement=enforcement,
        target=scope.account_id,
        detail=detail,
    )
