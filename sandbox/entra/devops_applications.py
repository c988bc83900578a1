"""The applications behind Lantern Pay's service connections of Azure DevOps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.entra.estate import (
    DEVOPS_ISSUER,
    DEVOPS_OLD_ISSUER,
    connection_subject,
    federated,
)

if TYPE_CHECKING:
    from sandbox.entra.estate import DirectoryTenant


def devops_applications(tenant: DirectoryTenant, maya: str) -> None:
    """Add them; `sandbox.azure_devops` has the connections."""
    # The issuer of Azure DevOps that retires, and beside it an application that has moved on.
    tenant.application(
        "lantern-pipelines",
        federated=(
            federated("service-connection", DEVOPS_OLD_ISSUER, "sc://lanternpay/platform/azure-preview"),
        ),
    )
    _application(tenant, "lantern-pipelines-new", "azure-payments", number="service-connection-new")
    # Used by a test project: one changes production, the other does not.
    _application(tenant, "lantern-test", "azure-acceptance", owner=maya)
    _application(tenant, "lantern-test-dev", "azure-test-dev", owner=maya)
    # Behind two connections; and behind one that two projects share.
    _application(tenant, "lantern-reports", "azure-reports", "azure-reports-test", owner=maya)
    _application(tenant, "lantern-common", "azure-common", owner=maya)
    # It deploys one web app, of which everything is known.
    _application(tenant, "lantern-refunds", "azure-refunds", owner=maya)
    tenant.service_principal("refunds-api", servicePrincipalType="ManagedIdentity")
    # Its connection was deleted.
    _application(tenant, "lantern-archive", "azure-archive", owner=maya)


def _application(
    tenant: DirectoryTenant, name: str, *connections: str, owner: str = "", number: str = ""
) -> None:
    tenant.application(
        name,
        federated=tuple(
            federated(number or connection, DEVOPS_ISSUER, connection_subject(connection))
            for connection in connections
        ),
        owners=(owner,) if owner else (),
    )
