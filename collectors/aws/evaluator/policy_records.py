"""Policies of an account as records: each distinct document once, with all its attachments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from collectors.aws.evaluator.policy import load
from scanner.policies import canonical_document, policy_record, sha256_of
from scanner.secrets.redact import redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from scanner.records import Policy

MANAGED = "managed-policy"
VERSION = "managed-policy-version"
BOUNDARY = "permissions-boundary"
INLINE = "inline-policy"
TRUST = "role-trust"
RESOURCE = "resource-policy"
SCP = "scp"
RCP = "rcp"

INLINE_LISTS = ("UserPolicyList", "GroupPolicyList", "RolePolicyList")
"""The list of inline policies in GetAccountAuthorizationDetails, for each kind of principal."""


def document_text(raw: Any) -> str:
    """Return a policy document in the format of `Policy.document`: canonical JSON, secrets masked.

    ``raw`` is a dict, JSON text, or URL-encoded JSON text; anything else is returned as redacted text.
    """
    try:
        return canonical_document(load(raw))
    except (ValueError, TypeError, RecursionError):
        return redact(str(raw)).encode("utf-8", "backslashreplace").decode()


def by_document(
    kind: str, account_id: str, place: str, held: dict[tuple[str, str], list[str]]
) -> Iterator[Policy]:
    """Yield policies that have no id of their own, from (name, text) -> attachments. ``place`` makes the ids of
    different accounts, regions and services distinct.
    """
    for (name, text), attached in sorted(held.items()):
        digest = sha256_of(f"{name}\n{text}")[:32]
        yield policy_record(
            provider="aws",
            kind=kind,
            account_id=account_id,
            native_id=f"{place}/{digest}",
            name=name,
            attached_to=attached,
            document=text,
        )


class _Managed(msgspec.Struct, kw_only=True):
    """A managed policy, collected from several entries."""

    arn: str
    native_id: str
    name: str
    text: str | None = None
    """The default version's."""
    others: dict[str, str] = {}
    """Version id -> text of the non-default versions."""


class PolicyCollection:
    """Collects entries of GetAccountAuthorizationDetails in any order, and returns their policies as records.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountAuthorizationDetails.html
    """

    def __init__(self, account_ref: str, account: str) -> None:
        """``account_ref`` is the `Account.id`, ``account`` the twelve digits."""
        self._ref = account_ref
        self._account = account
        self._managed: dict[str, _Managed] = {}
        self._attached: dict[str, list[str]] = {}
        self._bounded: dict[str, list[str]] = {}
        self._inline: dict[tuple[str, str], list[str]] = {}
        self._trusts: dict[tuple[str, str], list[str]] = {}

    def add_managed(self, entry: dict[str, Any]) -> None:
        """Add an entry of ``Policies``."""
        arn = str(entry.get("Arn", ""))
        found = _Managed(
            arn=arn,
            native_id=str(entry.get("PolicyId") or arn),
            name=str(entry.get("PolicyName") or arn.rpartition("/")[2]),
        )
        for version in entry.get("PolicyVersionList") or ():
            if not version.get("Document"):
                continue
            text, number = document_text(version["Document"]), str(version.get("VersionId", ""))
            if version.get("IsDefaultVersion") or (
                "IsDefaultVersion" not in version and number == entry.get("DefaultVersionId")
            ):
                found.text = text
            elif ":iam::aws:" not in arn:
                # AWS chooses the version of its own policies.
                found.others[number] = text
        self._managed[arn] = found

    def add_principal(self, identity_id: str, entry: dict[str, Any]) -> None:
        """Add an entry of ``UserDetailList``, ``GroupDetailList`` or ``RoleDetailList``."""
        for policy in entry.get("AttachedManagedPolicies") or ():
            self._attached.setdefault(str(policy.get("PolicyArn", "")), []).append(identity_id)
        boundary = boundary_arn(entry)
        if boundary is not None:
            self._bounded.setdefault(boundary, []).append(identity_id)
        for field in INLINE_LISTS:
            for policy in entry.get(field) or ():
                key = str(policy.get("PolicyName", "")), document_text(policy.get("PolicyDocument") or "")
                self._inline.setdefault(key, []).append(identity_id)
        trust = entry.get("AssumeRolePolicyDocument")
        if trust:
            key = "trust policy", document_text(trust)
            self._trusts.setdefault(key, []).append(identity_id)

    def records(self) -> Iterator[Policy]:
        """Yield all policies, attached or not, in a fixed order."""
        for arn in sorted({*self._managed, *self._attached}):
            policy = self._known(arn)
            record = self._record(MANAGED, policy, policy.text, self._attached.get(arn, ()))
            yield record
            for number, text in sorted(policy.others.items()):
                yield self._record(VERSION, policy, text, (record.id,), f"/{number}")
        for arn, bounded in sorted(self._bounded.items()):
            policy = self._known(arn)
            yield self._record(BOUNDARY, policy, policy.text, bounded)
        yield from by_document(INLINE, self._ref, self._account, self._inline)
        yield from by_document(TRUST, self._ref, self._account, self._trusts)

    def _known(self, arn: str) -> _Managed:
        return self._managed.get(arn) or _Managed(arn=arn, native_id=arn, name=arn.rpartition("/")[2])

    def _record(
        self, kind: str, policy: _Managed, text: str | None, attached_to: Iterable[str], version: str = ""
    ) -> Policy:
        return policy_record(
            provider="aws",
            kind=kind,
            account_id=self._ref,
            # AWS's own policies have the same id in every account.
            native_id=f"{self._account}/{policy.native_id}{version}",
            name=policy.name,
            attached_to=attached_to,
            document=text,
            address=policy.arn,
        )


def boundary_arn(entry: dict[str, Any]) -> str | None:
    """Return the ARN of the permissions boundary of a user or role; None if it has none."""
    boundary = entry.get("PermissionsBoundary")
    if isinstance(boundary, dict):
        arn = boundary.get("PermissionsBoundaryArn")
        return str(arn) if arn else None
    return None
