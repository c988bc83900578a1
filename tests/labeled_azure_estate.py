"""A tenant of Azure for the labels in test_labeled_azure.py: built-in roles as Microsoft publishes them, and what uses them.

https://learn.microsoft.com/azure/role-based-access-control/built-in-roles (read 2026-11-30; actions that give nothing left out)
"""

from __future__ import annotations

from typing import Any

from sandbox.azure.tenant import AzureTenant, element, guid
from sandbox.entra.estate import AUDIENCE, GITHUB, TENANT, ago

HUB, PROD, DEV, LAB = (guid(f"labels {name}") for name in ("hub", "prod", "dev", "lab"))
LANDING = "/providers/Microsoft.Management/managementGroups/landing"
P, D, L = (f"/subscriptions/{one}" for one in (PROD, DEV, LAB))
APP, DATA = f"{P}/resourceGroups/app", f"{P}/resourceGroups/data"
ISSUER = f"https://eastus.oic.prod-aks.azure.com/{TENANT}/{guid('labels cluster')}/"
OWNER, UAA = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9"
RBAC, READER = "f58310d9-a9f6-439a-9e8d-f62e7b41a168", "acdd72a7-3385-48ef-bd42-f606fba81ae7"
COMMON = ["Microsoft.Authorization/*/read", "Microsoft.Insights/alertRules/*", "Microsoft.Resources/deployments/*", "Microsoft.Support/*"]  # fmt: skip
ROLES: dict[str, tuple[str, list[Any]]] = {
    "Owner": (OWNER, [element(["*"])]),
    "Contributor": (
        "b24988ac-6180-42a0-ab88-20f7382dd24c",
        [element(["*"], ["Microsoft.Authorization/*/Delete", "Microsoft.Authorization/*/Write", "Microsoft.Authorization/elevateAccess/Action", "Microsoft.Blueprint/blueprintAssignments/write", "Microsoft.Blueprint/blueprintAssignments/delete", "Microsoft.Compute/galleries/share/action"])],
    ),
    "Reader": (READER, [element(["*/read"])]),
    "User Access Administrator": (UAA, [element(["*/read", "Microsoft.Authorization/*", "Microsoft.Support/*"])]),
    "Role Based Access Control Administrator": (
        RBAC, [element(["Microsoft.Authorization/roleAssignments/write", "Microsoft.Authorization/roleAssignments/delete", "*/read", "Microsoft.Support/*"])],
    ),
    "Virtual Machine Contributor": (
        "9980e02c-c2be-4d73-94e8-173b1dc7cf3c",
        [element([*COMMON, "Microsoft.Compute/availabilitySets/*", "Microsoft.Compute/virtualMachines/*", "Microsoft.Compute/virtualMachineScaleSets/*", "Microsoft.Compute/disks/write", "Microsoft.SerialConsole/serialPorts/connect/action", "Microsoft.Storage/storageAccounts/listKeys/action", "Microsoft.Storage/storageAccounts/read"])],
    ),
    "Virtual Machine Administrator Login": (
        "1c0163c0-47e6-4577-8991-ea5c82e286e4",
        [element(["Microsoft.Compute/virtualMachines/*/read"], data=["Microsoft.Compute/virtualMachines/login/action", "Microsoft.Compute/virtualMachines/loginAsAdmin/action"])],
    ),
    "Managed Identity Operator": (
        "f1a07417-d97a-45cb-824c-7a7467783830",
        [element([*COMMON, "Microsoft.ManagedIdentity/userAssignedIdentities/*/read", "Microsoft.ManagedIdentity/userAssignedIdentities/*/assign/action"])],
    ),
    "Website Contributor": ("de139f84-1756-47ae-9be6-808fbbe84772", [element([*COMMON, "Microsoft.Web/certificates/*", "Microsoft.Web/sites/*"])]),
    "Key Vault Contributor": ("f25e0fa2-a7c8-4377-a976-54943a77a395", [element([*COMMON, "Microsoft.KeyVault/*"], ["Microsoft.KeyVault/locations/deletedVaults/purge/action", "Microsoft.KeyVault/hsmPools/*", "Microsoft.KeyVault/managedHsms/*"])]),
    "Key Vault Secrets User": ("4633458b-17de-408a-b874-0445c86b69e6", [element([], data=["Microsoft.KeyVault/vaults/secrets/getSecret/action", "Microsoft.KeyVault/vaults/secrets/readMetadata/action"])]),
    "Key Vault Reader": ("21090545-7ca7-4776-b22c-e363652d74d2", [element([*COMMON, "Microsoft.KeyVault/checkNameAvailability/read", "Microsoft.KeyVault/vaults/*/read"], data=["Microsoft.KeyVault/vaults/*/read", "Microsoft.KeyVault/vaults/secrets/readMetadata/action"])]),
    "AcrPush": ("8311e382-0749-4cb8-b61a-304f252e45ec", [element(["Microsoft.ContainerRegistry/registries/pull/read", "Microsoft.ContainerRegistry/registries/push/write"])]),
    "AcrPull": ("7f951dda-4ed3-4680-a7ca-43fe172d538d", [element(["Microsoft.ContainerRegistry/registries/pull/read"])]),
    "Storage Account Key Operator Service Role": ("81a9662b-bebf-436f-a333-f67b29880f12", [element(["Microsoft.Storage/storageAccounts/listkeys/action", "Microsoft.Storage/storageAccounts/regeneratekey/action"])]),
    "Storage Blob Data Owner": ("b7e6dc6d-f1e8-4753-8033-0f276bb0955b", [element(["Microsoft.Storage/storageAccounts/blobServices/containers/*", "Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action"], data=["Microsoft.Storage/storageAccounts/blobServices/containers/blobs/*"])]),
    "Automation Operator": ("d3881f73-407a-4167-8283-e981cbba0404", [element([*COMMON, *(f"Microsoft.Automation/automationAccounts/{one}" for one in ("jobs/read", "jobs/resume/action", "jobs/stop/action", "jobs/write", "jobSchedules/read", "jobSchedules/write", "runbooks/read", "schedules/read", "schedules/write"))])]),
    "Automation Contributor": ("f353d9bd-d4a6-484e-a77a-8050b599b867", [element([*COMMON, "Microsoft.Automation/automationAccounts/*"])]),
    "Azure Kubernetes Service Cluster Admin Role": ("0ab0b1a8-8aac-4efd-b8c2-3ee1fb270be8", [element(["Microsoft.ContainerService/managedClusters/listClusterAdminCredential/action", "Microsoft.ContainerService/managedClusters/accessProfiles/listCredential/action", "Microsoft.ContainerService/managedClusters/read", "Microsoft.ContainerService/managedClusters/runcommand/action"])]),
    "Azure Kubernetes Service Cluster User Role": ("4abbcc35-e782-43d8-92c5-2d3f1bd2253f", [element(["Microsoft.ContainerService/managedClusters/listClusterUserCredential/action", "Microsoft.ContainerService/managedClusters/read"])]),
    "Logic App Operator": ("515c2055-d9d4-4321-b1b9-bd0c9a0f79fe", [element([*COMMON, "Microsoft.Logic/*/read", "Microsoft.Logic/workflows/disable/action", "Microsoft.Logic/workflows/enable/action", "Microsoft.Logic/workflows/validate/action"])]),
    "Logic App Contributor": ("87a39d53-fc1b-424a-814c-f7e04687dc9e", [element([*COMMON, "Microsoft.Logic/*", "Microsoft.Web/connections/*"])]),
    "Monitoring Reader": ("43d0d8ad-25c7-4714-9337-8ba259a9fe05", [element(["*/read", "Microsoft.OperationalInsights/workspaces/search/action", "Microsoft.Support/*"])]),
    "Resource Policy Contributor": ("36243c78-bf99-498c-9df9-86d9f8d28608", [element(["*/read", "Microsoft.Authorization/policyassignments/*", "Microsoft.Authorization/policydefinitions/*", "Microsoft.Authorization/policyexemptions/*", "Microsoft.PolicyInsights/*", "Microsoft.Resources/deployments/*"])]),
    "Managed Identity Federated Identity Credential Contributor": ("7e559ce2-48d7-4b27-9128-fa1b247f1308", [element([*COMMON, "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/read", "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/write", "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/delete"])]),
    "Deployment Runner": (guid("labels runner"), [element(["Microsoft.Resources/deployments/*"])]),
}  # fmt: skip
DECOY = guid("labels decoy")
"""A custom role of the name Contributor that only reads."""


