"""Groups, build services and access control lists of Lantern Pay's organization, as the Security and Identity APIs write them.

https://learn.microsoft.com/rest/api/azure/devops/security/access-control-lists/query,
https://learn.microsoft.com/rest/api/azure/devops/ims/identities/read-identities,
https://learn.microsoft.com/rest/api/azure/devops/graph/groups/list
"""

from __future__ import annotations

import base64
import zlib
from typing import TYPE_CHECKING

import msgspec

from sandbox.azure_devops.estate import ORGANIZATION, guid
from sandbox.entra import estate as entra

if TYPE_CHECKING:
    from sandbox.azure_devops.doors import DoorEstate
    from sandbox.kit.http import Json

COLLECTION = guid("organization")
NAMESPACES = {
    "Git Repositories": "2e9eb7ed-3c0a-47d4-87c1-0ffdd275fd87",
    "Build": "33344d9c-fc72-4d6f-aba5-fa317101a7e9",
    "ReleaseManagement": "c788c23e-1b46-4162-8f5e-d7585343b5de",
    "ServiceEndpoints": "49b48001-ca20-4adc-8111-5b60c903a50c",
    "Library": "b7e84409-6553-448a-bbb2-af228e07cbeb",
    "Environment": "83d4c2e6-e57d-4d6e-892b-b87222b7ad20",
    "DistributedTask": "101eae8c-1709-47f9-b228-0e476c35b3ba",
    "MetaTask": "f6a4de49-dbe2-4704-86dc-f8ec1a294436",
    "Project": "52d39943-cb85-4d7f-8fa8-c6baac873819",
    "Collection": "3e65f728-f8bc-4ecd-8764-7e378b19bfa7",
    "Identity": "5a27515b-ccd7-42c9-84f1-54c998f03866",
    "BuildAdministration": "302acaca-b667-436d-a946-87133492041c",
    "ExtensionManagement": "5d6d7b80-3c63-4ab0-b699-b6a5910f8029",
    "AuditLog": "a6cc6381-a1ca-4b36-b3c1-4e65211e82b6",
    "ServiceHooks": "cb594ebe-87dd-4fc9-ac2c-6a10a4c92046",
}
ACTIONS: dict[str, dict[str, int]] = {
    "Identity": {"Read": 1, "Write": 2, "Delete": 4, "ManageMembership": 8, "CreateScope": 16},
    "DistributedTask": {
        "View": 1,
        "Manage": 2,
        "Listen": 4,
        "AdministerPermissions": 8,
        "Use": 16,
        "Create": 32,
    },
    "Git Repositories": {
        "Administer": 1,
        "GenericRead": 2,
        "GenericContribute": 4,
        "ForcePush": 8,
        "CreateBranch": 16,
        "CreateTag": 32,
        "ManageNote": 64,
        "PolicyExempt": 128,
        "CreateRepository": 256,
        "DeleteRepository": 512,
        "RenameRepository": 1024,
        "EditPolicies": 2048,
        "RemoveOthersLocks": 4096,
        "ManagePermissions": 8192,
        "PullRequestContribute": 16384,
        "PullRequestBypassPolicy": 32768,
    },
}
"""https://github.com/MicrosoftDocs/vsts-rest-api-specs/blob/master/specification/security/7.2/httpExamples/securityNamespaces"""


