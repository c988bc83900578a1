"""Lantern Pay's Azure: what is wrong, and beside each fault something that looks like it and is not."""

from __future__ import annotations

from sandbox.azure import holdings
from sandbox.azure.tenant import DEV, PROD, AzureTenant, element, guid
from sandbox.entra.estate import TENANT, ago
from sandbox.entra.estate import guid as entra

ROOT = TENANT
CUSTOM = guid("role Deployer")
OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
ACCESS_ADMINISTRATOR = "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9"
WEBSITE_CONTRIBUTOR = "de139f84-1756-47ae-9be6-808fbbe84772"
BLOB_READER = "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"


def build(night: int) -> AzureTenant:
    """Return the tenant as it is on a night, 1 or 2."""
    tenant = AzureTenant()
    _containers(tenant)
    _roles(tenant)
    _assignments(tenant, night)
    _resources(tenant)
    _denied(tenant)
    _eligible(tenant)
    holdings.vault_entries(tenant)
    holdings.registry_tokens(tenant)
    holdings.applications(tenant)
    holdings.automation(tenant)
    holdings.pools(tenant)
    holdings.federated_credentials(tenant, ISSUER)
    holdings.delegations(tenant, CONTRIBUTOR, READER)
    holdings.policies(tenant)
    return tenant


def _denied(tenant: AzureTenant) -> None:
    network = f"/subscriptions/{PROD}/resourceGroups/network"
    tenant.deny(
        network,
        "Protect the network",
        excluded=(entra("user maya.lindt"),),
        listed_at=f"/subscriptions/{PROD}",
    )
    # Only watches.
    tenant.deny(f"/subscriptions/{DEV}", "Watch development", effect="audit")


def _eligible(tenant: AzureTenant) -> None:
    prod = f"/subscriptions/{PROD}"
    tenant.schedule(
        "roleEligibilityScheduleInstances",
        prod,
        principal=entra("user tom.becker"),
        role=OWNER,
        roleEligibilityScheduleId=f"{prod}/providers/Microsoft.Authorization/roleEligibilitySchedules/{guid('tom')}",
    )
    tenant.activation(prod, OWNER, asked=("Justification",))
    # At the management group: a person approves.
    lantern = "/providers/Microsoft.Management/managementGroups/lantern"
    for place, member in ((lantern, "Direct"), (prod, "Inherited")):
        tenant.schedule(
            "roleEligibilityScheduleInstances",
            lantern,
            principal=entra("user maya.lindt"),
            role=CONTRIBUTOR,
            member=member,
            listed_at=place,
            roleEligibilityScheduleId=f"{lantern}/providers/Microsoft.Authorization/roleEligibilitySchedules/{guid('maya')}",
        )
    tenant.activation(
        lantern,
        CONTRIBUTOR,
        approvers=(entra("user tom.becker"),),
        asked=("MultiFactorAuthentication", "Justification"),
    )
    # Activated for some hours.
    activated = tenant.assign(entra("user tom.becker"), ACCESS_ADMINISTRATOR, prod, kind="User")
    tenant.schedule(
        "roleAssignmentScheduleInstances",
        prod,
        principal=entra("user tom.becker"),
        role=ACCESS_ADMINISTRATOR,
        roleAssignmentScheduleId=f"{prod}/providers/Microsoft.Authorization/roleAssignmentSchedules/{guid('now')}",
        originRoleAssignmentId=activated,
        linkedRoleEligibilityScheduleId=None,
        linkedRoleEligibilityScheduleInstanceId=None,
        assignmentType="Activated",
        endDateTime=ago(-0.2),
    )


def _containers(tenant: AzureTenant) -> None:
    chain = [
        {"name": "lantern", "displayName": "lantern"},
        {"name": ROOT, "displayName": "Tenant Root Group"},
    ]
    for number, name in ((PROD, "lantern-prod"), (DEV, "lantern-dev")):
        tenant.resourcecontainers.append(
            {
                "id": f"/subscriptions/{number}",
                "name": name,
                "type": "microsoft.resources/subscriptions",
                "subscriptionId": number,
                "properties": {"state": "Enabled", "managementGroupAncestorsChain": chain},
                "tags": {"environment": name.rpartition("-")[2]},
            }
        )
    for name, parent in ((ROOT, None), ("lantern", ROOT)):
        tenant.resourcecontainers.append(
            {
                "id": f"/providers/Microsoft.Management/managementGroups/{name}",
                "name": name,
                "type": "microsoft.management/managementgroups",
                "subscriptionId": "",
                "properties": {
                    "displayName": "Tenant Root Group" if parent is None else name,
                    "details": {"parent": {"name": parent} if parent else None},
                },
                "tags": None,
            }
        )