def who(name: str) -> str:
    """Return the object ID of a principal."""
    return guid(f"labels principal {name}")


def only(*roles: str, equal: bool = True) -> str:
    """Return a condition that lets only these roles be assigned, or all but these."""
    test = "ForAnyOfAnyValues:GuidEquals" if equal else "ForAnyOfAllValues:GuidNotEquals"
    clause = (
        f"@Request[Microsoft.Authorization/roleAssignments:RoleDefinitionId] {test} {{{', '.join(roles)}}}"
    )
    return f"((!(ActionMatches{{'Microsoft.Authorization/roleAssignments/write'}})) OR ({clause}))"


BLOBS = (
    "((!(ActionMatches{'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read'})) OR "
    "(@Resource[Microsoft.Storage/storageAccounts/blobServices/containers:name] StringEquals 'public'))"
)
VAULTS, STORES = (
    f"{DATA}/providers/Microsoft.KeyVault/vaults",
    f"{DATA}/providers/Microsoft.Storage/storageAccounts",
)
REGISTRIES = f"{DATA}/providers/Microsoft.ContainerRegistry/registries"
CLUSTERS = f"{APP}/providers/Microsoft.ContainerService/managedClusters"
ASSIGNED: list[tuple[str, str, str, str | None]] = [
    ("vm-operator", "Virtual Machine Contributor", APP, None),
    ("vm-login", "Virtual Machine Administrator Login", APP, None),
    ("assigner", "Managed Identity Operator", P, None),
    ("assigner-and-web", "Managed Identity Operator", APP, None),
    ("assigner-and-web", "Website Contributor", APP, None),
    ("web", "Website Contributor", APP, None),
    ("federator", "Managed Identity Federated Identity Credential Contributor", APP, None),
    ("kv-admin-policies", "Key Vault Contributor", f"{VAULTS}/kv-old", None),
    ("kv-admin-roles", "Key Vault Contributor", f"{VAULTS}/kv-new", None),
    ("kv-user-roles", "Key Vault Secrets User", f"{VAULTS}/kv-new", None),
    ("kv-user-policies", "Key Vault Secrets User", f"{VAULTS}/kv-old", None),
    ("kv-reader", "Key Vault Reader", DATA, None),
    ("pusher", "AcrPush", f"{REGISTRIES}/images", None),
    ("puller", "AcrPull", f"{REGISTRIES}/images", None),
    ("pusher-abac", "AcrPush", f"{REGISTRIES}/repositories", None),
    ("keys-on", "Storage Account Key Operator Service Role", f"{STORES}/open", None),
    ("keys-off", "Storage Account Key Operator Service Role", f"{STORES}/closed", None),
    ("blobs", "Storage Blob Data Owner", f"{STORES}/open", BLOBS),
    ("job-starter", "Automation Operator", APP, None),
    ("runbook-author", "Automation Contributor", APP, None),
    ("aks-admin-open", "Azure Kubernetes Service Cluster Admin Role", f"{CLUSTERS}/open", None),
    ("aks-admin-closed", "Azure Kubernetes Service Cluster Admin Role", f"{CLUSTERS}/closed", None),
    ("aks-user-open", "Azure Kubernetes Service Cluster User Role", f"{CLUSTERS}/open", None),
    ("aks-user-closed", "Azure Kubernetes Service Cluster User Role", f"{CLUSTERS}/closed", None),
    ("flow-operator", "Logic App Operator", APP, None),
    ("flow-author", "Logic App Contributor", APP, None),
    ("delegate-reader", "Role Based Access Control Administrator", P, only(READER)),
    ("delegate-most", "Role Based Access Control Administrator", P, only(OWNER, UAA, RBAC, equal=False)),
    ("delegate-owner", "Role Based Access Control Administrator", P, only(READER, OWNER)),
    ("root", "User Access Administrator", "/", None),
    ("owner-denied", "Owner", f"{D}/resourceGroups/locked", None),
    ("owner-watched", "Owner", f"{D}/resourceGroups/watched", None),
    ("owner-excluded", "Owner", f"{D}/resourceGroups/locked", None),
    ("owner-lab", "Owner", f"{L}/resourceGroups/any", None),
    ("owner-group", "Owner", LANDING, None),
    ("contributor-landing", "Contributor", LANDING, None),
    ("contributor-dev", "Contributor", D, None),
    ("reader", "Reader", "/", None),
    ("monitor", "Monitoring Reader", P, None),
    ("policy-author", "Resource Policy Contributor", LANDING, None),
    ("deployer", "Deployment Runner", P, None),
]


