"""Resources that run as an identity, user-assigned identities, and settings of stores that hold credentials.

Three queries of Resource Graph. Which properties are kept is named in the query: whole ``properties`` can hold values.
https://learn.microsoft.com/azure/governance/resource-graph/reference/supported-tables-resources
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from collectors.azure.by_account import by_account
from collectors.azure.calls import GRAPH
from collectors.azure.scope import own, principal, resource_id
from scanner.collect.scope import utc_time
from scanner.records import POWERS, Control, Credential, Grant, Identity, Link, level_of, record_id
from scanner.stated import first_stated

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from collectors.azure.scope import AzureScope
    from scanner.records import Power, Record, Surface

NEEDS = "Reader at the root management group"
RUNNING = (
    "resources | where isnotempty(identity) | project id, name, type, kind, identity, tags | order by id asc"
)
IDENTITIES = (
    "resources | where type =~ 'microsoft.managedidentity/userassignedidentities' "
    "| project id, name, clientId = properties.clientId, principalId = properties.principalId, tags | order by id asc"
)
STORES = (
    "resources | where type in~ ('microsoft.keyvault/vaults', 'microsoft.storage/storageaccounts', "
    "'microsoft.containerregistry/registries', 'microsoft.containerservice/managedclusters', "
    "'microsoft.appconfiguration/configurationstores') | project id, name, type, "
    "rbac = properties.enableRbacAuthorization, accessPolicies = properties.accessPolicies, "
    "sharedKey = properties.allowSharedKeyAccess, keyTimes = properties.keyCreationTime, "
    "adminUser = properties.adminUserEnabled, localAuthOff = properties.disableLocalAuth, "
    "localAccountsOff = properties.disableLocalAccounts, issuer = properties.oidcIssuerProfile.issuerURL | order by id asc"
)
KINDS: dict[str, tuple[str, Surface]] = {
    "microsoft.compute/virtualmachines": ("azure-vm", "workload"),
    "microsoft.compute/virtualmachinescalesets": ("azure-vm", "workload"),
    "microsoft.app/containerapps": ("containerapp", "workload"),
    "microsoft.app/jobs": ("containerapp", "workload"),
    "microsoft.logic/workflows": ("logic-app", "automation"),
    "microsoft.automation/automationaccounts": ("automation-account", "automation"),
    "microsoft.containerservice/managedclusters": ("aks-cluster", "workload"),
}
_OWNERS = ("owner", "team", "contact")


def user_assigned(scope: AzureScope, accounts: Sequence[str]) -> Iterator[Record]:
    """Yield user-assigned identities, and that each is its service principal."""

    def read() -> Iterator[Record]:
        for row in scope.client.query(IDENTITIES):
            me = resource_id(str(row["id"]))
            owner, source = _owner(row)
            yield Identity(
                id=me,
                **own(scope.account_of(str(row["id"]))),
                surface="automation",
                kind="user-assigned-identity",
                native_id=str(row["principalId"]).lower(),
                name=str(row["name"]),
                address=str(row["id"]),
                owner=owner,
                owner_source=source,
                tags=_tags(row),
            )
            yield _runs_as(
                scope, str(row["id"]), principal(str(row["principalId"])), "the identity's service principal"
            )

    yield from by_account(
        scope,
        accounts,
        read(),
        call=f"POST {GRAPH} userassignedidentities",
        table="identities",
        kind="user-assigned-identity",
        needs=NEEDS,
        fills=("links/runs_as",),
    )


def running(scope: AzureScope, accounts: Sequence[str]) -> Iterator[Record]:
    """Yield every resource that has a managed identity, and which ones it runs as."""

    def read() -> Iterator[Record]:
        for row in scope.client.query(RUNNING):
            address = str(row["id"])
            kind, surface = _kind(row)
            owner, source = _owner(row)
            yield Identity(
                id=resource_id(address),
                **own(scope.account_of(address)),
                surface=surface,
                kind=kind,
                native_id=address.lower(),
                name=str(row["name"]),
                address=address,
                owner=owner,
                owner_source=source,
                tags={**_tags(row), "resource_type": str(row["type"]).lower()},
            )
            identity: dict[str, Any] = row["identity"]
            if number := identity.get("principalId"):
                yield _runs_as(scope, address, principal(str(number)), "its system-assigned identity")
            for assigned in sorted(identity.get("userAssignedIdentities") or {}):
                yield _runs_as(scope, address, resource_id(str(assigned)), "its user-assigned identity")

    yield from by_account(
        scope,
        accounts,
        read(),
        call=f"POST {GRAPH} resources with an identity",
        table="identities",
        kind=None,
        needs=NEEDS,
        fills=("links/runs_as",),
    )


def _kind(row: dict[str, Any]) -> tuple[str, Surface]:
    kind = str(row["type"]).lower()
    if kind.startswith("microsoft.web/sites"):
        return (
            "functionapp" if "functionapp" in str(row.get("kind") or "").lower() else "webapp"
        ), "workload"
    return KINDS.get(kind, ("azure-resource", "workload"))


def _runs_as(scope: AzureScope, address: str, target: str, why: str) -> Link:
    source = resource_id(address)
    digest = hashlib.sha256(f"{source} {target}".encode()).hexdigest()[:24]
    return Link(
        id=record_id("azure", "runs-as", digest),
        **own(scope.account_of(address)),
        source_id=source,
        relation="runs_as",
        target_id=target,
        evidence="identity",
        why=why,
    )


def _tags(row: dict[str, Any]) -> dict[str, str]:
    return {str(key): str(value) for key, value in (row.get("tags") or {}).items()}


def _owner(row: dict[str, Any]) -> tuple[str | None, str | None]:
    owner, key = first_stated(_tags(row), _OWNERS)
    return owner, f"tag:{key}" if key else None


def stores(scope: AzureScope, accounts: Sequence[str]) -> Iterator[Record]:
    """Yield what key vaults, storage accounts, registries, clusters and configuration stores say of their credentials."""

    def read() -> Iterator[Record]:
        for row in scope.client.query(STORES):
            address = str(row["id"])
            match str(row["type"]).lower():
                case "microsoft.keyvault/vaults":
                    yield from _vault(scope, row, address)
                case "microsoft.storage/storageaccounts":
                    yield from _storage(scope, row, address)
                case "microsoft.containerregistry/registries":
                    yield from _registry(scope, row, address)
                case "microsoft.containerservice/managedclusters":
                    yield _setting(
                        scope, row, "aks-local-accounts", row.get("localAccountsOff") is True,
                        ("Local accounts are off", "A local administrator's kubeconfig passes Entra ID by"),
                    )  # fmt: skip
                case "microsoft.appconfiguration/configurationstores":
                    yield _setting(
                        scope, row, "app-configuration-local-auth", row.get("localAuthOff") is True,
                        ("Access keys are off", "Access keys read and write every value"),
                    )  # fmt: skip
                case _:
                    pass

    fills = (
        "credentials/storage-account-key",
        "credentials/registry-admin-user",
        "grants/key-vault-access-policy",
    )
    yield from by_account(
        scope,
        accounts,
        read(),
        call=f"POST {GRAPH} stores of credentials",
        table="controls",
        kind=None,
        needs=NEEDS,
        fills=fills,
    )


def _setting(
    scope: AzureScope, row: dict[str, Any], kind: str, good: bool, words: tuple[str, str]
) -> Control:
    address = str(row["id"])
    return Control(
        id=record_id("azure", kind, address.lower()),
        **own(scope.account_of(address)),
        stage="runtime",
        kind=kind,
        name=str(row["name"]),
        enforcement="enforced" if good else "absent",
        target=resource_id(address),
        detail=words[0] if good else words[1],
    )


def _vault(scope: AzureScope, row: dict[str, Any], address: str) -> Iterator[Record]:
    """Yield the vault's mode, and in the older one its access policies as grants.

    https://learn.microsoft.com/azure/key-vault/general/rbac-access-policy : a vault without the property uses access policies.
    """
    by_role = row.get("rbac") is True
    yield _setting(
        scope,
        row,
        "key-vault-rbac",
        by_role,
        ("Access by roles", "Access policies, which roles and PIM do not see"),
    )
    if by_role:
        return
    for one in row.get("accessPolicies") or []:
        granted = {
            str(verb).lower() for verbs in (one.get("permissions") or {}).values() for verb in verbs or []
        }
        held: set[Power] = set()
        if granted & {"get", "all", "decrypt", "unwrapkey", "sign", "backup"}:
            held.add("read-secrets")
        if granted & {"set", "delete", "purge", "all", "import", "update", "create"}:
            held.add("change-data")
        if granted:
            held.add("read")
        powers = [power for power in POWERS if power in held]
        number = str(one["objectId"]).lower()
        yield Grant(
            id=record_id("azure", "key-vault-access-policy", f"{address.lower()}/{number}"),
            **own(scope.account_of(address)),
            identity_id=principal(number),
            role="access policy",
            resource=address,
            breadth="resource",
            powers=powers,
            level=level_of(powers),
            conditional=False,
            via="key vault access policy",
            actions=sorted(granted)[:10],
        )


def _storage(scope: AzureScope, row: dict[str, Any], address: str) -> Iterator[Record]:
    """Yield the two account keys where they work. https://learn.microsoft.com/azure/storage/common/shared-key-authorization-prevent"""
    if row.get("sharedKey") is False:
        return
    times: dict[str, Any] = row.get("keyTimes") or {}
    for key in ("key1", "key2"):
        made = utc_time(times.get(key))
        yield Credential(
            id=record_id("azure", "storage-account-key", f"{address.lower()}/{key}"),
            **own(scope.account_of(address)),
            identity_id=resource_id(address),
            kind="storage-account-key",
            native_id=f"{address.lower()}/{key}",
            name=f"{row['name']} {key}",
            lifetime="static",
            enabled=True if row.get("sharedKey") is True else None,
            rotated_at=made,
            never_expires=True,
            location=address,
        )


def _registry(scope: AzureScope, row: dict[str, Any], address: str) -> Iterator[Record]:
    """Yield the registry's admin user, one account with two passwords and full access, where it is on."""
    if row.get("adminUser") is True:
        yield Credential(
            id=record_id("azure", "registry-admin-user", address.lower()),
            **own(scope.account_of(address)),
            identity_id=resource_id(address),
            kind="registry-admin-user",
            native_id=address.lower(),
            name=f"{row['name']} admin user",
            lifetime="static",
            enabled=True,
            never_expires=True,
            location=address,
        )
