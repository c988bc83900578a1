"""Role trust policies as trusts: who may become the role, under which tests, and how far that is too wide.

One record a statement and principal. The rungs of the ladder are told in ``problem``:

- OIDC-1 no claim tells the tenants of a shared issuer apart; OIDC-2 a wildcard stands before the owner is complete;
  OIDC-3 the owner has no delimiter behind it; OIDC-4 a whole organization; OIDC-5 any branch, tag or pull request of
  one repository; OIDC-6 only tests that an absent claim passes; OIDC-7 a wildcard where text is compared as it
  stands, so that nobody passes; OIDC-8 the audience is not tested; OIDC-9 names only, which can change hands.
- IRSA-1 any pod of the cluster, IRSA-2 any service account of a namespace, IRSA-3 no audience.
- COGNITO-1 any identity pool of anybody, COGNITO-2 guests, COGNITO-3 guests are not excluded.
- SAML-1 no audience, SAML-2 every user of the provider. RA-1 any certificate of any trust anchor, RA-2 one of both.
- XACCT-1 anyone, XACCT-2 another organization's account without a sound external id, XACCT-3 all of that account.
- SVC-1 a service without SourceArn or SourceAccount. DANGLING-1 a deleted principal, DANGLING-2 a cluster or provider
  that is gone, DANGLING-3 no Pod Identity association, DANGLING-4 a trust anchor that is gone.

Sources: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html,
https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html,
https://docs.aws.amazon.com/rolesanywhere/latest/userguide/trust-model.html.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from collectors.aws.evaluator.conditions import RequestContext, Truth, holds
from collectors.aws.evaluator.oidc_trust import OidcVerdict, judge_oidc
from collectors.aws.evaluator.policy import Statement, glob
from collectors.aws.evaluator.trust_tests import claims_of, denies_to, foreign_keys, said, tests_of
from scanner.collect.failures import Failure
from scanner.collect.listings import ListingRequest, gap
from scanner.records import Exposure, Record, Test, Trust, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from collectors.aws.evaluator.facts import AwsFacts
    from collectors.aws.evaluator.principals import Principal

COMPUTE_SERVICES = frozenset(
    {
        "ec2.amazonaws.com", "lambda.amazonaws.com", "edgelambda.amazonaws.com", "ecs-tasks.amazonaws.com",
        "ecs.amazonaws.com", "codebuild.amazonaws.com", "pods.eks.amazonaws.com", "eks.amazonaws.com",
        "eks-fargate-pods.amazonaws.com", "sagemaker.amazonaws.com", "glue.amazonaws.com", "states.amazonaws.com",
        "batch.amazonaws.com", "cloudformation.amazonaws.com", "codepipeline.amazonaws.com",
        "codedeploy.amazonaws.com", "elasticmapreduce.amazonaws.com", "tasks.apprunner.amazonaws.com",
        "build.apprunner.amazonaws.com", "elasticbeanstalk.amazonaws.com", "ssm.amazonaws.com",
        "bedrock-agentcore.amazonaws.com", "autoscaling.amazonaws.com", "spotfleet.amazonaws.com",
        "rds.amazonaws.com", "monitoring.rds.amazonaws.com", "datapipeline.amazonaws.com",
    }
)  # fmt: skip
"""Services that only run what the account itself set up with a role."""
DELETED = re.compile(r"^(AIDA|AROA|AGPA|ANPA)[A-Z0-9]{12,}$")
NUMBER = re.compile(r"^[0-9]{12}$")
TagKey: TypeAlias = Literal["aws:principaltag/x509"]


def role_trusts(
    principal: Principal, facts: AwsFacts, as_of: datetime, *, writes: bool = True
) -> Iterator[Record]:
    """Yield a trust for each statement and principal of a role's trust policy, and a gap for what was not understood.

    ``writes`` says whether the role can change something: loose trusts of such roles weigh more.
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
    reader = RoleTrustReader(principal, facts, as_of, writes=writes)
    denies = [statement for statement in document.statements if not statement.allow]
    for number, statement in enumerate(document.statements, start=1):
        if not statement.allow:
            continue
        pairs = statement.principals or ((("NotPrincipal", "*"),) if statement.not_principals else ())
        for place, (kind, value) in enumerate(pairs, start=1):
            refusing = denies_to(denies, action_of(kind, value), kind, value)
            if any(not deny.conditions for deny in refusing):
                continue
            tests = tests_of(statement, refusing, kind, value, variables=document.variables)
            found = reader.judge(kind, value, statement, tests)
            if found is None:
                continue
            suffix = f":{place}" if len(pairs) > 1 else ""
            yield Trust(
                id=record_id("aws", "trust", f"{principal.native_id}:{number}{suffix}"),
                provider="aws",
                account_id=facts.account_ref,
                identity_id=principal.id,
                kind=found.kind,
                issuer=found.issuer,
                tests=tests,
                audience=[
                    audience
                    for test in tests
                    if test.claim.lower() in {"aud", "saml:aud"}
                    and test.operator in {"equals", "glob"}
                    and not test.optional
                    for audience in test.values
                ],
                exposure=found.exposure,
                external=found.external,
                problem=found.problem,
                severity=found.severity,
                why=f"{statement.label[0].upper()}{statement.label[1:]} of the trust policy of {principal.name} {found.why}.",
                fix=found.fix,
            )


class TrustVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What one statement and principal come to."""

    kind: str
    issuer: str
    exposure: Exposure
    why: str
    """Continues "Statement 1 of the trust policy of NAME ..."."""
    external: bool | None = False
    problem: str | None = None
    severity: Literal["critical", "high", "medium", "low", "info"] | None = None
    fix: str | None = None


def action_of(kind: str, value: str) -> str:
    """Return the action by which a principal becomes a role."""
    if kind != "Federated":
        return "sts:AssumeRole"
    return "sts:AssumeRoleWithSAML" if ":saml-provider/" in value else "sts:AssumeRoleWithWebIdentity"


class RoleTrustReader:
    """Judges the statements of one role."""

    def __init__(self, principal: Principal, facts: AwsFacts, as_of: datetime, *, writes: bool) -> None:
        self.principal = principal
        self.facts = facts
        self.as_of = as_of
        self.writes = writes

    def judge(self, kind: str, value: str, statement: Statement, tests: list[Test]) -> TrustVerdict | None:
        """Judge one principal of one statement; None when the statement does not let it become the role."""
        if not statement.covers_action(action_of(kind, value)):
            return None
        match kind:
            case "Federated" if ":saml-provider/" in value:
                found = self._saml(value, tests)
            case "Federated":
                found = self._oidc(value, tests)
            case "Service":
                found = self._service(value, tests)
            case "*" | "NotPrincipal":
                found = self._anyone(tests, negated=kind == "NotPrincipal")
            case "AWS":
                found = self._account(value, tests)
            case _:
                found = TrustVerdict(
                    kind="account",
                    issuer=value,
                    exposure="unknown",
                    why=f"names {kind} {value}, which is not understood",
                )
        known: dict[str, tuple[str, ...] | None] = dict.fromkeys(foreign_keys(statement, kind, value))
        context = RequestContext(as_of=self.as_of, known=known)
        if holds(statement.conditions, context, allow=True) is Truth.NO:
            return self._never(found, statement)
        return found

    def _never(self, found: TrustVerdict, statement: Statement) -> TrustVerdict:
        """Say that nobody passes: a condition is never true."""
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
            why=f"lets nobody in, since its condition on {keys} is never true",
            fix="Compare with StringLike where a value has a wildcard, or write the value out."
            if literal
            else None,
        )

    def _oidc(self, value: str, tests: list[Test]) -> TrustVerdict:
        name = value.partition(":oidc-provider/")[2] or value
        verdict: OidcVerdict = judge_oidc(name, tests, writes=self.writes)
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
        )

    def _gone(self, value: str, name: str) -> str | None:
        """Say what of an issuer is gone, when that is known."""
        issuers = self.facts.eks_issuers
        if name.startswith("oidc.eks.") and issuers is not None:
            own = not value.startswith("arn:") or f":{self.facts.account_id}:" in value
            live = {issuer.removeprefix("https://").rstrip("/").lower() for issuer in issuers}
            if own and name.rstrip("/").lower() not in live:
                return "the issuer of no cluster that exists"
        providers = {str(provider.get("arn")) for provider in self.facts.oidc_providers}
        if (
            providers
            and ":oidc-provider/" in value
            and value not in providers
            and f":{self.facts.account_id}:" in value
        ):
            return "a provider that the account no longer has"
        return None

    def _saml(self, value: str, tests: list[Test]) -> TrustVerdict:
        pins = claims_of(tests)
        reserved = ":role/aws-reserved/" in self.principal.arn
        provider = value.rpartition("/")[2]
        if "saml:aud" not in pins:
            return TrustVerdict(
                kind="saml",
                issuer=value,
                exposure="organization",
                problem="SAML-1",
                severity="high",
                why=f"trusts the SAML provider {provider} without a test of SAML:aud",
                fix='Add StringEquals "SAML:aud": "https://signin.aws.amazon.com/saml".',
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
                why=f"trusts users of the SAML provider {provider} {said(tests)}",
            )
        return TrustVerdict(
            kind="saml",
            issuer=value,
            exposure="organization",
            problem="SAML-2",
            severity="medium",
            why=f"trusts every user of the SAML provider {provider} whom the provider gives the role: only SAML:aud is tested",
            fix="Test who the user is as well, for instance SAML:sub, SAML:eduPersonAffiliation or a session tag.",
        )

    def _service(self, value: str, tests: list[Test]) -> TrustVerdict:
        service = value.lower()
        pins = claims_of(tests)
        if service == "rolesanywhere.amazonaws.com":
            return self._roles_anywhere(pins, tests)
        if service == "pods.eks.amazonaws.com":
            known = self.facts.pod_identity_roles
            unused = known is not None and self.principal.arn not in known
            return TrustVerdict(
                kind="pod-identity",
                issuer=service,
                exposure="nobody" if unused else "exact",
                problem="DANGLING-3" if unused else None,
                severity="low" if unused else None,
                why="trusts EKS Pod Identity, and no association names the role"
                if unused
                else "trusts EKS Pod Identity",
                fix="Remove the role, or associate it with the service account that needs it."
                if unused
                else None,
            )
        sourced = any(
            claim.startswith(("aws:sourcearn", "aws:sourceaccount", "aws:sourceorg")) for claim in pins
        )
        family = service.split(".")[0]
        compute = service in COMPUTE_SERVICES or any(service.endswith(f".{one}") for one in COMPUTE_SERVICES)
        if sourced or compute or self.principal.service_linked or family in {"ssm", "vmie"}:
            return TrustVerdict(kind="service", issuer=service, exposure="exact", why=f"trusts {service}")
        return TrustVerdict(
            kind="service",
            issuer=service,
            exposure="exact",
            problem="SVC-1",
            severity="info",
            why=f"trusts {service} without aws:SourceArn or aws:SourceAccount",
            fix=f'Add StringEquals "aws:SourceAccount": "{self.facts.account_id}".',
        )

    def _roles_anywhere(self, pins: dict[str, Test], tests: list[Test]) -> TrustVerdict:
        anchor = pins.get("aws:sourcearn")
        subject = any(claim.startswith("aws:principaltag/x509") for claim in pins)
        issuer = "rolesanywhere.amazonaws.com"
        anchors = self.facts.roles_anywhere_anchors
        if (
            anchor is not None
            and anchors is not None
            and not any(glob(value, arn) for value in anchor.values for arn in anchors)
        ):
            return TrustVerdict(
                kind="certificate",
                issuer=issuer,
                exposure="nobody",
                problem="DANGLING-4",
                severity="medium",
                why=f"trusts certificates of the trust anchor {', '.join(anchor.values)}, which is gone",
                fix="Remove the statement, or the role.",
            )
        if anchor is not None and subject:
            return TrustVerdict(
                kind="certificate", issuer=issuer, exposure="exact", why=f"trusts certificates {said(tests)}"
            )
        missing = (
            "aws:SourceArn and a tag of the certificate"
            if anchor is None and not subject
            else ("aws:SourceArn" if anchor is None else "a tag of the certificate")
        )
        return TrustVerdict(
            kind="certificate",
            issuer=issuer,
            exposure="organization",
            problem="RA-1" if anchor is None and not subject else "RA-2",
            severity="high" if anchor is None and not subject else "medium",
            why=f"trusts IAM Roles Anywhere without a test of {missing}",
            fix="Pin aws:SourceArn to the ARN of the trust anchor and aws:PrincipalTag/x509Subject/CN to the certificate.",
        )

    def _anyone(self, tests: list[Test], *, negated: bool) -> TrustVerdict:
        who = "everybody but a few" if negated else "everybody"
        pins = claims_of(tests)
        org = pins.get("aws:principalorgid") or pins.get("aws:principalorgpaths")
        accounts = pins.get("aws:principalaccount")
        arns = pins.get("aws:principalarn")
        if arns is not None and all(NUMBER.match((value.split(":") + [""] * 5)[4]) for value in arns.values):
            inside = all(self._inside(value.split(":")[4]) for value in arns.values)
            exact = not any("*" in value or "?" in value for value in arns.values)
            return self._named_by_condition("*", inside=inside, exact=exact, tests=tests)
        if accounts is not None and all(NUMBER.match(value) for value in accounts.values):
            inside = all(self._inside(value) for value in accounts.values)
            return self._named_by_condition("*", inside=inside, exact=False, tests=tests)
        if org is not None and not any(value.strip("*") == "" or value == "o-*" for value in org.values):
            own = self.facts.organization_id
            foreign = own is not None and not any(value.partition("/")[0] == own for value in org.values)
            return self._named_by_condition("*", inside=not foreign, exact=False, tests=tests)
        external_id = pins.get("sts:externalid")
        network = [claim for claim in pins if claim.startswith(("aws:source", "aws:vpc"))]
        some = external_id is not None or bool(network)
        guard = (
            "only an external id, which is no secret,"
            if external_id is not None
            else "only where a call comes from"
        )
        return TrustVerdict(
            kind="anyone",
            issuer="*",
            exposure="another-tenant" if some else "anyone",
            external=True,
            problem="XACCT-1",
            severity="high" if some else "critical",
            why=f"trusts {who}"
            + (f", with {guard} as a guard" if some else " without a condition on who they are"),
            fix='Name the principal, or add StringEquals "aws:PrincipalOrgID" with the id of the organization.',
        )

    def _named_by_condition(
        self, issuer: str, *, inside: bool, exact: bool, tests: list[Test]
    ) -> TrustVerdict:
        if inside:
            return TrustVerdict(
                kind="account",
                issuer=issuer,
                exposure="exact" if exact else "organization",
                why=f"trusts everybody {said(tests)}",
            )
        return self._foreign(issuer, claims_of(tests), whole=not exact, known=True)

    def _inside(self, account: str) -> bool:
        if account == self.facts.account_id:
            return True
        return account in (self.facts.organization_accounts or ())

    def _account(self, value: str, tests: list[Test]) -> TrustVerdict:
        pins = claims_of(tests)
        if DELETED.match(value):
            return TrustVerdict(
                kind="account",
                issuer=value,
                exposure="nobody",
                external=None,
                problem="DANGLING-1",
                severity="low",
                why=f"names {value}, a principal that was deleted",
                fix="Remove the principal from the statement.",
            )
        issuer = f"arn:{self.facts.partition}:iam::{value}:root" if NUMBER.match(value) else value
        parts = issuer.split(":")
        account = parts[4] if len(parts) > 5 else ""
        whole = issuer.endswith(":root")
        if not NUMBER.match(account):
            return TrustVerdict(
                kind="account",
                issuer=issuer,
                exposure="unknown",
                external=None,
                why=f"names {value}, which is not understood",
            )
        if self._inside(account) or self._own_organization(pins):
            return TrustVerdict(
                kind="account",
                issuer=issuer,
                exposure="organization" if whole else "exact",
                why=f"trusts {issuer}" + (f" {said(tests)}" if tests else ""),
            )
        return self._foreign(issuer, pins, whole=whole, known=self.facts.organization_accounts is not None)

    def _own_organization(self, pins: dict[str, Test]) -> bool:
        org = pins.get("aws:principalorgid")
        own = self.facts.organization_id
        return org is not None and own is not None and org.values == [own]

    def _foreign(self, issuer: str, pins: dict[str, Test], *, whole: bool, known: bool) -> TrustVerdict:
        """Judge an account that is not, or not known to be, of our organization."""
        where = "an account outside the organization" if known else "an account that is not known to be ours"
        external_id = pins.get("sts:externalid")
        if external_id is None and "aws:principalorgid" not in pins:
            return TrustVerdict(
                kind="account",
                issuer=issuer,
                exposure="another-tenant",
                external=True if known else None,
                problem="XACCT-2",
                severity="high" if known else "medium",
                why=f"trusts {issuer}, {where}, without sts:ExternalId",
                fix='Add StringEquals "sts:ExternalId" with a random value that the other party keeps for this account.',
            )
        weak = external_id is not None and self._weak(external_id, issuer)
        if weak:
            return TrustVerdict(
                kind="account",
                issuer=issuer,
                exposure="another-tenant",
                external=True if known else None,
                problem="XACCT-2",
                severity="medium",
                why=f"trusts {issuer}, {where}, with an sts:ExternalId that can be guessed: {weak}",
                fix="Use a random external id of at least 16 characters.",
            )
        return TrustVerdict(
            kind="account",
            issuer=issuer,
            exposure="another-tenant",
            external=True if known else None,
            problem="XACCT-3" if whole else None,
            severity="low" if whole else None,
            why=f"trusts {issuer}, {where}"
            + (", as a whole instead of a named principal" if whole else ", with an external id"),
            fix="Name the role of the other account that needs it." if whole else None,
        )

    def _weak(self, test: Test, issuer: str) -> str | None:
        for value in test.values:
            if test.operator == "glob" and ("*" in value or "?" in value):
                return "it has a wildcard"
            if value == self.facts.account_id or (value and value in issuer):
                return "it is an account number"
            if len(value) < 16:
                return f"it has {len(value)} characters"
        return None
