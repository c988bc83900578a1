"""How many tokens the tests of a workload identity trust accept.

https://docs.cloud.google.com/iam/docs/best-practices-for-using-workload-identity-federation,
https://docs.cloud.google.com/iam/docs/workload-identity-federation-with-deployment-pipelines
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from collectors._issuers import ORDER, Grade, Issuer, grade_subject, issuer_of, wanted
from scanner.records import Exposure, Severity  # noqa: TC001  msgspec reads the annotations at run time

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scanner.records import Test

SEVERITY: dict[str, Severity] = {
    "OIDC-1": "critical",
    "OIDC-2": "critical",
    "OIDC-3": "high",
    "OIDC-4": "medium",
    "OIDC-5": "low",
    "OIDC-9": "info",
    "IRSA-1": "high",
    "IRSA-2": "medium",
    "ISSUER-1": "high",
}
_MEANS = {
    "OIDC-1": "no claim says whose token it is, so anyone's passes",
    "OIDC-2": "the pattern does not fix the owner, so others' tokens match",
    "OIDC-3": "no delimiter follows the owner, so owners whose names start the same way match too",
    "OIDC-4": "every caller of the organization matches",
    "OIDC-5": "any branch, tag or pull request of the repository can match",
    "OIDC-9": "names only, which someone else can register once they are free",
    "IRSA-1": "any pod of the cluster matches",
    "IRSA-2": "any service account of the namespace matches",
    "ISSUER-1": "whoever can answer for this address over HTTP chooses the keys that are trusted",
}
_PINS: dict[str, dict[str, tuple[Exposure, str | None, bool]]] = {
    "github": {
        "repository_id": ("repository", "OIDC-5", False),
        "repository": ("repository", "OIDC-5", True),
        "workflow_ref": ("repository", "OIDC-5", True),
        "repository_owner_id": ("organization", "OIDC-4", False),
        "repository_owner": ("organization", "OIDC-4", True),
        "enterprise_id": ("organization", "OIDC-4", False),
        "enterprise": ("organization", "OIDC-4", True),
        "job_workflow_ref": ("organization", "OIDC-4", True),
    },
    "gitlab": {
        "project_id": ("repository", "OIDC-5", False),
        "project_path": ("repository", "OIDC-5", True),
        "namespace_id": ("organization", "OIDC-4", False),
        "namespace_path": ("organization", "OIDC-4", True),
    },
    "terraform": {
        "terraform_workspace_id": ("repository", "OIDC-5", False),
        "terraform_project_id": ("organization", "OIDC-4", False),
        "terraform_organization_id": ("organization", "OIDC-4", False),
        "terraform_organization_name": ("organization", "OIDC-4", True),
    },
    "google": {
        "azp": ("exact", None, False),
        "email": ("exact", None, False),
        "hd": ("organization", "OIDC-4", True),
    },
    "entra": {
        "appid": ("exact", None, False),
        "azp": ("exact", None, False),
        "oid": ("exact", None, False),
        "sub": ("exact", None, False),
    },
}
"""Claims beside ``sub`` that say whose token it is: how many tokens one value accepts, what is wrong with it, and whether it
is a name, which can be reassigned."""
_WHICH_RUN = frozenset(("ref", "environment", "job_workflow_ref", "ref_protected", "terraform_run_phase"))
"""Claims that narrow a repository or workspace to some runs."""
_ENTRA = frozenset(("login.microsoftonline.com", "sts.windows.net", "login.microsoftonline.us", "login.partner.microsoftonline.cn"))  # fmt: skip
_MATCHES = re.compile(
    r"assertion\.(?P<claim>\w+)\.(?P<how>matches|contains|endsWith)\(\s*r?(?:'(?P<one>[^']*)'|\"(?P<two>[^\"]*)\")\s*\)"
)


class FederationVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """The exposure and problem of a trust."""

    exposure: Exposure
    problem: str | None
    severity: Severity | None
    means: str
    """Continues "trusts https://issuer ..."."""
    fix: str | None


def verdict_of(issuer: str, tests: Sequence[Test]) -> FederationVerdict:
    """Evaluate the tests that a token of an issuer must pass."""
    known = issuer_of(issuer)
    host = (urlsplit(issuer).hostname or "").lower()
    family = "entra" if host in _ENTRA else known.family
    exposure, problem, grade = _exposure(known, family, tests)
    if problem in {None, "OIDC-9"} and urlsplit(issuer).scheme == "http":
        problem = "ISSUER-1"
    severity = SEVERITY.get(problem or "")
    if problem in {"OIDC-1", "OIDC-2"} and not known.shared:
        severity = "medium"
    said = " and ".join(_said(test) for test in tests) or "without a condition"
    if exposure == "unknown":
        said += ": its condition could not be evaluated"
    elif problem is not None:
        said += f": {_MEANS[problem]}"
    return FederationVerdict(
        exposure=exposure, problem=problem, severity=severity, means=said, fix=_fix(problem, known, grade)
    )


def _exposure(
    issuer: Issuer, family: str, tests: Sequence[Test]
) -> tuple[Exposure, str | None, Grade | None]:
    grades = [grade for test in tests if (grade := _grade(issuer, family, test)) is not None]
    if not grades:
        if any(test.operator == "cel" and not _MATCHES.fullmatch(test.values[0]) for test in tests):
            return "unknown", None, None
        if family == "entra" or not issuer.shared:
            # Every application of the tenant, every project of the server.
            return "organization", "IRSA-1" if family == "eks" else "OIDC-4", None
        return "anyone", "OIDC-1", None
    best = max(grades, key=lambda grade: (ORDER.index(grade.exposure), grade.problem is None))
    exposure: Exposure = best.exposure
    problem: str | None = best.problem
    pinned = {test.claim.lower() for test in tests if test.operator in {"equals", "prefix"}}
    if problem == "OIDC-5" and pinned & _WHICH_RUN:
        exposure, problem = "exact", None
    if problem is None and family == "github" and all(grade.names_only for grade in grades):
        problem = "OIDC-9"
    return exposure, problem, best


def _grade(issuer: Issuer, family: str, test: Test) -> Grade | None:
    """Grade one test; None if it does not say whose token it is. Of several values the widest counts."""
    found = [
        grade for claim, value in _values(test) if (grade := _value(issuer, family, claim, value)) is not None
    ]
    return min(found, key=lambda grade: ORDER.index(grade.exposure)) if found else None


def _values(test: Test) -> Iterator[tuple[str, str]]:
    """Yield the claim and the values of a test, with ``*`` for any text."""
    claim = test.claim.lower()
    match test.operator:
        case "equals":
            # A star in a literal stands for itself.
            yield from ((claim, value.replace("*", "_").replace("?", "_")) for value in test.values)
        case "prefix":
            yield from ((claim, f"{value}*") for value in test.values)
        case "cel":
            match = _MATCHES.fullmatch(test.values[0])
            if match is not None:
                pattern = match["one"] if match["one"] is not None else match["two"]
                yield match["claim"].lower(), _glob(pattern) if match["how"] == "matches" else f"*{pattern}*"
        case _:
            return


def _glob(pattern: str) -> str:
    """Return the literal start of a regular expression with ``*``. ``matches`` finds it anywhere unless it is anchored.

    https://github.com/google/cel-spec/blob/master/doc/langdef.md#regular-expressions
    """
    if not pattern.startswith("^"):
        return "*"
    found, at = "", 1
    while at < len(pattern):
        char = pattern[at]
        if char == "\\" and at + 1 < len(pattern) and not pattern[at + 1].isalnum():
            found += pattern[at + 1]
            at += 2
            continue
        if char in ".[](){}?*+|\\^$":
            # A character before ? * { may be missing.
            if char in "?*{" and found:
                found = found[:-1]
            break
        found += char
        at += 1
    if "|" in pattern and not pattern.startswith("^("):
        return "*"
    return found if pattern[at:] == "$" else f"{found}*"


def _value(issuer: Issuer, family: str, claim: str, value: str) -> Grade | None:
    if claim == "sub" and family != "entra":
        return grade_subject(issuer, value)
    known = _PINS.get(family, {}).get(claim)
    if known is None:
        return None
    exposure, problem, names_only = known
    literal = value.partition("*")[0]
    if literal == value:
        return Grade(exposure=exposure, problem=problem, names_only=names_only)
    if not literal:
        return Grade(exposure="anyone", problem="OIDC-2")
    if (
        claim in {"repository", "project_path", "workflow_ref", "namespace_path", "job_workflow_ref"}
        and "/" in literal
    ):
        return Grade(exposure="organization", problem="OIDC-4", names_only=True)
    return Grade(exposure="another-tenant", problem="OIDC-3", names_only=names_only)


def _said(test: Test) -> str:
    match test.operator:
        case "cel":
            return f"where {test.values[0][:200]}"
        case "prefix":
            return f"where {test.claim} starts with {', '.join(test.values)}"
        case "not-equals":
            return f"where {test.claim} is not {', '.join(test.values)}"
        case _:
            return f"where {test.claim} is {', '.join(test.values[:5])}"


def _fix(problem: str | None, issuer: Issuer, grade: Grade | None) -> str | None:
    match problem:
        case None:
            return None
        case "OIDC-9":
            return (
                "Test the claims with the IDs of owner and repository in the provider's attribute condition."
            )
        case "ISSUER-1":
            return "Replace the provider with one whose issuer is an https address."
        case _:
            return (
                "Limit the provider's attribute condition, or the principal of the binding, to "
                f"{wanted(issuer, grade)}."
            )
