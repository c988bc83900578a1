"""Grants and ways, from access control lists: who may do what, and who becomes a service connection.

https://learn.microsoft.com/azure/devops/pipelines/library/service-endpoints#secure-a-service-connection : whoever may use a
connection needs a pipeline of their own to sign in with it; its administrators open it to all pipelines, share it and change
where it leads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.azure_devops.nights import digest_of
from collectors.azure_devops.permissions import (
    BUILD,
    ENDPOINTS,
    GIT,
    RELEASE,
    SecuredPlace,
    branch_token,
    connection_token,
)
from collectors.azure_devops.scope import PROVIDER, connection
from scanner.records import Breadth, Grant, Link, level_of, record_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from collectors.azure_devops.directory import DevOpsDirectory, DevOpsPrincipal
    from collectors.azure_devops.evaluator import AccessLists, Holding
    from collectors.azure_devops.permissions import Namespace
    from scanner.collect.failures import SourceError
    from scanner.records import Power, Record

_READING = frozenset(("read", "read-data"))
_CODE = {
    BUILD: ("EditBuildDefinition", "CreateBuildDefinition"),
    RELEASE: ("EditReleaseDefinition",),
    GIT: ("GenericContribute",),
}
"""The permissions that bring code of one's own into a pipeline, by namespace."""
_OF_PROJECTS = frozenset(("Build", "Git Repositories", "Project"))
"""Namespaces whose tokens name projects and nothing else that has a GUID."""
_BYPASS = ("PolicyExempt", "PullRequestBypassPolicy")
"""Permissions of Git Repositories that pass branch policies by: when pushing, and when completing a pull request."""


class DevOpsAccess:
    """What was read of an organization's permissions, and who holds what."""

    def __init__(
        self,
        lists: dict[str, AccessLists],
        directory: DevOpsDirectory,
        unread: Sequence[tuple[Namespace, SourceError]] = (),
    ) -> None:
        """``lists`` are by the ID of the namespace, ``unread`` the namespaces that could not be read."""
        self.lists = lists
        self.unread = unread
        self.directory = directory
        self.held: dict[str | None, list[tuple[DevOpsPrincipal, Holding, SecuredPlace]]] = {}
        self.mentioned: dict[str | None, dict[str, dict[str, str]]] = {}
        """Project (None for the organization) -> kind of object -> number -> what names it."""
        self.projects: dict[str, str] = {}
        """GUIDs of projects that lists name, with what names them."""
        self._coding: dict[tuple[str, str], bool] = {}
        self._sort()

    def _sort(self) -> None:
        """Work out what each identity holds. Groups hold what their own entries give; people and services, everything."""
        for lists in self.lists.values():
            space = lists.namespace
            source = f"an access control list ({space.name})"
            for token in lists.by_token:
                place = space.place(token)
                if place is None:
                    continue
                if place.project is not None and space.name in _OF_PROJECTS:
                    self.projects.setdefault(place.project, source)
                if place.id:
                    self.mentioned.setdefault(place.project, {}).setdefault(place.kind, {})[place.id] = source
            for one in sorted(self.directory.by_descriptor.values(), key=lambda one: one.id):
                who = self.directory.with_groups(one.descriptor)
                only = one.descriptor if one.surface == "human" and not self._alone(one, who) else None
                for holding in lists.holdings(who, only=only):
                    place = lists.namespace.place(holding.token) or SecuredPlace(rest=holding.token)
                    self.held.setdefault(place.project, []).append((one, holding, place))

    def _alone(self, one: DevOpsPrincipal, who: list[str]) -> bool:
        return one.kind == "ado-user" and any(lists.denied(who) for lists in self.lists.values())

    def may(
        self, namespace: str, token: str, permissions: Sequence[str], *, own: bool = False
    ) -> Iterator[tuple[DevOpsPrincipal, list[str]]]:
        """Yield who has some of these permissions at a token, and which.

        Groups count with the groups that they are in; with ``own``, groups and people count by their own entries only.
        """
        lists = self.lists.get(namespace)
        if lists is None:
            return
        wanted = lists.namespace.bits(*permissions)
        for one in self.directory.within(lists.named(token)):
            who = self.directory.with_groups(one.descriptor)
            only = one.descriptor if own and one.surface == "human" else None
            found = lists.allowed(token, who, only=only) & wanted
            if found:
                yield one, [permission.name for permission in lists.namespace.of(found)]

    def bypassing(self, project: str, repository: str, ref: str) -> list[str] | None:
        """Return the names of those who may pass by the policies of a branch; None if it is unknown."""
        if GIT not in self.lists:
            return None
        found = self.may(GIT, branch_token(project, repository, ref), _BYPASS, own=True)
        return sorted({one.name for one, _ in found})

    def runs_own_code(self, one: DevOpsPrincipal, project: str) -> bool:
        """Return whether someone can bring code of their own into a pipeline of a project."""
        known = self._coding.get((one.descriptor, project))
        if known is None:
            who = self.directory.with_groups(one.descriptor)
            known = any(
                lists.anywhere(who, project) & lists.namespace.bits(*_CODE[lists.namespace.id])
                for lists in self.lists.values()
                if lists.namespace.id in _CODE
            )
            self._coding[one.descriptor, project] = known
        return known


