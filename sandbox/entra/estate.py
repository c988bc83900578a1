"""Lantern Pay's Entra tenant: applications, service principals, roles and settings, as Microsoft Graph writes them.

https://learn.microsoft.com/graph/api/resources/application, .../serviceprincipal, .../approleassignment,
.../oauth2permissiongrant, .../unifiedroleassignment, .../federatedidentitycredential, .../agentidentity
"""

from __future__ import annotations

import base64
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from sandbox.estate import FIRST_NIGHT, SECOND_NIGHT
from sandbox.kit.issued import secret_value

if TYPE_CHECKING:
    from sandbox.kit.http import Json

_NAMES = uuid.UUID("9a0f4d7e-4b5d-4f0e-9e53-0b8a5a2f6c11")
_DEVOPS_NAMES = uuid.UUID("5d8e2c4b-7a0f-4b7e-8d1c-6f3a9b2e4c70")
GRAPH = "00000003-0000-0000-c000-000000000000"
MICROSOFT_TENANT = "f8cdef31-a31e-4b4a-93e4-5f571e91255a"
GLOBAL_ADMINISTRATOR = "62e90394-69f5-4237-9190-012177145e10"
APPLICATION_ADMINISTRATOR = "9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3"
PRIVILEGED_ROLE_ADMINISTRATOR = "e8611ab8-c189-46e8-94e1-60213ab1f814"
PASSWORD_ADMINISTRATOR = "966707d0-3269-4727-9be2-8c3a10f19b9d"
DIRECTORY_READERS = "88d8e3e3-8f55-4a1e-953a-9b9898b8876b"
GITHUB = "https://token.actions.githubusercontent.com"
AUDIENCE = "api://AzureADTokenExchange"
LEGACY_CONSENT = "ManagePermissionGrantsForSelf.microsoft-user-default-legacy"


def guid(name: str) -> str:
    """Return the GUID of an object, always the same for one name."""
    return str(uuid.uuid5(_NAMES, name))


def devops_guid(name: str) -> str:
    """Return the GUID of an object of the company's Azure DevOps organization, always the same for one name."""
    return str(uuid.uuid5(_DEVOPS_NAMES, name))


TENANT = guid("tenant")
DEVOPS_ORGANIZATION = devops_guid("organization")
DEVOPS_ISSUER = f"https://login.microsoftonline.com/{TENANT}/v2.0"
DEVOPS_OLD_ISSUER = f"https://vstoken.dev.azure.com/{DEVOPS_ORGANIZATION}"


def connection_subject(name: str) -> str:
    """Return the subject of a service connection's token from the Entra issuer.

    https://learn.microsoft.com/azure/devops/pipelines/release/configure-workload-identity : tenant and application are written
    in base64url of their little-endian bytes; ``rISbSS...`` is Azure DevOps, 499b84ac-1321-427f-aa17-267ca6975798.
    """
    tenant = base64.urlsafe_b64encode(uuid.UUID(TENANT).bytes_le).rstrip(b"=").decode()
    place = f"{DEVOPS_ORGANIZATION}/{devops_guid(f'connection {name}')}"
    return f"/eid1/c/pub/t/{tenant}/a/rISbSSETf0KqFyZ8ppdXmA/sc/{place}"


PARTNER = guid("partner tenant")
SCANNER = guid("app sprawlscan")
CLIENT_SECRET = secret_value("entra/sprawlscan", 40)

GRAPH_ROLES = {
    name: guid(f"graph {name}")
    for name in (
        "AppRoleAssignment.ReadWrite.All", "Application.Read.All", "Application.ReadWrite.All", "AuditLog.Read.All",
        "Directory.Read.All", "Mail.ReadWrite", "Mail.Send", "RoleManagement.ReadWrite.Directory", "Sites.Selected",
    )
}  # fmt: skip


