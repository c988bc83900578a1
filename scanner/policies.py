"""Policies as records: a document in canonical form, with secrets masked, and its hash."""

from __future__ import annotations

import functools
import hashlib
import json
from typing import TYPE_CHECKING, Any

import msgspec

from scanner.records import Policy, record_id
from scanner.secrets.redact import redact_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


class PolicyChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change of one policy that a collector proposes for a finding. Nothing is changed by it."""

    how: str
    """What to do, as a sentence."""
    before: Policy | None
    """None for a new policy."""
    after: Policy | None
    """None if the policy is deleted."""


def applied(policies: Iterable[Policy], changes: Sequence[PolicyChange]) -> Iterator[Policy]:
    """Yield policies as they would be after changes."""
    changed = {change.before.id for change in changes if change.before is not None}
    yield from (policy for policy in policies if policy.id not in changed)
    yield from (change.after for change in changes if change.after is not None)


def canonical_document(document: Any) -> str:
    """Return a JSON value in the format of `Policy.document`: sorted keys, no spaces, only ASCII, secrets masked."""
    return _masked(_canonical(document))


def _canonical(document: Any) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


@functools.lru_cache(maxsize=4096)
def _masked(canonical: str) -> str:
    return _canonical(redact_json(json.loads(canonical)))


def sha256_of(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def policy_record(
    *,
    provider: str,
    account_id: str,
    kind: str,
    native_id: str,
    name: str,
    document: str | None,
    attached_to: Iterable[str],
    address: str | None = None,
) -> Policy:
    """Return the record of a policy. ``document`` is the result of `canonical_document`; None if the provider sent none."""
    return Policy(
        id=record_id(provider, kind, native_id),
        provider=provider,
        account_id=account_id,
        kind=kind,
        native_id=native_id,
        name=name,
        address=address,
        document=document,
        sha256=None if document is None else sha256_of(document),
        attached_to=sorted(set(attached_to)),
    )
