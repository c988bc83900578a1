"""Entra ID: the applications, service principals, managed identities and agents of a tenant, read through Microsoft Graph.

Needs: an application in the tenant with the application permissions Application.Read.All and RoleManagement.Read.Directory.
Each further permission that ``sprawlscan permissions entra`` lists closes one Gap. Preferably it has no secret: a
federated credential for the platform that runs the scanner, or a managed identity. Only GET is sent, and ``$batch`` of
GETs.

Cannot see: who consented to an application and when; when a delegated permission was granted; when a federated credential
was last used; the last use of applications and credentials without Entra ID P1 or outside the global cloud (unknown, not
never); what a foreign application holds in its home tenant; copies of secrets; people in groups that hold Azure roles only.
What was asked for and refused is a Gap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.entra.config import Config
from collectors.entra.first_section import first_sections
from collectors.entra.kinds import HIDES_NO_ACCESS, KINDS, PARTS
from scanner.collect.collector import Target
from scanner.records import record_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from scanner.collect.collector import Run
    from scanner.records import Policy, Record

__all__ = [
    "HIDES_NO_ACCESS",
    "KINDS",
    "PARTS",
    "Config",
    "collect",
    "evaluate",
    "first_sections",
    "permissions",
    "targets",
]


def targets(config: Config, run: Run) -> Iterator[Target]:
    """Yield the tenant."""
    tenant = str(config.tenant)
    yield Target(collector="entra", name=tenant, account_id=record_id("entra", "tenant", tenant))


def collect(target: Target, config: Config, run: Run) -> Iterator[Record]:
    """Yield what one tenant holds. Never raises for what Graph answers: that is a Gap."""
    from collectors.entra.client import GraphClient
    from collectors.entra.plan import once, tenant_night

    client = GraphClient(config, run)
    try:
        yield from once(tenant_night(client, target, config, run))
    finally:
        client.close()


def evaluate(policies: Iterable[Policy], records: Iterable[Record], as_of: datetime) -> Iterator[Record]:
    """Yield the trusts of federated credentials and the grants of directory roles, from their documents alone."""
    from collectors.entra.evaluator import evaluate as verdict

    yield from verdict((policy for policy in policies if policy.provider == "entra"), records)


def permissions() -> str:
    """Return the smallest read-only rights of this collector's application."""
    return _PERMISSIONS


_PERMISSIONS = """\
Application permissions of Microsoft Graph for sprawlscan, granted with admin consent. It writes nothing: GET, and $batch of GETs.
https://learn.microsoft.com/graph/permissions-reference

Needed
  Application.Read.All                      applications, service principals, secrets and certificates (never their values),
                                            federated credentials, owners, application permissions, inherited ones of agents
  RoleManagement.Read.Directory             directory roles and who holds them
Each closes one gap
  Directory.Read.All                        delegated permissions (oauth2PermissionGrants has no narrower one)
  Organization.Read.All                     the tenant's name
  GroupMember.Read.All                      groups that can hold a directory role, with owners and members; the groups that
                                            service principals are in
  AdministrativeUnit.Read.All               names of administrative units
  RoleEligibilitySchedule.Read.Directory    who may activate a directory role (Entra ID P2)
  RoleAssignmentSchedule.Read.Directory     when an assignment ends (Entra ID P2)
  PrivilegedEligibilitySchedule.Read.AzureADGroup
                                            who may activate membership of such a group (Entra ID P2)
  PrivilegedAssignmentSchedule.Read.AzureADGroup
                                            when a membership ends (Entra ID P2)
  AuditLog.Read.All                         last use of applications and credentials, who added a credential (Entra ID P1)
  IdentityRiskyServicePrincipal.Read.All    service principals at risk (Microsoft Entra Workload ID Premium)
  Policy.Read.All                           user consent, application registration, restrictions on credentials, Conditional
                                            Access, cross-tenant access
  Domain.Read.All                           federated domains
  AgentIdentity.Read.All                    agent identities
  AgentIdentityBlueprintPrincipal.Read.All  sponsors and managers of their blueprints
  User.Read.All                             users of agents
Where to grant them: Entra admin center, App registrations, the scanner's application, API permissions, Add a permission,
Microsoft Graph, Application permissions; then Grant admin consent, by a Privileged Role Administrator.
Never grant a permission that writes: Application.ReadWrite.OwnedBy is listed as least privilege in places, and is not needed.

Sign-in without a secret: add a federated credential for the platform that runs the scanner
(https://learn.microsoft.com/entra/workload-id/workload-identity-federation-create-trust), or use sign_in: managed-identity.
"""
