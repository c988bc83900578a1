"""Resource policies: who may use a bucket, a key, a secret, a queue or a function without a grant in IAM. A statement
that names the account itself delegates to IAM and is covered by IAM's grants. PUBLIC-1 is a resource that anyone may
use; XACCT-3 one that every principal of an account outside the organization may use; SVC-1 trusts an AWS service
without testing whose resource it acts for; DANGLING-1 names a deleted principal.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_identity-vs-resource.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from collectors.aws.evaluator.account_trust import own_callers
from collectors.aws.evaluator.actions import all_of, catalog
from collectors.aws.evaluator.conditions import RequestContext, Truth, holds
from collectors.aws.evaluator.effective import pieces
from collectors.aws.evaluator.explain import MEANS
from collectors.aws.evaluator.grants import breadth_of, powers_given
from collectors.aws.evaluator.policy import PolicyDocument, Statement, glob, parse
from collectors.aws.evaluator.resolved import PolicyLimits, ResolvedStatement
from collectors.aws.evaluator.resource_actions import denied_actions, own_actions
from collectors.aws.evaluator.resource_control import as_known, denies_on, is_unknown
from collectors.aws.evaluator.trust_tests import (
    alternatives,
    binds,
    claims_of,
    describe_tests,
    in_doubt,
    tests_of,
)
from collectors.aws.evaluator.trust_verdict import (
    DELETED,
    EXPOSURES,
    NUMBER,
    SEVERITIES,
    TrustChange,
)
from scanner.collect.failures import Failure
from scanner.collect.listings import ListingRequest, gap
from scanner.records import Exposure, Grant, Power, Record, Test, Trust, level_of, record_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from collectors.aws.evaluator.account import AccountEvaluation
    from collectors.aws.evaluator.facts import AwsFacts, ResourcePolicy
    from collectors.aws.evaluator.principals import Principal


SIGNED_ONLY = frozenset({"kms", "secretsmanager", "ecr"})
"""Services that answer no anonymous request, whatever a policy says. Buckets, queues, topics and function URLs may.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-anonymous
"""


class AllowedPrincipals(msgspec.Struct, frozen=True, kw_only=True):
    """The principals that one statement allows."""

    kind: str
    issuer: str
    exposure: Exposure
    external: bool | None = False
    problem: str | None = None
    severity: Literal["critical", "high", "medium", "low", "info"] | None = None
    why: str
    fix: str | None = None


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What decides, besides a resource policy itself, what it gives."""

    facts: AwsFacts
    principals: dict[str, Principal]
    """Those of the account, by ARN."""
    limits: Callable[[Principal], PolicyLimits]
    """What limits the permissions that a resource policy gives to one of them."""
    guards: list[PolicyDocument]
    """Resource control policies."""
    as_of: datetime


def resource_records(account: AccountEvaluation) -> Iterator[Record]:
    """Yield a grant for each principal that a resource policy names, and a trust for those that it allows."""
    facts = account.facts
    around = Surroundings(
        facts=facts,
        principals=account.by_arn,
        limits=account.limits_on_given,
        guards=account.rcps,
        as_of=account.as_of,
    )
    for policy in facts.resource_policies:
        document = parse(policy.document)
        if document.broken is not None:
            yield from _gaps(facts, policy, document.broken)
        for number, statement in enumerate(document.statements, start=1):
            if statement.allow:
                yield from _statement(around, policy, document, statement=statement, number=number)


def _gaps(facts: AwsFacts, policy: ResourcePolicy, broken: str) -> Iterator[Record]:
    for table in ("grants", "trusts"):
        asked = ListingRequest(
            provider="aws",
            account_id=facts.account_ref,
            collector="aws",
            target=facts.account_id,
            table=table,
            kind="resource-policy",
            call=f"policy of {policy.arn}",
        )
        yield gap(asked, Failure(reason="malformed", detail=f"policy of {policy.arn}: {broken}"))