def build() -> AzureTenant:
    """Return the tenant."""
    tenant = AzureTenant()
    _places(tenant)
    for name, (number, elements) in ROLES.items():
        tenant.role(number, name, elements, built_in=name != "Deployment Runner")
    tenant.role(DECOY, "Contributor", [element(["*/read"])], built_in=False)
    for name, role, scope, condition in ASSIGNED:
        tenant.assign(who(name), ROLES[role][0], scope, condition=condition)
    tenant.assign(who("decoy"), DECOY, P)
    tenant.assign(who("agent"), READER, P, kind="AgentServicePrincipal")
    tenant.deny(f"{D}/resourceGroups/locked", "locked", excluded=(who("owner-excluded"),), listed_at=D)
    tenant.deny(f"{D}/resourceGroups/watched", "watched", effect="audit", listed_at=D)
    tenant.deny("/providers/Microsoft.Management/managementGroups/labs", "labs")
    _running(tenant)
    _stores(tenant)
    _others(tenant)
    return tenant


def _places(tenant: AzureTenant) -> None:
    parents = {"landing": TENANT, "labs": TENANT, TENANT: None}
    for name, parent in parents.items():
        tenant.resourcecontainers.append(
            {
                "id": f"/providers/Microsoft.Management/managementGroups/{name}", "name": name,
                "type": "microsoft.management/managementgroups", "subscriptionId": "", "tags": None,
                "properties": {"displayName": name, "details": {"parent": {"name": parent} if parent else None}},
            }
        )  # fmt: skip
    for number, name, chain in (
        (HUB, "hub", [TENANT]), (PROD, "prod", ["landing", TENANT]), (DEV, "dev", ["landing", TENANT]), (LAB, "lab", ["labs", TENANT])
    ):  # fmt: skip
        tenant.resourcecontainers.append(
            {
                "id": f"/subscriptions/{number}", "name": name, "type": "microsoft.resources/subscriptions",
                "subscriptionId": number, "tags": {},
                "properties": {"state": "Enabled", "managementGroupAncestorsChain": [{"name": one} for one in chain]},
            }
        )  # fmt: skip


