"""Azure: role assignments over a tenant's management groups and subscriptions, and the resources that run as identities.

Needs: an application or managed identity of Entra ID with the role Reader at the root management group; a narrower custom role
is printed by ``sprawlscan permissions azure``. Only GET is sent, and queries of Azure Resource Graph, which are POSTs that
read. Configure ``entra`` too: role assignments name principals by their object ID, and only Entra ID knows who they are.

Cannot see: subscriptions and resources that the scanner may not read, which queries leave out without a sign; entries of key
vaults; values and names of application settings; the age of registry passwords; when a storage key was last used; deny
assignments of management groups; assignments at management groups that may be activated; Lighthouse delegations and policies,
which are not read yet. What was asked for and refused is a Gap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.azure.config import Config
from collectors.azure.kinds import KINDS, PARTS
from scanner.collect.collector import Target
from scanner.records import record_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from scanner.collect.collector import Run
    from scanner.records import Policy, Record

__all__ = ["KINDS", "PARTS", "Config", "collect", "evaluate", "permissions", "targets"]


def targets(config: Config, run: Run) -> Iterator[Target]:  # noqa: ARG001  the protocol's
    """Yield the tenant."""
    tenant = str(config.tenant)
    yield Target(collector="azure", name=tenant, account_id=record_id("azure", "tenant", tenant))


def collect(target: Target, config: Config, run: Run) -> Iterator[Record]:
    """Yield what one tenant holds. Never raises for what Azure answers: that is a Gap."""
    from collectors.azure.client import ArmClient
    from collectors.azure.plan import tenant_night

    client = ArmClient(config, run)
    try:
        yield from tenant_night(client, target, config, run)
    finally:
        client.close()


def evaluate(policies: Iterable[Policy], records: Iterable[Record], as_of: datetime) -> Iterator[Record]:
    """Yield the grants of role assignments and whom their holders can become, from role definitions, conditions, deny
    assignments and the resources of a snapshot alone.
    """
    from collectors.azure.evaluator import evaluate as evaluated

    yield from evaluated((policy for policy in policies if policy.provider == "azure"), records, as_of)


def permissions() -> str:
    """Return the smallest read-only custom role of this collector."""
    return _PERMISSIONS


_PERMISSIONS = """\
{
  "Name": "sprawlscan reader",
  "Description": "Read-only inventory of identities and access. Assign it at the root management group.",
  "Actions": [
    "Microsoft.Authorization/*/read",
    "Microsoft.ManagedIdentity/*/read",
    "Microsoft.Management/managementGroups/read",
    "Microsoft.Resources/subscriptions/read",
    "Microsoft.Resources/subscriptions/resourceGroups/read",
    "Microsoft.ResourceGraph/*/read",
    "Microsoft.AppConfiguration/configurationStores/read",
    "Microsoft.Automation/automationAccounts/read",
    "Microsoft.App/*/read",
    "Microsoft.Compute/virtualMachines/read",
    "Microsoft.Compute/virtualMachineScaleSets/read",
    "Microsoft.ContainerRegistry/registries/read",
    "Microsoft.ContainerService/managedClusters/read",
    "Microsoft.KeyVault/vaults/read",
    "Microsoft.Logic/workflows/read",
    "Microsoft.Storage/storageAccounts/read",
    "Microsoft.Web/sites/read"
  ],
  "NotActions": [],
  "DataActions": [],
  "AssignableScopes": ["/providers/Microsoft.Management/managementGroups/ROOT-MANAGEMENT-GROUP-ID"]
}
"""
