"""Lantern Pay's policies toward other tenants, and its Conditional Access."""

from __future__ import annotations

from sandbox.entra.estate import GITHUB, DirectoryTenant, federated, guid


def other_tenants(tenant: DirectoryTenant) -> None:
    """Add what other tenants and domains may do here."""
    # Open to every tenant, federated, and credentials can be added to it elsewhere. Look-alike: assigned and locked.
    tenant.application(
        "partner-portal",
        audience="AzureADMultipleOrgs",
        federated=(
            federated("portal", GITHUB, "repo:lanternpay@7001001/portal@5031:environment:production"),
        ),
    )
    tenant.application(
        "partner-api",
        audience="AzureADMultipleOrgs",
        lock={
            "isEnabled": True,
            "allProperties": True,
            "credentialsWithUsageVerify": True,
            "credentialsWithUsageSign": True,
            "tokenEncryptionKeyId": True,
        },
        appRoleAssignmentRequired=True,
    )
    # The company that was bought signs in its users, and says whether MFA was done; another domain does MFA here.
    for name, behavior in (
        ("lanternpay.example", None),
        ("moonbank.example", "acceptIfMfaDoneByFederatedIdp"),
        ("duskbank.example", "rejectMfaByFederatedIdp"),
    ):
        tenant.domains.append(
            {
                "id": name,
                "authenticationType": "Managed" if behavior is None else "Federated",
                "isVerified": True,
            }
        )
        if behavior is not None:
            tenant.federations[name] = [
                {
                    "id": guid(f"federation {name}"),
                    "displayName": name,
                    "issuerUri": f"http://adfs.{name}/adfs/services/trust",
                    "federatedIdpMfaBehavior": behavior,
                    "preferredAuthenticationProtocol": "wsFed",
                }
            ]
    tenant.cross_tenant_default = {
        "isServiceDefault": False,
        "inboundTrust": {
            "isMfaAccepted": False,
            "isCompliantDeviceAccepted": False,
            "isHybridAzureADJoinedDeviceAccepted": False,
        },
    }
    # One partner creates users here; another only does MFA for its guests.
    tenant.partners += [
        {
            "tenantId": guid(f"{name} tenant"),
            "isServiceProvider": None,
            "automaticUserConsentSettings": {"inboundAllowed": creates, "outboundAllowed": None},
            "inboundTrust": {"isMfaAccepted": True, "isCompliantDeviceAccepted": False},
            "identitySynchronization": {
                "tenantId": guid(f"{name} tenant"),
                "displayName": name,
                "userSyncInbound": {"isSyncAllowed": creates},
            },
        }
        for name, creates in (("Moon Bank", True), ("Audit House", False))
    ]
    tenant.consent_policies = [
        {
            "id": "microsoft-user-default-legacy",
            "displayName": "Default user consent (legacy)",
            "includes": [
                {
                    "id": "1",
                    "permissionType": "delegated",
                    "permissionClassification": "all",
                    "clientApplicationsFromVerifiedPublisherOnly": False,
                    "permissions": ["all"],
                    "clientApplicationIds": ["all"],
                    "clientApplicationTenantIds": ["all"],
                    "clientApplicationPublisherIds": ["all"],
                    "resourceApplication": "any",
                }
            ],
            "excludes": [],
        }
    ]


def workload_policies(tenant: DirectoryTenant) -> None:
    """Add Conditional Access."""

    def policy(name: str, state: str, clients: dict[str, object] | None) -> dict[str, object]:
        return {
            "id": guid(f"policy {name}"),
            "displayName": name,
            "state": state,
            "conditions": {
                "clientApplications": clients,
                "locations": {"includeLocations": ["All"], "excludeLocations": ["AllTrusted"]},
                "servicePrincipalRiskLevels": [],
            },
            "grantControls": {"operator": "OR", "builtInControls": ["block"] if clients else ["mfa"]},
        }

    tenant.conditional_access = [
        policy("Require MFA of everyone", "enabled", None),
        policy(
            "Pipelines from our runners",
            "enabledForReportingButNotEnforced",
            {
                "includeServicePrincipals": ["ServicePrincipalsInMyTenant"],
                "excludeServicePrincipals": [guid("sp wiki-sync")],
            },
        ),
        policy(
            "Terraform from our runners",
            "enabled",
            {"includeServicePrincipals": [guid("sp terraform-azure")], "excludeServicePrincipals": []},
        ),
        policy(
            "Draft",
            "disabled",
            {"includeServicePrincipals": ["ServicePrincipalsInMyTenant"], "excludeServicePrincipals": []},
        ),
    ]