def _roles(tenant: AzureTenant) -> None:
    # As published: https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
    tenant.role(OWNER, "Owner", [element(["*"])])
    tenant.role(
        CONTRIBUTOR,
        "Contributor",
        [
            element(
                ["*"],
                [
                    "Microsoft.Authorization/*/Delete",
                    "Microsoft.Authorization/*/Write",
                    "Microsoft.Authorization/elevateAccess/Action",
                    "Microsoft.Blueprint/blueprintAssignments/write",
                    "Microsoft.Blueprint/blueprintAssignments/delete",
                    "Microsoft.Compute/galleries/share/action",
                ],
            )
        ],
    )
    tenant.role(READER, "Reader", [element(["*/read"])])
    tenant.role(
        ACCESS_ADMINISTRATOR,
        "User Access Administrator",
        [element(["*/read", "Microsoft.Authorization/*", "Microsoft.Support/*"])],
    )
    tenant.role(
        WEBSITE_CONTRIBUTOR,
        "Website Contributor",
        [
            element(
                [
                    "Microsoft.Authorization/*/read",
                    "Microsoft.Insights/alertRules/*",
                    "Microsoft.Insights/components/*",
                    "Microsoft.Resources/deployments/*",
                    "Microsoft.Resources/subscriptions/resourceGroups/read",
                    "Microsoft.Web/certificates/*",
                    "Microsoft.Web/serverFarms/read",
                    "Microsoft.Web/sites/*",
                ]
            )
        ],
    )
    tenant.role(
        BLOB_READER,
        "Storage Blob Data Reader",
        [
            element(
                ["Microsoft.Storage/storageAccounts/blobServices/containers/read"],
                data=["Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read"],
            )
        ],
    )
    tenant.role(
        CUSTOM,
        "Deployer",
        [element(["Microsoft.Resources/deployments/*", "Microsoft.Web/sites/read"])],
        built_in=False,
    )


def _assignments(tenant: AzureTenant, night: int) -> None:
    prod = f"/subscriptions/{PROD}"
    # The pipeline of payments owns the subscription; the application that it deploys reads blobs.
    tenant.assign(entra("sp lantern-pipelines-new"), OWNER, prod)
    tenant.assign(entra("sp payments-api"), BLOB_READER, f"{prod}/resourceGroups/payments")
    # A pipeline that deploys websites only: it becomes their identities.
    tenant.assign(entra("sp lantern-pipelines"), WEBSITE_CONTRIBUTOR, f"{prod}/resourceGroups/payments")
    # Contributor, since the second night only a deployer that can do next to nothing.
    tenant.assign(entra("sp lantern-deploy-web"), CONTRIBUTOR if night == 1 else CUSTOM, prod)
    # Assigns roles at the root: but only Reader, by a condition that names the action.
    tenant.assign(
        entra("sp lantern-docs"),
        ACCESS_ADMINISTRATOR,
        "/",
        condition=(
            "((!(ActionMatches{'Microsoft.Authorization/roleAssignments/write'})) OR "
            "(@Request[Microsoft.Authorization/roleAssignments:RoleDefinitionId] "
            f"ForAnyOfAnyValues:GuidEquals {{{READER}}}))"
        ),
    )
    # A test project's connections: to production, and to development. A reader behind two, and one behind a shared one.
    tenant.assign(entra("sp lantern-test"), CONTRIBUTOR, f"{prod}/resourceGroups/payments")
    tenant.assign(entra("sp lantern-test-dev"), CONTRIBUTOR, f"/subscriptions/{DEV}")
    # One pipeline and one web app of a resource group of their own.
    tenant.assign(entra("sp lantern-refunds"), CONTRIBUTOR, f"{prod}/resourceGroups/refunds")
    tenant.assign(entra("sp refunds-api"), BLOB_READER, f"{prod}/resourceGroups/refunds")
    for name in ("lantern-reports", "lantern-common"):
        tenant.assign(entra(f"sp {name}"), READER, prod)
    # A person who owns production, always; and a reader.
    tenant.assign(entra("user maya.lindt"), OWNER, prod, kind="User")
    tenant.assign(entra("sp wiki-sync"), READER, "/providers/Microsoft.Management/managementGroups/lantern")
    # An application that was deleted.
    tenant.assign(guid("principal deleted"), READER, prod)
    # Owner of a resource group where everything but reading is denied.
    tenant.assign(entra("sp sap-export"), OWNER, f"{prod}/resourceGroups/network")


