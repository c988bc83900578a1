"""Service connections whose faults only show where Azure DevOps, Entra ID and Azure are read together.

Their applications are in `sandbox.entra.devops_applications`, and the roles of those in `sandbox.azure.company`.
"""

from __future__ import annotations

from sandbox.azure_devops.estate import APPROVAL, DevOpsProject, guid, person, setting_values
from sandbox.entra import estate as entra

REFUNDS = """\
trigger:
  branches:
    include: [main]
pool:
  vmImage: ubuntu-24.04
steps:
  - task: AzureWebApp@1
    inputs:
      azureSubscription: azure-refunds
      appName: refunds-api
"""


def refunds(payments: DevOpsProject) -> None:
    """Add the connection of a pipeline and its workload of which everything is known, from one end to the other.

    It may do more than it needs: its application is Contributor of the resource group, the web app reads blobs.
    """
    _federated(payments, "azure-refunds", "lantern-refunds")
    payments.check(
        APPROVAL,
        "endpoint",
        guid("connection azure-refunds"),
        {"approvers": [person("maya.lindt")], "minRequiredApprovers": 1, "requesterCannotBeApprover": True},
    )


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
