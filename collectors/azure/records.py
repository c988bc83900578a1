"""Records that several listings make."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from collectors.azure.scope import own, principal, resource_id
from scanner.policies import canonical_document, policy_record
from scanner.records import Control, Grant, Link, Policy, record_id
from scanner.stated import first_stated

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from collectors.azure.evaluator import RoleEvaluator
    from collectors.azure.scope import AzureScope
    from scanner.records import Breadth, Enforcement

_OWNERS = ("owner", "team", "contact")


def stored_policy(
    kind: str, account: str, native: str, name: str, *, document: Mapping[str, Any], to: list[str]
) -> Policy:
    """Return a document as the record of it."""
    return policy_record(
        **own(account),
        kind=kind,
        native_id=native,
        name=name,
        document=canonical_document(document),
        attached_to=to,
    )


def role_grant(
    scope: AzureScope,
    number: str,
    *,
    principal_id: str,
    role_id: str,
    where: str,
    evaluator: RoleEvaluator,
    granted: datetime | None = None,
    until: datetime | None = None,
    via: str = "role assignment",
) -> Grant:
    """Return the grant of a role at a scope, not evaluated yet. ``principal_id`` is an object ID."""
    guid = role_id.rpartition("/")[2].lower()
    return Grant(
        id=number,
        **own(scope.account_of(where)),
        identity_id=principal(principal_id),
        role=evaluator.name_of(guid) or guid,
        resource=where or "/",
        breadth=breadth(where),
        confidence="low",
        via=via,
        granted_at=granted,
        expires_at=until,
    )


def breadth(where: str) -> Breadth:
    """Return how much lies below a scope."""
    parts = where.lower().strip("/").split("/")
    if parts == [""] or "managementgroups" in parts:
        return "organization"
    match len(parts):
        case 2:
            return "account"
        case 4:
            return "group"
        case _:
            return "resource"


def setting(
    scope: AzureScope,
    row: dict[str, Any],
    kind: str,
    *,
    good: bool,
    words: tuple[str, str],
    otherwise: Enforcement = "absent",
) -> Control:
    """Return a setting of a resource as a control. ``words`` say what holds if it is ``good``, and what otherwise."""
    address = str(row["id"])
    return Control(
        id=record_id("azure", kind, address.lower()),
        **own(scope.account_of(address)),
        stage="runtime",
        kind=kind,
        name=str(row["name"]),
        enforcement="enforced" if good else otherwise,
        target=resource_id(address),
        detail=words[0] if good else words[1],
    )


def runs_as(scope: AzureScope, address: str, target: str, why: str) -> Link:
    """Return that a resource runs as an identity."""
    source = resource_id(address)
    digest = hashlib.sha256(f"{source} {target}".encode()).hexdigest()[:24]
    return Link(
        id=record_id("azure", "runs-as", digest),
        **own(scope.account_of(address)),
        source_id=source,
        relation="runs_as",
        target_id=target,
        evidence="identity",
        why=why,
    )


def tags_of(row: dict[str, Any]) -> dict[str, str]:
    """Return the tags of a row."""
    return {str(key): str(value) for key, value in (row.get("tags") or {}).items()}


def owner_of(row: dict[str, Any]) -> tuple[str | None, str | None]:
    """Return the owner that the tags name, and where it comes from."""
    owner, key = first_stated(tags_of(row), _OWNERS)
    return owner, f"tag:{key}" if key else None
