"""Trusts of federated credentials, and powers of directory roles and app roles, from their documents alone.

https://learn.microsoft.com/graph/api/resources/federatedidentitycredential,
https://learn.microsoft.com/graph/api/resources/unifiedroledefinition,
https://learn.microsoft.com/graph/api/resources/approle
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from collectors._microsoft.federated import trust_of
from collectors.entra.powers import of_permission, of_role
from scanner.records import Grant, Policy, level_of, record_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from scanner.records import Record


def evaluate(policies: Iterable[Policy], records: Iterable[Record]) -> Iterator[Record]:
    """Yield the trust of each federated credential, and the grants of directory roles and app roles as defined.

    For a snapshot's own records this is what the night yielded; for changed documents, what would be.
    """
    roles: dict[str, Policy] = {}
    apis: dict[str, list[Policy]] = {}
    for policy in policies:
        match policy.kind:
            case "federated-credential":
                yield trust_of(policy, policy.account_id.rpartition(":")[2])
            case "directory-role":
                roles[policy.name] = policy
            case "app-roles":
                apis.setdefault(policy.name, []).append(policy)
            case _:
                pass
    for record in records:
        if not isinstance(record, Grant):
            continue
        if record.id.startswith(_ROLE_GRANTS) and record.role in roles:
            yield grant_with_powers(record, roles[record.role])
        elif record.id.startswith(_APP_GRANTS):
            # A grant tells its API by name; of two with one name, nobody knows which is meant.
            match apis.get(record.resource):
                case [api] if record.role in app_roles_of(api):
                    yield app_grant_with_powers(
                        record, str(json.loads(api.document or "{}").get("appId") or "")
                    )
                case _:
                    pass


def app_roles_of(api: Policy) -> set[str]:
    """Return the values of the app roles that an API defines."""
    document: dict[str, Any] = json.loads(api.document or "{}")
    return {str(role.get("value")) for role in document.get("appRoles") or []}


def app_grant_with_powers(grant: Grant, api: str) -> Grant:
    """Return the grant of an app role with its powers. ``api`` is the client ID of the API that defines it."""
    verdict = of_permission(api, grant.role)
    return msgspec.structs.replace(
        grant,
        powers=list(verdict.powers),
        level=level_of(verdict.powers),
        confidence="high" if verdict.sure else "low",
        why=verdict.way,
        fix=f"Remove the permission {grant.role} and grant a narrower one." if verdict.way else None,
    )


_APP_GRANTS = (record_id("entra", "app-role", ""), record_id("entra", "inherited-app-role", ""))
_ROLE_GRANTS = tuple(
    record_id("entra", kind, "") for kind in ("directory-role", "eligible-directory-role", "eligible-group")
)


def grant_with_powers(grant: Grant, role: Policy) -> Grant:
    """Return a directory role's grant with the powers of the role's definition."""
    document: dict[str, Any] = json.loads(role.document or "{}")
    verdict = of_role(role.native_id, role_actions(document), privileged=document.get("isPrivileged"))
    return msgspec.structs.replace(
        grant,
        powers=list(verdict.powers),
        level=level_of(verdict.powers),
        confidence="high" if verdict.sure else "low",
        why=verdict.way,
        actions=list(verdict.actions),
    )


def role_actions(document: dict[str, Any]) -> list[str]:
    """Return the actions that a unifiedRoleDefinition allows."""
    return [
        str(action)
        for permission in document.get("rolePermissions") or []
        for action in permission.get("allowedResourceActions") or []
    ]
