"""Resources that run as an identity, and user-assigned identities with who may become them.

https://learn.microsoft.com/azure/governance/resource-graph/reference/supported-tables-resources
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.azure.calls import GRAPH
from collectors.azure.evaluator.estate import USER_ASSIGNED
from collectors.azure.records import owner_of, runs_as, tags_of
from collectors.azure.scope import own, principal, resource_id
from scanner.collect.by_account import by_account
from scanner.records import Identity

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from collectors.azure.scope import AzureScope
    from scanner.records import Record, Surface

NEEDS = "Reader at the root management group"
RUNNING = (
    "resources | where isnotempty(identity) | project id, name, type, kind, identity, tags | order by id asc"
)
IDENTITIES = (
    "resources | where type =~ 'microsoft.managedidentity/userassignedidentities' "
    "| project id, name, clientId = properties.clientId, principalId = properties.principalId, tags | order by id asc"
)
KINDS: dict[str, tuple[str, Surface]] = {
    "microsoft.app/containerapps": ("containerapp", "workload"),
    "microsoft.app/jobs": ("containerapp-job", "workload"),
    "microsoft.automation/automationaccounts": ("automation-account", "automation"),
    "microsoft.compute/virtualmachines": ("azure-vm", "workload"),
    "microsoft.compute/virtualmachinescalesets": ("azure-vm-scale-set", "workload"),
    "microsoft.containerinstance/containergroups": ("container-instance", "workload"),
    "microsoft.containerservice/managedclusters": ("aks-cluster", "workload"),
    "microsoft.devopsinfrastructure/pools": ("devops-pool", "automation"),
    "microsoft.hybridcompute/machines": ("arc-machine", "workload"),
    "microsoft.logic/workflows": ("logic-app", "automation"),
    "microsoft.machinelearningservices/workspaces": ("machine-learning-workspace", "workload"),
    "microsoft.resources/deploymentscripts": ("deployment-script", "automation"),
    "microsoft.web/staticsites": ("static-web-app", "workload"),
}


def user_assigned(scope: AzureScope, accounts: Sequence[str]) -> Generator[Record, None, dict[str, str]]:
    """Yield user-assigned identities, and that each is its service principal. Returns object IDs by resource ID."""
    found: dict[str, str] = {}

    def read() -> Iterator[Record]:
        for row in scope.client.query(IDENTITIES):
            me = resource_id(str(row["id"]))
            found[str(row["id"])] = str(row["principalId"])
            owner, source = owner_of(row)
            yield Identity(
                id=me,
                **own(scope.account_of(str(row["id"]))),
                surface="automation",
                kind="user-assigned-identity",
                native_id=str(row["principalId"]).lower(),
                name=str(row["name"]),
                address=str(row["id"]),
                owner=owner,
                owner_source=source,
                tags={**tags_of(row), "resource_type": USER_ASSIGNED},
            )
            yield runs_as(
                scope, str(row["id"]), principal(str(row["principalId"])), "the identity's service principal"
            )

    yield from by_account(
        scope,
        accounts,
        read(),
        call=f"POST {GRAPH} userassignedidentities",
        table="identities",
        kind="user-assigned-identity",
        needs=NEEDS,
        fills=("links/runs_as",),
        loses=(
            "links/can_become",
            "trusts/oidc",
            "policies/federated-credential",
            "identities/aks-service-account",
        ),
    )
    return found


def running(scope: AzureScope, accounts: Sequence[str]) -> Iterator[Record]:
    """Yield every resource that has a managed identity, and which ones it runs as.

    A policy assignment runs as its own identity when it changes what it finds:
    https://learn.microsoft.com/azure/governance/policy/how-to/remediate-resources
    """

    def read() -> Iterator[Record]:
        for row in scope.client.query(RUNNING):
            address = str(row["id"])
            kind, surface = _kind(row)
            owner, source = owner_of(row)
            yield Identity(
                id=resource_id(address),
                **own(scope.account_of(address)),
                surface=surface,
                kind=kind,
                native_id=address.lower(),
                name=str(row["name"]),
                address=address,
                owner=owner,
                owner_source=source,
                tags={**tags_of(row), "resource_type": str(row["type"]).lower()},
            )
            identity: dict[str, Any] = row["identity"]
            if number := identity.get("principalId"):
                yield runs_as(scope, address, principal(str(number)), "its system-assigned identity")
            for assigned in sorted(identity.get("userAssignedIdentities") or {}):
                yield runs_as(scope, address, resource_id(str(assigned)), "its user-assigned identity")

    yield from by_account(
        scope,
        accounts,
        read(),
        call=f"POST {GRAPH} resources with an identity",
        table="identities",
        kind=None,
        needs=NEEDS,
        fills=("links/runs_as",),
        loses=("links/can_become",),
    )


def _kind(row: dict[str, Any]) -> tuple[str, Surface]:
    kind = str(row["type"]).lower()
    if kind.startswith("microsoft.web/sites"):
        return (
            "functionapp" if "functionapp" in str(row.get("kind") or "").lower() else "webapp"
        ), "workload"
    return KINDS.get(kind, ("azure-resource", "workload"))
