"""The smallest custom role of the Azure collector, and what each part of it is for."""

from __future__ import annotations

import json

NEEDED = {
    "Microsoft.Resources/subscriptions/read": "subscriptions",
    "Microsoft.Resources/subscriptions/resourceGroups/read": "resource groups",
    "Microsoft.Management/managementGroups/read": "management groups",
    "Microsoft.ResourceGraph/resources/read": "queries over the whole tenant",
    "Microsoft.Authorization/*/read": "role definitions and assignments, deny assignments, eligible roles, policies",
    "Microsoft.ManagedIdentity/*/read": "user-assigned identities and their federated credentials",
}
CLOSES_A_GAP = {
    "Microsoft.AppConfiguration/configurationStores/read": "whether access keys work",
    "Microsoft.App/*/read": "Container Apps and jobs, names of their secrets, secrets among plain variables",
    "Microsoft.Automation/automationAccounts/read": "Automation accounts",
    "Microsoft.Automation/automationAccounts/*/read": "names of variables, credentials, connections, certificates, webhooks",
    "Microsoft.Batch/batchAccounts/read": "Batch accounts with an identity",
    "Microsoft.Cache/redis/read": "whether access keys work",
    "Microsoft.CognitiveServices/accounts/read": "whether access keys work",
    "Microsoft.Compute/virtualMachines/read": "virtual machines with an identity",
    "Microsoft.Compute/virtualMachineScaleSets/read": "scale sets with an identity",
    "Microsoft.ContainerInstance/containerGroups/read": "container instances with an identity",
    "Microsoft.ContainerRegistry/registries/read": "admin user, anonymous pull",
    "Microsoft.ContainerRegistry/registries/scopeMaps/read": "what registry tokens may do",
    "Microsoft.ContainerRegistry/registries/tokens/read": "registry tokens and the age of their passwords",
    "Microsoft.ContainerService/managedClusters/read": "sign-in to clusters, their issuers and node identities",
    "Microsoft.DataFactory/factories/read": "data factories with an identity",
    "Microsoft.DevOpsInfrastructure/pools/read": "Managed DevOps Pools",
    "Microsoft.DocumentDB/databaseAccounts/read": "whether account keys work",
    "Microsoft.EventHub/namespaces/read": "whether shared access keys work",
    "Microsoft.HybridCompute/machines/read": "Arc machines with an identity",
    "Microsoft.KeyVault/vaults/read": "vaults, their mode, access policies and firewall",
    "Microsoft.KeyVault/vaults/keys/read": "names and dates of keys",
    "Microsoft.KeyVault/vaults/secrets/read": "names and dates of secrets; no value",
    "Microsoft.Kubernetes/connectedClusters/read": "Arc clusters and their issuers",
    "Microsoft.Logic/workflows/read": "Logic Apps with an identity",
    "Microsoft.MachineLearningServices/workspaces/read": "workspaces with an identity",
    "Microsoft.ManagedServices/*/read": "Azure Lighthouse delegations",
    "Microsoft.Search/searchServices/read": "whether API keys work",
    "Microsoft.ServiceBus/namespaces/read": "whether shared access keys work",
    "Microsoft.Sql/servers/read": "whether SQL passwords work",
    "Microsoft.Storage/storageAccounts/read": "whether shared keys work, and their age",
    "Microsoft.Web/connections/read": "connections of Logic Apps",
    "Microsoft.Web/sites/read": "web and function apps",
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies/read": "whether a password deploys to an app",
    "Microsoft.Web/sites/config/read": "names of application settings and their vault references; no value",
    "Microsoft.Web/staticSites/read": "static web apps with an identity",
}


def role_text() -> str:
    """Return the custom role as JSON for ``az role definition create``, with what it is for and where to grant it."""
    role = {
        "Name": "sprawlscan reader",
        "Description": "Read-only inventory of identities and access. Assign it at the root management group.",
        "Actions": [*NEEDED, *CLOSES_A_GAP],
        "NotActions": [],
        "DataActions": [],
        "AssignableScopes": [
            "/providers/Microsoft.Management/managementGroups/ROOT-MANAGEMENT-GROUP-ID",
        ],
    }
    widest = max(map(len, (*NEEDED, *CLOSES_A_GAP)))
    lines = [
        "Custom role of Azure for sprawlscan. It writes nothing: GET, queries of Azure Resource Graph, and batches of GETs.",
        "The built-in role Reader at the same place contains all of it.",
        "",
        json.dumps(role, indent=2),
        "",
        "Needed",
        *(f"  {action:<{widest}}  {what}" for action, what in NEEDED.items()),
        "Each closes one gap",
        *(f"  {action:<{widest}}  {what}" for action, what in CLOSES_A_GAP.items()),
        "Where to grant them: save the JSON as role.json, then",
        "  az role definition create --role-definition role.json",
        '  az role assignment create --assignee OBJECT-ID --role "sprawlscan reader" \\',
        "    --scope /providers/Microsoft.Management/managementGroups/ROOT-MANAGEMENT-GROUP-ID",
        "In the portal: Management groups, Tenant Root Group, Access control (IAM), Add, Add custom role; then Add role",
        "assignment. Only an Owner or User Access Administrator of the root management group can do this. What a resource's own",
        "deny assignment or a missing subscription hides is not shown: assign the role at the root, not in each subscription.",
        "Never grant listKeys, listCredentials, config/list/action, getSecret or Contributor: none is needed.",
    ]
    return "\n".join(lines) + "\n"