def _system(name: str) -> dict[str, Any]:
    return {"type": "SystemAssigned", "principalId": who(f"of {name}"), "tenantId": TENANT}


def _running(tenant: AzureTenant) -> None:
    def add(type_: str, name: str, group: str = "app", subscription: str = PROD, **more: Any) -> str:
        return tenant.resource(type_, name, group, subscription, **{"identity": _system(name), **more})

    uami = tenant.resource(
        "Microsoft.ManagedIdentity/userAssignedIdentities", "uami-app", "app", PROD,
        properties={"clientId": guid("labels client"), "principalId": who("of uami-app")},
    )  # fmt: skip
    tenant.resource(
        "Microsoft.ManagedIdentity/userAssignedIdentities", "uami-data", "data", PROD,
        properties={"clientId": guid("labels client 2"), "principalId": who("of uami-data")},
    )  # fmt: skip
    both = {**_system("site"), "type": "SystemAssigned, UserAssigned", "userAssignedIdentities": {uami: {}}}
    add("Microsoft.Web/sites", "site", kind="app", identity=both)
    add("Microsoft.Web/sites", "func", kind="functionapp")
    add("Microsoft.Web/sites", "plain", kind="app", identity=None)
    add("Microsoft.Compute/virtualMachines", "vm")
    add("Microsoft.Compute/virtualMachines", "vm-bare", identity=None)
    add("Microsoft.Compute/virtualMachines", "vm-data", "data")
    add("Microsoft.Compute/virtualMachines", "vm-dev", "app", DEV)
    add("Microsoft.Compute/virtualMachines", "vm-lab", "app", LAB)
    add("Microsoft.Automation/automationAccounts", "runbooks")
    add("Microsoft.Logic/workflows", "flow")
    add(
        "Microsoft.ContainerService/managedClusters", "open",
        properties={"oidcIssuerProfile": {"issuerURL": ISSUER}, "aadProfile": None},
    )  # fmt: skip
    add(
        "Microsoft.ContainerService/managedClusters", "closed",
        properties={"disableLocalAccounts": True, "aadProfile": {"managed": True}, "apiServerAccessProfile": {"disableRunCommand": True}},
    )  # fmt: skip
    for name, issuer, subject in (
        ("pods", ISSUER, "system:serviceaccount:shop:cart"),
        ("exact", GITHUB, "repo:contoso/app:environment:production"),
        (
            "partner",
            f"https://login.microsoftonline.com/{guid('labels partner')}/v2.0",
            guid("labels partner app"),
        ),
    ):
        tenant.add(
            f"{uami}/federatedIdentityCredentials",
            {
                "id": f"{uami}/federatedIdentityCredentials/{name}", "name": name, "type": "x",
                "properties": {"issuer": issuer, "subject": subject, "audiences": [AUDIENCE]},
            },
        )  # fmt: skip


