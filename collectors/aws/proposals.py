"""Changed policies for a finding: what its fix says, as documents.

A policy of AWS cannot be edited: a copy with a Deny takes its place. A policy that others have, too, is left alone, and the
identity gets a Deny of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from collectors.aws.evaluator import document_changes, policy_records
from collectors.aws.evaluator.account import AccountEvaluation
from collectors.aws.evaluator.account_trust import own_callers
from collectors.aws.evaluator.evidence import Evidence
from collectors.aws.evaluator.policy import parse
from collectors.aws.evaluator.role_trust import named_principal
from collectors.aws.evaluator.trust_policy import admissions
from collectors.aws.evaluator.trust_verdict import REMOVED, TrustChange
from scanner.policies import PolicyChange, policy_record, sha256_of
from scanner.records import Policy, Trust, record_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from collectors.aws.evaluator.cuts import PermissionRemoval
    from collectors.aws.evaluator.principals import Principal
    from scanner.records import Record

LARGEST_POLICY = 6_144
"""The maximum number of characters of a managed policy, without white space.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
"""
OWN = (policy_records.INLINE, policy_records.MANAGED)
EXCLUDED_SERVICES = frozenset({"iam", "organizations", "sts", "account", "sso"})
"""Services that a replacement of administrator access never allows as a whole."""


def propose(
    policies: Iterable[Policy],
    records: Iterable[Record],
    as_of: datetime,
    subject: str,
    callers: Sequence[dict[str, str]],
) -> list[PolicyChange]:
    """Return the changed policies that end what a finding reports; none if there is no exact change.

    ``subject`` is the id of a trust or an identity. ``callers`` are the tokens of known identities that pass the trust
    today, as claims: a pin names them, and nobody else.
    """
    evidence = Evidence()
    stored = [policy for policy in policies if policy.provider == "aws"]
    evidence.add_all(stored)
    trust: Trust | None = None
    for record in records:
        evidence.add(record)
        if isinstance(record, Trust) and record.id == subject:
            trust = record
    for ref in evidence.accounts():
        account = AccountEvaluation(evidence.facts(ref), as_of)
        own = [policy for policy in stored if policy.account_id == ref]
        if trust is not None and trust.account_id == ref:
            return trust_changes(account, own, trust, callers)
        for principal in account.directory.principals:
            if principal.id == subject:
                return HolderChanges(account, own, principal).changes()
    return []


def _changed(policy: Policy, document: str) -> Policy:
    return msgspec.structs.replace(policy, document=document, sha256=sha256_of(document))


def trust_changes(
    account: AccountEvaluation, policies: list[Policy], trust: Trust, callers: Sequence[dict[str, str]]
) -> list[PolicyChange]:
    """Return the change of the policy that a trust is a part of, for its problem."""
    for principal in account.directory.of_kind("iam-role"):
        if principal.id == trust.identity_id:
            return list(_of_role(account, policies, principal, trust, callers))
    return list(_of_resource(account, policies, trust))


def _of_role(
    account: AccountEvaluation,
    policies: list[Policy],
    role: Principal,
    trust: Trust,
    callers: Sequence[dict[str, str]],
) -> Iterator[PolicyChange]:
    place = (policy_records.TRUST, role.id, f"the trust policy of role {role.name}")
    for one in admissions(role, account.facts, account.as_of, writes=account.writes(role)):
        if one.id == trust.id and one.verdict.change is not None:
            yield from _edited(policies, place, (one.number, one.principal), one.verdict.change, callers)


def _of_resource(account: AccountEvaluation, policies: list[Policy], trust: Trust) -> Iterator[PolicyChange]:
    for one in account.facts.resource_policies:
        change = _resource_change(account, trust)
        if one.record_id != trust.identity_id or change is None:
            continue
        number, _, nth = trust.id.removeprefix(f"{record_id('aws', 'trust', one.arn)}:").partition(":")
        if not number.isdigit():
            continue
        statement = parse(one.document).statements[int(number) - 1]
        if statement.principals:
            where = (int(number), statement.principals[int(nth or 1) - 1])
            place = (policy_records.RESOURCE, one.record_id, f"the policy of {one.arn}")
            yield from _edited(policies, place, where, change, ())


def _resource_change(account: AccountEvaluation, trust: Trust) -> TrustChange | None:
    match trust.problem:
        case "PUBLIC-1":
            return own_callers(account.facts)
        case "SVC-1":
            return TrustChange(key="aws:SourceAccount", values=(account.facts.account_id,))
        case "DANGLING-1":
            return REMOVED
        case _:
            return None


def _edited(
    policies: list[Policy],
    place: tuple[str, str, str],
    where: tuple[int, tuple[str, str]],
    change: TrustChange,
    callers: Sequence[dict[str, str]],
) -> Iterator[PolicyChange]:
    """Yield the change of the one policy of a kind that is attached to a holder. ``where`` is the statement and its
    principal.
    """
    kind, holder, what = place
    number, principal = where
    for policy in policies:
        if policy.kind != kind or holder not in policy.attached_to or policy.document is None:
            continue
        match change.kind:
            case "remove":
                document = document_changes.without_principal(policy.document, number, principal)
            case "like":
                document = document_changes.with_wildcards(policy.document, number)
            case "pin":
                claim = change.claim or ""
                values = change.values or tuple(
                    sorted({token[claim] for token in callers if token.get(claim)})
                )
                if not values:
                    return
                wild = any("*" in value for value in values) and change.operator == "StringEquals"
                pinned = msgspec.structs.replace(change, operator="StringLike") if wild else change
                document = document_changes.with_condition(policy.document, number, principal, pinned, values)
        # Equal documents of several holders are one record: only this holder's changes.
        after = _changed(policy, document)
        if len(policy.attached_to) > 1:
            rest = [one for one in policy.attached_to if one != holder]
            shared = msgspec.structs.replace(policy, attached_to=rest)
            yield PolicyChange(how="", before=policy, after=shared)
            after = msgspec.structs.replace(after, id=f"{policy.id}:changed", attached_to=[holder])
            yield PolicyChange(how=f"Replace {what}.", before=None, after=after)
        else:
            yield PolicyChange(how=f"Replace {what}.", before=policy, after=after)
        return


class HolderChanges:
    """The changes that end the ways of one identity to more permissions."""

    def __init__(self, account: AccountEvaluation, policies: list[Policy], principal: Principal) -> None:
        self.account = account
        self.principal = principal
        self.before = {policy.id: policy for policy in policies}
        self.now = dict(self.before)
        self.how: dict[str, str] = {}

    def changes(self) -> list[PolicyChange]:
        """Return the changes, those to tell first."""
        hits = self.account.hits.get(self.principal.arn)
        if hits:
            found = self.account.cuts(hits[0], self.principal)
            for cut in (found.first, *found.others):
                self._cut(cut)
        elif self.account.holders[self.principal.arn].admin:
            self._replace_administrator()
        changed = [
            PolicyChange(
                how=self.how.get(policy_id, ""),
                before=self.before.get(policy_id),
                after=self.now.get(policy_id),
            )
            for policy_id in sorted({*self.before, *self.now})
            if self.before.get(policy_id) != self.now.get(policy_id)
        ]
        return sorted(changed, key=lambda change: not change.how)

    def _held(self) -> list[Policy]:
        return [
            policy
            for policy in self.now.values()
            if policy.kind in OWN and self.principal.id in policy.attached_to and policy.document is not None
        ]

    def _cut(self, cut: PermissionRemoval) -> None:
        if cut.actions and not self._cut_exactly(cut):
            self._deny(cut)
        if cut.role is not None:
            self._forget(cut)

    def _cut_exactly(self, cut: PermissionRemoval) -> bool:
        """Remove the actions where they stand; return False if that is not possible, and change nothing."""
        if any(one.via.startswith("group ") for one in self.principal.attachments):
            return False
        changed: dict[str, str] = {}
        for policy in self._held():
            document = policy.document or ""
            after = document_changes.without_actions(document, cut.actions, cut.resource)
            if after == document:
                continue
            alone = policy.attached_to == [self.principal.id]
            if after is None or not alone or ":iam::aws:" in (policy.address or ""):
                return False
            changed[policy.id] = after
        for policy_id, document in changed.items():
            name = self.now[policy_id].name
            if document_changes.is_empty(document):
                del self.now[policy_id]
                self.how[policy_id] = (
                    f"Delete the policy {name} of {self.principal.name}: nothing is left of it."
                )
            else:
                self.now[policy_id] = _changed(self.now[policy_id], document)
                self.how[policy_id] = f"Replace the policy {name} of {self.principal.name}."
        return bool(changed)

    def _deny(self, cut: PermissionRemoval) -> None:
        """Deny the actions: in a copy of the AWS managed policy that allows them, or in an inline policy of its own."""
        for policy in self._held():
            address, document = policy.address or "", policy.document or ""
            if ":iam::aws:" not in address or document_changes.without_actions(document, cut.actions, cut.resource) == document:  # fmt: skip
                continue
            copy = document_changes.with_deny(document, cut.actions, cut.resource)
            if len(copy) <= LARGEST_POLICY:
                self._attach_copy(policy, copy)
                return
        self._own_policy(lambda document: document_changes.with_deny(document, cut.actions, cut.resource))

    def _attach_copy(self, policy: Policy, document: str) -> None:
        rest = [one for one in policy.attached_to if one != self.principal.id]
        self.now[policy.id] = msgspec.structs.replace(policy, attached_to=rest)
        self.how[policy.id] = f"Detach the AWS managed policy {policy.name} from {self.principal.name}."
        name = f"{policy.name}-{self.principal.name}"[:128]
        arn = f"arn:{self.account.facts.partition}:iam::{self.account.facts.account_id}:policy/{name}"
        copy = policy_record(
            provider="aws",
            kind=policy_records.MANAGED,
            account_id=policy.account_id,
            native_id=f"{self.account.facts.account_id}/{name}",
            name=name,
            document=document,
            attached_to=[self.principal.id],
            address=arn,
        )
        self.now[copy.id] = copy
        self.how[copy.id] = f"Create the managed policy {name}, and attach it to {self.principal.name}."

    def _own_policy(self, change: document_changes.Change) -> None:
        name = f"limits-of-{self.principal.name}"[:128]
        native_id = f"{self.account.facts.account_id}/{name}"
        policy_id = record_id("aws", policy_records.INLINE, native_id)
        before = self.now.get(policy_id)
        made = policy_record(
            provider="aws",
            kind=policy_records.INLINE,
            account_id=self.account.facts.account_ref,
            native_id=native_id,
            name=name,
            document=change(None if before is None else before.document),
            attached_to=[self.principal.id],
        )
        self.now[policy_id] = made
        self.how[policy_id] = f"Add the inline policy {name} to {self.principal.name}."

    def _forget(self, cut: PermissionRemoval) -> None:
        """Remove the identity from the trust policy of a role that names it."""
        for role in self.account.directory.of_kind("iam-role"):
            if role.arn != cut.resource or role.trust is None:
                continue
            pairs = [
                (number, (kind, value))
                for number, statement in enumerate(role.trust.statements, start=1)
                if statement.allow
                for kind, value in statement.principals
                if kind == "AWS" and named_principal(value) == self.principal.arn
            ]
            for number, pair in reversed(pairs):
                self._edit_trust(role, number, pair)

    def _edit_trust(self, role: Principal, number: int, pair: tuple[str, str]) -> None:
        policies = list(self.now.values())
        place = (policy_records.TRUST, role.id, f"the trust policy of role {role.name}")
        for change in _edited(policies, place, (number, pair), REMOVED, ()):
            if change.after is not None:
                self.now[change.after.id] = change.after
                self.how[change.after.id] = change.how

    def _replace_administrator(self) -> None:
        """Replace administrator access with the services that were used."""
        used = self.principal.service_use or {}
        services = sorted(
            name for name, at in used.items() if at is not None and name not in EXCLUDED_SERVICES
        )
        if not services or any(one.via.startswith("group ") for one in self.principal.attachments):
            return
        document = document_changes.allowing([f"{name}:*" for name in services])
        for policy in self._held():
            attachment = next((one for one in self.principal.attachments if one.name == policy.name), None)
            if attachment is None or attachment.document is None:
                continue
            if self.account.summary(self.principal, attachment.document).admin:
                self._attach_copy(policy, document)
