"""The tenant's own settings: who may register and consent to applications, invite guests, and what credentials may be.

https://learn.microsoft.com/graph/api/authorizationpolicy-get,
https://learn.microsoft.com/graph/api/permissiongrantpolicy-list,
https://learn.microsoft.com/graph/api/tenantappmanagementpolicy-get
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.entra.records import text
from collectors.entra.scope import application
from scanner.collect.listings import with_coverage
from scanner.records import Control, Enforcement, record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from collectors.entra.scope import EntraScope
    from scanner.records import Record

NEEDS = "Policy.Read.All"
_SELF = "managepermissiongrantsforself."
_ANY_CONSENT = "microsoft-user-default-legacy"
_LOW_CONSENT = frozenset(("microsoft-user-default-low", "microsoft-user-default-recommended"))
_AS_MEMBER = "a0b1b346-4d3e-4e8b-98f8-753987be4970"
"""The guest role with the permissions of members. https://learn.microsoft.com/entra/identity/users/users-restrict-guest-permissions"""


def settings(scope: EntraScope) -> Generator[Record, None, None]:
    """Yield a control for each setting."""
    wide = yield from _wide_consent_policies(scope)
    yield from _authorization(scope, wide)
    exempt = yield from _exempt_applications(scope)
    yield from _credential_restrictions(scope, exempt)


def _wide_consent_policies(scope: EntraScope) -> Generator[Record, None, dict[str, bool] | None]:
    """Return, by ID of a consent policy, whether users may consent to any application by it; None if it was not read.

    A condition set without a limit on publisher, classification and permissions admits everything that a user may consent to.
    https://learn.microsoft.com/graph/api/resources/permissiongrantconditionset
    """
    call = "/v1.0/policies/permissionGrantPolicies"

    def read() -> Generator[Record, None, dict[str, bool]]:
        found: dict[str, bool] = {}
        for item in scope.client.items(call):
            found[text(item["id"]).lower()] = any(_unlimited(one) for one in item["includes"] or [])
        yield from ()
        return found

    request = scope.request("controls", f"GET {call}", kind="consent-policy", needs=NEEDS)
    return (yield from with_coverage(read(), request))


def _unlimited(conditions: Mapping[str, Any]) -> bool:
    return (
        conditions.get("permissionType", "delegated") == "delegated"
        and not conditions.get("clientApplicationsFromVerifiedPublisherOnly")
        and all(
            set(conditions.get(field) or ["all"]) == {"all"}
            for field in ("clientApplicationIds", "clientApplicationTenantIds", "clientApplicationPublisherIds", "permissions")
        )
        and (conditions.get("permissionClassification") or "all") == "all"
        and (conditions.get("resourceApplication") or "any") == "any"
    )  # fmt: skip


def _authorization(scope: EntraScope, wide: Mapping[str, bool] | None) -> Generator[Record, None, None]:
    def authorization(item: dict[str, Any]) -> Generator[Record, None, None]:
        # Each of these is always sent: without it, the setting is unknown, and not strict.
        defaults: dict[str, Any] = item["defaultUserRolePermissions"]
        registers = defaults["allowedToCreateApps"]
        yield _control(
            scope,
            "app-registration-by-users",
            "Application registration by users",
            "enforced" if registers is False else "absent",
            "Only administrators register applications"
            if registers is False
            else "Every member registers applications",
        )
        assigned = [str(one).lower() for one in defaults["permissionGrantPoliciesAssigned"]]
        # The others are about data of groups and chats that a user owns.
        consents = [one.removeprefix(_SELF) for one in assigned if one.startswith(_SELF)]
        yield _control(scope, "user-consent", "User consent to applications", *_user_consent(consents, wide))
        invites = str(item["allowInvitesFrom"])
        yield _control(
            scope,
            "guest-invitation",
            "Guest invitations",
            "absent" if invites == "everyone" else "enforced",
            f"Guests are invited by: {invites}",
        )
        member = str(item["guestUserRoleId"]).lower() == _AS_MEMBER
        yield _control(
            scope,
            "guest-access",
            "Guest access to the directory",
            "absent" if member else "enforced",
            "Guests read the directory as members do" if member else "Guests read less than members",
        )

    yield from scope.object(
        "/v1.0/policies/authorizationPolicy",
        authorization,
        table="controls",
        kind="app-registration-by-users",
        needs=NEEDS,
        fills=("controls/user-consent", "controls/guest-invitation", "controls/guest-access"),
    )


