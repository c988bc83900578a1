"""How Azure is asked beside GET."""

GRAPH = "/providers/Microsoft.ResourceGraph/resources"
"""Azure Resource Graph: a POST that reads. https://learn.microsoft.com/rest/api/azureresourcegraph/resourcegraph/resources/resources"""
BATCH = "/batch"
"""Several GETs in one POST, as the Azure portal and Ansible send them. Microsoft does not document it, so that it is used for
large tenants only, and what it refuses is asked for one by one. https://maciejporebski.github.io/azure-management-batch-api"""
PARTS = 20
"""The largest number of requests that a batch answers at once."""

SUBSCRIPTION = "/subscriptions/{subscription}"
GROUP = "/providers/Microsoft.Management/managementGroups/{group}"
_RESOURCE = f"{SUBSCRIPTION}/resourceGroups/{{resourceGroup}}/providers"
IDENTITY = f"{_RESOURCE}/Microsoft.ManagedIdentity/userAssignedIdentities/{{identity}}"
VAULT = f"{_RESOURCE}/Microsoft.KeyVault/vaults/{{vault}}"
REGISTRY = f"{_RESOURCE}/Microsoft.ContainerRegistry/registries/{{registry}}"
SITE = f"{_RESOURCE}/Microsoft.Web/sites/{{site}}"
AUTOMATION = f"{_RESOURCE}/Microsoft.Automation/automationAccounts/{{account}}"


def template_of(scope: str) -> str:
    """Return how calls name a scope: ``/subscriptions/{subscription}/resourceGroups/{resourceGroup}``."""
    parts = scope.strip("/").split("/")
    if len(parts) == 2 and parts[0].lower() == "subscriptions":
        return SUBSCRIPTION
    if len(parts) == 4 and parts[2].lower() == "resourcegroups":
        return f"{SUBSCRIPTION}/resourceGroups/{{resourceGroup}}"
    return GROUP if "managementgroups" in (part.lower() for part in parts[:-1]) else "{scope}"
