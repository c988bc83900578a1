"""What Lantern Pay's vaults, registries and applications hold, who else manages its Azure, and its policies."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sandbox.azure.tenant import DEV, PROD, AzureTenant, guid
from sandbox.entra.estate import AUDIENCE, GITHUB, PARTNER, TENANT, ago
from sandbox.entra.estate import guid as entra
from sandbox.kit.issued import secret_value

if TYPE_CHECKING:
    from sandbox.kit.http import Json

PROVIDERS = f"/subscriptions/{PROD}/resourceGroups/payments/providers"


def _moment(days: float) -> int:
    """Return a time so many days ago in seconds since 1970."""
    return int(datetime.fromisoformat(ago(days)).timestamp())


def _entry(
    vault: str,
    kind: str,
    name: str,
    *,
    made: float,
    ends: float | None,
    enabled: bool = True,
    content: str | None = None,
) -> Json:
    address = f"{PROVIDERS}/Microsoft.KeyVault/vaults/{vault}/{kind}/{name}"
    return {
        "id": address,
        "name": name,
        "type": f"Microsoft.KeyVault/vaults/{kind}",
        "location": "westeurope",
        "tags": {},
        "properties": {
            "attributes": {
                "enabled": enabled,
                "created": _moment(made),
                "updated": _moment(made),
                **({"exp": _moment(ends)} if ends is not None else {}),
            },
            **({"contentType": content} if content else {}),
            f"{kind.removesuffix('s')}Uri": f"https://{vault}.vault.azure.net/{kind}/{name}",
        },
    }


def vault_entries(tenant: AzureTenant) -> None:
    """Add secrets and keys."""
    vaults = f"{PROVIDERS}/Microsoft.KeyVault/vaults"
    tenant.add(
        f"{vaults}/kv-legacy/secrets",
        _entry("kv-legacy", "secrets", "partner-api-key", made=800, ends=None),
        # Ends; and one that nobody can read any more.
        _entry("kv-legacy", "secrets", "ledger-password", made=30, ends=-150),
        _entry("kv-legacy", "secrets", "old-token", made=900, ends=None, enabled=False),
    )
    tenant.add(f"{vaults}/kv-legacy/keys", _entry("kv-legacy", "keys", "signing", made=500, ends=None))
    tenant.add(
        f"{vaults}/kv-payments/secrets",
        _entry("kv-payments", "secrets", "psp-key", made=20, ends=-70),
        # Certificates: one ended, one has most of a year left.
        _entry("kv-payments", "secrets", "gateway-tls", made=380, ends=15, content="application/x-pkcs12"),
        _entry("kv-payments", "secrets", "portal-tls", made=30, ends=-335, content="application/x-pem-file"),
    )


def registry_tokens(tenant: AzureTenant) -> None:
    """Add tokens of the registry: one that pushes for ever, one that pulls until it ends."""
    registry = f"{PROVIDERS}/Microsoft.ContainerRegistry/registries/lanternimages"
    for name, verbs in (("push-all", ("read", "write")), ("pull-one", ("read",))):
        tenant.add(
            f"{registry}/scopeMaps",
            {
                "id": f"{registry}/scopeMaps/{name}",
                "name": name,
                "type": "Microsoft.ContainerRegistry/registries/scopeMaps",
                "properties": {
                    "description": "Made for a build",
                    "type": "UserDefined",
                    "creationDate": ago(400),
                    "provisioningState": "Succeeded",
                    "actions": [f"repositories/payments-api/content/{verb}" for verb in verbs],
                },
            },
        )
    for name, mapped, ends in (("ci-push", "push-all", None), ("edge-pull", "pull-one", ago(-20))):
        tenant.add(
            f"{registry}/tokens",
            {
                "id": f"{registry}/tokens/{name}",
                "name": name,
                "type": "Microsoft.ContainerRegistry/registries/tokens",
                "properties": {
                    "creationDate": ago(400),
                    "provisioningState": "Succeeded",
                    "scopeMapId": f"{registry}/scopeMaps/{mapped}",
                    "status": "enabled",
                    "credentials": {
                        "certificates": [],
                        "passwords": [
                            {
                                "name": "password1",
                                "creationTime": ago(60),
                                **({"expiry": ends} if ends else {}),
                            }
                        ],
                    },
                },
            },
        )


def applications(tenant: AzureTenant) -> None:
    """Add settings that hold secrets, and what reads them from a vault instead."""
    tenant.resource(
        "Microsoft.App/containerApps",
        "storefront",
        identity={"type": "SystemAssigned", "principalId": guid("principal storefront"), "tenantId": TENANT},
        tags={"owner": "web"},
        properties={
            "configuration": {
                "secrets": [
                    {"name": "registry-password"},
                    {"name": "psp-key", "keyVaultUrl": "https://kv-payments.vault.azure.net/secrets/psp-key"},
                ],
                "registries": [
                    {
                        "server": "lanternimages.azurecr.io",
                        "username": "ci",
                        "passwordSecretRef": "registry-password",
                    }
                ],
            },
            "template": {
                "containers": [
                    {
                        "name": "web",
                        "image": "lanternimages.azurecr.io/storefront:1",
                        "env": [
                            {"name": "LOG_LEVEL", "value": "debug"},
                            {"name": "GITHUB_TOKEN", "value": secret_value("azure/storefront", 36, "ghp_")},
                            {"name": "PSP_KEY", "secretRef": "psp-key"},
                        ],
                    }
                ]
            },
        },
    )
    site = f"{PROVIDERS}/Microsoft.Web/sites/payments-api"
    for name, vault, entry in (
        ("PSP_API_KEY", None, None),
        ("LEDGER_PASSWORD", "kv-legacy", "ledger-password"),
        ("LOG_LEVEL", None, None),
    ):
        tenant.add(
            f"{site}/config/configreferences/appsettings",
            {
                "id": f"{site}/config/configreferences/appsettings/{name}",
                "name": name,
                "type": "Microsoft.Web/sites/config/configreferences",
                "properties": {
                    "vaultName": vault,
                    "secretName": entry,
                    "status": "Resolved" if vault else None,
                    "source": "KeyVault" if vault else None,
                    "details": "Reference has been successfully resolved." if vault else None,
                },
            },
        )
    tenant.add(
        f"{site}/config/configreferences/connectionstrings",
        {
            "id": f"{site}/config/configreferences/connectionstrings/LedgerDb",
            "name": "LedgerDb",
            "type": "Microsoft.Web/sites/config/configreferences",
            "properties": {
                "vaultName": None,
                "secretName": None,
                "status": None,
                "source": None,
                "details": None,
            },
        },
    )
    for name, allowed in (("payments-api", True), ("ledger-export", False)):
        address = f"{PROVIDERS}/Microsoft.Web/sites/{name}"
        for way in ("ftp", "scm"):
            tenant.add(
                f"{address}/basicPublishingCredentialsPolicies",
                {
                    "id": f"{address}/basicPublishingCredentialsPolicies/{way}",
                    "name": way,
                    "type": "Microsoft.Web/sites/basicPublishingCredentialsPolicies",
                    "properties": {"allow": allowed and way == "scm"},
                },
            )
    tenant.resource(
        "Microsoft.Web/connections",
        "office365",
        properties={
            "api": {"name": "office365"},
            "authenticatedUser": {"name": "maya.lindt@lanternpay.example"},
            "createdTime": ago(600),
            "overallStatus": "Connected",
        },
    )
    tenant.resource(
        "Microsoft.Web/connections",
        "blobs",
        properties={
            "api": {"name": "azureblob"},
            "parameterValueType": "Alternative",
            "createdTime": ago(600),
        },
    )


def automation(tenant: AzureTenant) -> None:
    """Add what the runbooks of an Automation account use."""
    account = f"{PROVIDERS}/Microsoft.Automation/automationAccounts/nightly"

    def asset(kind: str, name: str, **properties: object) -> None:
        tenant.add(
            f"{account}/{kind}",
            {
                "id": f"{account}/{kind}/{name}",
                "name": name,
                "properties": {
                    "description": "For the nightly runbook",
                    "creationTime": ago(700),
                    "lastModifiedTime": ago(300),
                    **properties,
                },
            },
        )

    asset("variables", "SmtpPassword", isEncrypted=False, value='"' + secret_value("azure/smtp", 24) + '"')
    asset("variables", "ReportPath", isEncrypted=False, value='"reports/nightly"')
    asset("variables", "SapPassword", isEncrypted=True, value=None)
    asset("credentials", "sap", userName="svc-sap")
    asset("connections", "AzureRunAsConnection", connectionType={"name": "AzureServicePrincipal"})
    asset("certificates", "sap-client", expiryTime=ago(-90), isExportable=False, thumbprint="A1")
    asset(
        "webhooks", "restart", isEnabled=True, expiryTime=ago(-3000), lastInvokedTime=ago(3), runbook={"name": "restart"}
    )  # fmt: skip


def pools(tenant: AzureTenant) -> None:
    """Add a pool of build agents for every project, and one for two projects only."""
    for name, projects, agents in (
        ("build-pool", [], "Stateful"),
        ("release-pool", ["payments"], "Stateless"),
    ):
        tenant.resource(
            "Microsoft.DevOpsInfrastructure/pools",
            name,
            identity={"type": "UserAssigned", "userAssignedIdentities": {_uami("id-payments"): {}}},
            tags={"owner": "platform"},
            properties={
                "organizationProfile": {
                    "kind": "AzureDevOps",
                    "organizations": [
                        {"url": "https://dev.azure.com/lanternpay", "projects": projects, "parallelism": 2}
                    ],
                    "permissionProfile": {"kind": "Inherit"},
                },
                "agentProfile": {"kind": agents},
            },
        )


def _uami(name: str) -> str:
    return f"{PROVIDERS}/Microsoft.ManagedIdentity/userAssignedIdentities/{name}"


def federated_credentials(tenant: AzureTenant, issuer: str) -> None:
    """Let a service account of our cluster, an exact pipeline, and pods of a cluster that is gone become an identity."""
    for name, source, subject in (
        ("aks-payments", issuer, "system:serviceaccount:payments:payments-api"),
        ("deploy", GITHUB, "repo:lanternpay/payments-api:environment:production"),
        ("gone", issuer.replace("westeurope", "northeurope"), "system:serviceaccount:shop:checkout"),
    ):
        tenant.add(
            f"{_uami('id-payments')}/federatedIdentityCredentials",
            {
                "id": f"{_uami('id-payments')}/federatedIdentityCredentials/{name}",
                "name": name,
                "type": "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials",
                "properties": {"issuer": source, "subject": subject, "audiences": [AUDIENCE]},
            },
        )


def delegations(tenant: AzureTenant, contributor: str, reader: str) -> None:
    """Let a provider manage development as Contributor, and look at production."""
    for name, place, role in (("operations", DEV, contributor), ("watching", PROD, reader)):
        offer = (
            f"/subscriptions/{place}/providers/Microsoft.ManagedServices/registrationDefinitions/{guid(name)}"
        )
        tenant.managedserviceresources += [
            {
                "id": offer,
                "name": guid(name),
                "type": "microsoft.managedservices/registrationdefinitions",
                "properties": {
                    "registrationDefinitionName": name,
                    "description": f"Managed {name}",
                    "managedByTenantId": PARTNER,
                    "managedByTenantName": "Fabrikam Operations",
                    "provisioningState": "Succeeded",
                    "authorizations": [
                        {
                            "principalId": entra(f"partner {name}"),
                            "principalIdDisplayName": f"{name} team",
                            "roleDefinitionId": role,
                        }
                    ],
                    "eligibleAuthorizations": [],
                },
            },
            {
                "id": offer.replace("registrationDefinitions", "registrationAssignments"),
                "name": guid(name),
                "type": "microsoft.managedservices/registrationassignments",
                "properties": {"registrationDefinitionId": offer, "provisioningState": "Succeeded"},
            },
        ]


def policies(tenant: AzureTenant) -> None:
    """Assign policies: one that denies, one that only says so, one that repairs as an identity of its own."""
    lantern = "/providers/Microsoft.Management/managementGroups/lantern"
    definitions: dict[str, Json] = {
        "deny-shared-keys": {
            "policyRule": {"then": {"effect": "[parameters('effect')]"}},
            "parameters": {"effect": {"defaultValue": "Audit"}},
        },
        "deploy-diagnostics": {"policyRule": {"then": {"effect": "deployIfNotExists"}}, "parameters": {}},
    }
    for name, properties in definitions.items():
        tenant.policyresources.append(
            {
                "id": f"/providers/Microsoft.Authorization/policyDefinitions/{guid(name)}",
                "name": guid(name),
                "type": "microsoft.authorization/policydefinitions",
                "properties": {"displayName": name, "policyType": "BuiltIn", **properties},
            }
        )
    for name, place, definition, effect, mode in (
        ("no-shared-keys", lantern, "deny-shared-keys", "Deny", "Default"),
        ("no-shared-keys-dev", f"/subscriptions/{DEV}", "deny-shared-keys", "Deny", "DoNotEnforce"),
        ("count-shared-keys", f"/subscriptions/{DEV}", "deny-shared-keys", None, "Default"),
        ("diagnostics", lantern, "deploy-diagnostics", None, "Default"),
    ):
        tenant.policyresources.append(
            {
                "id": f"{place}/providers/Microsoft.Authorization/policyAssignments/{name}",
                "name": name,
                "type": "microsoft.authorization/policyassignments",
                "identity": {
                    "type": "SystemAssigned",
                    "principalId": guid(f"principal {name}"),
                    "tenantId": TENANT,
                }
                if name == "diagnostics"
                else None,
                "properties": {
                    "displayName": name,
                    "scope": place,
                    "enforcementMode": mode,
                    "policyDefinitionId": f"/providers/Microsoft.Authorization/policyDefinitions/{guid(definition)}",
                    "parameters": {"effect": {"value": effect}} if effect else {},
                    "notScopes": [],
                    "overrides": [],
                },
            }
        )
    exempt = f"/subscriptions/{PROD}/resourceGroups/payments"
    tenant.policyresources.append(
        {
            "id": f"{exempt}/providers/Microsoft.Authorization/policyExemptions/exports",
            "name": "exports",
            "type": "microsoft.authorization/policyexemptions",
            "properties": {
                "policyAssignmentId": f"{lantern}/providers/Microsoft.Authorization/policyAssignments/no-shared-keys",
                "exemptionCategory": "Waiver",
                "expiresOn": None,
            },
        }
    )
