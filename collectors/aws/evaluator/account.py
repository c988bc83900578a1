"""All principals of one account, each policy attachment summed up once, and the grants and links that come of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from collectors.aws.evaluator.actions import catalogue
from collectors.aws.evaluator.conditions import RequestContext, Truth
from collectors.aws.evaluator.effective import (
    Judge,
    PolicyLimits,
    ResolvedDocument,
    ResolvedStatement,
    pieces,
    reading,
    resolve,
)
from collectors.aws.evaluator.escalation import Hit, Holder, Search
from collectors.aws.evaluator.escalation_paths import interesting
from collectors.aws.evaluator.explain import fix_of, hit_fix, hit_why, why_of
from collectors.aws.evaluator.grants import (
    ReachableResources,
    Summary,
    breadth_of,
    iam_making,
    is_admin,
    summarize,
)
from collectors.aws.evaluator.policy import PolicyDocument, parse
from collectors.aws.evaluator.powers import powers
from collectors.aws.evaluator.principals import Attachment, Principal, directory
from collectors.aws.evaluator.usage import usage_of
from scanner.collect.failures import Failure
from scanner.collect.listings import ListingRequest, gap
from scanner.records import POWERS, Grant, Link, Power, level_of, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from collectors.aws.evaluator.facts import AwsFacts
    from scanner.records import Record

EVERYTHING = parse(
    {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
)
MOST_LINKS = 5
"""How many links ``can_become`` one holder gets."""


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
        self.reach = self._reach()
        self.interned: dict[tuple[object, ...], tuple[object, ...]] = {}
        self.limits_of: dict[tuple[object, ...], PolicyLimits] = {}
        self.summaries: dict[tuple[object, ...], Summary] = {}
        self.admins: dict[tuple[object, ...], bool] = {}
        self.denying: dict[str, bool] = {}
        self.limited: dict[str, tuple[tuple[object, ...], PolicyLimits]] = {}
        self.wanted: dict[tuple[object, ...], tuple[tuple[ResolvedStatement, ...], int]] = {}
        self.holders = {one.arn: self._holder(one) for one in self.directory.principals}
        search = Search(facts, self.directory, self.holders, self.reach.strong)
        self.hits: dict[str, list[Hit]] = search.run()
        self.beyond: dict[str, list[Hit]] = search.beyond(self._strong)

    def _reach(self) -> ReachableResources:
        """Return what exists in the account for patterns to reach."""
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

    def _above(self, principal: Principal) -> list[list[PolicyDocument]]:
        """Return the layers that bound a principal: its boundary, and the SCPs where they apply."""
        layers = [[principal.boundary]] if principal.boundary is not None else []
        return layers if principal.service_linked else layers + self.scps

    def _limits(self, principal: Principal) -> tuple[tuple[object, ...], PolicyLimits]:
        """Return what limits a principal, and a key that is equal for equal limits."""
        above = self._above(principal)
        key: tuple[object, ...]
        own = [
            one.document
            for one in principal.attachments
            if one.document is not None and self._has_deny(one.document)
        ]
        key = (
            frozenset(self._part(principal, document) for document in own),
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

    def _has_deny(self, document: PolicyDocument) -> bool:
        found = self.denying.get(document.key)
        if found is None:
            found = self.denying[document.key] = any(not statement.allow for statement in document.statements)
        return found

    def summary(self, principal: Principal, document: PolicyDocument) -> Summary:
        """Sum up one document for one principal; the same answer is computed once."""
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
            rows, mask = self._wanted(principal, document, part)
            if rows and part not in parts:
                parts.add(part)
                some += rows
                actions |= mask
            summary = self.summary(principal, document)
            admin = admin or summary.admin
            on_condition = on_condition or any(one.power == "admin" for one in summary.held)
        key: tuple[object, ...] = (frozenset(parts), limits_key)
        key = self.interned.setdefault(key, key)
        alone = admin
        if not admin and actions & iam_making():
            together = self.admins.get(key)
            if together is None:
                together = self.admins[key] = is_admin(pieces(some, limits), self.reach) is Truth.YES
            admin = together
        return Holder(
            principal=principal,
            judge=Judge(allows=tuple(some), limits=limits, context=principal.context),
            actions=actions,
            key=key,
            admin=admin,
            alone=alone,
            on_condition=on_condition,
            unlimited=not limits.layers or self._roomy(principal, limits_key),
            stronger=frozenset() if admin or not actions else frozenset(self._stronger(principal)),
        )

    def _wanted(
        self, principal: Principal, document: PolicyDocument, part: tuple[object, ...]
    ) -> tuple[tuple[ResolvedStatement, ...], int]:
        """Return the rows of a document that matter to an escalation path, and their actions."""
        found = self.wanted.get(part)
        if found is None:
            mask = interesting()
            rows = tuple(row for row in self._rows(principal, document).allows if row.actions & mask)
            actions = 0
            for row in rows:
                actions |= row.actions & mask
            found = self.wanted[part] = (rows, actions)
        return found

    def _roomy(self, principal: Principal, limits_key: tuple[object, ...]) -> bool:
        """Say whether boundary and SCPs would let the principal be an administrator."""
        key = ("room", limits_key)
        found = self.admins.get(key)
        if found is None:
            found = self.admins[key] = (
                self._admin_with(principal, [EVERYTHING], self._above(principal)) is Truth.YES
            )
        return found

    def _admin_with(
        self, principal: Principal, documents: list[PolicyDocument], above: list[list[PolicyDocument]]
    ) -> Truth:
        """Say how far a principal would be an administrator with other documents."""
        own = [self._rows(principal, document) for document in documents]
        layers = [[self._rows(principal, document) for document in layer] for layer in above]
        limits = PolicyLimits(
            layers=tuple(tuple(row for rows in layer for row in rows.allows) for layer in layers),
            denies=tuple(
                row for rows in [*own, *(one for layer in layers for one in layer)] for row in rows.denies
            ),
        )
        return is_admin(pieces([row for rows in own for row in rows.allows], limits), self.reach)

    def _stronger(self, principal: Principal) -> Iterator[str]:
        """Yield what would make the principal an administrator: a version, or the end of a boundary or a Deny."""
        documents = [one.document for one in principal.attachments if one.document is not None]
        above = self._above(principal)
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

    def _strong(self, arn: str) -> frozenset[Power]:
        """Return the powers of a principal that matter to who might become it."""
        principal = self.by_arn[arn]
        return frozenset(
            one.power
            for attachment in principal.attachments
            if attachment.document is not None
            for one in self.summary(principal, attachment.document).held
            if one.power != "read"
        )

    def writes(self, principal: Principal) -> bool:
        """Say whether a principal can do more than read."""
        return any(
            one.power not in {"read-data", "read"}
            for attachment in principal.attachments
            if attachment.document is not None
            for one in self.summary(principal, attachment.document).held
        )

    def grants(self) -> Iterator[Record]:
        """Yield a grant for each policy that an identity holds, and a gap for each that could not be judged."""
        for principal in self.directory.principals:
            if principal.kind == "iam-group" and principal.members:
                continue
            seen: dict[str, int] = {}
            for attachment in principal.attachments:
                place = f"{attachment.via}:{attachment.arn or attachment.name}"
                seen[place] = seen.get(place, 0) + 1
                suffix = f":{seen[place]}" if seen[place] > 1 else ""
                yield from self._grant(principal, attachment, place + suffix)

    def _grant(self, principal: Principal, attachment: Attachment, place: str) -> Iterator[Record]:
        grant_id = record_id("aws", "grant", f"{principal.native_id}:{place}")
        document = attachment.document
        broken = "its document was not given" if document is None else document.broken
        if broken is not None:
            yield self._gap(f"policy {attachment.name} of {principal.name}: {broken}", place)
        if document is None or (broken is not None and not document.statements):
            yield Grant(
                id=grant_id,
                provider="aws",
                account_id=self.facts.account_ref,
                identity_id=principal.id,
                role=attachment.name,
                resource="unknown",
                breadth="resource",
                confidence="low",
                via=attachment.via,
                why=f"Policy {attachment.name} could not be judged: {broken}.",
            )
            return
        summary = self.summary(principal, document)
        marks = self._marks(principal, summary)
        have: list[Power] = [
            power for power in POWERS if power in marks or any(one.power == power for one in summary.held)
        ]
        unjudged = broken is not None or (bool(summary.unknown) and not summary.actions)
        if not have and not unjudged:
            return
        strongest = max((one.truth for one in summary.held), default=Truth.YES)
        hit = next((marks[power] for power in have[:1] if power in marks), None)
        low = (
            (hit is not None and (hit.assumed or hit.truth is Truth.UNKNOWN))
            or self.scps_unknown
            or broken is not None
            or bool(summary.unknown)
            or (principal.boundary_arn is not None and principal.boundary is None)
            or strongest is Truth.UNKNOWN
            or (bool(summary.held) and summary.held[0].truth is Truth.UNKNOWN)
        )
        usage = usage_of(self.facts, principal, summary.actions, self.as_of)
        yield Grant(
            id=grant_id,
            provider="aws",
            account_id=self.facts.account_ref,
            identity_id=principal.id,
            role=attachment.name,
            resource=summary.resource or "unknown",
            breadth=summary.breadth,
            powers=[] if unjudged else have,
            level="unknown" if unjudged else level_of(have),
            conditional=None
            if unjudged
            else all(one.truth is not Truth.YES for one in summary.held)
            and not (hit is not None and hit.truth is Truth.YES),
            wildcard=summary.wildcard,
            confidence="low" if low else "high",
            via=attachment.via,
            why=hit_why(hit, principal) if hit is not None else why_of(summary, attachment),
            fix=hit_fix(hit, attachment) if hit is not None else fix_of(summary, attachment, usage),
            actions=self._shown(summary, hit),
            unused_actions=usage.unused,
            last_used_at=usage.last_used_at,
            never_used=usage.never_used,
        )

    def _shown(self, summary: Summary, hit: Hit | None) -> list[str]:
        names = summary.shown
        if hit is not None:
            known = catalogue()
            needed = [
                known.names[known.bits[action.lower()]]
                for step in hit.path.steps
                for action in step.actions
                if action.lower() in known.bits and summary.actions >> known.bits[action.lower()] & 1
            ]
            names = list(dict.fromkeys([*needed, *names]))[:10]
        return names

    def _marks(self, principal: Principal, summary: Summary) -> dict[Power, Hit]:
        """Return the powers that an attachment has because of whom it reaches, and the path that shows each."""
        marks: dict[Power, Hit] = {}
        for hit in self.hits.get(principal.arn, ()):
            first = hit.path.steps[0]
            if not summary.actions & first.mask:
                continue
            granting = bool(first.mask & powers().iam_granting) or hit.path.family == "identity-center"
            power: Power = "grant-access" if granting else "become-other"
            marks.setdefault(power, hit)
        return marks

    def _gap(self, detail: str, place: str) -> Record:
        asked = ListingRequest(
            provider="aws",
            account_id=self.facts.account_ref,
            collector="aws",
            target=self.facts.account_id,
            table="grants",
            call=f"policy document {place}",
        )
        return gap(asked, Failure(reason="malformed", detail=detail))

    def escalations(self) -> Iterator[Record]:
        """Yield a grant for each path to more power of one's own, and links to the identities that can be become."""
        for arn in sorted({*self.hits, *self.beyond}):
            principal = self.by_arn[arn]
            if principal.kind == "iam-group" and principal.members:
                continue
            linked: set[str] = set()
            told: set[str] = set()
            for hit in self.hits.get(arn, ()):
                for grant in self._own_path(principal, hit):
                    if grant.id not in told:
                        told.add(grant.id)
                        yield grant
            for hit in (*self.hits.get(arn, ()), *self.beyond.get(arn, ())):
                target = hit.target
                if target is None or target.arn in linked or len(linked) >= MOST_LINKS:
                    continue
                linked.add(target.arn)
                yield Link(
                    id=record_id("aws", "link", f"{principal.native_id}:can_become:{target.native_id}"),
                    provider="aws",
                    account_id=self.facts.account_ref,
                    source_id=principal.id,
                    relation="can_become",
                    target_id=target.id,
                    evidence=hit.path.id,
                    why=hit_why(hit, principal),
                    fix=hit_fix(hit),
                )

    def _own_path(self, principal: Principal, hit: Hit) -> Iterator[Record]:
        own = hit.target is None or hit.path.target in {"group", "any-user", "any-role", "assumable-role"}
        if not own and any(
            one.document is not None
            and self.summary(principal, one.document).actions & hit.path.steps[0].mask
            for one in principal.attachments
        ):
            return  # the grant of that attachment says it
        have: list[Power] = ["admin"] if own else ["become-other"]
        target = hit.target.arn if hit.target is not None else ""
        resource = target or principal.arn
        yield Grant(
            id=record_id(
                "aws",
                "grant",
                f"{principal.native_id}:escalation:{hit.path.id}" + (f":{target}" if not own else ""),
            ),
            provider="aws",
            account_id=self.facts.account_ref,
            identity_id=principal.id,
            role=f"escalation:{hit.path.id}",
            resource="*" if own else resource,
            breadth="account" if own else breadth_of(resource),
            powers=have,
            level="escalation",
            conditional=hit.truth is not Truth.YES,
            confidence="low" if hit.assumed or hit.truth is Truth.UNKNOWN or self.scps_unknown else "high",
            via=f"escalation {hit.path.id}",
            why=hit_why(hit, principal),
            fix=hit_fix(hit),
            actions=[action for step in hit.path.steps for action in step.actions][:10],
        )
