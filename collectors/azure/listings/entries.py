"""Names and dates of what key vaults, registries and Automation accounts hold. Never a value.

https://learn.microsoft.com/rest/api/keyvault/secrets/list (of Resource Manager, not of the vault itself),
https://learn.microsoft.com/rest/api/containerregistry/tokens/list, https://learn.microsoft.com/rest/api/automation/variable
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from collectors.azure.calls import AUTOMATION, REGISTRY, VAULT
from collectors.azure.each import each
from collectors.azure.scope import own, resource_id
from scanner.collect.failures import SourceError
from scanner.collect.scope import utc_time
from scanner.records import POWERS, Credential, Grant, Identity, Secret, level_of, record_id
from scanner.secrets.detectors import inspect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from collectors.azure.scope import AzureScope
    from scanner.collect.listings import ListingRequest
    from scanner.records import Power, Record

_CERTIFICATES = frozenset(("application/x-pkcs12", "application/x-pem-file"))
"""What the secret of a certificate holds."""
VAULT_VERSION = "2023-07-01"
"""Of Resource Manager. It is served until 27 February 2027; later ones change the default of new vaults only.
https://learn.microsoft.com/azure/key-vault/general/access-control-default"""


def vault_entries(scope: AzureScope, vaults: Iterable[str]) -> Iterator[Record]:
    """Yield the secrets and keys of each vault: when each was made and changed, and when it ends."""
    addresses = sorted(vaults)
    for name in ("secrets", "keys"):
        store = f"key-vault-{name.removesuffix('s')}"
        needs = f"Microsoft.KeyVault/vaults/{name}/read"
        asked = {f"{address}/{name}?api-version={VAULT_VERSION}": address for address in addresses}
        yield from each(
            scope, asked, _request(scope, f"{VAULT}/{name}", "secrets", store, needs), _entry(scope, store),
            fills=("credentials/certificate",) if name == "secrets" else (),
        )  # fmt: skip


def _request(
    scope: AzureScope, call: str, table: str, kind: str | None, needs: str
) -> Callable[[str], ListingRequest]:
    return lambda address: scope.within(scope.account_of(address)).request(
        table, f"GET {call}", kind=kind, needs=needs, item=address.lower()
    )


def _entry(scope: AzureScope, store: str) -> Callable[[str, dict[str, Any]], Iterable[Record]]:
    def convert(vault: str, item: dict[str, Any]) -> Iterator[Record]:
        attributes: dict[str, Any] = item["properties"].get("attributes") or {}
        address = str(item["id"])
        vault_name, name = vault.rpartition("/")[2], str(item["name"])
        yield Secret(
            id=record_id("azure", store, address.lower()),
            **own(scope.account_of(address)),
            store=store,
            name=f"{vault_name}/{name}",
            readable=False,
            encrypted=True,
            created_at=_moment(attributes.get("created")),
            updated_at=_moment(attributes.get("updated")),
            expires_at=_moment(attributes.get("exp")),
            rotation_enabled=_rotates(item["properties"].get("rotationPolicy")),
            location=address,
            tags={} if attributes.get("enabled") is not False else {"enabled": "false"},
        )
        if str(item["properties"].get("contentType") or "").lower() in _CERTIFICATES:
            yield _certificate(scope, vault, item, attributes)

    return convert


def _certificate(
    scope: AzureScope, vault: str, item: dict[str, Any], attributes: dict[str, Any]
) -> Credential:
    """Return the certificate behind a secret: a vault keeps each one's private key as a secret of the same name and dates.

    https://learn.microsoft.com/azure/key-vault/certificates/about-certificates#composition-of-a-certificate
    """
    address = str(item["id"])
    return Credential(
        id=record_id("azure", "certificate", address.lower()),
        **own(scope.account_of(address)),
        identity_id=resource_id(vault),
        kind="certificate",
        native_id=address.lower(),
        name=f"{vault.rpartition('/')[2]}/{item['name']}",
        lifetime="expiring",
        enabled=attributes.get("enabled") is not False,
        created_at=_moment(attributes.get("created")),
        rotated_at=_moment(attributes.get("updated")),
        expires_at=_moment(attributes.get("exp")),
        location=vault,
    )


def _rotates(policy: dict[str, Any] | None) -> bool | None:
    """Return whether a key rotates by itself; None where the vault does not say.

    https://learn.microsoft.com/azure/key-vault/keys/how-to-configure-key-rotation
    """
    if policy is None:
        return None
    actions: list[dict[str, Any]] = policy.get("lifetimeActions") or []
    return any(str((one.get("action") or {}).get("type") or "").lower() == "rotate" for one in actions)


def _moment(seconds: object) -> datetime | None:
    """Read seconds since 1970. Raises `SourceError` (malformed) for what is none."""
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(int(str(seconds)), UTC)
    except (ValueError, OverflowError, OSError):
        raise SourceError("malformed", "a time in the response is not a number of seconds") from None


def registry_tokens(scope: AzureScope, registries: Iterable[str]) -> Iterator[Record]:
    """Yield the tokens of each registry as identities, with their passwords and what their scope maps allow."""
    addresses = sorted(registries)
    maps: dict[str, list[str]] = {}

    def scope_map(_: str, item: dict[str, Any]) -> Iterator[Record]:
        maps[str(item["id"]).lower()] = [str(action) for action in item["properties"].get("actions") or []]
        yield from ()

    version = "api-version=2023-07-01"
    yield from each(
        scope,
        {f"{address}/scopeMaps?{version}": address for address in addresses},
        _request(
            scope, f"{REGISTRY}/scopeMaps", "grants", "registry-token",
            "Microsoft.ContainerRegistry/registries/scopeMaps/read",
        ),
        scope_map,
    )  # fmt: skip
    yield from each(
        scope,
        {f"{address}/tokens?{version}": address for address in addresses},
        _request(
            scope, f"{REGISTRY}/tokens", "identities", "registry-token",
            "Microsoft.ContainerRegistry/registries/tokens/read",
        ),
        lambda registry, item: _token(scope, registry, item, maps),
        fills=("credentials/registry-token", "grants/registry-token"),
    )  # fmt: skip


