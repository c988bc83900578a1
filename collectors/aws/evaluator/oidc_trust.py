"""The exposure of a trust in an OpenID Connect issuer, from anyone to one exact subject."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from collectors._issuers import ORDER, Grade, Issuer, grade_subject, issuer_of, wanted
from collectors.aws.evaluator.trust_tests import PINS, claims_of, describe_tests
from collectors.aws.evaluator.trust_verdict import TrustChange

if TYPE_CHECKING:
    from scanner.records import Exposure, Test

Severity: TypeAlias = Literal["critical", "high", "medium", "low", "info"]


class OidcVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """The exposure and problem of a trust."""

    exposure: Exposure
    why: str
    """Continues "trusts https://issuer ..."."""
    problem: str | None = None
    severity: Severity | None = None
    fix: str | None = None
    change: TrustChange | None = None
    """What ``fix`` says, if it can be written into the policy."""


SEVERITY: dict[str, Severity] = {
    "OIDC-1": "critical",
    "OIDC-2": "critical",
    "OIDC-3": "high",
    "OIDC-4": "medium",
    "OIDC-5": "low",
    "OIDC-7": "info",
    "OIDC-8": "low",
    "OIDC-9": "info",
    "IRSA-1": "high",
    "IRSA-2": "medium",
    "IRSA-3": "low",
}
MEANS = {
    "OIDC-1": "the value names no owner, and every organization can customize its subject claim",
    "OIDC-2": "the wildcard comes before the owner is complete, so subjects of other owners match",
    "OIDC-3": "no delimiter follows the owner, so owners whose names start the same way match too",
    "OIDC-4": "every repository of the organization matches",
    "OIDC-5": "any branch, tag or pull request of the repository can match",
    "IRSA-1": "any pod of the cluster can assume the role",
    "IRSA-2": "any service account of the namespace matches",
}
MEANS_FOR: dict[tuple[str, str], str] = {
    ("gitlab", "OIDC-4"): "every project of the group matches",
    ("gitlab", "OIDC-5"): "any branch, tag or merge request of the project can match",
    ("terraform", "OIDC-4"): "every workspace of the organization or project matches",
    (
        "terraform",
        "OIDC-5",
    ): "every run of the workspace matches, also the plan of a change that nobody has reviewed",
    ("buildkite", "OIDC-4"): "every pipeline of the organization matches",
    ("buildkite", "OIDC-5"): "any branch of the pipeline can match",
    ("bitbucket", "OIDC-4"): "every repository of the workspace matches",
    ("bitbucket", "OIDC-5"): "any step of the repository's pipelines can match",
    ("circleci", "OIDC-4"): "every project of the organization matches",
    ("circleci", "OIDC-5"): "any branch of the project can match",
    ("private", "OIDC-4"): "more than one caller of the issuer matches",
    ("private", "OIDC-5"): "more than one caller of the issuer matches",
    ("colon-pairs", "OIDC-4"): "more than one caller of the tenant matches",
}
"""By family of the issuer."""
GITHUB_PINS: dict[str, tuple[Exposure, str | None, bool]] = {
    "repository_id": ("repository", "OIDC-5", False),
    "repository": ("repository", "OIDC-5", True),
    "repository_owner_id": ("organization", "OIDC-4", False),
    "repository_owner": ("organization", "OIDC-4", True),
    "enterprise_id": ("organization", "OIDC-4", False),
    "enterprise": ("organization", "OIDC-4", True),
    "job_workflow_ref": ("organization", "OIDC-4", True),
    "workflow_ref": ("repository", "OIDC-5", True),
}
"""Claims other than ``sub`` that STS evaluates, their exposure, and whether they use names.
https://aws.amazon.com/about-aws/whats-new/2026/01/aws-sts-supports-validation-identity-provider-claims"""


def oidc_verdict(name: str, tests: list[Test], *, writes: bool) -> OidcVerdict:
    """Evaluate a trust in the issuer ``name`` (without ``https://``)."""
    issuer = issuer_of(name)
    pins = claims_of(tests)
    misconfigured = _misconfigured(tests)
    if misconfigured is not None:
        return misconfigured
    match issuer.family:
        case "cognito":
            return _cognito(name, pins, tests)
        case "audience" | "google":
            return _by_audience(issuer, pins, tests, name)
        case _:
            return _by_subject(issuer, name, pins, tests, writes=writes)


def _misconfigured(tests: list[Test]) -> OidcVerdict | None:
    """Find a wildcard in an operator that compares literally, which nobody can match."""
    for test in tests:
        if (
            test.operator == "equals"
            and test.values
            and not test.optional
            and all("*" in value for value in test.values)
        ):
            return OidcVerdict(
                exposure="nobody",
                problem="OIDC-7",
                severity="info",
                why=f"where {test.claim} equals {test.values[0]} literally, which no token contains",
                fix=f"Use StringLike for {test.claim}, or write the exact value.",
                change=TrustChange(kind="like", key=test.claim),
            )
    return None


