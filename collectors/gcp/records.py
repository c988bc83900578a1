"""Records that several listings make."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from collectors.gcp.names import own, resource_id
from scanner.policies import canonical_document, policy_record
from scanner.records import Control, Identity, Link, Policy, Surface, record_id
from scanner.stated import first_stated

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from scanner.records import Enforcement, Stage

_OWNERS = ("owner", "team", "contact")
_ENVIRONMENT = ("environment", "env", "stage")


def stored_policy(
    kind: str,
    account: str,
    native: str,
    *,
    document: Mapping[str, Any],
    to: list[str],
    name: str | None = None,
    address: str | None = None,
) -> Policy:
    """Return a document as the record of it."""
    return policy_record(
        **own(account),
        kind=kind,
        native_id=native,
        name=name or native,
        address=address,
        document=canonical_document(document),
        attached_to=to,
    )


def role_policy(row: Mapping[str, Any], account: str, kind: str) -> Policy:
    """Return a role as the record of it. A predefined role is kept once for each target that grants it."""
    name = str(row["name"])
    document = {
        "includedPermissions": sorted(str(one) for one in row.get("includedPermissions") or []),
        **{key: row[key] for key in ("stage", "title") if row.get(key)},
    }
    return stored_policy(
        kind,
        account,
        f"{account}/{name}" if kind == "gcp-predefined-role" else name,
        document=document,
        to=[account],
        name=str(row.get("title") or name),
        address=name,
    )


def workload(
    account: str,
    resource: str,
    kind: str,
    *,
    name: str,
    labels: Mapping[str, Any] | None = None,
    surface: Surface = "workload",
    created: datetime | None = None,
    enabled: bool | None = None,
    **more: Any,
) -> Identity:
    """Return a resource that runs as a service account. ``resource`` is its full name."""
    tags = tags_of(labels)
    owner, source = owner_of(tags)
    return Identity(
        id=resource_id(resource),
        **own(account),
        surface=surface,
        kind=kind,
        native_id=resource.removeprefix("//"),
        name=name,
        address=resource,
        enabled=enabled,
        created_at=created,
        owner=owner,
        owner_source=source,
        environment=environment_of(tags),
        tags=tags,
        **more,
    )


def runs_as(account: str, resource: str, email: str, why: str) -> Link:
    """Return that a resource runs as a service account."""
    source = resource_id(resource)
    digest = hashlib.sha256(f"{source} {email}".encode()).hexdigest()[:24]
    return Link(
        id=record_id("gcp", "runs-as", digest),
        **own(account),
        source_id=source,
        relation="runs_as",
        target_id=email,
        evidence="service account",
        why=why,
    )


def member_of(account: str, source: str, target: str, why: str) -> Link:
    """Return that an identity belongs to a principal set."""
    digest = hashlib.sha256(f"{source} {target}".encode()).hexdigest()[:24]
    return Link(
        id=record_id("gcp", "member-of", digest),
        **own(account),
        source_id=source,
        relation="member_of",
        target_id=target,
        evidence="principal set",
        why=why,
    )


def setting(
    account: str,
    resource: str,
    kind: str,
    *,
    good: bool,
    words: tuple[str, str],
    stage: Stage = "runtime",
    otherwise: Enforcement = "absent",
    name: str | None = None,
    **more: Any,
) -> Control:
    """Return a setting of a resource as a control. ``words`` say what holds if it is ``good``, and what otherwise."""
    return Control(
        id=record_id("gcp", kind, resource.removeprefix("//")),
        **own(account),
        stage=stage,
        kind=kind,
        name=name or resource.rpartition("/")[2],
        enforcement="enforced" if good else otherwise,
        target=resource_id(resource),
        detail=words[0] if good else words[1],
        **more,
    )


def tags_of(labels: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the labels of a resource."""
    return {str(key): str(value) for key, value in (labels or {}).items()}


def owner_of(tags: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Return the owner that the labels name, and where it comes from."""
    owner, key = first_stated(tags, _OWNERS)
    return owner, f"tag:{key}" if key else None


def environment_of(tags: Mapping[str, str]) -> str | None:
    """Return the environment that the labels name."""
    return first_stated(tags, _ENVIRONMENT)[0]
