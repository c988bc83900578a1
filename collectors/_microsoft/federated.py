"""Trusts of federated credentials, from their documents alone: those of applications and of managed identities.

https://learn.microsoft.com/graph/api/resources/federatedidentitycredential,
https://learn.microsoft.com/entra/workload-id/workload-identities-flexible-federated-identity-credentials
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from collectors._issuers import ORDER, Grade, Issuer, grade_subject, issuer_of, wanted
from scanner.records import Policy, Severity, Test, Trust, record_id

if TYPE_CHECKING:
    from scanner.records import Exposure, Operator

SEVERITY: dict[str, Severity] = {
    "OIDC-1": "critical",
    "OIDC-2": "critical",
    "OIDC-3": "high",
    "OIDC-4": "medium",
    "OIDC-5": "low",
    "OIDC-9": "info",
    "IRSA-1": "high",
    "IRSA-2": "medium",
    "TENANT-1": "medium",
    "ISSUER-1": "high",
    "IRSA-4": "low",
    "OIDC-8": "low",
}
_MEANS = {
    "OIDC-1": "the value names no owner",
    "OIDC-2": "the wildcard comes before the owner is complete, so subjects of other owners match",
    "OIDC-3": "no delimiter follows the owner, so owners whose names start the same way match too",
    "OIDC-4": "every repository of the organization matches",
    "OIDC-5": "any branch, tag or pull request of the repository can match",
    "OIDC-9": "names only, which someone else can register once they are free",
    "IRSA-1": "any pod of the cluster matches",
    "IRSA-2": "any service account of the namespace matches",
    "IRSA-4": "every pod of the namespace that names no service account has this one",
    "ISSUER-1": "whoever can answer for this address over HTTP chooses the keys that are trusted",
    "OIDC-8": "the audience is not that of token exchange, so a token that was made for another system is accepted",
}
_CLAUSE = re.compile(
    r"\s*claims\['(?P<claim>(?:[^']|'')+)'\]\s+(?P<operator>matches|eq)\s+'(?P<value>(?:[^']|'')*)'\s*(?P<more>and\b|\Z)",
    re.IGNORECASE,
)
_AUDIENCES = frozenset(
    (
        "api://azureadtokenexchange",
        "api://azureadtokenexchangeusgov",
        "api://azureadtokenexchangechina",
    )
)
"""https://learn.microsoft.com/entra/workload-id/workload-identity-federation-considerations"""
_ENTRA_HOSTS = frozenset(
    (
        "login.microsoftonline.com",
        "sts.windows.net",
        "login.microsoftonline.us",
        "login.partner.microsoftonline.cn",
    )
)


def trust_of(policy: Policy, tenant: str) -> Trust:
    """Return the trust of one federated credential of a tenant.

    A managed identity's credential has the same id whether Microsoft Graph or Azure tells of it: by object ID and name.
    """
    document: dict[str, Any] = json.loads(policy.document or "{}")
    issuer = str(document.get("issuer") or "")
    tests = _tests(document)
    exposure, problem, grade = _exposure(issuer, tests, tenant)
    if problem in {None, "OIDC-9"} and exposure != "unknown":
        problem = _other_problem(issuer, tests, document.get("audiences") or []) or problem
    known = issuer_of(issuer)
    said = _said(tests)
    if exposure == "unknown":
        said += ": its expression could not be evaluated"
    elif problem == "TENANT-1":
        said += ": another tenant decides who gets this token"
    elif problem is not None:
        said += f": {_MEANS[problem]}"
    return Trust(
        id=record_id("entra", "federated-credential", policy.native_id),
        provider=policy.provider,
        account_id=policy.account_id,
        identity_id=policy.attached_to[0],
        kind="oidc",
        issuer=issuer,
        tests=tests,
        audience=sorted(str(value) for value in document.get("audiences") or []),
        exposure=exposure,
        external=_external(issuer, tenant),
        problem=problem,
        severity=_severity(problem, known, tests),
        why=f"the federated credential {policy.name} trusts {issuer} {said}",
        fix=_fix(problem, grade, known),
    )


def _other_problem(issuer: str, tests: list[Test], audiences: list[Any]) -> str | None:
    """Return what is wrong with a trust whose subject is exact."""
    if urlsplit(issuer).scheme == "http":
        return "ISSUER-1"
    subjects = [value for test in tests if test.claim == "sub" for value in test.values]
    default = any(
        value.startswith("system:serviceaccount:") and value.endswith(":default") for value in subjects
    )
    if issuer_of(issuer).family == "eks" and default:
        return "IRSA-4"
    if audiences and not any(str(one).lower() in _AUDIENCES for one in audiences):
        return "OIDC-8"
    return None


