"""Policies of the organization and of its tenant: tokens, OAuth, SSH, guests, public projects, audit.

The organization's are page data (``/_settings/organizationPolicy``), which is not documented: an answer of another shape is a
gap. https://learn.microsoft.com/azure/devops/organizations/accounts/change-application-access-policies,
https://learn.microsoft.com/azure/devops/organizations/accounts/manage-pats-with-policies-for-administrators
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from collectors.azure_devops.calls import PREVIEW
from collectors.azure_devops.scope import PROVIDER
from scanner.collect.failures import SourceError
from scanner.collect.listings import with_coverage
from scanner.collect.paging import place_in
from scanner.records import Control, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.azure_devops.scope import DevOpsScope
    from scanner.records import Enforcement, Record

PAGE = "/_settings/organizationPolicy"
DATA = "ms.vss-admin-web.organization-policies-data-provider"
TENANT = "/_apis/TenantPolicy/Policies/{policy}"
NEEDS = "View organization settings"
NEEDS_TENANT = "The role Azure DevOps Administrator in Entra ID, which the scanner should not have: known only to administrators"


class PolicyTerms(msgspec.Struct, frozen=True):
    """One policy: its name, how the portal shows it, the value that is safe, and what holds when it is not."""

    name: str
    title: str
    safe: bool
    otherwise: str


ORGANIZATION = (
    PolicyTerms("Policy.DisablePATCreation", "Restrict personal access token creation", True, "Every user may create tokens"),
    PolicyTerms("Policy.DisallowOAuthAuthentication", "Third-party application access via OAuth", True, "Users may let any application of others in"),
    PolicyTerms("Policy.DisallowSecureShell", "SSH authentication", True, "SSH keys of users open the repositories"),
    PolicyTerms("Policy.ValidateSshKeyExpiration", "Validate SSH key expiration", True, "Expired SSH keys are accepted"),
    PolicyTerms("Policy.AllowAnonymousAccess", "Allow public projects", False, "Projects may be made public"),
    PolicyTerms("Policy.DisallowAadGuestUserAccess", "External guest access", True, "Guests of the tenant may be added"),
    PolicyTerms("Policy.EnforceAADConditionalAccess", "Conditional Access policy validation", True, "Tokens and SSH pass by Conditional Access"),
    PolicyTerms("Policy.LogAuditEvents", "Log audit events", True, "No audit event is kept"),
    PolicyTerms("Policy.ArtifactsExternalPackageProtectionToken", "Additional protections when using public package registries", True, "A public package may take the place of an internal one"),
)  # fmt: skip
TENANT_WIDE = (
    PolicyTerms("TenantPolicy.RestrictGlobalPersonalAccessToken", "Restrict global personal access token creation", True, "Tokens for all organizations of a user may be created"),
    PolicyTerms("TenantPolicy.RestrictFullScopePersonalAccessToken", "Restrict full-scoped personal access token creation", True, "Tokens with full access may be created"),
    PolicyTerms("TenantPolicy.RestrictPersonalAccessTokenLifespan", "Enforce maximum personal access token lifespan", True, "Tokens may be valid for a year"),
    PolicyTerms("TenantPolicy.EnableLeakedPersonalAccessTokenAutoRevocation", "Automatically revoke leaked personal access tokens", True, "Tokens that leak to the public stay valid"),
)  # fmt: skip


def organization_policies(scope: DevOpsScope) -> Iterator[Record]:
    """Yield the policies of the organization. One that the page does not show is unknown."""

    def read() -> Iterator[Record]:
        body = scope.client.one(PAGE, {"__rt": "fps", "__ver": "2"})
        groups = place_in(body, f"fps/dataProviders/data/{DATA}/policies")
        if not isinstance(groups, dict):
            raise SourceError("unsupported", "the page data has no policies")
        shown = {}
        for group in groups.values():
            for item in group if isinstance(group, list) else ():
                policy = item.get("policy") if isinstance(item, dict) else None
                if isinstance(policy, dict):
                    shown[str(policy.get("name"))] = policy
        for terms in ORGANIZATION:
            found = shown.get(terms.name)
            value = None if found is None else found.get("effectiveValue", found.get("value"))
            if isinstance(value, bool):
                yield _control(scope, "organization-policy", terms, value)

    request = scope.request("controls", f"GET {PAGE}", kind="organization-policy", needs=NEEDS)
    yield from with_coverage(read(), request)


def tenant_policies(scope: DevOpsScope) -> Iterator[Record]:
    """Yield the policies of the tenant for personal access tokens. Null means that the scanner may not see one: unknown."""
    here = scope.on(scope.clients.graph)

    def read() -> Iterator[Record]:
        hidden = []
        for terms in TENANT_WIDE:
            body: dict[str, Any] = here.client.one(here.path(TENANT, policy=terms.name), PREVIEW)
            value = body.get("effectiveValue", body.get("value"))
            if not isinstance(value, bool):
                hidden.append(terms.name)
                continue
            days = (body.get("properties") or {}).get("MaxPatLifespanInDays")
            yield _control(scope, "tenant-policy", terms, value, f"At most {days} days" if days else "")
        if hidden:
            raise SourceError("denied", f"not shown to the scanner: {', '.join(hidden)}")

    request = scope.request("controls", f"GET {TENANT}", kind="tenant-policy", needs=NEEDS_TENANT)
    yield from with_coverage(read(), request)


def _control(scope: DevOpsScope, kind: str, terms: PolicyTerms, value: bool, on: str = "") -> Control:
    safe = value is terms.safe
    enforcement: Enforcement = "enforced" if safe else "absent"
    return Control(
        id=record_id(PROVIDER, kind, f"{scope.account_id.rpartition(':')[2]}/{terms.name}"),
        **scope.own,
        stage="source",
        kind=kind,
        name=terms.title,
        enforcement=enforcement,
        target=terms.name,
        detail=(on or "In force") if safe else terms.otherwise,
    )