def _statement(
    around: Surroundings,
    policy: ResourcePolicy,
    document: PolicyDocument,
    *,
    statement: Statement,
    number: int,
) -> Iterator[Record]:
    facts, as_of = around.facts, around.as_of
    signed = policy.service in SIGNED_ONLY
    context = RequestContext(as_of=as_of)
    held = holds(statement.conditions, context, allow=True, variables=document.variables)
    if held is Truth.NO:
        return
    refusals = [one for one in document.statements if not one.allow]
    refusals += denies_on(around.guards, policy.service)
    pairs = statement.principals or ((("NotPrincipal", "*"),) if statement.not_principals else ())
    for place, (kind, value) in enumerate(pairs, start=1):
        denies = [deny for one in refusals if (deny := as_known(one, facts, kind, value, as_of)) is not None]
        actions = own_actions(statement, policy) & ~denied_actions(denies, policy, kind, value, context)
        own = around.principals.get(value) if kind == "AWS" else None
        actions, truth = (
            (actions, held)
            if own is None
            else _limited(
                actions, held, arn=policy.arn, within=(document, statement), limits=around.limits(own)
            )
        )
        if not actions:
            continue
        refusing = [deny for deny in denies if binds(deny, kind, value) and _covers(deny, statement)]
        have = powers_given(statement, actions)
        reached = _widest(
            _allowed_principals(facts, kind, value, way, have)
            for way in alternatives(
                statement, refusing, kind, value, variables=document.variables, signed=signed
            )
        )
        if reached is None:
            continue
        tests = tests_of(statement, refusing, kind, value, variables=document.variables, signed=signed)
        tests += in_doubt(refusing, kind, value)
        native = f"{policy.arn}:{number}" + (f":{place}" if len(pairs) > 1 else "")
        names = catalog().list(actions, 10)
        text = f"{statement.label[0].upper()}{statement.label[1:]} of the policy of {policy.arn} lets {reached.why} use {', '.join(names[:3])}"
        yield Trust(
            id=record_id("aws", "trust", native),
            provider="aws",
            account_id=facts.account_ref,
            identity_id=policy.record_id,
            kind=reached.kind,
            issuer=reached.issuer,
            tests=tests,
            exposure=reached.exposure,
            external=reached.external,
            problem=reached.problem,
            severity=reached.severity,
            why=f"{text}.",
            fix=reached.fix,
        )
        if kind in {"AWS", "Federated"} and value != "*" and not DELETED.match(value):
            holder = (own.id if own else None) or facts.ids.get(value) or reached.issuer
            yield Grant(
                id=record_id("aws", "grant", native),
                provider="aws",
                account_id=facts.account_ref,
                identity_id=holder,
                role=f"{policy.service} resource policy",
                resource=policy.arn,
                breadth=breadth_of(policy.arn),
                powers=have,
                level=level_of(have),
                conditional=truth is not Truth.YES,
                wildcard=_wildcard(statement),
                confidence="low"
                if truth is Truth.UNKNOWN or document.broken or is_unknown(facts)
                else "high",
                via="resource policy",
                why=f"{text}, which {MEANS[have[0]]}." if have else f"{text}.",
                fix=f"Remove {value} from {statement.label} of the policy of {policy.arn}.",
                actions=names,
            )


def _limited(
    actions: int, truth: Truth, *, arn: str, within: tuple[PolicyDocument, Statement], limits: PolicyLimits
) -> tuple[int, Truth]:
    """Return what a principal's own limits leave of what a resource policy gives it, and how certainly."""
    document, statement = within
    named = tuple(arn if all_of(one) else one for one in statement.resources) or (arn,)
    row = ResolvedStatement(
        statement=statement, document=document, actions=actions, resources=named, excluded=(), truth=truth
    )
    left, best = 0, Truth.NO
    for piece in pieces([row], limits):
        left |= piece.actions
        best = max(best, piece.truth)
    return left, best


def _widest(reached: Iterable[AllowedPrincipals | None]) -> AllowedPrincipals | None:
    """Return the most severe result; None if there is none."""
    return min(
        (one for one in reached if one is not None),
        key=lambda one: (SEVERITIES.index(one.severity), EXPOSURES.index(one.exposure)),
        default=None,
    )


def _covers(deny: Statement, statement: Statement) -> bool:
    """Return whether a Deny applies to everything that an Allow grants: only then does its condition restrict every
    allowed principal.
    """
    if deny.not_actions or deny.not_resources or statement.not_actions or statement.not_resources:
        return False
    return all(any(glob(wide, one) for wide in deny.actions) for one in statement.actions) and all(
        any(glob(wide, one) for wide in deny.resources) for one in statement.resources
    )


def _allowed_principals(
    facts: AwsFacts, kind: str, value: str, tests: list[Test], have: list[Power]
) -> AllowedPrincipals | None:
    """Return the principals that a statement allows; None for the account itself, which delegates to IAM."""
    pins = claims_of(tests)
    match kind:
        case "Service":
            sourced = any(
                claim.startswith(("aws:sourcearn", "aws:sourceaccount", "aws:sourceorg")) for claim in pins
            )
            source = TrustChange(key="aws:SourceAccount", values=(facts.account_id,))
            return AllowedPrincipals(
                kind="service",
                issuer=value,
                exposure="exact",
                problem=None if sourced else "SVC-1",
                severity=None if sourced else "info",
                why=f"the service {value}" + ("" if sourced else ", acting for any account's resources,"),
                fix=None if sourced else str(source),
            )
        case "*" | "NotPrincipal":
            return _public(facts, pins, tests, have)
        case "AWS" if DELETED.match(value):
            return AllowedPrincipals(
                kind="account",
                issuer=value,
                exposure="nobody",
                external=None,
                problem="DANGLING-1",
                severity="low",
                why=f"the deleted principal {value}",
                fix="Remove the principal from the statement.",
            )
        case "AWS":
            return _account(facts, value)
        case _:
            return AllowedPrincipals(
                kind="account", issuer=value, exposure="unknown", external=None, why=f"{kind} {value}"
            )