def _stores(tenant: AzureTenant) -> None:
    def add(kind: str, name: str, **properties: Any) -> None:
        tenant.resource(kind, name, "data", PROD, properties=properties)

    policy = {
        "objectId": who("policy-holder"),
        "tenantId": TENANT,
        "permissions": {"secrets": ["get", "set"]},
    }
    listing = {"objectId": who("policy-lister"), "tenantId": TENANT, "permissions": {"secrets": ["list"]}}
    add("Microsoft.KeyVault/vaults", "kv-old", accessPolicies=[policy, listing])
    add(
        "Microsoft.KeyVault/vaults",
        "kv-new",
        enableRbacAuthorization=True,
        accessPolicies=[policy],
        publicNetworkAccess="Disabled",
    )
    add("Microsoft.Storage/storageAccounts", "open", keyCreationTime={"key1": ago(400), "key2": None})
    add(
        "Microsoft.Storage/storageAccounts",
        "closed",
        allowSharedKeyAccess=False,
        keyCreationTime={"key1": ago(400)},
    )
    add("Microsoft.ContainerRegistry/registries", "images", adminUserEnabled=True)
    add(
        "Microsoft.ContainerRegistry/registries",
        "repositories",
        adminUserEnabled=False,
        roleAssignmentMode="AbacRepositoryPermissions",
    )
    add("Microsoft.Sql/servers", "sql", administrators={"azureADOnlyAuthentication": False})
    add("Microsoft.Cache/redis", "cache", disableAccessKeyAuthentication=True)
    add("Microsoft.CognitiveServices/accounts", "ai", disableLocalAuth=None)


