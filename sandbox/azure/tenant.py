"""The tables of a make-believe tenant, and how rows of each are built.

Rows as Azure Resource Graph and Resource Manager show them:
https://learn.microsoft.com/azure/governance/resource-graph/reference/supported-tables-resources,
https://learn.microsoft.com/rest/api/authorization/
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import msgspec

from sandbox.entra.estate import TENANT, ago

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.kit.http import Json

_NAMES = uuid.UUID("c1f0a0de-51a5-4c0e-8c64-2f5a4ad0b3f7")
EVERYONE = "00000000-0000-0000-0000-000000000000"
AUTHORIZATION = "Microsoft.Authorization"


def guid(name: str) -> str:
    """Return the GUID of an object, always the same for one name."""
    return str(uuid.uuid5(_NAMES, name))


PROD = guid("subscription lantern-prod")
DEV = guid("subscription lantern-dev")


class AzureTenant(msgspec.Struct, kw_only=True):
    """The rows of each table of Resource Graph, and the lists of Resource Manager that it lacks."""

    authorizationresources: list[Json] = []
    managedserviceresources: list[Json] = []
    policyresources: list[Json] = []
    resourcecontainers: list[Json] = []
    resources: list[Json] = []
    lists: dict[str, list[Json]] = {}
    """By path, in lower case."""

    def tables(self) -> dict[str, list[Json]]:
        """Return the tables of Resource Graph by name."""
        return {
            "authorizationresources": self.authorizationresources,
            "managedserviceresources": self.managedserviceresources,
            "policyresources": self.policyresources,
            "resourcecontainers": self.resourcecontainers,
            "resources": self.resources,
        }

    def listed(self, path: str, query: Mapping[str, str]) -> list[Json]:
        """Return the list at a path. Those of one subscription that Resource Graph has, too, come from its tables."""
        place, _, name = path.lower().rpartition("/")
        if name in {"roleassignments", "roledefinitions"}:
            kind = f"microsoft.authorization/{name}"
            above = place.partition("/providers/microsoft.authorization")[0]
            return [
                row
                for row in self.authorizationresources
                if row["type"] == kind
                and (name == "roledefinitions" or str(row["properties"]["scope"]).lower().startswith(above))
            ]
        rows = self.lists.get(path.lower(), [])
        wanted = query.get("$filter", "")
        if wanted.startswith("roleDefinitionId eq "):
            role = wanted.removeprefix("roleDefinitionId eq ").strip("'")
            rows = [row for row in rows if row["properties"]["roleDefinitionId"] == role]
        return rows

    def add(self, path: str, *rows: Json) -> None:
        """Add rows to a list."""
        self.lists.setdefault(path.lower(), []).extend(rows)

    def role(self, number: str, name: str, permissions: list[Json], *, built_in: bool = True) -> None:
        """Add a role definition."""
        self.authorizationresources.append(
            {
                "id": f"/providers/{AUTHORIZATION}/RoleDefinitions/{number}",
                "name": number,
                "type": "microsoft.authorization/roledefinitions",
                "properties": {
                    "roleName": name,
                    "type": "BuiltInRole" if built_in else "CustomRole",
                    "description": name,
                    "assignableScopes": ["/"],
                    "permissions": permissions,
                    "createdOn": ago(2000),
                    "updatedOn": ago(400),
                    "createdBy": None,
                    "updatedBy": None,
                },
            }
        )

    def assign(
        self,
        principal: str,
        role: str,
        scope: str,
        *,
        kind: str = "ServicePrincipal",
        condition: str | None = None,
    ) -> str:
        """Assign a role, and return the ID of the assignment."""
        number = guid(f"assignment {principal} {role} {scope}")
        address = f"{scope.rstrip('/')}/providers/{AUTHORIZATION}/RoleAssignments/{number}"
        self.authorizationresources.append(
            {
                "id": address,
                "name": number,
                "type": "microsoft.authorization/roleassignments",
                "properties": {
                    "principalId": principal,
                    "principalType": kind,
                    "roleDefinitionId": f"/providers/{AUTHORIZATION}/RoleDefinitions/{role}",
                    "scope": scope,
                    "description": None,
                    "condition": condition,
                    "conditionVersion": "2.0" if condition else None,
                    "createdOn": ago(200),
                    "updatedOn": ago(200),
                    "createdBy": None,
                    "updatedBy": None,
                    "delegatedManagedIdentityResourceId": None,
                },
            }
        )
        return address

    def resource(
        self, resource_type: str, name: str, group: str = "payments", subscription: str = PROD, **more: object
    ) -> str:
        """Add a resource, and return its ID."""
        number = f"/subscriptions/{subscription}/resourceGroups/{group}/providers/{resource_type}/{name}"
        shown: Json = {
            "id": number,
            "name": name,
            "type": resource_type.lower(),
            "tenantId": TENANT,
            "kind": "",
            "location": "westeurope",
            "resourceGroup": group,
            "subscriptionId": subscription,
            "managedBy": "",
            "sku": None,
            "plan": None,
            "properties": {},
            "tags": None,
            "identity": None,
            "zones": None,
            "extendedLocation": None,
        }
        shown.update(more)
        self.resources.append(shown)
        return number

    def schedule(
        self,
        kind: str,
        scope: str,
        *,
        principal: str,
        role: str,
        principal_type: str = "User",
        member: str = "Direct",
        listed_at: str | None = None,
        **more: object,
    ) -> None:
        """Add an instance of a schedule of Privileged Identity Management: ``roleEligibilityScheduleInstances`` or another."""
        number = guid(f"{kind} {principal} {role} {scope}")
        row = {
            "id": f"{scope}/providers/{AUTHORIZATION}/{kind}/{number}",
            "name": number,
            "type": f"{AUTHORIZATION}/{kind}",
            "properties": {
                "scope": scope,
                "roleDefinitionId": f"{scope}/providers/{AUTHORIZATION}/roleDefinitions/{role}",
                "principalId": principal,
                "principalType": principal_type,
                "status": "Provisioned",
                "startDateTime": ago(100),
                "endDateTime": ago(-200),
                "memberType": member,
                "condition": None,
                "conditionVersion": None,
                "createdOn": ago(100),
                **more,
            },
        }
        self.add(f"{listed_at or scope}/providers/{AUTHORIZATION}/{kind}", row)

    def activation(
        self, scope: str, role: str, *, approvers: tuple[str, ...] = (), asked: tuple[str, ...] = ()
    ) -> None:
        """Say what the activation of a role takes."""
        number = guid(f"activation {scope} {role}")
        rules: list[Json] = [
            {
                "ruleType": "RoleManagementPolicyExpirationRule",
                "id": "Expiration_EndUser_Assignment",
                "target": None,
                "isExpirationRequired": True,
                "maximumDuration": "PT8H",
            },
            {
                "ruleType": "RoleManagementPolicyEnablementRule",
                "id": "Enablement_EndUser_Assignment",
                "target": None,
                "enabledRules": list(asked),
            },
            {
                "ruleType": "RoleManagementPolicyApprovalRule",
                "id": "Approval_EndUser_Assignment",
                "target": None,
                "setting": {
                    "isApprovalRequired": bool(approvers),
                    "isApprovalRequiredForExtension": False,
                    "isRequestorJustificationRequired": True,
                    "approvalMode": "SingleStage",
                    "approvalStages": [
                        {
                            "approvalStageTimeOutInDays": 1,
                            "isApproverJustificationRequired": True,
                            "escalationTimeInMinutes": 0,
                            "primaryApprovers": [
                                {"id": one, "description": None, "isBackup": False, "userType": "User"}
                                for one in approvers
                            ],
                            "isEscalationEnabled": False,
                            "escalationApprovers": None,
                        }
                    ],
                },
            },
        ]
        kind = "roleManagementPolicyAssignments"
        self.add(
            f"{scope}/providers/{AUTHORIZATION}/{kind}",
            {
                "id": f"{scope}/providers/{AUTHORIZATION}/{kind}/{number}",
                "name": number,
                "type": f"{AUTHORIZATION}/{kind}",
                "properties": {
                    "scope": scope,
                    "roleDefinitionId": f"{scope}/providers/{AUTHORIZATION}/roleDefinitions/{role}",
                    "policyId": f"{scope}/providers/{AUTHORIZATION}/roleManagementPolicies/{number}",
                    "effectiveRules": rules,
                },
            },
        )

    def deny(
        self,
        scope: str,
        name: str,
        *,
        excluded: tuple[str, ...] = (),
        effect: str = "enforced",
        listed_at: str | None = None,
    ) -> None:
        """Deny everyone everything but reading at a scope."""
        number = guid(f"deny {name}")
        self.add(
            f"{listed_at or scope}/providers/{AUTHORIZATION}/denyAssignments",
            {
                "id": f"{scope}/providers/{AUTHORIZATION}/denyAssignments/{number}",
                "name": number,
                "type": f"{AUTHORIZATION}/denyAssignments",
                "properties": {
                    "denyAssignmentName": name,
                    "description": None,
                    "scope": scope,
                    "doNotApplyToChildScopes": False,
                    "principals": [{"id": EVERYONE, "type": "SystemDefined"}],
                    "excludePrincipals": [{"id": one, "type": "User"} for one in excluded],
                    "permissions": [element(["*"], ["*/read"])],
                    "isSystemProtected": False,
                    "denyAssignmentEffect": effect,
                    "condition": None,
                    "conditionVersion": None,
                    "createdOn": ago(90),
                    "updatedOn": ago(90),
                    "createdBy": None,
                    "updatedBy": None,
                },
            },
        )


def element(
    actions: list[str],
    not_actions: list[str] | None = None,
    data: list[str] | None = None,
    condition: str | None = None,
) -> Json:
    """Return one permission element of a role."""
    return {
        "actions": actions,
        "notActions": not_actions or [],
        "dataActions": data or [],
        "notDataActions": [],
        "condition": condition,
        "conditionVersion": "2.0" if condition else None,
    }
