"""The grants of an evaluated account, and the links to the identities that its principals can become."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from collectors.aws.evaluator.actions import catalog
from collectors.aws.evaluator.conditions import Truth
from collectors.aws.evaluator.escalation import MOST_LINKS
from collectors.aws.evaluator.escalation_hits import MOST_LOOKED_AT
from collectors.aws.evaluator.escalation_paths import assume_role
from collectors.aws.evaluator.explain import cuts_fix, fix_of, hit_actions, hit_why, why_of
from collectors.aws.evaluator.grants import (
    Summary,
    breadth_of,
)
from collectors.aws.evaluator.powers import powers
from collectors.aws.evaluator.usage import usage_of
from scanner.collect.failures import Failure
from scanner.collect.listings import ListingRequest, gap
from scanner.records import POWERS, Grant, Link, Power, level_of, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.aws.evaluator.account import AccountEvaluation
    from collectors.aws.evaluator.escalation_hits import Hit
    from collectors.aws.evaluator.principals import Attachment, Principal
    from scanner.records import Record


def grant_records(account: AccountEvaluation) -> Iterator[Record]:
    """Yield a grant for each policy of an identity, and a gap for each that could not be evaluated."""
    for principal in account.directory.principals:
        if principal.kind == "iam-group" and principal.members:
            continue
        seen: dict[str, int] = {}
        for attachment in principal.attachments:
            place = f"{attachment.via}:{attachment.arn or attachment.name}"
            seen[place] = seen.get(place, 0) + 1
            suffix = f":{seen[place]}" if seen[place] > 1 else ""
            yield from _grant(account, principal, attachment, place + suffix)


def _grant(
    account: AccountEvaluation, principal: Principal, attachment: Attachment, place: str
) -> Iterator[Record]:
    grant_id = record_id("aws", "grant", f"{principal.native_id}:{place}")
    document = attachment.document
    broken = "its document was not returned" if document is None else document.broken
    if broken is not None:
        yield _gap(account, f"policy {attachment.name} of {principal.name}: {broken}", place)
    if document is None or (broken is not None and not document.statements):
        yield Grant(
            id=grant_id,
            provider="aws",
            account_id=account.facts.account_ref,
            identity_id=principal.id,
            role=attachment.name,
            resource="unknown",
            breadth="resource",
            confidence="low",
            via=attachment.via,
            why=f"Policy {attachment.name} could not be evaluated: {broken}.",
        )
        return
    summary = account.summary(principal, document)
    marks = _marks(account, principal, summary)
    have: list[Power] = [
        power for power in POWERS if power in marks or any(one.power == power for one in summary.held)
    ]
    unevaluated = broken is not None or (bool(summary.unknown) and not summary.actions)
    if not have and not unevaluated:
        return
    strongest = max((one.truth for one in summary.held), default=Truth.YES)
    hit = next((marks[power] for power in have[:1] if power in marks), None)
    low = (
        (hit is not None and (hit.assumed or hit.truth is Truth.UNKNOWN))
        or account.scps_unknown
        or principal.arn in account.cut
        or broken is not None
        or bool(summary.unknown)
        or (principal.boundary_arn is not None and principal.boundary is None)
        or strongest is Truth.UNKNOWN
        or (bool(summary.held) and summary.held[0].truth is Truth.UNKNOWN)
    )
    usage = usage_of(principal, summary.actions, account.as_of)
    yield Grant(
        id=grant_id,
        provider="aws",
        account_id=account.facts.account_ref,
        identity_id=principal.id,
        role=attachment.name,
        resource=summary.resource or "unknown",
        breadth=summary.breadth,
        powers=[] if unevaluated else have,
        level="unknown" if unevaluated else level_of(have),
        conditional=None
        if unevaluated
        else all(one.truth is not Truth.YES for one in summary.held)
        and not (hit is not None and hit.truth is Truth.YES),
        wildcard=summary.wildcard,
        confidence="low" if low else "high",
        via=attachment.via,
        why=hit_why(hit, principal) if hit is not None else why_of(summary, attachment),
        fix=cuts_fix(account.cuts(hit, principal), attachment)
        if hit is not None
        else fix_of(summary, attachment, usage),
        actions=_shown(summary, hit),
        assumes=[] if unevaluated else list(summary.assumes),
        unused_actions=usage.unused,
        last_used_at=usage.last_used_at,
        never_used=usage.never_used,
    )


def escalation_records(account: AccountEvaluation) -> Iterator[Record]:
    """Yield a grant for each path on which an identity raises its own rights, and links to the identities that it can
    become.
    """
    for arn in sorted({*account.hits, *account.unprivileged_targets}):
        principal = account.by_arn[arn]
        if principal.kind == "iam-group" and principal.members:
            continue
        linked: set[str] = set()
        yielded: set[str] = set()
        for hit in account.hits.get(arn, ()):
            for grant in _own_path(account, principal, hit):
                if grant.id not in yielded:
                    yielded.add(grant.id)
                    yield grant
        for hit in (*account.hits.get(arn, ()), *account.unprivileged_targets.get(arn, ())):
            target = hit.target
            if target is None or target.arn in linked or len(linked) >= MOST_LINKS:
                continue
            linked.add(target.arn)
            yield Link(
                id=record_id("aws", "link", f"{principal.native_id}:can_become:{target.native_id}"),
                provider="aws",
                account_id=account.facts.account_ref,
                source_id=principal.id,
                relation="can_become",
                target_id=target.id,
                evidence=hit.path.id,
                why=hit_why(hit, principal),
                via=hit_actions(hit),
                by_trust=hit.path is assume_role(),
                fix=str(account.cuts(hit, principal)),
                confidence=_confidence(account, principal, hit),
            )
    for arn in sorted(account.cut):
        name = account.by_arn[arn].name
        failure = Failure(
            reason="truncated",
            detail=f"escalation paths of {name}: more than {MOST_LOOKED_AT} identities match its policies, not all were checked",
        )
        yield gap(_asked(account, f"escalation paths {arn}"), failure)


def _confidence(account: AccountEvaluation, principal: Principal, hit: Hit) -> Literal["high", "low"]:
    unsure = hit.assumed or hit.truth is Truth.UNKNOWN
    return "low" if unsure or account.scps_unknown or principal.arn in account.cut else "high"


def _own_path(account: AccountEvaluation, principal: Principal, hit: Hit) -> Iterator[Record]:
    own = hit.target is None or hit.path.target in {"group", "any-user", "any-role", "assumable-role"}
    if not own and any(
        one.document is not None and account.summary(principal, one.document).actions & hit.path.steps[0].mask
        for one in principal.attachments
    ):
        return  # already in the grant of that attachment
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
        account_id=account.facts.account_ref,
        identity_id=principal.id,
        role=f"escalation:{hit.path.id}",
        resource="*" if own else resource,
        breadth="account" if own else breadth_of(resource),
        powers=have,
        level="escalation",
        conditional=hit.truth is not Truth.YES,
        confidence=_confidence(account, principal, hit),
        escalation_path=hit.path.id,
        via=f"escalation {hit.path.id}",
        why=hit_why(hit, principal),
        fix=str(account.cuts(hit, principal)),
        actions=[action for step in hit.path.steps for action in step.actions][:10],
    )


def _marks(account: AccountEvaluation, principal: Principal, summary: Summary) -> dict[Power, Hit]:
    """Return the powers that an attachment has because of the identities it reaches, and the path for each."""
    marks: dict[Power, Hit] = {}
    for hit in account.hits.get(principal.arn, ()):
        first = hit.path.steps[0]
        if not summary.actions & first.mask:
            continue
        granting = bool(first.mask & powers().iam_granting) or hit.path.family == "identity-center"
        power: Power = "grant-access" if granting else "become-other"
        marks.setdefault(power, hit)
    return marks


def _shown(summary: Summary, hit: Hit | None) -> list[str]:
    names = summary.shown
    if hit is not None:
        known = catalog()
        needed = [
            known.names[known.bits[action.lower()]]
            for step in hit.path.steps
            for action in step.actions
            if action.lower() in known.bits and summary.actions >> known.bits[action.lower()] & 1
        ]
        names = list(dict.fromkeys([*needed, *names]))[:10]
    return names


def _gap(account: AccountEvaluation, detail: str, place: str) -> Record:
    return gap(_asked(account, f"policy document {place}"), Failure(reason="malformed", detail=detail))


def _asked(account: AccountEvaluation, call: str) -> ListingRequest:
    return ListingRequest(
        provider="aws",
        account_id=account.facts.account_ref,
        collector="aws",
        target=account.facts.account_id,
        table="grants",
        call=call,
    )