ISSUER = f"https://westeurope.oic.prod-aks.azure.com/{TENANT}/{entra('cluster')}/"


def _uami(name: str, group: str = "payments") -> str:
    """Return the ID of a user-assigned identity."""
    kind = "Microsoft.ManagedIdentity/userAssignedIdentities"
    return f"/subscriptions/{PROD}/resourceGroups/{group}/providers/{kind}/{name}"


def _resources(tenant: AzureTenant) -> None:
    identity = tenant.resource(
        "Microsoft.ManagedIdentity/userAssignedIdentities",
        "id-payments",
        properties={"clientId": entra("app id-payments"), "principalId": entra("sp id-payments")},
        tags={"owner": "payments"},
    )
    tenant.resource(
        "Microsoft.ManagedIdentity/userAssignedIdentities",
        "id-nodes",
        properties={"clientId": entra("app id-nodes"), "principalId": guid("principal id-nodes")},
        tags={"owner": "platform"},
    )
    tenant.resource(
        "Microsoft.Web/sites",
        "payments-api",
        kind="app,linux",
        identity={
            "type": "SystemAssigned",
            "principalId": entra("sp payments-api"),
            "tenantId": TENANT,
        },
        tags={"owner": "payments"},
    )
    tenant.resource(
        "Microsoft.Web/sites",
        "ledger-export",
        kind="functionapp,linux",
        identity={
            "type": "UserAssigned",
            "userAssignedIdentities": {identity: {"principalId": entra("sp id-payments")}},
        },
        tags={"team": "ledger"},
    )
    tenant.resource("Microsoft.Web/sites", "static-site", kind="app")
    tenant.resource(
        "Microsoft.Web/sites",
        "refunds-api",
        "refunds",
        kind="app,linux",
        identity={"type": "SystemAssigned", "principalId": entra("sp refunds-api"), "tenantId": TENANT},
        tags={"owner": "payments"},
    )
    for kind, name in (
        ("Microsoft.Compute/virtualMachines", "jump-host"),
        ("Microsoft.App/containerApps", "checkout"),
        ("Microsoft.Logic/workflows", "approve-invoice"),
        ("Microsoft.Automation/automationAccounts", "nightly"),
        ("Microsoft.DataFactory/factories", "warehouse"),
        ("Microsoft.Compute/virtualMachineScaleSets", "build-agents"),
        ("Microsoft.ContainerInstance/containerGroups", "import-job"),
        ("Microsoft.App/jobs", "reconcile"),
        ("Microsoft.HybridCompute/machines", "berlin-01"),
        ("Microsoft.MachineLearningServices/workspaces", "fraud-model"),
        ("Microsoft.Resources/deploymentScripts", "seed-database"),
        ("Microsoft.Web/staticSites", "status-page"),
    ):
        tenant.resource(
            kind,
            name,
            identity={"type": "SystemAssigned", "principalId": guid(f"principal {name}"), "tenantId": TENANT},
            tags={"owner": "platform"},
        )
    _clusters(tenant)
    _vaults(tenant)
    _keys(tenant)