class AccessEstate(msgspec.Struct, kw_only=True):
    """Who is there, and what the lists say."""

    identities: dict[str, Json] = {}
    """By descriptor, in lower case."""
    lists: dict[str, dict[str, Json]] = {}
    """By the ID of the namespace and the token."""
    memberships: dict[str, list[str]] = {}
    """Subject descriptor of a group -> descriptors of its members, where the Identity API does not name them."""

    def group(self, name: str, members: list[str], *, origin: str = "vsts", special: str = "Generic") -> str:
        """Add a group, and return its descriptor."""
        sid = "S-1-9-1551374245-" + "-".join(str(zlib.crc32(f"{part} {name}".encode())) for part in "abcd")
        descriptor = f"Microsoft.TeamFoundation.Identity;{sid}"
        prefix = "aadgp" if origin == "aad" else "vssgp"
        self._add(
            {
                "id": guid(f"group {name}"),
                "descriptor": descriptor,
                "subjectDescriptor": f"{prefix}.{_encoded(sid)}",
                "providerDisplayName": name,
                "isActive": True,
                "isContainer": True,
                "members": members,
                "memberOf": [],
                "memberIds": [],
                "properties": {
                    "SchemaClassName": {"$type": "System.String", "$value": "Group"},
                    "SpecialType": {"$type": "System.String", "$value": special},
                },
                "resourceVersion": 2,
                "metaTypeId": 255,
            }
        )
        return descriptor

    def user(self, name: str) -> str:
        """Add a user, and return the descriptor."""
        account = f"{name}@lanternpay.example"
        descriptor = f"Microsoft.IdentityModel.Claims.ClaimsIdentity;{entra.TENANT}\\{account}"
        self._add(
            {
                "id": guid(f"member {name}"),
                "descriptor": descriptor,
                "subjectDescriptor": f"aad.{_encoded(guid(f'member {name}'))}",
                "providerDisplayName": name.replace(".", " ").title(),
                "isActive": True,
                "members": [],
                "memberOf": [],
                "memberIds": [],
                "properties": {"Account": {"$type": "System.String", "$value": account}},
                "resourceVersion": 2,
                "metaTypeId": 0,
            }
        )
        return descriptor

    def build_service(self, number: str, name: str) -> str:
        """Add the identity that jobs of a project, or of the organization, run as, and return its descriptor."""
        payload = f"{guid('identity scope')}:Build:{number}"
        descriptor = f"Microsoft.TeamFoundation.ServiceIdentity;{payload}"
        self._add(
            {
                "id": guid(f"build service {number}"),
                "descriptor": descriptor,
                "subjectDescriptor": f"svc.{_encoded(payload)}",
                "providerDisplayName": f"{name} Build Service ({ORGANIZATION})",
                "isActive": True,
                "members": [],
                "memberOf": [],
                "memberIds": [],
                "properties": {},
                "resourceVersion": 2,
                "metaTypeId": 255,
            }
        )
        return descriptor

    def application(self, name: str, subject: str, origin: str) -> str:
        """Add a service principal of Entra ID that is a user, and return its descriptor."""
        descriptor = f"Microsoft.VisualStudio.Services.Claims.AadServicePrincipal;{entra.TENANT}\\{origin}"
        self._add(
            {
                "id": guid(f"application {name}"),
                "descriptor": descriptor,
                "subjectDescriptor": subject,
                "providerDisplayName": name,
                "isActive": True,
                "members": [],
                "memberOf": [],
                "memberIds": [],
                "properties": {},
                "resourceVersion": 2,
                "metaTypeId": 2,
            }
        )
        return descriptor

    def allow(self, namespace: str, token: str, who: str, allow: int, deny: int = 0) -> None:
        """Write an entry."""
        lists = self.lists.setdefault(NAMESPACES[namespace], {})
        found = lists.setdefault(token, {"inheritPermissions": True, "token": token, "acesDictionary": {}})
        found["acesDictionary"][who] = {
            "descriptor": who,
            "allow": allow,
            "deny": deny,
            "extendedInfo": {"effectiveAllow": allow, "effectiveDeny": deny},
        }

    def _add(self, identity: Json) -> None:
        self.identities[identity["descriptor"].lower()] = identity

    def shown_namespaces(self) -> list[Json]:
        """Return the namespaces as the API lists them."""
        return [
            {
                "namespaceId": number,
                "name": name,
                "displayName": name,
                "separatorValue": {"Identity": "\\", "Project": ":", "Collection": ":"}.get(name, "/"),
                "elementLength": -1,
                "writePermission": 8,
                "readPermission": 1,
                "actions": [
                    {"bit": bit, "name": action, "displayName": action, "namespaceId": number}
                    for action, bit in ACTIONS.get(name, {}).items()
                ],
                "structureValue": 1,
            }
            for name, number in NAMESPACES.items()
        ]

    def shown_lists(self, namespace: str) -> list[Json]:
        """Return the lists of a namespace."""
        return list(self.lists.get(namespace, {}).values())

    def shown_groups(self) -> list[Json]:
        """Return the groups as the Graph API lists them."""
        return [
            {
                "subjectKind": "group",
                "descriptor": one["subjectDescriptor"],
                "displayName": one["providerDisplayName"],
                "principalName": one["providerDisplayName"],
                "origin": "aad" if one["subjectDescriptor"].startswith("aadgp") else "vsts",
                "originId": entra.guid("group lantern-developers")
                if one["subjectDescriptor"].startswith("aadgp")
                else one["id"],
            }
            for one in self.identities.values()
            if one.get("isContainer")
        ]

    def shown_memberships(self, group: str) -> list[Json]:
        """Return the direct members of a group as the Graph API lists them."""
        return [
            {
                "containerDescriptor": group,
                "memberDescriptor": self.identities[member.lower()]["subjectDescriptor"],
            }
            for member in self.memberships.get(group, [])
        ]

    def shown_identities(self, query: dict[str, str]) -> list[Json | None]:
        """Return the identities that a query names; null for those that are gone."""
        if "subjectDescriptors" in query:
            by_subject = {one["subjectDescriptor"]: one for one in self.identities.values()}
            return [by_subject.get(name) for name in query["subjectDescriptors"].split(",")]
        names = [name for name in query.get("descriptors", "").split(",") if name]
        found = [self.identities.get(name.lower()) for name in names]
        if query.get("queryMembership") == "Direct":
            return list(found)
        return [None if one is None else {**one, "members": []} for one in found]