def grants(
    access: DevOpsAccess,
    project: str | None,
    namespace: str,
    account_id: str,
    *,
    names: Mapping[tuple[str, str], str],
    where: str,
) -> Iterator[Record]:
    """Yield the grants of one namespace in a project, or in the organization itself. ``where`` is its name."""
    unknown = access.directory.unknown_groups
    for one, holding, place in access.held.get(project, ()):
        space = holding.namespace
        powers = space.powers(holding.bits)
        reads = one.surface == "human" and set(powers) <= _READING
        if space.id != namespace or not powers or reads:
            continue
        what = _what(space, place, names, where)
        labels = [permission.label for permission in space.of(holding.bits) if permission.powers]
        lists = access.lists[namespace]
        doubtful = lists.in_doubt(holding.token, holding.bits, unknown)
        groups = sorted(access.directory.name(giver) for giver in holding.via if giver != one.descriptor)
        yield Grant(
            id=record_id(PROVIDER, "grant", f"{one.id.partition(':')[2]}/{space.name}/{holding.token}"),
            provider=PROVIDER,
            account_id=account_id,
            identity_id=one.id,
            role=f"{space.name}: {', '.join(labels)}",
            resource=what,
            breadth=_breadth(place),
            powers=powers,
            level=level_of(powers),
            confidence="low" if doubtful else "high",
            via=f"group {groups[0]}" if groups and one.descriptor not in holding.via else None,
            why=f"{one.name} has {', '.join(labels)} on {what}",
            fix=_fix(powers),
            actions=[permission.name for permission in space.of(holding.bits) if permission.powers][:10],
        )


def becoming(
    access: DevOpsAccess, project: str, account_id: str, connections: Mapping[str, str]
) -> Iterator[Record]:
    """Yield who becomes each service connection of a project (GUID -> name).

    Administrators do by themselves; users do if they can also bring code of their own into a pipeline.
    """
    for number, name in sorted(connections.items()):
        token = connection_token(project, number)
        administrators = {
            one.descriptor for one, _ in access.may(ENDPOINTS, token, ("Administer",), own=True)
        }
        for one, has in access.may(ENDPOINTS, token, ("Use", "Administer")):
            administers = "Administer" in has
            if administers and one.surface == "human" and one.descriptor not in administrators:
                continue  # through a group that has a line of its own
            if not administers and not access.runs_own_code(one, project):
                continue
            role = "Administrator" if administers else "User"
            yield Link(
                id=record_id(PROVIDER, "becomes", f"{project}/{one.id.partition(':')[2]}/{number}"),
                provider=PROVIDER,
                account_id=account_id,
                source_id=one.id,
                relation="can_become",
                target_id=connection(number),
                evidence=f"{role} of the service connection {name}",
                why=f"{one.name} is {role} of {name}"
                + (
                    ", and can change where it leads and who may use it"
                    if administers
                    else ", and runs code in pipelines"
                ),
                fix=f"Remove {one.name} from the roles of {name} under Security.",
            )


def _what(space: Namespace, place: SecuredPlace, names: Mapping[tuple[str, str], str], where: str) -> str:
    if not place.kind:
        return f"{space.objects} of {where}" + (f" below {place.rest}" if place.rest.strip("/") else "")
    name = names.get((place.kind, place.id), place.id)
    return f"{place.kind} {name} of {where}" + (f" ({_branch(place.rest)})" if place.rest else "")


def _branch(rest: str) -> str:
    """Return a branch as people write it, from the part of a token."""
    parts = rest.strip("/").split("/")
    shown = []
    for part in parts:
        try:
            shown.append(bytes.fromhex(part).decode("utf-16-le"))
        except ValueError:
            shown.append(part)
    return "/".join(shown)


def _breadth(place: SecuredPlace) -> Breadth:
    if place.kind:
        return "resource"
    if place.project is None:
        return "organization"
    return "group" if place.rest else "account"


def _fix(powers: Iterable[Power]) -> str:
    if "admin" in powers:
        return "Remove it from the group or role, and give administrators access for a limited time."
    return "Remove the permission, or give it on the one object that needs it."


def permission_digests(access: DevOpsAccess | None, projects: Iterable[str]) -> Mapping[str, str]:
    """Return for each project (GUID) a digest of the access control lists that name it or stand above it."""
    if access is None:
        return dict.fromkeys(projects, "unknown")
    above: list[Any] = []
    of: dict[str, list[Any]] = {}
    for namespace, lists in sorted(access.lists.items()):
        for token, one in sorted(lists.by_token.items()):
            place = lists.namespace.place(token)
            entries = [(who, entry.allow, entry.deny) for who, entry in sorted(one.entries.items())]
            row = (namespace, token, one.inherits, entries)
            if place is None or place.project is None:
                # A token of one pool or feed says nothing of projects.
                if place is None or not place.kind:
                    above.append(row)
            else:
                of.setdefault(place.project, []).append(row)
    shared = digest_of(above)
    return {project: digest_of(shared, of.get(project, [])) for project in projects}
