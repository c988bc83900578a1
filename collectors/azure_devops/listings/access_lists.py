"""Access control lists: what is allowed and denied, to whom, on which object.

https://learn.microsoft.com/rest/api/azure/devops/security/access-control-lists/query : one unpaged list for each security
namespace, which names projects and objects that the scanner itself may not open.
https://learn.microsoft.com/rest/api/azure/devops/security/security-namespaces/query
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from collectors.azure_devops.calls import VERSION, WHOLE
from collectors.azure_devops.evaluator import AccessControlEntry, AccessList, AccessLists
from collectors.azure_devops.permissions import Namespace, as_listed, namespaces
from scanner.collect.failures import SourceError
from scanner.collect.listings import side_by_side, with_coverage

if TYPE_CHECKING:
    from collections.abc import Generator

    from collectors.azure_devops.scope import DevOpsScope
    from scanner.records import Record

NAMESPACES = "/_apis/securitynamespaces"
CALL = "/_apis/accesscontrollists/{namespace}"
_LOSES = (
    "grants/permissions",
    "identities/ado-build-service",
    "identities/ado-group",
    "links/access",
    "links/member_of",
)
"""Which identities there are is known from the lists."""
NEEDS = 'Reader of each project, and "View instance-level information" of the organization'


class ListedNamespaces(msgspec.Struct, frozen=True, kw_only=True):
    """The access control lists of an organization, by namespace."""

    read: dict[str, AccessLists]
    """By the ID of the namespace."""
    unread: list[tuple[Namespace, SourceError]]
    """Those that could not be read: what they grant in each project is unknown as well."""


def access_lists(scope: DevOpsScope) -> Generator[Record, None, ListedNamespaces]:
    """Return the lists of every namespace.

    The bits of permissions are those that the organization lists; where it lists none, those that are documented.
    """
    listed: dict[str, dict[str, int]] = {}
    shapes: dict[str, str] = {}

    def read_namespaces() -> Generator[Record, None, None]:
        for item in scope.client.items(NAMESPACES, VERSION, paginator=WHOLE):
            number = str(item["namespaceId"]).lower()
            listed[number] = {
                str(action["name"]): int(action["bit"])
                for action in item.get("actions") or []
                if isinstance(action.get("bit"), int)
            }
            shapes[number] = str(item.get("separatorValue") or "")
        yield from ()

    yield from with_coverage(
        read_namespaces(), scope.request("grants", f"GET {NAMESPACES}", kind="permission-bits", needs=NEEDS)
    )
    known = [
        msgspec.structs.replace(
            as_listed(one, listed.get(one.id, {})),
            separator=shape
            if len(shape := shapes.get(one.id, "")) == 1 and shape.isprintable()
            else one.separator,
        )
        for one in namespaces()
    ]
    found = yield from side_by_side([_lists(scope, one) for one in known], scope.config.workers)
    return ListedNamespaces(
        read={one.namespace.id: one for one in found if isinstance(one, AccessLists)},
        unread=[one for one in found if isinstance(one, tuple)],
    )


def _lists(
    scope: DevOpsScope, namespace: Namespace
) -> Generator[Record, None, AccessLists | tuple[Namespace, SourceError] | None]:
    path = scope.path(CALL, namespace=namespace.id)
    failed: list[tuple[Namespace, SourceError]] = []

    def read() -> Generator[Record, None, AccessLists]:
        try:
            items = scope.client.items(path, {**VERSION, "recurse": "true"}, paginator=WHOLE)
            lists = [_list(item, namespace) for item in items]
        except SourceError as exc:
            failed.append((namespace, exc))
            raise
        yield from ()
        return AccessLists(namespace, lists)

    request = scope.request("grants", f"GET {CALL}", kind="access-lists", needs=NEEDS, item=namespace.name)
    found = yield from with_coverage(read(), request, loses=_LOSES)
    return found if found is not None else failed[0] if failed else None


def _list(item: dict[str, Any], namespace: Namespace) -> AccessList:
    """Return one list with the entries that say something of what is evaluated."""
    mask = namespace.mask
    entries = {}
    for descriptor, entry in item["acesDictionary"].items():
        allow, deny = entry.get("allow"), entry.get("deny")
        if not isinstance(allow, int) or not isinstance(deny, int):
            raise SourceError("malformed", "an entry of an access control list has no allow or deny")
        if (allow | deny) & mask:
            entries[str(descriptor).lower()] = AccessControlEntry(allow=allow & mask, deny=deny & mask)
    token = str(item["token"]).lower().rstrip("/:\\")
    return AccessList(token=token, inherits=item.get("inheritPermissions") is not False, entries=entries)