def _grades(issuer: Issuer, pins: dict[str, Test]) -> list[Grade]:
    """Grade each claim that is tested."""
    found: list[Grade] = []
    subject = pins.get("sub")
    if subject is not None:
        values = [value for value in subject.values if subject.operator != "equals" or "*" not in value]
        if subject.operator == "prefix":
            values = [f"{value}*" for value in values]
        grades = [grade_subject(issuer, value) for value in values]
        if subject.operator == "equals":
            grades = [grade_subject(issuer, value) for value in values]
        found.append(min(grades, key=lambda grade: ORDER.index(grade.exposure)))
    if issuer.family == "github":
        found += [grade for claim, test in pins.items() if (grade := _claim(claim, test)) is not None]
    elif issuer.family == "gitlab":
        for claim in ("project_id", "project_path", "namespace_id", "namespace_path"):
            test = pins.get(claim)
            if test is not None and not any("*" in value for value in test.values):
                wide = claim.startswith("namespace")
                found.append(
                    Grade(
                        exposure="organization" if wide else "repository",
                        problem="OIDC-4" if wide else "OIDC-5",
                        names_only=claim.endswith("path"),
                    )
                )
    return found


def _claim(claim: str, test: Test) -> Grade | None:
    known = GITHUB_PINS.get(claim)
    if known is None:
        return None
    exposure, problem, names_only = known
    wild = [value for value in test.values if test.operator == "glob" and ("*" in value or "?" in value)]
    for value in wild:
        literal = value.partition("*")[0].partition("?")[0]
        if "/" not in literal or literal.startswith("/"):
            return None
        if claim == "repository" or (claim == "workflow_ref" and literal.count("/") < 2):
            exposure, problem = "organization", "OIDC-4"
    return Grade(exposure=exposure, problem=problem, names_only=names_only)


def _by_subject(
    issuer: Issuer, name: str, pins: dict[str, Test], tests: list[Test], *, writes: bool
) -> OidcVerdict:
    grades = _grades(issuer, pins)
    if not grades:
        return _unpinned(issuer, name, tests)
    best = max(grades, key=lambda grade: (ORDER.index(grade.exposure), grade.problem is None))
    exposure, problem = best.exposure, best.problem
    if (
        problem == "OIDC-5"
        and any(claim in pins for claim in ("ref", "environment", "job_workflow_ref"))
        and issuer.family == "github"
    ):
        exposure, problem = "exact", None
    names_only = all(grade.names_only for grade in grades)
    severity = SEVERITY.get(problem or "")
    if problem in {"OIDC-1", "OIDC-2"} and not issuer.shared:
        severity = "medium"
        exposure = "organization"
    if problem == "OIDC-5" and writes:
        from_forks = issuer.family in {"github", "gitlab"} and _pull_request(pins)
        severity = "medium" if exposure == "repository" and from_forks else "low"
    audience = "aud" in pins
    why = describe_tests(tests)
    if problem is not None:
        why += f": {MEANS_FOR.get((issuer.family, problem), MEANS.get(problem, ''))}"
    elif not audience:
        problem = "IRSA-3" if issuer.family == "eks" else "OIDC-8"
        severity = SEVERITY[problem]
        why += ", without a condition on aud"
    elif names_only and issuer.family == "github":
        problem, severity = "OIDC-9", "info"
        why += ": names only, which someone else can register once they are free"
    fix, change = _fix(issuer, name, problem, best)
    return OidcVerdict(exposure=exposure, problem=problem, severity=severity, why=why, fix=fix, change=change)


def _pull_request(pins: dict[str, Test]) -> bool:
    subject = pins.get("sub")
    return subject is not None and any(
        value.endswith((":pull_request", ":*", ":p*")) or not value.partition(":")[2]
        for value in subject.values
    )


def _unpinned(issuer: Issuer, name: str, tests: list[Test]) -> OidcVerdict:
    """Evaluate a trust in which no claim identifies the caller."""
    present = [test for test in tests if test.claim.lower() in {"sub", *GITHUB_PINS}]
    weak = [test for test in present if test.optional or test.operator not in PINS]
    wild = [test for test in present if test not in weak]
    code = "OIDC-6" if weak else ("OIDC-2" if wild else "OIDC-1")
    if issuer.family == "eks":
        code = "IRSA-1"
    why = "without a condition on sub"
    if weak:
        why = f"with a condition on {weak[0].claim} that passes when the claim is absent or only excludes values"
    elif wild:
        why = f"with a condition on {wild[0].claim} that every value satisfies"
    severity: Severity = "critical" if issuer.shared else ("high" if issuer.family == "eks" else "medium")
    exposure: Exposure = "anyone" if issuer.shared else "organization"
    problem = "OIDC-4" if issuer.family == "bitbucket" else code
    return OidcVerdict(
        exposure=exposure,
        problem=problem,
        severity=severity,
        why=why,
        fix=f'Add StringEquals "{name}:sub" with {wanted(issuer)}.',
        change=TrustChange(key=f"{name}:sub", claim="sub"),
    )