def _token(
    scope: AzureScope, registry: str, item: dict[str, Any], maps: dict[str, list[str]]
) -> Iterator[Record]:
    address, properties = str(item["id"]), item["properties"]
    number = address.lower()
    me = record_id("azure", "registry-token", number)
    enabled = str(properties.get("status") or "enabled").lower() == "enabled"
    name = f"{registry.rpartition('/')[2]}/{item['name']}"
    yield Identity(
        id=me, **own(scope.account_of(address)), surface="automation", kind="registry-token", native_id=number,
        name=name, address=address, enabled=enabled, created_at=utc_time(properties.get("creationDate")),
    )  # fmt: skip
    map_id = str(properties.get("scopeMapId") or "")
    actions = maps.get(map_id.lower(), [])
    held = {_repository_power(action.lower()) for action in actions}
    powers = [power for power in POWERS if power in held]
    yield Grant(
        id=record_id("azure", "registry-token-scope", number),
        **own(scope.account_of(address)),
        identity_id=me,
        role=map_id.rpartition("/")[2] or "no scope map",
        resource=registry,
        breadth="resource",
        powers=powers,
        level=level_of(powers),
        conditional=False,
        via="scope map",
        actions=sorted(actions)[:10],
    )
    for one in (properties.get("credentials") or {}).get("passwords") or []:
        ends = utc_time(one.get("expiry"))
        yield Credential(
            id=record_id("azure", "registry-token-password", f"{number}/{one['name']}"),
            **own(scope.account_of(address)),
            identity_id=me,
            kind="registry-token",
            native_id=f"{number}/{one['name']}",
            name=f"{name} {one['name']}",
            lifetime="expiring" if ends else "static",
            enabled=enabled,
            created_at=utc_time(one.get("creationTime")),
            expires_at=ends,
            never_expires=ends is None,
            location=registry,
        )


def _repository_power(action: str) -> Power:
    """Return what an action of a scope map gives: ``repositories/NAME/content/write``, or ``.../contentWrite`` in examples.

    https://learn.microsoft.com/azure/container-registry/container-registry-token-based-repository-permissions
    """
    verb = action.rpartition("repositories/")[2].replace("/", "")
    if verb.endswith("contentwrite"):
        return "change-delivery"
    if verb.endswith(("delete", "metadatawrite")):
        return "change-data"
    return "read-data" if verb.endswith("contentread") else "read"


def automation_assets(scope: AzureScope, accounts: Iterable[str]) -> Iterator[Record]:
    """Yield what runbooks can use, by name, and the webhooks that start them.

    A variable that is not encrypted is shown with its value: of that, a detector's verdict and a fingerprint are kept.
    """
    addresses = sorted(accounts)
    version = "api-version=2023-11-01"
    for name, store in (
        ("variables", "automation-variable"),
        ("credentials", "automation-credential"),
        ("connections", "automation-connection"),
        ("certificates", "automation-certificate"),
    ):
        yield from each(
            scope,
            {f"{address}/{name}?{version}": address for address in addresses},
            _request(
                scope,
                f"{AUTOMATION}/{name}",
                "secrets",
                store,
                f"Microsoft.Automation/automationAccounts/{name}/read",
            ),
            lambda account, item, store=store: _asset(scope, account, item, store),  # type: ignore[misc]
        )
    yield from each(
        scope,
        {f"{address}/webhooks?{version}": address for address in addresses},
        _request(
            scope, f"{AUTOMATION}/webhooks", "credentials", "automation-webhook",
            "Microsoft.Automation/automationAccounts/webhooks/read",
        ),
        lambda account, item: _webhook(scope, account, item),
    )  # fmt: skip


def _asset(scope: AzureScope, account: str, item: dict[str, Any], store: str) -> Iterator[Record]:
    address, properties = str(item["id"]), item["properties"]
    name = str(item["name"])
    plain = store == "automation-variable" and properties.get("isEncrypted") is False
    value = properties.get("value") if plain else None
    seen = inspect(name, str(value), scope.run.fingerprint) if value else None
    yield Secret(
        id=record_id("azure", store, address.lower()),
        **own(scope.account_of(address)),
        store=store,
        name=name,
        holder_id=resource_id(account),
        readable=plain,
        encrypted=not plain,
        looks_like=seen.looks_like if seen else None,
        length=seen.length if seen else None,
        fingerprint=seen.fingerprint if seen else None,
        created_at=utc_time(properties.get("creationTime")),
        updated_at=utc_time(properties.get("lastModifiedTime")),
        expires_at=utc_time(properties.get("expiryTime")),
        location=address,
    )


def _webhook(scope: AzureScope, account: str, item: dict[str, Any]) -> Iterator[Record]:
    """Yield a webhook: its URL alone starts a runbook. https://learn.microsoft.com/azure/automation/automation-webhooks"""
    address, properties = str(item["id"]), item["properties"]
    yield Credential(
        id=record_id("azure", "automation-webhook", address.lower()),
        **own(scope.account_of(address)),
        identity_id=resource_id(account),
        kind="automation-webhook",
        native_id=address.lower(),
        name=str(item["name"]),
        lifetime="expiring",
        enabled=properties.get("isEnabled") is not False,
        created_at=utc_time(properties.get("creationTime")),
        expires_at=utc_time(properties.get("expiryTime")),
        last_used_at=utc_time(properties.get("lastInvokedTime")),
        location=address,
    )
