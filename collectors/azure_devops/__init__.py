"""Azure DevOps: service connections, variable groups, pipelines and releases of organizations, with the gates on them.

Needs: an application or managed identity of Entra ID, added to each organization with the access level Basic, as a Reader of
each project and a User of its service connections (a Reader does not see how a connection signs in). A personal access token
with read scopes works, too. ``sprawlscan permissions azure-devops`` lists what each right opens. Only GET is sent, and two
POSTs that read: the query for checks, and the page data of the organization's pipeline settings.

Cannot see: values of secrets; projects, repositories and connections that the scanner may not see, which lists leave out
without a sign, save that access control lists, totals, definitions or Advanced Security name them, which is a Gap; when a
connection was used before its history begins; the members of groups of Entra ID; personal access tokens, unless an administrator
scans; applications that users authorized (OAuth), of which administrators have no list; events of the audit log other than what
changed and which connection was used, and both only in organizations of more than ``rotate_above`` projects, where they save
requests; roles on objects (Security Roles API), beyond the access control entries that they set, which are read for all objects
at once; pipelines whose YAML is in another system's repository, beyond what their definition says; templates in another system's
repository; deployments before the newest hundred of each environment; which machines of Azure a pool's jobs run on.
What was asked for and refused is a Gap.

A pipeline of which a definition, template or task group was not read is linked to an identity that nobody knows, so that no
comparison with it looks complete. Azure DevOps Server is read by its own address with a personal access token.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from collectors.azure_devops.config import Config
from collectors.azure_devops.first_section import first_sections
from collectors.azure_devops.kinds import HIDES_NO_ACCESS, KINDS, PARTS
from scanner.collect.collector import Target
from scanner.records import record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanner.collect.collector import Run
    from scanner.records import Record

__all__ = [
    "HIDES_NO_ACCESS",
    "KINDS",
    "PARTS",
    "Config",
    "collect",
    "first_sections",
    "permissions",
    "targets",
]

NAME = "azure-devops"
_HERE = Path(__file__).parent


def targets(config: Config, run: Run) -> Iterator[Target]:
    """Yield one target for each organization. One that cannot be entered is a target, too."""
    from collectors.azure_devops.client import DevOpsClients
    from collectors.azure_devops.plan import FIRST
    from scanner.collect.failures import SourceError

    for organization in config.organizations:
        clients = DevOpsClients(config, run, organization)
        try:
            shown = clients.main.one(FIRST, {"api-version": "7.1-preview"})
            number = str(shown["instanceId"]).lower()
        except SourceError:
            number = organization.lower()
        finally:
            clients.close()
        yield Target(
            collector=NAME,
            name=organization,
            account_id=record_id("azure-devops", "organization", number),
            params={"organization": organization, "id": number},
        )


def collect(target: Target, config: Config, run: Run) -> Iterator[Record]:
    """Yield what one organization holds. Never raises for what Azure DevOps answers: that is a Gap."""
    from collectors.azure_devops.client import DevOpsClients
    from collectors.azure_devops.plan import organization_night
    from scanner.collect.memory import Memory, code_version

    memory = Memory(
        run.cache,
        NAME,
        f"{config.base_url} {target.name}",
        as_of=run.as_of,
        version=f"{code_version(_HERE, _HERE.parent / 'definitions')} {run.fingerprint('sprawlscan')}",
        fingerprint=run.fingerprint,
    )
    clients = DevOpsClients(config, run, target.params["organization"])
    try:
        yield from organization_night(clients, memory, target, config, run)
    finally:
        clients.close()
        memory.close()


def permissions() -> str:
    """Return the smallest read-only rights of this collector."""
    return _PERMISSIONS


_PERMISSIONS = """\
Azure DevOps rights for sprawlscan. It writes nothing: GET, and two POSTs that read.
https://learn.microsoft.com/azure/devops/organizations/security/about-permissions

Application or managed identity (preferred; https://learn.microsoft.com/azure/devops/integrate/get-started/authentication/service-principal-managed-identity)
  Organization settings, Users             add the service principal, access level Basic
  Project settings, Permissions, Readers   projects, repositories, pipelines, policies, environments
  Project settings, Service connections, Security, User
                                           how each connection signs in. Reader does not show it; User also lets a pipeline of the
                                           scanner's own use the connection, so give the scanner no right to create pipelines
  Pipelines, Deployment groups, Security, Reader
                                           machines that classic releases deploy to
  Pipelines, Library, Security, Reader     variable groups (names, and values of plain variables), secure files (names)
  Organization settings, Agent pools, Reader
                                           self-hosted and elastic pools
  Organization settings, "View organization-level information"
                                           settings and policies of the organization, access levels, groups, and who may do what
                                           (access control lists)
  Organization settings, Extensions, Security, or Basic access
                                           installed extensions, and which of them add steps to every job
  Organization settings, Permissions, "View audit log"
                                           whether the audit log is streamed; in large organizations what changed since the last
                                           night, so that less is read again
  Artifacts, Feed settings, Permissions, Feed Reader
                                           feeds: their permissions and upstream sources
  Service hooks, "View subscriptions" (ServiceHooks namespace)
                                           where events go
  Repositories, Security, "Advanced Security: view alerts"
                                           which repositories are scanned for secrets, and open alerts
  Entra ID, role Azure DevOps Administrator (only if somebody else cannot read them to you)
                                           policies of the tenant for tokens. The role changes them, too: better leave the gap
  Project Collection Administrators, with personal_access_tokens: true
                                           personal access tokens and SSH keys of all users. The group changes everything, too: better
                                           leave the gap, or scan with it once

Personal access token instead: scopes Agent Pools (read), Build (read), Code (read), Environment (read), Graph (read), Member
Entitlement Management (read), Project and Team (read), Release (read), Secure Files (read), Service Connections (read), Variable
Groups (read), Task Groups (read), Identity (read), Extensions (read), Audit Log (read), Packaging (read), Advanced Security (read); Token Administration only for
personal_access_tokens. Never a scope that manages or executes.
"""
