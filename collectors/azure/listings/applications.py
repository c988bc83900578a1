"""Container Apps, App Service, Functions, connections of Logic Apps and pools of build agents: settings that hold secrets.

https://learn.microsoft.com/azure/container-apps/manage-secrets, https://learn.microsoft.com/azure/app-service/app-service-key-vault-references,
https://learn.microsoft.com/azure/devops/managed-devops-pools/configure-security
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from collectors.azure.calls import GRAPH, SITE
from collectors.azure.each import each
from collectors.azure.records import setting
from collectors.azure.scope import own, resource_id
from scanner.collect.by_account import by_account
from scanner.collect.scope import utc_time
from scanner.records import Control, Credential, Secret, record_id
from scanner.secrets.detectors import inspect
from scanner.secrets.names import secret_name

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from collectors.azure.scope import AzureScope
    from scanner.records import Record

NEEDS = "Reader at the root management group"
APPLICATIONS = (
    "resources | where type in~ ('microsoft.app/containerapps', 'microsoft.app/jobs', 'microsoft.web/sites', "
    "'microsoft.web/connections', 'microsoft.devopsinfrastructure/pools', 'microsoft.automation/automationaccounts') "
    "| project id, name, type, kind, secrets = properties.configuration.secrets, "
    "registries = properties.configuration.registries, containers = properties.template.containers, "
    "initContainers = properties.template.initContainers, "
    "api = properties.api.name, user = properties.authenticatedUser.name, created = properties.createdTime, "
    "connectionKind = properties.parameterValueType, organizations = properties.organizationProfile.organizations, "
    "agents = properties.agentProfile.kind | order by id asc"
)
POLICIES = "basicPublishingCredentialsPolicies"


class AzureApplications(msgspec.Struct, kw_only=True):
    """Resources that have lists of their own, by resource ID."""

    sites: list[str] = []
    automation: list[str] = []


def applications(scope: AzureScope, accounts: Sequence[str]) -> Generator[Record, None, AzureApplications]:
    """Yield what these resources say of secrets, and return those that have lists of their own."""
    found = AzureApplications()

    def read() -> Iterator[Record]:
        for row in scope.client.query(APPLICATIONS):
            address = str(row["id"])
            match str(row["type"]).lower():
                case "microsoft.app/containerapps" | "microsoft.app/jobs":
                    yield from _container_app(scope, row, address)
                case "microsoft.web/sites":
                    found.sites.append(address)
                    if "functionapp" in str(row.get("kind") or "").lower():
                        yield _host_key(scope, row, address)
                case "microsoft.web/connections":
                    yield from _connection(scope, row, address)
                case "microsoft.devopsinfrastructure/pools":
                    yield from _pool(scope, row)
                case "microsoft.automation/automationaccounts":
                    found.automation.append(address)
                case _:
                    pass

    yield from by_account(
        scope,
        accounts,
        read(),
        call=f"POST {GRAPH} applications",
        table="secrets",
        kind="containerapp-secret",
        needs=NEEDS,
        fills=(
            "controls/devops-pool-fresh-agents",
            "controls/devops-pool-projects",
            "credentials/function-host-key",
            "secrets/containerapp-env",
            "secrets/logic-app-connection",
        ),
        loses=(
            "controls/app-service-basic-auth-off",
            "secrets/app-connection-string",
            "secrets/app-setting",
            *(
                f"secrets/automation-{name}"
                for name in ("certificate", "connection", "credential", "variable")
            ),
            "credentials/automation-webhook",
        ),
    )
    return found


def _container_app(scope: AzureScope, row: dict[str, Any], address: str) -> Iterator[Record]:
    """Yield names of secrets, those of registries among them, and secrets among plain variables."""
    places = {
        str(one.get("passwordSecretRef")): str(one.get("server") or "")
        for one in row.get("registries") or []
        if one.get("passwordSecretRef")
    }
    for one in row.get("secrets") or []:
        name = str(one["name"])
        vault = one.get("keyVaultUrl")
        yield Secret(
            id=record_id("azure", "containerapp-secret", f"{address.lower()}/{name}"),
            **own(scope.account_of(address)),
            store="containerapp-secret",
            name=name,
            holder_id=resource_id(address),
            readable=False,
            managed_by=str(vault) if vault else None,
            location=address,
            tags={"registry": places[name]} if name in places else {},
        )
    for container in (*(row.get("containers") or []), *(row.get("initContainers") or [])):
        for one in container.get("env") or []:
            value = one.get("value")
            seen = inspect(str(one["name"]), str(value), scope.run.fingerprint) if value else None
            if seen is not None:
                yield Secret(
                    id=record_id("azure", "containerapp-env", f"{address.lower()}/{container.get('name')}/{one['name']}"),
                    **own(scope.account_of(address)),
                    store="containerapp-env",
                    name=str(one["name"]),
                    holder_id=resource_id(address),
                    readable=True,
                    encrypted=False,
                    looks_like=seen.looks_like,
                    length=seen.length,
                    fingerprint=seen.fingerprint,
                    location=address,
                )  # fmt: skip


def _host_key(scope: AzureScope, row: dict[str, Any], address: str) -> Credential:
    """Return the keys of a function app's host. Every app has them, and nothing says how old they are.

    https://learn.microsoft.com/azure/azure-functions/function-keys-how-to
    """
    return Credential(
        id=record_id("azure", "function-host-key", address.lower()),
        **own(scope.account_of(address)),
        identity_id=resource_id(address),
        kind="function-host-key",
        native_id=address.lower(),
        name=f"{row['name']} host keys",
        lifetime="static",
        never_expires=True,
        location=address,
    )


def _connection(scope: AzureScope, row: dict[str, Any], address: str) -> Iterator[Record]:
    """Yield a connection that stores a sign-in. One of a managed identity stores none."""
    if str(row.get("connectionKind") or "").lower() == "alternative":
        return
    yield Secret(
        id=record_id("azure", "logic-app-connection", address.lower()),
        **own(scope.account_of(address)),
        store="logic-app-connection",
        name=f"{row['name']} ({row.get('api') or 'unknown API'})",
        readable=False,
        created_at=utc_time(row.get("created")),
        owner=str(row["user"]) if row.get("user") else None,
        location=address,
    )


def _pool(scope: AzureScope, row: dict[str, Any]) -> Iterator[Control]:
    """Yield which projects may use a pool of build agents, and whether each job has a fresh one.

    No projects means all of the organization.
    """
    organizations: list[dict[str, Any]] = row.get("organizations") or []
    limited = bool(organizations) and all(one.get("projects") for one in organizations)
    yield setting(
        scope, row, "devops-pool-projects", good=limited,
        words=("For named projects only", "Every project of the organization may run jobs as its identity"),
    )  # fmt: skip
    yield setting(
        scope, row, "devops-pool-fresh-agents", good=str(row.get("agents") or "").lower() == "stateless",
        words=("Each job has a fresh machine", "Machines are used by several jobs"),
    )  # fmt: skip


def site_settings(scope: AzureScope, sites: Sequence[str]) -> Iterator[Record]:
    """Yield names of the settings of web and function apps that are secrets, and whether passwords deploy to them."""
    version = "api-version=2024-04-01"

    def request(table: str, kind: str, call: str, needs: str) -> Any:
        return lambda address: scope.within(scope.account_of(address)).request(
            table, f"GET {SITE}/{call}", kind=kind, needs=needs, item=address.lower()
        )

    for name, store in (("appsettings", "app-setting"), ("connectionstrings", "app-connection-string")):
        references = f"config/configreferences/{name}"
        yield from each(
            scope,
            {f"{site}/{references}?{version}": site for site in sorted(sites)},
            request("secrets", store, references, "Microsoft.Web/sites/config/read"),
            lambda site, item, store=store: _reference(scope, site, item, store),  # type: ignore[misc]
        )
    yield from each(
        scope,
        {f"{site}/{POLICIES}?{version}": site for site in sorted(sites)},
        request("controls", "app-service-basic-auth-off", POLICIES, f"Microsoft.Web/sites/{POLICIES}/read"),
        lambda site, item: _basic_auth(scope, site, item),
    )


def _reference(scope: AzureScope, site: str, item: dict[str, Any], store: str) -> Iterator[Record]:
    """Yield a setting that is read from a key vault, or whose name says that it is a secret; and any connection string."""
    properties: dict[str, Any] = item["properties"]
    name = str(item["name"])
    vault, entry = properties.get("vaultName"), properties.get("secretName")
    looks = "connection-string" if store == "app-connection-string" else secret_name(name)
    if not vault and looks is None:
        return
    yield Secret(
        id=record_id("azure", store, f"{site.lower()}/{name}"),
        **own(scope.account_of(site)),
        store=store,
        name=name,
        holder_id=resource_id(site),
        readable=False,
        looks_like=f"name:{looks}" if looks and not vault else None,
        managed_by=f"{vault}/{entry}" if vault else None,
        location=site,
        tags={"status": str(properties["status"])} if properties.get("status") else {},
    )


def _basic_auth(scope: AzureScope, site: str, item: dict[str, Any]) -> Iterator[Record]:
    """Yield whether a user name and password deploy to the site. https://learn.microsoft.com/azure/app-service/configure-basic-auth-disable"""
    way = str(item["name"])
    allowed = item["properties"].get("allow")
    yield Control(
        id=record_id("azure", "app-service-basic-auth-off", f"{site.lower()}/{way}"),
        **own(scope.account_of(site)),
        stage="deploy",
        kind="app-service-basic-auth-off",
        name=f"{site.rpartition('/')[2]} ({way})",
        # What is not said is not known.
        enforcement="absent" if allowed is True else ("enforced" if allowed is False else "documented"),
        target=resource_id(site),
        detail=f"Publishing by {way} takes a user name and password"
        if allowed
        else f"Publishing by {way} takes Entra ID",
    )
