"""The identities that access control lists name: groups with their members, build services, users, service principals.

https://learn.microsoft.com/rest/api/azure/devops/ims/identities/read-identities : several descriptors in one request; with
``queryMembership=Direct``, a group comes with its direct members. An identity that is gone is null in the list.
https://learn.microsoft.com/rest/api/azure/devops/graph/groups/list : ``originId`` is the object ID of a group of Entra ID.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.azure_devops.calls import PREVIEW, VERSION
from collectors.azure_devops.directory import (
    APPLICATION,
    COLLECTION,
    EVERYONE,
    SERVICE,
    DevOpsDirectory,
    DevOpsPrincipal,
    build_service,
    service_role,
)
from collectors.azure_devops.scope import PROVIDER
from scanner.collect.answers import checked
from scanner.collect.failures import SourceError
from scanner.collect.listings import with_coverage
from scanner.records import Identity, Link, record_id

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterator, Mapping

    from collectors.azure_devops.evaluator import AccessLists
    from collectors.azure_devops.scope import DevOpsScope
    from scanner.records import Record

GROUPS = "/_apis/graph/groups"
CALL = "/_apis/identities"
MEMBERS = "/_apis/graph/memberships/{descriptor}"
NEEDS = "Read of Graph and Identity"
BATCH = 20
"""Descriptors in one request: about 100 characters each, in a URL."""
GROUP = "microsoft.teamfoundation.identity"
_PARTS = ("identities/ado-build-service", "links/member_of")


def entra_groups(scope: DevOpsScope) -> Generator[Record, None, dict[str, str]]:
    """Return the object ID in Entra ID of each group that comes from there, by its subject descriptor."""
    found: dict[str, str] = {}

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        if str(item.get("origin")) == "aad" and item.get("originId"):
            found[str(item["descriptor"])] = str(item["originId"]).lower()
        yield from ()

    yield from scope.on(scope.clients.graph).listing(
        GROUPS, convert, table="links", kind="entra-group", needs=NEEDS, parameters=PREVIEW
    )
    return found


def directory(
    scope: DevOpsScope,
    lists: Collection[AccessLists],
    projects: Mapping[str, str],
    origins: Mapping[str, str],
    users: Mapping[str, str],
) -> Generator[Record, None, DevOpsDirectory | None]:
    """Yield the identities that ``lists`` name, with the members of groups, and return them; None if they were not read.

    A person whom some entry denies something is not linked to groups, but evaluated alone: a member of two groups may do less than
    what both together allow. ``projects`` are the accounts of projects by GUID, ``origins`` what `entra_groups` found, and ``users`` the ids of users'
    records by their sign-in name.
    """
    here = scope.on(scope.clients.graph)
    known: dict[str, DevOpsPrincipal] = {}

    def read() -> Generator[Record, None, DevOpsDirectory]:
        asked: set[str] = set()
        left = sorted({name for one in lists for name in one.descriptors()})
        while left:
            asked.update(left)
            for start in range(0, len(left), BATCH):
                for item in _identities(here, left[start : start + BATCH]):
                    one = _principal(here, item, projects)
                    known[one.descriptor] = one
            # Members that are groups may be in groups of their own; users are known from their entitlements.
            left = sorted(
                {
                    member
                    for one in known.values()
                    for member in one.members or ()
                    if member.partition(";")[0] in {GROUP, SERVICE, APPLICATION} and member not in asked
                }
            )
        found = DevOpsDirectory(known.values())
        alone = _evaluated_alone(found, lists, users)
        for one in sorted(known.values(), key=lambda one: one.id):
            yield from _records(scope, one, projects)
            if one.entra and (origin := origins.get(one.subject)):
                yield _member(scope, record_id("entra", "principal", origin), one, "originId")
            yield from _members(scope, one, found, users, alone)
        return found

    request = scope.request("identities", f"GET {CALL}", kind="ado-group", needs=NEEDS)
    return (
        yield from with_coverage(read(), request, fills=_PARTS, loses=("grants/permissions", "links/access"))
    )


def _identities(scope: DevOpsScope, descriptors: list[str]) -> Iterator[dict[str, Any]]:
    """Yield what is known of these identities. Those that are gone are left out."""
    parameters = {**VERSION, "descriptors": ",".join(descriptors), "queryMembership": "Direct"}
    body = scope.client.get(CALL, parameters).body
    items = body.get("value") if isinstance(body, dict) else None
    if not isinstance(items, list) or not all(item is None or isinstance(item, dict) for item in items):
        raise SourceError("malformed", f"{CALL}: expected a list of identities")
    if isinstance(body, dict) and body.get("count", len(items)) != len(items):
        raise SourceError("truncated", f"{CALL}: {len(items)} of {body['count']} identities were returned")
    yield from (checked(item) for item in items if item is not None)


def _principal(scope: DevOpsScope, item: dict[str, Any], projects: Mapping[str, str]) -> DevOpsPrincipal:
    descriptor = str(item["descriptor"]).lower()
    number = str(item["id"]).lower()
    subject = str(item.get("subjectDescriptor") or "")
    name = str(item.get("providerDisplayName") or item.get("customDisplayName") or number)
    kind = descriptor.partition(";")[0]
    role, of = service_role(descriptor)
    if role == "build":
        project = of if of in projects and not name.lower().startswith(COLLECTION) else None
        return DevOpsPrincipal(
            descriptor=descriptor, kind="ado-build-service", id=build_service(of), name=name, project=project
        )
    if kind == APPLICATION:
        return DevOpsPrincipal(
            descriptor=descriptor,
            kind="ado-service-principal",
            id=record_id(PROVIDER, "service-principal", subject),
            name=name,
        )
    if item.get("isContainer"):
        entra = subject.startswith("aadgp.")
        everyone = _property(item, "SpecialType") == "EveryoneApplicationGroup"
        members = item.get("members")
        if entra:
            members = None
        elif not isinstance(members, list):
            members = _from_graph(scope, subject)
        return DevOpsPrincipal(
            descriptor=descriptor,
            kind="ado-group",
            id=record_id(PROVIDER, "group", number),
            name=name,
            members=None if members is None else tuple(sorted(str(one).lower() for one in members)),
            entra=entra,
            special=everyone or name.lower().rpartition("\\")[2] in EVERYONE,
            subject=subject,
        )
    if kind == SERVICE or descriptor.startswith("system:"):
        return DevOpsPrincipal(
            descriptor=descriptor,
            kind="ado-service-identity",
            id=record_id(PROVIDER, "service-identity", number),
            name=name,
        )
    return DevOpsPrincipal(
        descriptor=descriptor, kind="ado-user", id=record_id(PROVIDER, "user", number), name=name
    )


def _property(item: dict[str, Any], name: str) -> str:
    value = (item.get("properties") or {}).get(name)
    return str(value.get("$value") if isinstance(value, dict) else value)


def _from_graph(scope: DevOpsScope, subject: str) -> list[str]:
    """Return the direct members of a group whose answer did not name them."""
    found = [
        str(one["memberDescriptor"])
        for one in scope.client.items(
            scope.path(MEMBERS, descriptor=subject), {**PREVIEW, "direction": "down"}, at="value"
        )
    ]
    parameters: dict[str, str | int] = {**VERSION, "queryMembership": "None"}
    members: list[str] = []
    for start in range(0, len(found), BATCH):
        batch = ",".join(found[start : start + BATCH])
        items = scope.client.items(CALL, {**parameters, "subjectDescriptors": batch}, at="value")
        members += [str(item["descriptor"]) for item in items]
    return members


def _records(scope: DevOpsScope, one: DevOpsPrincipal, projects: Mapping[str, str]) -> Iterator[Record]:
    """Yield the identity's record, unless another list yields it."""
    if one.kind not in {"ado-group", "ado-build-service"}:
        return
    account = projects.get(one.project or "", scope.account_id)
    yield Identity(
        id=one.id,
        provider=PROVIDER,
        account_id=account,
        surface=one.surface,
        kind=one.kind,
        native_id=one.id.rpartition(":")[2],
        name=one.name,
        managed_by="provider" if one.kind == "ado-build-service" else None,
        tags={
            **({"members": "everyone"} if one.everyone else {}),
            **({"members": "unknown"} if one.members is None else {}),
            **(
                {"scope": "project" if one.project else "collection"}
                if one.kind == "ado-build-service"
                else {}
            ),
        },
    )