def _tests(document: dict[str, Any]) -> list[Test]:
    """Return the tests of a federated credential: its subject, or the clauses of its expression."""
    expression = document.get("claimsMatchingExpression")
    value = expression.get("value") if isinstance(expression, dict) else None
    if value:
        return parse_expression(str(value))
    subject = document.get("subject")
    if not subject:
        return [Test(claim="sub", operator="unknown", values=[])]
    # Azure DevOps compares names without case: https://learn.microsoft.com/azure/devops/organizations/settings/naming-restrictions
    same: Operator = "equals-ignore-case" if str(subject).lower().startswith("sc://") else "equals"
    return [Test(claim="sub", operator=same, values=[str(subject)])]


def parse_expression(text: str) -> list[Test]:
    """Return the clauses of a flexible credential's expression; one of operator ``unknown`` if it cannot be parsed.

    ``claims['sub'] matches 'repo:contoso/*' and claims['job_workflow_ref'] eq '...'``; a quote is doubled within quotes.
    """
    tests: list[Test] = []
    at = 0
    while at < len(text):
        match = _CLAUSE.match(text, at)
        if match is None:
            return [Test(claim="sub", operator="unknown", values=[text])]
        at = match.end()
        tests.append(
            Test(
                claim=match["claim"].replace("''", "'"),
                operator="glob" if match["operator"].lower() == "matches" else "equals",
                values=[match["value"].replace("''", "'")],
            )
        )
        if not match["more"] and at < len(text):
            return [Test(claim="sub", operator="unknown", values=[text])]
        if match["more"] and not text[at:].strip():
            return [Test(claim="sub", operator="unknown", values=[text])]
    return tests or [Test(claim="sub", operator="unknown", values=[text])]


def _exposure(issuer: str, tests: list[Test], tenant: str) -> tuple[Exposure, str | None, Grade | None]:
    if any(test.operator == "unknown" for test in tests):
        return "unknown", None, None
    parts = urlsplit(issuer)
    host = (parts.hostname or "").lower()
    if host in _ENTRA_HOSTS:
        other = parts.path.strip("/").partition("/")[0].lower()
        return ("exact", None, None) if other == tenant.lower() else ("another-tenant", "TENANT-1", None)
    known = issuer_of(issuer)
    grades = [
        grade
        for test in tests
        for value in test.values
        if (grade := _grade(known, test.claim, value, literal=test.operator.startswith("equals"))) is not None
    ]
    if not grades:
        return ("anyone", "OIDC-1", None) if known.shared else ("organization", "OIDC-4", None)
    best = max(grades, key=lambda grade: (ORDER.index(grade.exposure), grade.problem is None))
    if best.problem is None and best.names_only and known.family == "github":
        return best.exposure, "OIDC-9", best
    return best.exposure, best.problem, best


def _grade(issuer: Issuer, claim: str, value: str, *, literal: bool) -> Grade | None:
    """Grade one value of a claim. A subject is compared as it stands unless the clause is ``matches``."""
    if claim == "sub":
        if literal and ("*" in value or "?" in value):
            # Compared as it stands: the star is part of the subject.
            return Grade(exposure="exact", problem=None)
        return grade_subject(issuer, value)
    if claim == "job_workflow_ref":
        # A reusable workflow: whoever may call it, in any repository.
        start = re.split(r"[*?]", value, maxsplit=1)[0]
        if start.count("/") < 1:
            return Grade(exposure="anyone", problem="OIDC-2")
        return Grade(exposure="organization", problem="OIDC-4", names_only=True)
    return None


def _said(tests: list[Test]) -> str:
    words = [
        f"where {test.claim} {'matches' if test.operator == 'glob' else 'is'} {', '.join(test.values)}"
        for test in tests
    ]
    return " and ".join(words)


def _severity(problem: str | None, issuer: Issuer, tests: list[Test]) -> Severity | None:
    if problem is None:
        return None
    pull_request = any(value.endswith(":pull_request") for test in tests for value in test.values)
    if problem == "OIDC-5" and pull_request and issuer.family in {"github", "gitlab"}:
        return "medium"
    if problem in {"OIDC-1", "OIDC-2"} and not issuer.shared:
        return "medium"
    return SEVERITY[problem]


def _external(issuer: str, tenant: str) -> bool | None:
    parts = urlsplit(issuer)
    if (parts.hostname or "").lower() not in _ENTRA_HOSTS:
        return None
    return parts.path.strip("/").partition("/")[0].lower() != tenant.lower()


def _fix(problem: str | None, grade: Grade | None, issuer: Issuer) -> str | None:
    match problem:
        case None:
            return None
        case "OIDC-9":
            return "Use the subject format that contains the IDs of owner and repository."
        case "ISSUER-1":
            return "Replace the credential with one whose issuer is an https address."
        case "IRSA-4":
            return "Give the workload a service account of its own, and name that one in the subject."
        case "OIDC-8":
            return "Set the audience to api://AzureADTokenExchange, and ask for it where the token is issued."
        case "TENANT-1":
            return "Delete the federated credential, or confirm with its owner that the other tenant is a partner."
        case _:
            return f"Replace it with a credential for {wanted(issuer, grade)}."