def _clusters(tenant: AzureTenant) -> None:
    tenant.resource(
        "Microsoft.ContainerService/managedClusters",
        "core",
        properties={
            "oidcIssuerProfile": {"enabled": True, "issuerURL": ISSUER},
            "disableLocalAccounts": False,
            "aadProfile": {
                "managed": True,
                "enableAzureRBAC": True,
                "adminGroupObjectIDs": [],
                "tenantID": TENANT,
            },
            "securityProfile": {"workloadIdentity": {"enabled": True}},
            "apiServerAccessProfile": {"disableRunCommand": True},
            "identityProfile": {
                "kubeletidentity": {
                    "resourceId": _uami("id-nodes"),
                    "clientId": entra("app id-nodes"),
                    "objectId": guid("principal id-nodes"),
                }
            },
        },
        identity={"type": "SystemAssigned", "principalId": guid("principal core"), "tenantId": TENANT},
        tags={"owner": "platform"},
    )
    tenant.resource(
        "Microsoft.ContainerService/managedClusters",
        "strict",
        subscription=DEV,
        properties={"disableLocalAccounts": True, "aadProfile": {"managed": True}},
        tags={"owner": "platform"},
    )
    # Nobody signs in with Entra ID: one certificate for all.
    tenant.resource(
        "Microsoft.ContainerService/managedClusters",
        "lab",
        subscription=DEV,
        properties={"disableLocalAccounts": False, "aadProfile": None},
        tags={"owner": "platform"},
    )


def _vaults(tenant: AzureTenant) -> None:
    tenant.resource(
        "Microsoft.KeyVault/vaults",
        "kv-legacy",
        properties={
            "enableRbacAuthorization": None,
            "publicNetworkAccess": "Enabled",
            "networkAcls": {"defaultAction": "Allow"},
            "accessPolicies": [
                {
                    "objectId": entra("sp lantern-pipelines"),
                    "tenantId": TENANT,
                    "permissions": {"secrets": ["Get", "List"], "keys": [], "certificates": []},
                },
                # On behalf of a user, and through one application only.
                {
                    "objectId": entra("user tom.becker"),
                    "applicationId": entra("app wiki-sync"),
                    "tenantId": TENANT,
                    "permissions": {"secrets": ["Get"], "keys": [], "certificates": []},
                },
            ],
        },
    )
    tenant.resource(
        "Microsoft.KeyVault/vaults",
        "kv-payments",
        properties={
            "enableRbacAuthorization": True,
            "publicNetworkAccess": "Disabled",
            # Ignored in this mode.
            "accessPolicies": [{"objectId": entra("sp wiki-sync"), "permissions": {"secrets": ["Get"]}}],
        },
    )


def _keys(tenant: AzureTenant) -> None:
    """Add what accepts keys of its own."""
    tenant.resource(
        "Microsoft.Storage/storageAccounts",
        "lanternexports",
        properties={"allowSharedKeyAccess": True, "keyCreationTime": {"key1": ago(900), "key2": ago(900)}},
    )
    # Never said: shared keys work. Signatures of more than a day are refused, and the keys are young.
    tenant.resource(
        "Microsoft.Storage/storageAccounts",
        "lanternlogs",
        properties={
            "allowSharedKeyAccess": None,
            "keyCreationTime": {"key1": ago(20), "key2": ago(20)},
            "sasPolicy": {"sasExpirationPeriod": "1.00:00:00", "expirationAction": "Block"},
        },
    )
    tenant.resource(
        "Microsoft.Storage/storageAccounts",
        "lanternstate",
        properties={"allowSharedKeyAccess": False, "keyCreationTime": {"key1": ago(900), "key2": ago(900)}},
    )
    tenant.resource(
        "Microsoft.ContainerRegistry/registries",
        "lanternimages",
        properties={"adminUserEnabled": True, "anonymousPullEnabled": False},
    )
    tenant.resource(
        "Microsoft.ContainerRegistry/registries",
        "lanternclean",
        properties={"adminUserEnabled": False, "anonymousPullEnabled": False},
    )
    tenant.resource(
        "Microsoft.ContainerRegistry/registries",
        "lanternpublic",
        subscription=DEV,
        properties={"adminUserEnabled": False, "anonymousPullEnabled": True},
    )
    tenant.resource(
        "Microsoft.AppConfiguration/configurationStores", "settings", properties={"disableLocalAuth": False}
    )
    tenant.resource(
        "Microsoft.DocumentDB/databaseAccounts", "ledger-db", properties={"disableLocalAuth": False}
    )
    tenant.resource(
        "Microsoft.ServiceBus/namespaces", "lantern-events", properties={"disableLocalAuth": True}
    )
    tenant.resource(
        "Microsoft.Sql/servers",
        "lantern-sql",
        properties={"administratorLogin": "sqladmin", "administrators": {"azureADOnlyAuthentication": True}},
    )
