"""Role trust policies as trusts: who may become the role, under which tests, and whether that is too broad. One record
per statement and principal. Codes in ``problem``:

- OIDC-1 no claim distinguishes the tenants of a shared issuer; OIDC-2 a wildcard before the end of the owner; OIDC-3 no
  delimiter after the owner; OIDC-4 a whole organization; OIDC-5 any branch, tag or pull request of one repository;
  OIDC-6 only tests that an absent claim passes; OIDC-7 a wildcard in a literal comparison, so that nobody passes;
  OIDC-8 the audience is not tested; OIDC-9 only names, which can be reassigned.
- IRSA-1 any pod of the cluster, IRSA-2 any service account of a namespace, IRSA-3 no audience.
- COGNITO-1 any identity pool of any account, COGNITO-2 guests, COGNITO-3 guests are not excluded.
- SAML-1 no audience, SAML-2 every user of the provider. RA-1 any certificate of any trust anchor, RA-2 any certificate
  or any trust anchor.
- XACCT-1 anyone, XACCT-2 an account of another organization without a proper external id, XACCT-3 every principal of
  that account.
- SVC-1 a service without SourceArn or SourceAccount. DANGLING-1 a deleted principal, DANGLING-2 a deleted cluster or
  provider, DANGLING-3 no Pod Identity association, DANGLING-4 a deleted trust anchor.

Sources: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html,
https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html,
https://docs.aws.amazon.com/rolesanywhere/latest/userguide/trust-model.html.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from collectors.aws.evaluator.account_trust import account_verdict, anyone_verdict
from collectors.aws.evaluator.conditions import RequestContext, Truth, holds
from collectors.aws.evaluator.oidc_trust import OidcVerdict, oidc_verdict
from collectors.aws.evaluator.partitions import saml_audience
from collectors.aws.evaluator.resource_control import as_known, denies_on, documents
from collectors.aws.evaluator.service_trust import service_verdict
from collectors.aws.evaluator.trust_tests import (
    alternatives,
    claims_of,
    denies_to,
    describe_tests,
    foreign_keys,
    in_doubt,
    tests_of,
)
from collectors.aws.evaluator.trust_verdict import EXPOSURES, REMOVED, SEVERITIES, TrustChange, TrustVerdict
from scanner.collect.failures import Failure
from scanner.collect.listings import ListingRequest, gap
from scanner.records import Record, Test, Trust, record_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from collectors.aws.evaluator.facts import AwsFacts
    from collectors.aws.evaluator.policy import Statement
    from collectors.aws.evaluator.principals import Principal


def role_trusts(
    principal: Principal, facts: AwsFacts, as_of: datetime, *, writes: bool = True
) -> Iterator[Record]:
    """Yield a trust for each statement and principal of a role's trust policy, and a gap for what could not be parsed.
    ``writes`` says whether the role has more than read access, which makes a broad trust more severe.
    """
    document = principal.trust
    if document is None or document.broken is not None:
        broken = "it was not given" if document is None else document.broken
        asked = ListingRequest(
            provider="aws",
            account_id=facts.account_ref,
            collector="aws",
            target=facts.account_id,
            table="trusts",
            call=f"trust policy of {principal.arn}",
        )
        yield gap(asked, Failure(reason="malformed", detail=f"trust policy of {principal.name}: {broken}"))
    if document is None:
        return
    for one in admissions(principal, facts, as_of, writes=writes):
        found = one.verdict
        yield Trust(
            id=one.id,
            provider="aws",
            account_id=facts.account_ref,
            identity_id=principal.id,
            kind=found.kind,
            issuer=found.issuer,
            tests=one.tests,
            trusted_account=record_id("aws", "account", found.account) if found.account else None,
            audience=[
                audience
                for test in one.tests
                if test.claim.lower() in {"aud", "saml:aud"}
                and test.operator in {"equals", "glob"}
                and not test.optional
                for audience in test.values
            ],
            exposure=found.exposure,
            external=found.external,
            problem=found.problem,
            severity=found.severity,
            why=f"{one.label} of the trust policy of {principal.name} {found.why}.",
            fix=found.fix,
        )


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """One principal that one statement of a role's trust policy admits."""

    id: str
    """Id of its trust."""
    number: int
    """The statement, from 1."""
    principal: tuple[str, str]
    """Its kind and value in the statement."""
    label: str
    """The statement, to begin a sentence with."""
    tests: list[Test]
    verdict: TrustVerdict