def _account(facts: AwsFacts, value: str) -> AllowedPrincipals | None:
    issuer = f"arn:{facts.partition}:iam::{value}:root" if NUMBER.match(value) else value
    parts = issuer.split(":")
    account = parts[4] if len(parts) > 5 else ""
    whole = issuer.endswith(":root")
    if account == facts.account_id:
        return (
            None if whole else AllowedPrincipals(kind="account", issuer=issuer, exposure="exact", why=issuer)
        )
    accounts = facts.organization_accounts
    if accounts is not None and account in accounts:
        return AllowedPrincipals(
            kind="account", issuer=issuer, exposure="organization" if whole else "exact", why=issuer
        )
    outside = accounts is not None
    return AllowedPrincipals(
        kind="account",
        issuer=issuer,
        exposure="another-tenant",
        external=True if outside else None,
        problem="XACCT-3" if outside and whole else None,
        severity="low" if outside and whole else None,
        why=f"{issuer}, {'outside the organization,' if outside else 'another account,'}",
        fix="Name the role of the other account that needs it." if whole else None,
    )


OWN = (
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:principalaccount",
    "kms:calleraccount",
    "aws:sourceorgid",
)
SOURCED = (
    "aws:sourcearn",
    "aws:sourceaccount",
    "aws:sourceowner",
    "aws:sourceorgid",
    "lambda:eventsourcetoken",
)


def _public(
    facts: AwsFacts, pins: dict[str, Test], tests: list[Test], have: list[Power]
) -> AllowedPrincipals:
    """Evaluate a statement for everyone by its conditions."""
    arns = pins.get("aws:principalarn")
    org = pins.get("aws:principalorgid")
    if org is not None and facts.organization_id is not None and facts.organization_id not in org.values:
        return AllowedPrincipals(
            kind="account",
            issuer="*",
            exposure="another-tenant",
            external=True,
            problem="XACCT-3",
            severity="low",
            why=f"everyone in another organization, {describe_tests(tests)},",
            fix="Name the principals of the other organization that need it.",
        )
    if any(claim in pins for claim in OWN) or (
        arns is not None and all(NUMBER.match((value.split(":") + [""] * 5)[4]) for value in arns.values)
    ):
        return AllowedPrincipals(
            kind="account", issuer="*", exposure="organization", why=f"everyone {describe_tests(tests)}"
        )
    if any(claim in pins for claim in SOURCED):
        return AllowedPrincipals(
            kind="service", issuer="*", exposure="exact", why=f"callers {describe_tests(tests)}"
        )
    network = [
        claim
        for claim in pins
        if claim.startswith(("aws:sourcevpc", "aws:vpc", "aws:sourceip", "s3:dataaccesspoint"))
    ]
    signed = (
        "aws_iam" in {value.lower() for value in pins["lambda:functionurlauthtype"].values}
        if "lambda:functionurlauthtype" in pins
        else False
    )
    if network or signed or any(claim.startswith(("kms:", "aws:principal")) for claim in pins):
        inside = any(claim.startswith(("aws:sourcevpc", "s3:dataaccesspoint")) for claim in network)
        return AllowedPrincipals(
            kind="anyone",
            issuer="*",
            exposure="organization" if inside else "another-tenant",
            external=not inside,
            problem=None if inside else "PUBLIC-1",
            severity=None if inside else "high",
            why=f"everyone {describe_tests(tests)}",
            fix=None if inside else str(own_callers(facts)),
        )
    grave = any(power not in {"read", "read-data"} for power in have)
    return AllowedPrincipals(
        kind="anyone",
        issuer="*",
        exposure="anyone",
        external=True,
        problem="PUBLIC-1",
        severity="critical" if grave else "high",
        why="anyone",
        fix=f"Name the principals, or: {own_callers(facts)}",
    )


def _wildcard(statement: Statement) -> str | None:
    if statement.not_actions:
        return "NotAction"
    return next((pattern for pattern in statement.actions if "*" in pattern), None)