def _fix(
    issuer: Issuer, name: str, problem: str | None, grade: Grade
) -> tuple[str | None, TrustChange | None]:
    """Return the fix in words and as a change."""
    match problem:
        case None:
            return None, None
        case "OIDC-8" | "IRSA-3":
            audience = _audience(issuer, name)
            if audience is None:
                text = f'Add StringEquals "{name}:aud" with the audience that its tokens have: the client ID of the identity provider in IAM.'
                return text, TrustChange(key=f"{name}:aud", claim="aud")
            change = TrustChange(key=f"{name}:aud", values=(audience,))
            return str(change), change
        case "OIDC-9":
            text = f'Pin StringEquals "{name}:repository_id" with the repository ID, or use the subject format with IDs.'
            return text, TrustChange(key=f"{name}:repository_id", claim="repository_id")
        case _:
            text = f'Pin StringEquals "{name}:sub" to {wanted(issuer, grade)}.'
            return text, TrustChange(key=f"{name}:sub", claim="sub")


def _audience(issuer: Issuer, name: str) -> str | None:
    """Return the audience of an issuer's tokens for AWS, as its documentation says; None where each user chooses it.

    https://developer.hashicorp.com/terraform/cloud-docs/workspaces/dynamic-provider-credentials/aws-configuration,
    https://circleci.com/docs/guides/permissions-authentication/openid-connect-tokens/
    """
    match issuer.family:
        case "github" | "eks" | "buildkite":
            return "sts.amazonaws.com"
        case "terraform":
            return "aws.workload.identity"
        case "circleci":
            return name.rpartition("/")[2]
        case _:
            return None


def _by_audience(issuer: Issuer, pins: dict[str, Test], tests: list[Test], name: str) -> OidcVerdict:
    """Evaluate an issuer whose tenants are distinguished by audience."""
    who = [claim for claim in ("aud", "sub", "oaud", "app_id", "azp", "email") if claim in pins]
    wild = [claim for claim in who if any(value.startswith("*") for value in pins[claim].values)]
    who = [claim for claim in who if claim not in wild]
    if issuer.family == "google":
        # The caller chooses the audience that it asks for, which is oaud; azp, which is aud here, is the client.
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html#condition-keys-wif
        who = [claim for claim in who if claim != "oaud"]
    if not who:
        return OidcVerdict(
            exposure="anyone",
            problem="OIDC-1",
            severity="critical",
            why="without a condition on aud or sub, the only claims that tell its tenants apart"
            + (": callers choose oaud themselves" if "oaud" in pins and issuer.family == "google" else ""),
            fix=f'Add StringEquals "{name}:aud" with the exact audience of each caller that needs it: {issuer.form}.',
            change=TrustChange(key=f"{name}:aud", claim="aud"),
        )
    exact = "sub" in who and "*" not in "".join(pins["sub"].values)
    if issuer.family == "google" and "aud" in who:
        exact = True
    return OidcVerdict(exposure="exact" if exact else "organization", why=describe_tests(tests))


def _cognito(name: str, pins: dict[str, Test], tests: list[Test]) -> OidcVerdict:
    amr = [
        value.lower()
        for test in tests
        if test.claim == "amr" and test.operator in PINS
        for value in test.values
    ]
    if "aud" not in pins:
        return OidcVerdict(
            exposure="anyone",
            problem="COGNITO-1",
            severity="critical",
            why="without a condition on aud: any identity pool of any account can provide the role",
            fix=f'Add StringEquals "{name}:aud" with the identity pool ID.',
        )
    if any(value == "unauthenticated" for value in amr):
        return OidcVerdict(
            exposure="anyone",
            problem="COGNITO-2",
            severity="high",
            why="for guests (unauthenticated identities)",
            fix=f'Pin ForAnyValue:StringLike "{name}:amr": "authenticated", or disable guest access.',
            change=TrustChange(
                operator="ForAnyValue:StringLike", key=f"{name}:amr", values=("authenticated",)
            ),
        )
    change = TrustChange(operator="ForAnyValue:StringLike", key=f"{name}:amr", values=("authenticated",))
    if not any(value.startswith("authenticated") or value not in {"", "*"} for value in amr):
        return OidcVerdict(
            exposure="another-tenant",
            problem="COGNITO-3",
            severity="medium",
            why="without a condition on amr: guests (unauthenticated identities) are not excluded",
            fix=str(change),
            change=change,
        )
    return OidcVerdict(exposure="organization", why=describe_tests(tests))
