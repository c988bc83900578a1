"""All principals of one account, a summary of each policy attachment, and the escalation paths among them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from collectors.aws.evaluator.authorizer import Authorizer
from collectors.aws.evaluator.conditions import RequestContext, Truth
from collectors.aws.evaluator.cuts import MOST_TRIED, TriedRemovals, cut_of, tried
from collectors.aws.evaluator.effective import pieces
from collectors.aws.evaluator.escalation import Search
from collectors.aws.evaluator.escalation_hits import Hit, Holder
from collectors.aws.evaluator.escalation_paths import interesting
from collectors.aws.evaluator.grants import (
    ReachableResources,
    Summary,
    admin_combinations,
    is_admin,
    powers_given,
    summarize,
)
from collectors.aws.evaluator.policy import PolicyDocument, parse
from collectors.aws.evaluator.principals import Principal, directory
from collectors.aws.evaluator.resolved import (
    PolicyLimits,
    ResolvedDocument,
    ResolvedStatement,
    reading,
    resolve,
)
from collectors.aws.evaluator.resource_actions import given_permissions
from collectors.aws.evaluator.resource_control import documents, limited_actions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from collectors.aws.evaluator.escalation import PowerOn
    from collectors.aws.evaluator.facts import AwsFacts

EVERYTHING = parse(
    {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
)


class AccountEvaluation:
    """One account, evaluated."""

    def __init__(self, facts: AwsFacts, as_of: datetime) -> None:
        self.facts = facts
        self.as_of = as_of
        self.directory = directory(facts, as_of)
        self.by_arn = {one.arn: one for one in self.directory.principals}
        self.scps: list[list[PolicyDocument]] = (
            [] if facts.management else [[parse(item) for item in level] for level in facts.scps or []]
        )
        self.scps_unknown = facts.scps is None and facts.management is not True
        self.rcps = documents(facts)
        self.reach = self._reach()
        self.given = given_permissions(facts, self.directory.principals, self.rcps, as_of)
        self.interned: dict[tuple[object, ...], tuple[object, ...]] = {}
        self.limits_of: dict[tuple[object, ...], PolicyLimits] = {}
        self.summaries: dict[tuple[object, ...], Summary] = {}
        self.admins: dict[tuple[object, ...], bool] = {}
        self.denying: dict[str, bool] = {}
        self.strong_powers: dict[str, frozenset[PowerOn]] = {}
        self.limited: dict[str, tuple[tuple[object, ...], PolicyLimits]] = {}
        self.wanted: dict[tuple[object, ...], tuple[tuple[ResolvedStatement, ...], int]] = {}
        self.holders = {one.arn: self._holder(one) for one in self.directory.principals}
        search = Search(facts, self.directory, self.holders, self.reach.strong)
        self.search = search
        self.tried: dict[tuple[object, ...], TriedRemovals] = {}
        self.hits: dict[str, list[Hit]] = search.run()
        self.unprivileged_targets: dict[str, list[Hit]] = search.unprivileged_targets(self._strong_powers)
        self.cut = search.cut
        """ARNs of the principals whose escalation paths were not checked in full."""

    def _reach(self) -> ReachableResources:
        """Return the existing resources of the account that patterns may match."""
        principals = [one for one in self.directory.principals if not one.service_linked]
        arns = {
            kind: tuple(
                (one.arn, {key.lower(): value for key, value in one.tags.items()})
                for one in principals
                if one.kind == f"iam-{kind}"
            )
            for kind in ("user", "group", "role")
        }
        own: dict[str, dict[str, str]] = {
            arn: {} for arn in self.directory.policies if ":iam::aws:" not in arn
        }
        named = [
            f"arn:{self.facts.partition}:iam::aws:policy/{name}"
            for name in ("AdministratorAccess", "IAMFullAccess")
        ]
        reach = ReachableResources(
            account=self.facts.account_id,
            partition=self.facts.partition,
            as_of=self.as_of,
            arns={**arns, "policy": tuple(own.items())},
            strong=tuple(named),
        )
        nobody = RequestContext(as_of=self.as_of)
        strong = [
            policy.arn
            for policy in self.directory.policies.values()
            if policy.document is not None
            and is_admin(pieces(resolve(policy.document, nobody).allows, PolicyLimits()), reach) is Truth.YES
        ]
        return msgspec.structs.replace(reach, strong=tuple(dict.fromkeys([*named, *strong])))

    def _rows(self, principal: Principal, document: PolicyDocument) -> ResolvedDocument:
        return resolve(document, principal.context)

    def _part(self, principal: Principal, document: PolicyDocument) -> tuple[object, ...]:
        part = (document.key, reading(document, principal.context))
        return self.interned.setdefault(part, part)

    def _layers(self, principal: Principal) -> list[list[PolicyDocument]]:
        """Return the layers that limit a principal: its boundary, and the SCPs if they apply."""
        layers = [[principal.boundary]] if principal.boundary is not None else []
        return layers if principal.service_linked else layers + self.scps

    def _limits(self, principal: Principal) -> tuple[tuple[object, ...], PolicyLimits]:
        """Return the limits of a principal, and a key that is equal for equal limits."""
        above = self._layers(principal)
        key: tuple[object, ...]
        own = [
            one.document
            for one in principal.attachments
            if one.document is not None and self._has_deny(one.document)
        ]
        guards = [] if principal.service_linked else self.rcps
        key = (
            frozenset(self._part(principal, document) for document in own),
            tuple(self._part(principal, document) for document in guards),
            tuple(tuple(self._part(principal, document) for document in layer) for layer in above),
        )
        key = self.interned.setdefault(key, key)
        found = self.limits_of.get(key)
        if found is None:
            layers = [[self._rows(principal, document) for document in layer] for layer in above]
            denies: dict[int, ResolvedStatement] = {}
            for rows in [
                *(self._rows(principal, one) for one in own),
                *(one for layer in layers for one in layer),
            ]:
                denies |= {id(row): row for row in rows.denies}
            for row in (row for document in guards for row in self._rows(principal, document).denies):
                actions = row.actions & limited_actions()
                if actions:
                    denies[id(row)] = msgspec.structs.replace(row, actions=actions)
            found = self.limits_of[key] = PolicyLimits(
                layers=tuple(tuple(row for rows in layer for row in rows.allows) for layer in layers),
                denies=tuple(denies.values()),
            )
        return key, found

    def _limits_once(self, principal: Principal) -> tuple[tuple[object, ...], PolicyLimits]:
        found = self.limited.get(principal.arn)
        if found is None:
            found = self.limited[principal.arn] = self._limits(principal)
        return found

    def limits_on_given(self, principal: Principal) -> PolicyLimits:
        """Return what limits the permissions that a resource policy gives to a principal by its ARN. For a user the
        permissions boundary does not, but its denies do.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-basics-req.html
        """
        _, limits = self._limits_once(principal)
        if principal.kind == "iam-user" and principal.boundary is not None:
            return PolicyLimits(layers=limits.layers[1:], denies=limits.denies)
        return limits

    def _has_deny(self, document: PolicyDocument) -> bool:
        found = self.denying.get(document.key)
        if found is None:
            found = self.denying[document.key] = any(not statement.allow for statement in document.statements)
        return found

    def summary(self, principal: Principal, document: PolicyDocument) -> Summary:
        """Summarize one document for one principal. Equal cases are computed once."""
        limits_key, limits = self._limits_once(principal)
        key = (self._part(principal, document), limits_key)
        found = self.summaries.get(key)
        if found is None:
            rows = self._rows(principal, document)
            found = self.summaries[key] = summarize(pieces(rows.allows, limits), rows.unknown, self.reach)
        return found

    def _holder(self, principal: Principal) -> Holder:
        documents = [one.document for one in principal.attachments if one.document is not None]
        limits_key, limits = self._limits_once(principal)
        some: list[ResolvedStatement] = []
        actions = 0
        parts: set[tuple[object, ...]] = set()
        admin = on_condition = False
        for document in documents:
            part = self._part(principal, document)
            rows, mask = self._relevant_rows(principal, document, part)
            if rows and part not in parts:
                parts.add(part)
                some += rows
                actions |= mask
            summary = self.summary(principal, document)
            admin = admin or summary.admin
            on_condition = on_condition or any(one.power == "admin" for one in summary.held)
        given = self._given(principal)
        if given is not None:
            parts |= {("given", id(row.statement), row.truth) for row in given.allows}
            for row in given.allows:
                actions |= row.actions
        key: tuple[object, ...] = (frozenset(parts), limits_key)
        key = self.interned.setdefault(key, key)
        alone = admin
        if not admin and actions & admin_combinations():
            together = self.admins.get(key)
            if together is None:
                together = self.admins[key] = is_admin(pieces(some, limits), self.reach) is Truth.YES
            admin = together
        return Holder(
            principal=principal,
            authorizer=Authorizer(allows=tuple(some), limits=limits, context=principal.context, given=given),
            actions=actions,
            key=key,
            admin=admin,
            alone=alone,
            on_condition=on_condition,
            unlimited=not limits.layers or self._may_be_admin(principal, limits_key),
            stronger=frozenset() if admin or not actions else frozenset(self._changes_to_admin(principal)),
        )

    def _given(self, principal: Principal) -> Authorizer | None:
        """Return what resources give to a principal, as far as it is relevant to escalation paths."""
        mask = interesting()
        rows = tuple(
            msgspec.structs.replace(row, actions=row.actions & mask)
            for row in self.given.get(principal.arn, ())
            if row.actions & mask
        )
        if not rows:
            return None
        return Authorizer(allows=rows, limits=self.limits_on_given(principal), context=principal.context)

    def _relevant_rows(
        self, principal: Principal, document: PolicyDocument, part: tuple[object, ...]
    ) -> tuple[tuple[ResolvedStatement, ...], int]:
        """Return the rows of a document that are relevant to escalation paths, and their actions."""
        found = self.wanted.get(part)
        if found is None:
            mask = interesting()
            rows = tuple(row for row in self._rows(principal, document).allows if row.actions & mask)
            actions = 0
            for row in rows:
                actions |= row.actions & mask
            found = self.wanted[part] = (rows, actions)
        return found

    def _may_be_admin(self, principal: Principal, limits_key: tuple[object, ...]) -> bool:
        """Return whether boundary and SCPs allow the principal to be an administrator."""
        key = ("room", limits_key)
        found = self.admins.get(key)
        if found is None:
            found = self.admins[key] = (
                self._admin_with(principal, [EVERYTHING], self._layers(principal)) is Truth.YES
            )
        return found

    def _admin_with(
        self, principal: Principal, documents: list[PolicyDocument], above: list[list[PolicyDocument]]
    ) -> Truth:
        """Return how certainly a principal would be an administrator with other documents."""
        own = [self._rows(principal, document) for document in documents]
        layers = [[self._rows(principal, document) for document in layer] for layer in above]
        limits = PolicyLimits(
            layers=tuple(tuple(row for rows in layer for row in rows.allows) for layer in layers),
            denies=tuple(
                row for rows in [*own, *(one for layer in layers for one in layer)] for row in rows.denies
            ),
        )
        return is_admin(pieces([row for rows in own for row in rows.allows], limits), self.reach)

    def _changes_to_admin(self, principal: Principal) -> Iterator[str]:
        """Yield the changes that would make the principal an administrator: another policy version, or removal of a
        boundary or a Deny.
        """
        documents = [one.document for one in principal.attachments if one.document is not None]
        above = self._layers(principal)
        for one in principal.attachments:
            policy = self.directory.policies.get(one.arn or "")
            for _, other in policy.others if policy and ":iam::aws:" not in policy.arn else ():
                rest = [document for document in documents if document is not one.document]
                if self._admin_with(principal, [*rest, other], above) is Truth.YES:
                    yield "stronger-version"
        if principal.boundary is not None:
            scps = [] if principal.service_linked else self.scps
            if self._admin_with(principal, documents, scps) is Truth.YES:
                yield "boundary-hides-admin"
        for one in principal.attachments:
            if one.document is None or all(statement.allow for statement in one.document.statements):
                continue
            if one.via in {"managed", "inline"}:
                rest = [document for document in documents if document is not one.document]
                if self._admin_with(principal, rest, above) is Truth.YES:
                    yield f"{one.via}-deny-hides-admin"

    def cuts(self, hit: Hit, principal: Principal) -> TriedRemovals:
        """Return what ends a principal's way, and the others that would remain. Equal cases are tried once."""
        holder = self.holders[principal.arn]
        first = cut_of(hit, holder)
        if principal.arn not in self.hits:
            # It has no way to an administrator, so that none can remain.
            return TriedRemovals(first=first, others=(), complete=True)
        key = (holder.key, first, principal.arn if first.resource == principal.arn else None)
        found = self.tried.get(key)
        if found is None and len(self.tried) >= MOST_TRIED:
            return TriedRemovals(first=first, others=(), complete=None)
        if found is None:
            found = self.tried[key] = tried(hit, holder, self.search.way)
        return found

    def _strong_powers(self, arn: str) -> frozenset[PowerOn]:
        """Return the powers that someone gains by becoming a principal, from its own policies and from those of
        resources.
        """
        found = self.strong_powers.get(arn)
        if found is None:
            principal = self.by_arn[arn]
            held = {
                (one.power, resource)
                for attachment in principal.attachments
                if attachment.document is not None
                for one in self.summary(principal, attachment.document).held
                for resource in one.resources
            }
            for row in self.given.get(arn, ()):
                held |= {
                    (power, resource)
                    for power in powers_given(row.statement, row.actions)
                    for resource in row.resources
                }
            found = self.strong_powers[arn] = frozenset(one for one in held if one[0] != "read")
        return found

    def writes(self, principal: Principal) -> bool:
        """Return whether a principal has more than read access."""
        return any(
            one.power not in {"read-data", "read"}
            for attachment in principal.attachments
            if attachment.document is not None
            for one in self.summary(principal, attachment.document).held
        )