def admissions(
    principal: Principal, facts: AwsFacts, as_of: datetime, *, writes: bool
) -> Iterator[Admission]:
    """Yield whom a role's trust policy admits."""
    document = principal.trust
    if document is None:
        return
    reader = RoleTrustReader(principal, facts, as_of, writes=writes)
    denies = [statement for statement in document.statements if not statement.allow]
    if not principal.service_linked:
        denies += denies_on(documents(facts), "sts", principal.arn)
    for number, statement in enumerate(document.statements, start=1):
        if not statement.allow:
            continue
        pairs = statement.principals or ((("NotPrincipal", "*"),) if statement.not_principals else ())
        for place, (kind, value) in enumerate(pairs, start=1):
            refusing = [
                deny
                for one in denies_to(denies, action_of(kind, value), kind, value)
                if (deny := as_known(one, facts, kind, value, as_of)) is not None
            ]
            if any(not deny.conditions for deny in refusing):
                continue
            found = _widest(
                reader.verdict(kind, value, statement, way)
                for way in alternatives(
                    statement, refusing, kind, value, variables=document.variables, signed=True
                )
            )
            if found is None:
                continue
            tests = tests_of(statement, refusing, kind, value, variables=document.variables, signed=True)
            suffix = f":{place}" if len(pairs) > 1 else ""
            yield Admission(
                id=record_id("aws", "trust", f"{principal.native_id}:{number}{suffix}"),
                number=number,
                principal=(kind, value),
                label=f"{statement.label[0].upper()}{statement.label[1:]}",
                tests=tests + in_doubt(refusing, kind, value),
                verdict=found,
            )


def _widest(verdicts: Iterable[TrustVerdict | None]) -> TrustVerdict | None:
    """Return the most severe of the verdicts on the ways into a role; None if there is none."""
    return min(
        (one for one in verdicts if one is not None),
        key=lambda one: (SEVERITIES.index(one.severity), EXPOSURES.index(one.exposure)),
        default=None,
    )


def action_of(kind: str, value: str) -> str:
    """Return the action by which a principal becomes a role."""
    if kind != "Federated":
        return "sts:AssumeRole"
    return "sts:AssumeRoleWithSAML" if ":saml-provider/" in value else "sts:AssumeRoleWithWebIdentity"


