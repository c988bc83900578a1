"""Service connections whose faults only show where Azure DevOps, Entra ID and Azure are read together.

Their applications are in `sandbox.entra.devops_applications`, and the roles of those in `sandbox.azure.company`.
"""

from __future__ import annotations

from sandbox.azure_devops.estate import DevOpsProject, guid, setting_values
from sandbox.entra import estate as entra


def project_for_tests(platform: DevOpsProject, payments: DevOpsProject) -> DevOpsProject:
    """Return the project in which payments is tested, and add connections to the other two."""
    test = DevOpsProject(
        id=guid("project payments-test"),
        name="payments-test",
        settings=setting_values(enforceJobAuthScope=True, enforceSettableVar=True),
    )
    # A test project that changes production; and one connection of it that changes development only.
    _federated(test, "azure-acceptance", "lantern-test")
    _federated(test, "azure-test-dev", "lantern-test-dev")
    # One application behind two connections of two projects; and one connection that two projects share.
    _federated(platform, "azure-reports", "lantern-reports")
    _federated(test, "azure-reports-test", "lantern-reports")
    _federated(platform, "azure-common", "lantern-common", shared_with=payments)
    return test


def _federated(
    project: DevOpsProject, name: str, application: str, shared_with: DevOpsProject | None = None
) -> None:
    project.endpoint(
        name,
        "azurerm",
        "WorkloadIdentityFederation",
        {
            "tenantid": entra.TENANT,
            "serviceprincipalid": entra.guid(f"app {application}"),
            "workloadIdentityFederationIssuer": entra.DEVOPS_ISSUER,
            "workloadIdentityFederationSubject": entra.connection_subject(name),
        },
        shared_with=shared_with,
    )
