"""Settings of resources that hold credentials or accept keys: vaults, storage accounts, registries, databases, queues.

One query of Resource Graph. Which properties are kept is named in it: whole ``properties`` can hold values.
https://learn.microsoft.com/azure/governance/resource-graph/reference/supported-tables-resources
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from collectors.azure.calls import GRAPH
from collectors.azure.records import setting
from collectors.azure.scope import own, principal, resource_id
from scanner.collect.by_account import by_account
from scanner.collect.scope import utc_time
from scanner.records import POWERS, Credential, Grant, level_of, record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from collectors.azure.scope import AzureScope
    from scanner.records import Control, Power, Record

NEEDS = "Reader at the root management group"
LOCAL_KEYS = {
    "microsoft.cache/redis": "Redis cache",
    "microsoft.cognitiveservices/accounts": "AI services account",
    "microsoft.documentdb/databaseaccounts": "Cosmos DB account",
    "microsoft.eventhub/namespaces": "Event Hubs namespace",
    "microsoft.search/searchservices": "search service",
    "microsoft.servicebus/namespaces": "Service Bus namespace",
    "microsoft.sql/servers": "SQL server",
}
"""Resources that accept keys or passwords of their own beside Entra ID."""
_TYPES = (
    "microsoft.appconfiguration/configurationstores",
    "microsoft.containerregistry/registries",
    "microsoft.keyvault/vaults",
    "microsoft.storage/storageaccounts",
    *LOCAL_KEYS,
)
STORES = (
    f"resources | where type in~ ({', '.join(repr(one) for one in _TYPES)}) | project id, name, type, "
    "rbac = properties.enableRbacAuthorization, accessPolicies = properties.accessPolicies, "
    "publicAccess = properties.publicNetworkAccess, firewall = properties.networkAcls.defaultAction, "
    "sharedKey = properties.allowSharedKeyAccess, keyTimes = properties.keyCreationTime, sasPolicy = properties.sasPolicy, "
    "adminUser = properties.adminUserEnabled, anonymousPull = properties.anonymousPullEnabled, "
    "roleMode = properties.roleAssignmentMode, localAuthOff = properties.disableLocalAuth, keysOff = properties.disableAccessKeyAuthentication, "
    "entraOnly = properties.administrators.azureADOnlyAuthentication | order by id asc"
)


SETTINGS = (
    "app-configuration-local-auth",
    "key-vault-firewall",
    "local-auth-off",
    "registry-admin-user-off",
    "registry-anonymous-pull-off",
    "registry-repository-roles",
    "storage-sas-expiry",
    "storage-shared-key-off",
)


class Stores(msgspec.Struct, kw_only=True):
    """Resources that have lists of their own."""

    vaults: list[str] = []
    """Resource IDs."""
    registries: list[str] = []


def stores(scope: AzureScope, accounts: Sequence[str]) -> Generator[Record, None, Stores]:
    """Yield what these resources say of their credentials, and return those that have lists of their own."""
    found = Stores()

    def read() -> Iterator[Record]:
        for row in scope.client.query(STORES):
            address = str(row["id"])
            kind = str(row["type"]).lower()
            match kind:
                case "microsoft.keyvault/vaults":
                    found.vaults.append(address)
                    yield from _vault(scope, row, address)
                case "microsoft.storage/storageaccounts":
                    yield from _storage(scope, row, address)
                case "microsoft.containerregistry/registries":
                    found.registries.append(address)
                    yield from _registry(scope, row, address)
                case "microsoft.appconfiguration/configurationstores":
                    yield setting(
                        scope, row, "app-configuration-local-auth", good=row.get("localAuthOff") is True,
                        words=("Access keys are off", "Access keys read and write every value"),
                    )  # fmt: skip
                case _ if kind in LOCAL_KEYS:
                    yield _local_keys(scope, row, LOCAL_KEYS[kind])
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
        kind="key-vault-rbac",
        needs=NEEDS,
        fills=(*fills, *(f"controls/{kind}" for kind in SETTINGS)),
        loses=(
            "secrets/key-vault-secret",
            "secrets/key-vault-key",
            "credentials/certificate",
            "credentials/registry-token",
            "identities/registry-token",
            "grants/registry-token",
            "links/can_become",
        ),
    )
    return found


def _vault(scope: AzureScope, row: dict[str, Any], address: str) -> Iterator[Record]:
    """Yield the vault's mode, and in the older one its access policies as grants.

    https://learn.microsoft.com/azure/key-vault/general/rbac-access-policy : a vault without the property uses access policies.
    """
    by_role = row.get("rbac") is True
    yield setting(
        scope,
        row,
        "key-vault-rbac",
        good=by_role,
        words=("Access by roles", "Access policies, which role reviews and PIM do not cover"),
    )
    closed = str(row.get("publicAccess") or "").lower() == "disabled"
    yield setting(
        scope,
        row,
        "key-vault-firewall",
        good=closed or str(row.get("firewall") or "").lower() == "deny",
        words=("Selected networks only", "Reachable from every network"),
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
        application = str(one.get("applicationId") or "").lower()
        yield Grant(
            id=record_id(
                "azure",
                "key-vault-access-policy",
                "/".join(filter(None, (address.lower(), number, application))),
            ),
            **own(scope.account_of(address)),
            identity_id=principal(number),
            role="access policy",
            resource=address,
            breadth="resource",
            powers=powers,
            level=level_of(powers),
            # One with an application: that application on behalf of the user, and nobody else.
            conditional=bool(application),
            via="key vault access policy",
            actions=sorted(granted)[:10],
        )


def _storage(scope: AzureScope, row: dict[str, Any], address: str) -> Iterator[Record]:
    """Yield whether shared keys work, and the two keys where they do.

    https://learn.microsoft.com/azure/storage/common/shared-key-authorization-prevent : they do unless it is said that they
    do not. https://learn.microsoft.com/azure/storage/common/sas-expiration-policy
    """
    off = row.get("sharedKey") is False
    yield setting(
        scope,
        row,
        "storage-shared-key-off",
        good=off,
        words=(
            "Shared keys are off",
            "Account keys read and change everything, and sign tokens that nothing lists",
        ),
    )
    if off:
        return
    policy: dict[str, Any] = row.get("sasPolicy") or {}
    limit = policy.get("sasExpirationPeriod")
    blocked = str(policy.get("expirationAction") or "").lower() == "block"
    yield setting(
        scope,
        row,
        "storage-sas-expiry",
        good=blocked,
        words=(
            f"Shared access signatures longer than {limit} are refused",
            f"Shared access signatures longer than {limit} are only logged"
            if limit
            else "Shared access signatures may never expire",
        ),
        otherwise="audited" if limit else "absent",
    )
    times: dict[str, Any] = row.get("keyTimes") or {}
    for key in ("key1", "key2"):
        yield Credential(
            id=record_id("azure", "storage-account-key", f"{address.lower()}/{key}"),
            **own(scope.account_of(address)),
            identity_id=resource_id(address),
            kind="storage-account-key",
            native_id=f"{address.lower()}/{key}",
            name=f"{row['name']} {key}",
            lifetime="static",
            enabled=True,
            rotated_at=utc_time(times.get(key)),
            never_expires=True,
            location=address,
        )


def _registry(scope: AzureScope, row: dict[str, Any], address: str) -> Iterator[Record]:
    """Yield the registry's admin user, one account with two passwords and full access, and whether strangers may pull."""
    on = row.get("adminUser") is True
    yield setting(
        scope,
        row,
        "registry-admin-user-off",
        good=not on,
        words=("The admin user is off", "The admin user is on"),
    )
    yield setting(
        scope,
        row,
        "registry-anonymous-pull-off",
        good=row.get("anonymousPull") is not True,
        words=("Pulling takes a sign-in", "Anyone on the internet may pull every image"),
    )
    yield setting(
        scope,
        row,
        "registry-repository-roles",
        good=str(row.get("roleMode") or "").lower() == "abacrepositorypermissions",
        words=("Roles are for repositories", "Roles are for the whole registry"),
    )
    if on:
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


def _local_keys(scope: AzureScope, row: dict[str, Any], what: str) -> Control:
    """Return whether a resource accepts keys or passwords of its own."""
    off = row.get("localAuthOff") is True or row.get("keysOff") is True or row.get("entraOnly") is True
    return setting(
        scope,
        row,
        "local-auth-off",
        good=off,
        words=(f"{what}: Entra ID only", f"{what}: keys or passwords of its own are accepted"),
    )