def _user_consent(consents: Sequence[str], wide: Mapping[str, bool] | None) -> tuple[Enforcement, str]:
    """Return how user consent is limited, by the policies that are assigned to every user."""
    if not consents:
        return "enforced", "Users cannot consent to applications"
    if _ANY_CONSENT in consents:
        return "absent", "Users consent to any application for permissions that need no administrator"
    others = [one for one in consents if one not in _LOW_CONSENT]
    if not others:
        return "enforced", "Users consent to verified publishers for permissions classified as low"
    if wide is not None and any(wide.get(one) for one in others):
        return "absent", f"Users consent to any application by the policy {', '.join(others)}"
    if wide is None or any(one not in wide for one in others):
        return "documented", f"Users consent by the policy {', '.join(others)}, which could not be read"
    return "enforced", f"Users consent within the limits of the policy {', '.join(others)}"


def _exempt_applications(scope: EntraScope) -> Generator[Record, None, list[str]]:
    """Return the addresses of applications that a policy of their own exempts from the tenant's restrictions.

    https://learn.microsoft.com/graph/api/appmanagementpolicy-list
    """
    call = "/v1.0/policies/appManagementPolicies"

    def read() -> Generator[Record, None, list[str]]:
        found: set[str] = set()
        for item in scope.client.items(call, {"$expand": "appliesTo"}):
            restrictions: dict[str, Any] = item.get("restrictions") or {}
            off = any(
                one.get("state") == "disabled"
                for field in ("passwordCredentials", "keyCredentials")
                for one in restrictions.get(field) or []
            )
            if item["isEnabled"] and off:
                found |= {
                    application(text(one.get("appId"))) for one in item["appliesTo"] or [] if one.get("appId")
                }
        yield from ()
        return sorted(found)

    request = scope.request("controls", f"GET {call}", kind="app-credential-exemption", needs=NEEDS)
    return (yield from with_coverage(read(), request)) or []


_RESTRICTIONS = (
    ("app-secret-addition", "New client secrets of applications", "passwordAddition"),
    ("app-secret-lifetime", "Lifetime of client secrets of applications", "passwordLifetime"),
    ("app-certificate-lifetime", "Lifetime of certificates of applications", "asymmetricKeyLifetime"),
)  # fmt: skip
"""https://learn.microsoft.com/entra/identity-platform/configure-app-management-policies"""


def _credential_restrictions(scope: EntraScope, exempt: list[str]) -> Generator[Record, None, None]:
    def credentials(item: dict[str, Any]) -> Generator[Record, None, None]:
        enabled = item["isEnabled"]
        rules: dict[str, Any] = item.get("applicationRestrictions") or {}
        force = {
            one.get("restrictionType"): one
            for field in ("passwordCredentials", "keyCredentials")
            for one in rules.get(field) or []
            if enabled and one.get("state", "enabled") == "enabled"
        }
        for kind, name, restriction in _RESTRICTIONS:
            found = force.get(restriction)
            moot = kind == "app-secret-lifetime" and "passwordAddition" in force
            since = found.get("restrictForAppsCreatedAfterDateTime") if found else None
            detail = (
                "No new secret can be added"
                if moot
                else "Nothing restricts them"
                if found is None
                else f"Restricted{' to ' + found['maxLifetime'] if found.get('maxLifetime') else ''}"
                + (f", for applications created after {str(since)[:10]}" if since else "")
            )
            yield _control(
                scope,
                kind,
                name,
                "enforced" if found is not None or moot else "absent",
                detail,
                bypass=exempt,
            )

    yield from scope.object(
        "/v1.0/policies/defaultAppManagementPolicy",
        credentials,
        table="controls",
        kind="app-secret-addition",
        needs=NEEDS,
        fills=("controls/app-secret-lifetime", "controls/app-certificate-lifetime"),
    )


def _control(
    scope: EntraScope,
    kind: str,
    name: str,
    enforcement: Enforcement,
    detail: str,
    *,
    bypass: Sequence[str] = (),
) -> Control:
    return Control(
        id=record_id("entra", kind, scope.tenant),
        **scope.own,
        stage="build",
        kind=kind,
        name=name,
        enforcement=enforcement,
        target=scope.account_id,
        bypass=list(bypass),
        detail=detail,
    )
