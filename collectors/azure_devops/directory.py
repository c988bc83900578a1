"""The identities that access control lists name, and who is in which group.

https://learn.microsoft.com/rest/api/azure/devops/ims/identities/read-identities : lists write descriptors
(``Microsoft.TeamFoundation.Identity;S-1-9-...``), the Graph API subject descriptors (``vssgp.Uy0x...``).
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec

from collectors.azure_devops.scope import PROVIDER
from scanner.records import Surface, record_id

if TYPE_CHECKING:
    from collections.abc import Iterable

SERVICE = "microsoft.teamfoundation.serviceidentity"
APPLICATION = "microsoft.visualstudio.services.claims.aadserviceprincipal"
CLAIMS = "microsoft.identitymodel.claims.claimsidentity"
EVERYONE = ("project valid users", "project collection valid users", "team foundation valid users")
"""Groups that every user of a project or organization is in.
https://learn.microsoft.com/azure/devops/organizations/security/about-permissions#valid-user-groups"""
COLLECTION = "project collection build service"


class DevOpsPrincipal(msgspec.Struct, frozen=True, kw_only=True):
    """One identity that a list names."""

    descriptor: str
    """In lower case."""
    kind: str
    """The kind of its record: ``ado-group``, ``ado-user``, ``ado-build-service``, ``ado-service-principal``, ..."""
    id: str
    """The id of its record."""
    name: str
    members: tuple[str, ...] | None = ()
    """The descriptors of a group's direct members; None if they are unknown."""
    entra: bool = False
    """Whether it is a group of Entra ID, whose members Azure DevOps does not know."""
    special: bool = False
    """Whether it is the group of all users of a project or organization."""
    subject: str = ""
    """The subject descriptor of a group, which the Graph API uses."""
    project: str | None = None
    """The project of a build service; None for that of the collection."""

    @property
    def surface(self) -> Surface:
        """The surface of its record."""
        return "human" if self.kind in {"ado-group", "ado-user"} else "automation"

    @property
    def everyone(self) -> bool:
        """Whether every user of its project or organization is in it."""
        return self.special


class DevOpsDirectory:
    """The identities that are known, and their groups."""

    def __init__(self, principals: Iterable[DevOpsPrincipal] = ()) -> None:
        self.by_descriptor = {one.descriptor: one for one in principals}
        self.parents: dict[str, set[str]] = defaultdict(set)
        self._children: dict[str, tuple[str, ...]] = {}
        for one in self.by_descriptor.values():
            self._children[one.descriptor] = one.members or ()
            for member in one.members or ():
                self.parents[member].add(one.descriptor)

    @property
    def unknown_groups(self) -> list[str]:
        """The groups whose members are unknown."""
        return sorted(one.descriptor for one in self.by_descriptor.values() if one.members is None)

    def collection_build_service(self, organization: str) -> str:
        """Return the number of the organization's build service: the organization's own, unless a list names another."""
        for one in sorted(self.by_descriptor.values(), key=lambda one: one.id):
            if one.kind == "ado-build-service" and one.name.lower().startswith(COLLECTION):
                return one.id.rpartition(":")[2]
        return organization

    def add(self, one: DevOpsPrincipal) -> None:
        """Add an identity that is in no list of its own, but in groups."""
        self.by_descriptor[one.descriptor] = one

    def with_groups(self, descriptor: str) -> list[str]:
        """Return an identity and all groups that it is in, directly or through other groups."""
        found, left = [descriptor], [descriptor]
        while left:
            for group in sorted(self.parents.get(left.pop(), ())):
                if group not in found:
                    found.append(group)
                    left.append(group)
        return found

    def within(self, groups: Iterable[str]) -> list[DevOpsPrincipal]:
        """Return the known identities that are one of these groups, or in one, directly or through other groups."""
        left = list(groups)
        found = set(left)
        while left:
            fresh = [one for one in self._children.get(left.pop(), ()) if one not in found]
            found.update(fresh)
            left += fresh
        known = [self.by_descriptor[one] for one in found if one in self.by_descriptor]
        return sorted(known, key=lambda one: one.id)

    def name(self, descriptor: str) -> str:
        """Return how an identity is shown."""
        known = self.by_descriptor.get(descriptor)
        return known.name if known is not None else "an unknown identity"


def build_service(number: str) -> str:
    """Return the id of the identity that jobs run as: of a project, or of the organization."""
    return record_id(PROVIDER, "build-service", number.lower())


def service_role(descriptor: str) -> tuple[str, str]:
    """Return role and number of a service identity: ``Build`` and a project's GUID, or empty texts for others.

    ``Microsoft.TeamFoundation.ServiceIdentity;{organization}:Build:{project}``
    """
    kind, _, rest = descriptor.partition(";")
    parts = rest.split(":")
    return (parts[1], parts[2]) if kind.lower() == SERVICE and len(parts) == 3 else ("", "")
