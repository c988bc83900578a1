"""Records that several listings make."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from collectors._microsoft.federated import trust_of
from collectors.entra.powers import of_relation
from collectors.entra.scope import EntraScope, principal
from scanner.collect.failures import SourceError
from scanner.collect.scope import utc_time
from scanner.policies import canonical_document, policy_record
from scanner.records import Credential, Identity, Link, Policy, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from collectors.entra.facts import CredentialFacts
    from scanner.records import Record

EXPANDED = 20
"""The most objects that ``$expand`` returns, without saying whether there are more.
https://learn.microsoft.com/graph/query-parameters#expand"""

OWNER_FIELDS = "$select=id,displayName,userPrincipalName,accountEnabled"
"""What is read of owners, members and sponsors."""

PEOPLE = ("identities/entra-user", "identities/entra-agent-user", "identities/entra-group")
"""What a listing of owners or members fills besides its links, as `scanner.collect.listings.with_coverage` names it."""


def text(value: object) -> str:
    """Return a text of a response. Raises `SourceError` (malformed) for null and for an empty one."""
    if not isinstance(value, str) or not value:
        raise SourceError("malformed", "a name or ID in the response is empty")
    return value


def credentials(
    scope: EntraScope,
    item: dict[str, Any],
    identity: str,
    facts: CredentialFacts,
    *,
    registered_on: str,
    disabled: bool = False,
) -> Iterator[Record]:
    """Yield the client secrets and certificates of an application or a service principal.

    https://learn.microsoft.com/graph/api/resources/passwordcredential: ``hint``, the first characters of the secret, is
    dropped. `Credential.location` says on which object the credential is registered; ``disabled`` that this object, or the
    application, cannot sign in.
    """
    for field, kind in (("passwordCredentials", "client-secret"), ("keyCredentials", "client-certificate")):
        for key in item[field] or []:
            if kind == "client-certificate" and key.get("type") == "Symmetric":
                continue
            number = text(key.get("keyId")).lower()
            expires = utc_time(key.get("endDateTime"))
            yield Credential(
                id=record_id("entra", kind, f"{text(item.get('id'))}/{number}"),
                **scope.own,
                identity_id=identity,
                kind=kind,
                native_id=number,
                name=key.get("displayName") or number,
                lifetime="expiring" if expires else "static",
                created_at=utc_time(key.get("startDateTime")),
                enabled=False if disabled else None,
                last_used_at=facts.used.get(number),
                created_by=facts.added_by.get(number),
                expires_at=expires,
                never_expires=expires is None,
                location=registered_on,
            )


def owner_links(
    scope: EntraScope, owners: list[dict[str, Any]], target: str, evidence: str, *, becomes: bool = True
) -> Iterator[Record]:
    """Yield who owns an object, and that each owner can become it: an owner adds a credential, or itself to a group.

    ``evidence`` is the relation of an escalation path, if ``becomes``.
    """
    for owner in owners:
        source = principal(text(owner.get("id")))
        digest = hashlib.sha256(f"{source} {target}".encode()).hexdigest()[:24]
        yield Link(
            id=record_id("entra", "owns", digest),
            **scope.own,
            source_id=source,
            relation="owns",
            target_id=target,
            evidence=evidence,
        )
        if becomes:
            yield becoming(
                scope,
                record_id("entra", "owner-becomes", digest),
                source,
                target,
                evidence,
                fix="Remove the owner, and let a role that is activated for a limited time manage it.",
            )
        yield from person_or_group(scope, owner)


def becoming(
    scope: EntraScope,
    number: str,
    source: str,
    target: str,
    evidence: str,
    *,
    fix: str | None = None,
    expires_at: datetime | None = None,
) -> Link:
    """Return that one identity can become another, by an escalation path of objects. ``evidence`` is its relation."""
    way = of_relation(evidence).way
    return Link(
        id=number,
        **scope.own,
        source_id=source,
        relation="can_become",
        target_id=target,
        evidence=evidence,
        why=way[0].lower() + way[1:].rstrip("."),
        fix=fix,
        expires_at=expires_at,
    )


def owner_name(owners: list[dict[str, Any]]) -> str | None:
    """Return the name of the first owner."""
    first = owners[0] if owners else {}
    name = first.get("userPrincipalName") or first.get("displayName")
    return str(name) if name else None


def person_or_group(scope: EntraScope, item: dict[str, Any]) -> Iterator[Record]:
    """Yield a user or group that another listing names; a service principal has its own listing.

    A principal of a type that is not known yet is kept as ``entra-principal``.
    """
    kind = str(item.get("@odata.type") or "")
    if not kind:
        return
    number = text(item.get("id"))
    name = item.get("displayName") or item.get("userPrincipalName") or number
    match kind:
        case "#microsoft.graph.user" | "#microsoft.graph.agentUser":
            agent = kind == "#microsoft.graph.agentUser" or bool(item.get("identityParentId"))
            yield Identity(
                id=principal(number),
                **scope.own,
                surface="workload" if agent else "human",
                kind="entra-agent-user" if agent else "entra-user",
                native_id=number,
                name=name,
                address=item.get("userPrincipalName") or None,
                enabled=item.get("accountEnabled"),
            )
        case "#microsoft.graph.group":
            yield Identity(
                id=principal(number),
                **scope.own,
                surface="human",
                kind="entra-group",
                native_id=number,
                name=name,
            )
        case "#microsoft.graph.servicePrincipal" | "#microsoft.graph.directoryRole":
            return
        case _ if kind.startswith("#microsoft.graph.agentIdentity"):
            return
        case _:
            yield Identity(
                id=principal(number),
                **scope.own,
                surface="workload" if kind == "#microsoft.graph.device" else "automation",
                kind="entra-principal",
                native_id=number,
                name=name,
                enabled=item.get("accountEnabled"),
                tags={"type": kind.rpartition(".")[2]},
            )


def policy(
    scope: EntraScope,
    kind: str,
    native_id: str,
    *,
    name: str,
    document: Mapping[str, Any],
    attached: list[str],
) -> Policy:
    """Return a document of the tenant as a record."""
    return policy_record(
        **scope.own,
        kind=kind,
        native_id=native_id,
        name=name,
        document=canonical_document(document),
        attached_to=attached,
    )


def federated(
    scope: EntraScope, items: list[dict[str, Any]], identity: str, managed: str = ""
) -> Iterator[Record]:
    """Yield federated credentials: the document as a `Policy`, and the trust that it is.

    ``managed`` is the object ID of a managed identity, whose credentials Azure knows by their names alone.

    https://learn.microsoft.com/graph/api/resources/federatedidentitycredential
    """
    for item in items:
        number = f"{managed.lower()}/{item['name']}" if managed else text(item.get("id"))
        document = {
            key: item[key]
            for key in ("audiences", "claimsMatchingExpression", "issuer", "name", "subject")
            if item.get(key) is not None
        }
        kept = policy(
            scope,
            "federated-credential",
            number,
            name=str(item.get("name") or number),
            document=document,
            attached=[identity],
        )
        yield kept
        yield trust_of(kept, scope.tenant)
