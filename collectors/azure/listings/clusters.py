"""Kubernetes clusters: how people and pods sign in.

https://learn.microsoft.com/azure/aks/manage-local-accounts-managed-azure-ad,
https://learn.microsoft.com/azure/aks/workload-identity-overview
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.azure.calls import GRAPH
from collectors.azure.records import owner_of, runs_as, setting, tags_of
from collectors.azure.scope import own, resource_id
from scanner.collect.by_account import by_account
from scanner.records import Account, Credential, Identity, record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from collectors.azure.scope import AzureScope
    from scanner.records import Record

NEEDS = "Reader at the root management group"
CLUSTERS = (
    "resources | where type in~ ('microsoft.containerservice/managedclusters', 'microsoft.kubernetes/connectedclusters') "
    "| project id, name, type, tags, issuer = properties.oidcIssuerProfile.issuerURL, "
    "arcIssuer = properties.oidcIssuerProfile.issuerUrl, localAccountsOff = properties.disableLocalAccounts, "
    "entra = properties.aadProfile.managed, oldEntra = properties.aadProfile.serverAppID, "
    "runCommandOff = properties.apiServerAccessProfile.disableRunCommand, "
    "workloadIdentity = properties.securityProfile.workloadIdentity.enabled, "
    "kubelet = properties.identityProfile.kubeletidentity.resourceId, "
    "application = properties.servicePrincipalProfile.clientId | order by id asc"
)


def clusters(scope: AzureScope, accounts: Sequence[str]) -> Generator[Record, None, dict[str, str]]:
    """Yield clusters with their settings, and return `Account.id` by the issuer of their tokens."""
    issuers: dict[str, str] = {}

    def read() -> Iterator[Record]:
        for row in scope.client.query(CLUSTERS):
            address = str(row["id"])
            issuer = row.get("issuer") or row.get("arcIssuer")
            account = record_id("azure", "cluster", address.lower())
            owner, source = owner_of(row)
            if issuer:
                issuers[str(issuer).rstrip("/")] = account
            yield Account(
                id=account,
                **own(scope.account_of(address)),
                kind="aks-cluster",
                native_id=address.lower(),
                name=str(row["name"]),
                address=address,
                parent_id=scope.account_of(address),
                owner=owner,
                owner_source=source,
                issuer=str(issuer) if issuer else None,
                tags=tags_of(row),
            )
            if str(row["type"]).lower() == "microsoft.containerservice/managedclusters":
                yield from _managed(scope, row, address)

    yield from by_account(
        scope,
        accounts,
        read(),
        call=f"POST {GRAPH} clusters",
        table="accounts",
        kind="aks-cluster",
        needs=NEEDS,
        fills=(
            "controls/aks-entra-sign-in",
            "controls/aks-local-accounts",
            "controls/aks-run-command-off",
            "controls/aks-workload-identity",
            "credentials/aks-admin-certificate",
            "identities",
            "links/runs_as",
        ),
        loses=("identities/aks-service-account", "links/can_become"),
    )
    return issuers


def _application(scope: AzureScope, row: dict[str, Any], address: str) -> Iterator[Record]:
    """Yield a cluster that signs in as an application, with a secret that each node holds. Others have a managed identity.

    https://learn.microsoft.com/azure/aks/kubernetes-service-principal : ``msi`` stands for a managed identity.
    """
    client = str(row.get("application") or "").lower()
    if client in {"", "msi"}:
        return
    owner, source = owner_of(row)
    yield Identity(
        id=resource_id(address),
        **own(scope.account_of(address)),
        surface="workload",
        kind="aks-cluster",
        native_id=address.lower(),
        name=str(row["name"]),
        address=address,
        owner=owner,
        owner_source=source,
        tags={**tags_of(row), "resource_type": str(row["type"]).lower()},
    )
    yield runs_as(scope, address, record_id("entra", "application", client), "its application, by a secret")


def _managed(scope: AzureScope, row: dict[str, Any], address: str) -> Iterator[Record]:
    yield from _application(scope, row, address)
    local = row.get("localAccountsOff") is not True
    entra = row.get("entra") is True or bool(row.get("oldEntra"))
    yield setting(
        scope, row, "aks-local-accounts", good=not local,
        words=("Local accounts are off", "A local administrator's kubeconfig bypasses Entra ID"),
    )  # fmt: skip
    yield setting(
        scope, row, "aks-entra-sign-in", good=entra,
        words=("People sign in with Entra ID", "People sign in with a shared certificate"),
    )  # fmt: skip
    yield setting(
        scope, row, "aks-run-command-off", good=row.get("runCommandOff") is True,
        words=("Commands through Resource Manager are off", "Resource Manager runs commands in the cluster"),
    )  # fmt: skip
    yield setting(
        scope, row, "aks-workload-identity", good=row.get("workloadIdentity") is True,
        words=("Pods may have identities of their own", "Pods share the identity of their node"),
    )  # fmt: skip
    if local:
        yield Credential(
            id=record_id("azure", "aks-admin-certificate", address.lower()),
            **own(scope.account_of(address)),
            identity_id=resource_id(address),
            kind="aks-admin-certificate",
            native_id=address.lower(),
            name=f"{row['name']} cluster administrator",
            lifetime="static",
            enabled=True,
            location=address,
        )
    kubelet = row.get("kubelet")
    if kubelet:
        # Every pod that reaches the metadata endpoint of its node has it.
        yield runs_as(scope, address, resource_id(str(kubelet)), "the identity of its nodes")
