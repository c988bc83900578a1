"""Federated credentials of user-assigned identities, and the service accounts of our clusters that they let in.

https://learn.microsoft.com/rest/api/managedidentity/federated-identity-credentials/list
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from collectors._microsoft.federated import trust_of
from collectors.azure.calls import IDENTITY
from collectors.azure.each import each
from collectors.azure.records import stored_policy
from collectors.azure.scope import own, resource_id
from scanner.records import Identity, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from collectors.azure.scope import AzureScope
    from scanner.records import Record

NEEDS = "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/read"
CALL = "federatedIdentityCredentials"
FLEXIBLE, STABLE = "2025-01-31-preview", "2024-11-30"
"""Only previews show ``claimsMatchingExpression``, by which a credential can match many subjects: without it such a credential
has no subject. https://learn.microsoft.com/azure/templates/microsoft.managedidentity/userassignedidentities/federatedidentitycredentials
Sovereign clouds may not have the preview."""
_SERVICE_ACCOUNT = re.compile(r"system:serviceaccount:([^:*?]+):([^:*?]+)")


def federated_credentials(
    scope: AzureScope, identities: Mapping[str, str], issuers: Mapping[str, str]
) -> Iterator[Record]:
    """Yield each federated credential as its document and the trust that it is.

    ``identities`` are object IDs by resource ID; ``issuers`` are `Account.id` of clusters by their issuers.
    """
    seen: set[str] = set()

    def convert(identity: str, item: dict[str, Any]) -> Iterator[Record]:
        properties: dict[str, Any] = item["properties"]
        document = {
            key: properties[key]
            for key in ("audiences", "claimsMatchingExpression", "issuer", "subject")
            if properties.get(key) is not None
        }
        name = str(item["name"])
        kept = stored_policy(
            "federated-credential",
            scope.account_of(identity),
            f"{identities[identity].lower()}/{name}",
            name,
            document={**document, "name": name},
            to=[resource_id(identity)],
        )
        yield kept
        yield trust_of(kept, scope.tenant)
        issuer = str(properties.get("issuer") or "")
        account = issuers.get(issuer.rstrip("/"))
        match = _SERVICE_ACCOUNT.fullmatch(str(properties.get("subject") or ""))
        if account is not None and match is not None:
            me = record_id("azure", "aks-service-account", f"{issuer.rstrip('/')}/{match[0]}")
            if me not in seen:
                seen.add(me)
                yield Identity(
                    id=me,
                    **own(scope.account_of(account.removeprefix("azure:cluster:"))),
                    surface="workload",
                    kind="aks-service-account",
                    native_id=f"{issuer}/{match[0]}",
                    name=f"{match[1]}/{match[2]}",
                    issuer=issuer,
                    subjects=[match[0]],
                )

    yield from each(
        scope,
        {f"{identity}/{CALL}?api-version={FLEXIBLE}": identity for identity in sorted(identities)},
        lambda identity: scope.within(scope.account_of(identity)).request(
            "trusts", f"GET {IDENTITY}/{CALL}", kind="oidc", needs=NEEDS, item=identity.lower()
        ),
        convert,
        fills=("policies/federated-credential", "identities/aks-service-account"),
        older=lambda path: path.replace(FLEXIBLE, STABLE),
    )