def _others(tenant: AzureTenant) -> None:
    for name, place, member in (
        ("eligible-owner", P, "Direct"),
        ("eligible-group", LANDING, "Direct"),
        ("eligible-group", P, "Inherited"),
    ):
        scope = LANDING if name == "eligible-group" else place
        tenant.schedule(
            "roleEligibilityScheduleInstances", scope, principal=who(name), role=OWNER, member=member, listed_at=place,
            roleEligibilityScheduleId="x",
        )  # fmt: skip
    tenant.activation(P, OWNER, asked=("MultiFactorAuthentication",))
    tenant.activation(LANDING, OWNER)
    made = tenant.assign(who("eligible-owner"), ROLES["Contributor"][0], P, kind="User")
    tenant.schedule(
        "roleAssignmentScheduleInstances", P, principal=who("eligible-owner"), role=ROLES["Contributor"][0],
        roleAssignmentScheduleId="x", originRoleAssignmentId=made, assignmentType="Activated", endDateTime=ago(-0.1),
        linkedRoleEligibilityScheduleId=None, linkedRoleEligibilityScheduleInstanceId=None,
    )  # fmt: skip
    partner = guid("labels partner")
    offer = f"{D}/providers/Microsoft.ManagedServices/registrationDefinitions/offer"
    tenant.managedserviceresources += [
        {
            "id": offer, "name": "offer", "type": "microsoft.managedservices/registrationdefinitions",
            "properties": {
                "managedByTenantId": partner, "managedByTenantName": "Partner",
                "authorizations": [{"principalId": who("partner-team"), "principalIdDisplayName": "team", "roleDefinitionId": ROLES["Contributor"][0]}],
                "eligibleAuthorizations": [{"principalId": who("partner-lead"), "principalIdDisplayName": "lead", "roleDefinitionId": ROLES["Contributor"][0]}],
            },
        },
        {
            "id": f"{D}/resourceGroups/app/providers/Microsoft.ManagedServices/registrationAssignments/a", "name": "a",
            "type": "microsoft.managedservices/registrationassignments", "properties": {"registrationDefinitionId": offer},
        },
    ]  # fmt: skip
    definitions = {
        "literal": ("deny", None),
        "chosen": ("[parameters('effect')]", "Audit"),
        "set": (None, None),
    }
    for name, (effect, usual) in definitions.items():
        kind = "policysetdefinitions" if name == "set" else "policydefinitions"
        tenant.policyresources.append(
            {
                "id": f"/providers/microsoft.authorization/{kind}/{name}", "name": name, "type": f"microsoft.authorization/{kind}",
                "properties": {
                    "policyRule": {"then": {"effect": effect}}, "parameters": {"effect": {"defaultValue": usual}},
                    "policyDefinitions": [{"policyDefinitionId": "/providers/Microsoft.Authorization/policyDefinitions/literal", "parameters": {}}] if name == "set" else None,
                },
            }
        )  # fmt: skip
    for name, definition, mode, chosen, overrides in (
        ("denies", "policyDefinitions/literal", "Default", None, []),
        ("watches", "policyDefinitions/literal", "DoNotEnforce", None, []),
        ("default", "policyDefinitions/chosen", "Default", None, []),
        ("off", "policyDefinitions/chosen", "Default", "Disabled", []),
        ("initiative", "policySetDefinitions/set", "Default", None, []),
        (
            "weakened",
            "policyDefinitions/literal",
            "Default",
            None,
            [{"kind": "policyEffect", "value": "Audit"}],
        ),
        ("repairs", "policyDefinitions/chosen", "Default", "DeployIfNotExists", []),
    ):
        tenant.policyresources.append(
            {
                "id": f"{LANDING}/providers/Microsoft.Authorization/policyAssignments/{name}", "name": name,
                "type": "microsoft.authorization/policyassignments", "identity": _system(name) if name == "repairs" else None,
                "properties": {
                    "displayName": name, "scope": LANDING, "enforcementMode": mode, "overrides": overrides,
                    "policyDefinitionId": f"/providers/Microsoft.Authorization/{definition}",
                    "parameters": {"effect": {"value": chosen}} if chosen else {},
                },
            }
        )  # fmt: skip