class RoleTrustReader:
    """Evaluates the statements of one role's trust policy."""

    def __init__(self, principal: Principal, facts: AwsFacts, as_of: datetime, *, writes: bool) -> None:
        self.principal = principal
        self.facts = facts
        self.as_of = as_of
        self.writes = writes

    def verdict(self, kind: str, value: str, statement: Statement, tests: list[Test]) -> TrustVerdict | None:
        """Evaluate one principal of one statement; None if the statement does not admit it."""
        if not statement.covers_action(action_of(kind, value)):
            return None
        match kind:
            case "Federated" if ":saml-provider/" in value:
                found = self._saml(value, tests)
            case "Federated":
                found = self._oidc(value, tests)
            case "Service":
                found = service_verdict(self.facts, self.principal, value, tests)
            case "*" | "NotPrincipal":
                found = anyone_verdict(self.facts, tests, negated=kind == "NotPrincipal")
            case "AWS":
                found = account_verdict(self.facts, value, tests)
            case _:
                found = TrustVerdict(
                    kind="account",
                    issuer=value,
                    exposure="unknown",
                    why=f"names {kind} {value}, a principal type that is not evaluated",
                )
        known: dict[str, tuple[str, ...] | None] = dict.fromkeys(foreign_keys(statement, kind, value))
        context = RequestContext(as_of=self.as_of, known=known)
        if holds(statement.conditions, context, allow=True) is Truth.NO:
            return self._never(found, statement)
        return found

    def _never(self, found: TrustVerdict, statement: Statement) -> TrustVerdict:
        """Return the result for a statement that admits nobody because a condition is never true."""
        keys = ", ".join(dict.fromkeys(condition.key for condition in statement.conditions))
        literal = any(
            condition.operator.startswith("string")
            and condition.operator.endswith("equals")
            and any("*" in value for value in condition.values)
            for condition in statement.conditions
        )
        return TrustVerdict(
            kind=found.kind,
            issuer=found.issuer,
            exposure="nobody",
            external=found.external,
            problem="OIDC-7" if literal else None,
            severity="info" if literal else None,
            why=f"admits nobody, because its condition on {keys} is never true",
            fix="Use StringLike for values with a wildcard, or write the exact value." if literal else None,
            change=TrustChange(kind="like") if literal else None,
        )

    def _oidc(self, value: str, tests: list[Test]) -> TrustVerdict:
        name = value.partition(":oidc-provider/")[2] or value
        verdict: OidcVerdict = oidc_verdict(name, tests, writes=self.writes)
        gone = self._gone(value, name)
        if gone is not None:
            return TrustVerdict(
                kind="oidc",
                issuer=f"https://{name}",
                exposure=verdict.exposure,
                problem="DANGLING-2",
                severity="medium",
                why=f"trusts https://{name}, {gone}",
                fix="Remove the statement, or the role.",
                change=REMOVED,
            )
        return TrustVerdict(
            kind="oidc",
            issuer=f"https://{name}",
            exposure=verdict.exposure,
            external=verdict.exposure in {"anyone", "another-tenant"},
            problem=verdict.problem,
            severity=verdict.severity,
            why=f"trusts https://{name} {verdict.why}",
            fix=verdict.fix,
            change=verdict.change,
        )

    def _gone(self, value: str, name: str) -> str | None:
        """Return the deleted cluster or provider of an issuer, or None."""
        issuers = self.facts.eks_issuers
        if name.startswith("oidc.eks.") and issuers is not None:
            own = not value.startswith("arn:") or f":{self.facts.account_id}:" in value
            live = {issuer.removeprefix("https://").rstrip("/").lower() for issuer in issuers}
            if own and name.rstrip("/").lower() not in live:
                return "the issuer of a cluster that no longer exists"
        providers = self.facts.oidc_providers
        if (
            providers
            and ":oidc-provider/" in value
            and value not in providers
            and f":{self.facts.account_id}:" in value
        ):
            return "an identity provider that no longer exists in the account"
        return None

    def _saml(self, value: str, tests: list[Test]) -> TrustVerdict:
        pins = claims_of(tests)
        reserved = ":role/aws-reserved/" in self.principal.arn
        provider = value.rpartition("/")[2]
        sign_in = saml_audience(self.facts.partition)
        audience = None if sign_in is None else TrustChange(key="SAML:aud", values=(sign_in,))
        if "saml:aud" not in pins:
            return TrustVerdict(
                kind="saml",
                issuer=value,
                exposure="organization",
                problem="SAML-1",
                severity="high",
                why=f"trusts the SAML provider {provider} without a condition on SAML:aud",
                fix="Add a condition on SAML:aud with the address of the sign-in."
                if audience is None
                else str(audience),
                change=audience,
            )
        user = [
            claim
            for claim in pins
            if claim.startswith("saml:") and claim not in {"saml:aud", "saml:iss", "saml:doc"}
        ]
        if user or reserved or any(claim.startswith("aws:principaltag/") for claim in pins):
            return TrustVerdict(
                kind="saml",
                issuer=value,
                exposure="exact",
                why=f"trusts users of the SAML provider {provider} {describe_tests(tests)}",
            )
        return TrustVerdict(
            kind="saml",
            issuer=value,
            exposure="organization",
            problem="SAML-2",
            severity="medium",
            why=f"trusts every user to whom the SAML provider {provider} assigns the role: only SAML:aud is checked",
            fix="Add a condition on the user, for example on SAML:sub, SAML:eduPersonAffiliation or a session tag.",
        )
