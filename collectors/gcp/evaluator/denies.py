"""Deny policies: what they certainly take from a grant, and where that is not known.

https://docs.cloud.google.com/iam/docs/deny-overview, https://docs.cloud.google.com/iam/docs/reference/rest/v2/policies. A rule
with a condition depends on tags of the resource, and one that names a group on its members: both take nothing with certainty.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from collectors.gcp.names import normal_member

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SERVICES = {"cloudresourcemanager": "resourcemanager", "sqladmin": "cloudsql"}
"""Services whose permissions have another prefix in roles."""


def _may_contain(principals: frozenset[str], member: str) -> bool:
    """Return whether a principal may be in one of some sets whose members are not all known here.

    Which service accounts are in the set of a project, folder or organization is known; only a federated principal is in a pool.
    """
    federated = member.startswith("principal")
    return any(
        one.startswith(("group:", "domain:", "principalSet://goog/"))
        or (federated and one.startswith("principalSet://") and not one.endswith("/type/ServiceAccount"))
        for one in principals
    )


class DenyRule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule of a deny policy."""

    place: str
    """The `Account.id` that the policy is attached to."""
    principals: frozenset[str]
    exceptions: frozenset[str]
    permissions: tuple[str, ...]
    """As roles write them, with ``*``."""
    exception_permissions: tuple[str, ...]
    conditional: bool

    def denies(self, permission: str) -> bool:
        """Return whether the rule is about a permission."""
        return _fits(self.permissions, permission) and not _fits(self.exception_permissions, permission)

    def applies(self, member: str, sets: Iterable[str] = ()) -> bool | None:
        """Return whether the rule applies to a principal, which is in some principal sets; None if that is not known."""
        known = {member, *sets, "allUsers"}
        if self.exceptions & known:
            return False
        if not self.principals & known:
            # A member of a group may be denied, which is not known here.
            return None if _may_contain(self.principals, member) else False
        unsure = self.conditional or _may_contain(self.exceptions, member)
        return None if unsure else True


def deny_rules(document: dict[str, Any], place: str) -> Iterator[DenyRule]:
    """Yield the rules of a deny policy."""
    for rule in document.get("rules") or []:
        deny: dict[str, Any] = rule.get("denyRule") or {}
        yield DenyRule(
            place=place,
            principals=frozenset(normal_member(str(one)) for one in deny.get("deniedPrincipals") or []),
            exceptions=frozenset(normal_member(str(one)) for one in deny.get("exceptionPrincipals") or []),
            permissions=tuple(permission_in_roles(str(one)) for one in deny.get("deniedPermissions") or []),
            exception_permissions=tuple(
                permission_in_roles(str(one)) for one in deny.get("exceptionPermissions") or []
            ),
            conditional=bool((deny.get("denialCondition") or {}).get("expression")),
        )


def permission_in_roles(name: str) -> str:
    """Return how roles write a permission of a deny policy: ``iam.googleapis.com/roles.update`` is ``iam.roles.update``."""
    host, slash, rest = name.partition("/")
    service = host.removesuffix(".googleapis.com")
    if not slash or service == host:
        return name
    # Those of workload identity have their host in roles, too.
    if service == "iam" and rest.startswith(("workloadIdentityPool", "workforcePool", "oauthClient")):
        return name
    return f"{_SERVICES.get(service, service)}.{rest}"


@lru_cache(maxsize=4096)
def denied_of(rule: DenyRule, permissions: frozenset[str]) -> frozenset[str]:
    """Return the permissions that a rule is about."""
    return frozenset(one for one in permissions if rule.denies(one))


def _fits(patterns: tuple[str, ...], permission: str) -> bool:
    return any(one == permission or ("*" in one and fnmatchcase(permission, one)) for one in patterns)