def _encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def default_access(projects: list[tuple[str, str]]) -> AccessEstate:
    """Return what a new organization has: its groups, and the permissions that they come with. ``projects``: ID and name."""
    estate = AccessEstate()
    maya, tom = estate.user("maya.lindt"), estate.user("tom.becker")
    admins = estate.group(
        f"[{ORGANIZATION}]\\Project Collection Administrators",
        [maya],
        special="AdministrativeApplicationGroup",
    )
    everyone = []
    collection = estate.build_service(COLLECTION, "Project Collection")
    for number, name in projects:
        administrators = estate.group(f"[{name}]\\Project Administrators", [admins])
        contributors = estate.group(f"[{name}]\\Contributors", [tom])
        builders = estate.group(f"[{name}]\\Build Administrators", [])
        endpoints = estate.group(f"[{name}]\\Endpoint Administrators", [administrators, builders])
        creators = estate.group(f"[{name}]\\Endpoint Creators", [contributors])
        service = estate.build_service(number, name)
        users = estate.group(
            f"[{name}]\\Project Valid Users",
            [administrators, contributors, builders],
            special="EveryoneApplicationGroup",
        )
        everyone.append(users)
        repositories, endpoint = f"repoV2/{number}", f"endpoints/{number}"
        estate.allow("Git Repositories", repositories, contributors, 2 + 4 + 16 + 16384)
        estate.allow("Git Repositories", repositories, service, 2)
        estate.allow("Git Repositories", repositories, users, 2)
        estate.allow("Build", number, contributors, 1 + 128 + 1024 + 2048)
        estate.allow("Build", number, service, 1)
        estate.allow("ServiceEndpoints", endpoint, endpoints, 1 + 2 + 4 + 8 + 16)
        estate.allow("ServiceEndpoints", endpoint, creators, 4 + 16)
        estate.allow("ServiceEndpoints", endpoint, users, 16)
        estate.allow("ServiceEndpoints", endpoint, collection, 16)
        estate.allow("Library", f"Library/{number}", users, 1)
        estate.allow("Library", f"Library/{number}", builders, 1 + 2 + 4 + 16)
        estate.allow("Environment", f"Environments/{number}", contributors, 1 + 16 + 32)
        estate.allow(
            "Project", f"$PROJECT:vstfs:///Classification/TeamProject/{number}", administrators, 1 + 2
        )
        estate.allow("Identity", number, administrators, 1 + 8)
    estate.group(
        f"[{ORGANIZATION}]\\Project Collection Valid Users", everyone, special="EveryoneApplicationGroup"
    )
    estate.allow("Collection", "NAMESPACE:", admins, 1 + 2 + 4)
    estate.allow("AuditLog", "/AllPermissions", admins, 1 + 4 + 8)
    return estate


def plant(estate: AccessEstate, doors: DoorEstate, projects: dict[str, str]) -> None:
    """Add what is wrong, and beside it what looks like it. ``projects``: name -> ID."""
    by_name = {one["providerDisplayName"]: one["descriptor"] for one in estate.identities.values()}
    payments, platform = projects["payments"], projects["platform"]
    service = by_name[f"payments Build Service ({ORGANIZATION})"]
    # Its pipelines push to the repository that is delivered, and complete pull requests without review.
    api = f"repoV2/{payments}/{guid('repository payments-api')}"
    estate.allow("Git Repositories", api, service, 2 + 4 + 32768)
    # And read another project's tools. Reading is not what is wrong.
    estate.allow("Git Repositories", f"repoV2/{platform}/{guid('repository tools')}", service, 2)
    # Any pipeline of the organization edits the platform's pipelines.
    estate.allow(
        "Build", platform, by_name[f"Project Collection Build Service ({ORGANIZATION})"], 1 + 128 + 2048
    )
    # Every user of the project may use the connection with the secret; the one of payments has administrators only.
    azure = f"endpoints/{platform}/{guid('connection azure-platform')}"
    estate.allow("ServiceEndpoints", azure, by_name["[platform]\\Project Valid Users"], 1 + 16)
    doors.feed_permissions = {
        guid("feed libraries"): [
            {"role": "contributor", "identityDescriptor": service, "displayName": "payments Build Service"},
            {"role": "reader", "identityDescriptor": by_name["[payments]\\Contributors"]},
        ],
        # Collaborators save packages of upstream sources, and publish nothing.
        guid("feed releases"): [
            {
                "role": "collaborator",
                "identityDescriptor": by_name[f"Project Collection Build Service ({ORGANIZATION})"],
            }
        ],
    }
    # Developers of Entra ID contribute; who they are, Entra ID knows.
    developers = estate.group("[TEAM FOUNDATION]\\lantern-developers", [], origin="aad")
    estate.identities[by_name["[payments]\\Contributors"].lower()]["members"].append(developers)
    # An application that administers the organization's agent pools.
    subject, origin = "aadsp.TGFudGVybi1waXBlbGluZXM", entra.guid("sp lantern-pipelines")
    application = estate.application("lantern-pipelines", subject, origin)
    estate.allow("DistributedTask", "AgentPools", application, 1 + 2 + 8 + 16)