def ago(days: float, night: datetime = FIRST_NIGHT) -> str:
    """Return a time so many days before (or after) a night, as Graph writes it."""
    return (night - timedelta(days=days)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class DirectoryTenant(msgspec.Struct, kw_only=True):
    """Everything in the tenant, each object as the fullest answer shows it."""

    applications: list[Json] = []
    service_principals: list[Json] = []
    users: dict[str, Json] = {}
    groups: dict[str, Json] = {}
    units: list[Json] = []
    """Administrative units."""
    group_eligibilities: list[Json] = []
    group_schedules: list[Json] = []
    members: dict[str, list[str]] = {}
    """Group -> object IDs of its members, through other groups, too."""
    app_roles: list[Json] = []
    """appRoleAssignments, of every API."""
    inherited: dict[str, list[Json]] = {}
    """Agent -> the app roles that it inherits."""
    consents: list[Json] = []
    role_definitions: list[Json] = []
    role_assignments: list[Json] = []
    role_eligibilities: list[Json] = []
    role_schedules: list[Json] = []
    agents: list[Json] = []
    agent_users: list[Json] = []
    application_sign_ins: list[Json] = []
    credential_sign_ins: list[Json] = []
    inherited_consents: dict[str, list[Json]] = {}
    """Agent -> the delegated permissions that it inherits."""
    blueprints: list[Json] = []
    """Blueprint principals, as their own list shows them."""
    audits: list[Json] = []
    risky: list[Json] = []
    """riskyServicePrincipals of ID Protection."""
    domains: list[Json] = []
    federations: dict[str, list[Json]] = {}
    """Domain -> its federation."""
    conditional_access: list[Json] = []
    partners: list[Json] = []
    cross_tenant_default: Json = {}
    consent_policies: list[Json] = []
    app_policies: list[Json] = []
    authorization_policy: Json = {}
    credential_policy: Json = {}

    # Builders

    def user(self, name: str, *, enabled: bool = True) -> str:
        """Add a person."""
        number = guid(f"user {name}")
        self.users[number] = {
            "@odata.type": "#microsoft.graph.user",
            "id": number,
            "displayName": name.replace(".", " ").title(),
            "userPrincipalName": f"{name}@lanternpay.example",
            "accountEnabled": enabled,
        }
        return number

    def group(
        self, name: str, *members: str, owners: tuple[str, ...] = (), role_assignable: bool = False
    ) -> str:
        """Add a group."""
        number = guid(f"group {name}")
        self.groups[number] = {
            "@odata.type": "#microsoft.graph.group",
            "id": number,
            "displayName": name,
            "createdDateTime": ago(400),
            "isAssignableToRole": role_assignable or None,
            "owners": list(owners),
        }
        self.members[number] = list(members)
        return number

    def administrative_unit(self, name: str) -> str:
        """Add an administrative unit, and return the scope of a role over it."""
        number = guid(f"unit {name}")
        self.units.append({"id": number, "displayName": name})
        return f"/administrativeUnits/{number}"

    def schedule(self, group: str, holder: str, access: str = "member", *, until: str | None = None) -> None:
        """Make someone eligible for a group or, with an end, an active member until then."""
        shown: Json = {
            "id": f"{group}_{access}_{guid(f'{group} {holder} {access}')}",
            "groupId": group,
            "principalId": holder,
            "accessId": access,
            "memberType": "direct",
            "startDateTime": ago(60),
            "endDateTime": until,
        }
        if until is None:
            self.group_eligibilities.append(shown)
        else:
            self.group_schedules.append({**shown, "assignmentType": "assigned"})

    def above(self, number: str, *, nested: bool = False) -> list[Json]:
        """Return the groups that contain an object, directly or also through other groups."""
        found = [self.principal(group) for group, members in self.members.items() if number in members]
        further = [one for group in found for one in self.above(group["id"], nested=True)] if nested else []
        return found + [one for one in further if one not in found]

    def application(
        self,
        name: str,
        *,
        passwords: tuple[Json, ...] = (),
        keys: tuple[Json, ...] = (),
        federated: tuple[Json, ...] = (),
        owners: tuple[str, ...] = (),
        audience: str = "AzureADMyOrg",
        service_principal: bool = True,
        lock: Json | None = None,
        **more: Any,
    ) -> str:
        """Add an application registered here and, by default, its service principal; return that one's object ID."""
        self.applications.append(
            {
                "id": guid(f"application {name}"),
                "appId": guid(f"app {name}"),
                "displayName": name,
                "createdDateTime": ago(700),
                "isDisabled": None,
                "signInAudience": audience,
                "servicePrincipalLockConfiguration": lock,
                "passwordCredentials": list(passwords),
                "keyCredentials": list(keys),
                "federatedIdentityCredentials": list(federated),
                "owners": list(owners),
            }
        )
        if not service_principal:
            return ""
        return self.service_principal(name, appOwnerOrganizationId=TENANT, signInAudience=audience, **more)

    def service_principal(self, name: str, *, app_id: str | None = None, **more: Any) -> str:
        """Add a service principal, and return its object ID."""
        number = guid(f"sp {name}")
        shown: Json = {
            "id": number,
            "appId": app_id or guid(f"app {name}"),
            "displayName": name,
            "accountEnabled": True,
            "appOwnerOrganizationId": TENANT,
            "servicePrincipalType": "Application",
            "signInAudience": "AzureADMyOrg",
            "preferredSingleSignOnMode": None,
            "appRoleAssignmentRequired": False,
            "disabledByMicrosoftStatus": None,
            "verifiedPublisher": {"displayName": None, "verifiedPublisherId": None, "addedDateTime": None},
            "appRoles": [],
            "passwordCredentials": [],
            "keyCredentials": [],
            "federatedIdentityCredentials": [],
            "tags": [],
            "owners": [],
        }
        shown.update(more)
        self.service_principals.append(shown)
        return number

    def permit(self, client: str, role: str, *, days: float = 300) -> None:
        """Grant an application permission of Microsoft Graph to a service principal."""
        self.app_roles.append(_assignment(client, role, days))

    def at_risk(self, name: str, state: str, level: str, *, days: float = 2) -> None:
        """Let ID Protection report a service principal, by its name."""
        one = next(one for one in self.service_principals if one["displayName"] == name)
        self.risky.append(
            {
                "id": one["id"],
                "appId": one["appId"],
                "displayName": name,
                "servicePrincipalType": one["servicePrincipalType"],
                "isEnabled": one["accountEnabled"],
                "isProcessing": False,
                "riskLastUpdatedDateTime": ago(days),
                "riskLevel": level,
                "riskState": state,
                "riskDetail": "none",
            }
        )

    def consent(self, client: str, scope: str, user: str | None = None) -> None:
        """Grant delegated permissions of Microsoft Graph, for all users or for one."""
        self.consents.append(
            {
                "id": f"consent-{guid(f'{client} {scope} {user}')}",
                "clientId": client,
                "consentType": "Principal" if user else "AllPrincipals",
                "principalId": user,
                "resourceId": guid("sp Microsoft Graph"),
                "scope": scope,
            }
        )

    def assign(self, holder: str, role: str, *, scope: str = "/", until: str | None = None) -> None:
        """Assign a directory role."""
        shown = {
            "id": f"assignment-{guid(f'{holder} {role} {scope}')}",
            "principalId": holder,
            "roleDefinitionId": role,
            "directoryScopeId": scope,
        }
        self.role_assignments.append(shown)
        self.role_schedules.append(
            {
                **shown,
                "id": f"schedule-{guid(f'{holder} {role} {scope}')}",
                "assignmentType": "Activated" if until else "Assigned",
                "startDateTime": ago(200),
                "endDateTime": until,
            }
        )

    def principal(self, number: str) -> Json:
        """Return an object as ``$expand=principal`` shows it."""
        found = self.users.get(number) or self.groups.get(number)
        if found is not None:
            return {name: value for name, value in found.items() if name != "owners"}
        for one in self.service_principals:
            if one["id"] == number:
                return {
                    "@odata.type": "#microsoft.graph.servicePrincipal",
                    "id": number,
                    "displayName": one["displayName"],
                    "appId": one["appId"],
                }
        raise KeyError(number)


def _assignment(client: str, role: str, days: float) -> Json:
    return {
        "id": f"role-{guid(f'{client} {role}')}",
        "appRoleId": GRAPH_ROLES[role],
        "creationTimestamp": ago(days),
        "principalId": client,
        "principalType": "ServicePrincipal",
        "resourceId": guid("sp Microsoft Graph"),
        "resourceDisplayName": "Microsoft Graph",
    }


def password(name: str, *, made: float, ends: float) -> Json:
    """Return a client secret, made and ending so many days before the first night (a negative end is in the future)."""
    return {
        "keyId": guid(f"secret {name}"),
        "displayName": name,
        "hint": secret_value(f"entra/hint/{name}", 3),
        "secretText": None,
        "startDateTime": ago(made),
        "endDateTime": ago(ends),
        "customKeyIdentifier": None,
    }


def certificate(name: str, *, made: float, ends: float) -> Json:
    """Return a certificate."""
    return {
        "keyId": guid(f"certificate {name}"),
        "displayName": f"CN={name}",
        "type": "AsymmetricX509Cert",
        "usage": "Verify",
        "key": None,
        "startDateTime": ago(made),
        "endDateTime": ago(ends),
    }


def federated(name: str, issuer: str, subject: str | None, expression: str | None = None) -> Json:
    """Return a federated credential: with a subject, or with an expression in its place."""
    return {
        "id": guid(f"federated {name}"),
        "name": name,
        "issuer": issuer,
        "subject": subject,
        "audiences": [AUDIENCE],
        "description": None,
        "claimsMatchingExpression": {"value": expression, "languageVersion": 1} if expression else None,
    }


def role(
    template: str, name: str, actions: list[str], *, built_in: bool = True, privileged: bool = False
) -> Json:
    """Return a unifiedRoleDefinition, as beta writes it."""
    return {
        "id": template,
        "templateId": template,
        "displayName": name,
        "description": name,
        "isBuiltIn": built_in,
        "isEnabled": True,
        "isPrivileged": privileged,
        "resourceScopes": ["/"],
        "rolePermissions": [{"allowedResourceActions": actions, "condition": None}],
    }


def audit(who: str, target: str, key: Json, days: float, *, result: str = "success") -> Json:
    """Return the event that a credential was added to an application, as the directory's audit log has it."""
    kind = "Password" if "secretText" in key else "AsymmetricX509Cert"
    words = f"[KeyIdentifier={key['keyId']},KeyType={kind},KeyUsage=Verify,DisplayName={key['displayName']}]"
    return {
        "id": f"Directory_{guid(f'audit {who} {target} {key}')}",
        "activityDateTime": ago(days),
        "activityDisplayName": "Update application – Certificates and secrets management ",
        "category": "ApplicationManagement",
        "operationType": "Update",
        "loggedByService": "Core Directory",
        "result": result,
        "initiatedBy": {"user": {"id": guid(f"user {who}"), "userPrincipalName": who}, "app": None},
        "targetResources": [
            {
                "id": target,
                "type": "Application",
                "modifiedProperties": [
                    {"displayName": "KeyDescription", "oldValue": "[]", "newValue": f'["{words}"]'},
                    {
                        "displayName": "Included Updated Properties",
                        "oldValue": None,
                        "newValue": '"KeyDescription"',
                    },
                ],
            }
        ],
    }


def night_of(number: int) -> datetime:
    """Return the time of a night, 1 or 2."""
    return FIRST_NIGHT if number == 1 else SECOND_NIGHT