def _evaluated_alone(
    found: DevOpsDirectory, lists: Collection[AccessLists], users: Mapping[str, str]
) -> frozenset[str]:
    """Return the descriptors of people whom an entry denies something, and add those of them that no entry names."""
    alone = set()
    for member in sorted(found.parents):
        known = found.by_descriptor.get(member)
        if known is not None and known.kind != "ado-user":
            continue
        groups = found.with_groups(member)
        if not any(one.denied(groups) for one in lists):
            continue
        name = member.rpartition("\\")[2]
        if known is None and name in users:
            found.add(DevOpsPrincipal(descriptor=member, kind="ado-user", id=users[name], name=name))
        alone.add(member)
    return frozenset(alone)


def _members(
    scope: DevOpsScope,
    one: DevOpsPrincipal,
    found: DevOpsDirectory,
    users: Mapping[str, str],
    alone: frozenset[str],
) -> Iterator[Record]:
    """Yield who is in a group. Of the groups of all users, only the groups in them."""
    for member in one.members or ():
        known = found.by_descriptor.get(member)
        group = known is not None and known.kind == "ado-group"
        if member in alone or (one.everyone and not group):
            continue
        source = known.id if known is not None else users.get(member.rpartition("\\")[2])
        if source is not None and (known is None or known.surface == "human"):
            yield _member(scope, source, one, "a direct member")


def _member(scope: DevOpsScope, source: str, group: DevOpsPrincipal, evidence: str) -> Link:
    return Link(
        id=record_id(PROVIDER, "member", f"{group.id.rpartition(':')[2]}/{source}"),
        **scope.own,
        source_id=source,
        relation="member_of",
        target_id=group.id,
        evidence=evidence,
        why=f"is a member of {group.name}",
    )
