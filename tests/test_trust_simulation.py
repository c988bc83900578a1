"""Tokens evaluated against trusts: exact, by pattern, refused, or unknown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.analyze.trust import intersects, literal_prefix, matches, simulate
from scanner.records import Operator, Test

SUB = "repo:acme/app:ref:refs/heads/main"


def one(operator: Operator, *values: str, claim: str = "sub", optional: bool = False) -> list[Test]:
    return [Test(claim=claim, operator=operator, values=list(values), optional=optional)]


@pytest.mark.parametrize(
    ("tests", "subject", "verdict"),
    [
        (one("equals", SUB), SUB, "exact"),
        (one("equals", "repo:acme/other:ref:refs/heads/main", SUB), SUB, "exact"),
        (one("equals", "repo:acme/other:ref:refs/heads/main"), SUB, "no"),
        (one("equals", SUB), "repo:acme/app:ref:refs/heads/*", "pattern"),
        (one("equals", SUB), "repo:acme/app:environment:*", "no"),
        (one("equals", "repo:acme/*"), "repo:acme/app:ref:refs/heads/main", "no"),
        (one("glob", "repo:acme/*"), SUB, "exact"),
        (one("glob", "repo:acme/*"), "repo:acme/app:ref:refs/heads/*", "exact"),
        (one("glob", "repo:acme*"), "repo:acme-evil/app:ref:refs/heads/main", "exact"),
        (one("glob", "repo:acme/app:*:main"), "repo:acme/app:ref:refs/heads/*", "pattern"),
        (one("glob", "repo:acme/*:environment:prod"), "repo:acme/app:ref:refs/heads/*", "pattern"),
        (one("glob", "repo:acme/?pp:*"), SUB, "exact"),
        (one("glob", "repo:acme/app:pull_request"), "repo:acme/app:ref:refs/heads/*", "no"),
        (one("glob-ignore-case", "REPO:ACME/*"), SUB, "exact"),
        (one("equals-ignore-case", SUB.upper()), SUB, "exact"),
        (one("prefix", "repo:acme/app:"), SUB, "exact"),
        (one("prefix", "repo:*/app:"), SUB, "no"),
        (one("prefix", "repo:acme/???:"), SUB, "no"),
        (one("prefix", "repo:acme/"), "repo:acme/*", "exact"),
        (one("prefix", "repo:acme/app"), "repo:acme/*", "pattern"),
        (one("prefix", "repo:acme/a?p"), "repo:acme/app*", "no"),
        (one("regex", r"repo:acme/app:.*"), SUB, "exact"),
        (one("regex", r"repo:acme/app"), SUB, "no"),
        (one("regex", r"repo:.*"), "repo:acme/*", "unknown"),
        (one("regex", r"repo:(", r"repo:.*"), SUB, "exact"),
        (one("regex", r"repo:("), SUB, "unknown"),
        (one("regex", r"*"), SUB, "unknown"),
        (one("equals", "repo:acme/a?p"), "repo:acme/app", "no"),
        (one("equals", "repo:acme/app"), "repo:acme/a?p*", "no"),
        (one("not-equals", SUB), SUB, "no"),
        (one("not-equals", "repo:x/y:ref:refs/heads/main"), SUB, "exact"),
        (one("not-equals", SUB), "repo:acme/app:ref:refs/heads/*", "pattern"),
        (one("not-glob", "repo:acme/*"), SUB, "no"),
        (one("cel", "assertion.sub == 'x'", claim="assertion"), SUB, "no"),
        (one("cel", f"assertion.sub == '{SUB}'", claim="assertion"), SUB, "exact"),
        (one("cel", "assertion.sub.contains('acme/') && true", claim="assertion"), SUB, "exact"),
        (one("cel", "assertion.job_workflow_ref == 'x'", claim="assertion"), SUB, "unknown"),
        (one("cel", "assertion.job_workflow_ref == 'x' || true", claim="assertion"), SUB, "exact"),
        (one("cel", "assertion.environment == 'x'", claim="assertion"), SUB, "no"),
        (one("cel", "assertion.sub.startsWith('repo:acme/')", claim="assertion"), "repo:acme/app:*", "exact"),
        (one("cel", "assertion.sub.endsWith(':main')", claim="assertion"), "repo:acme/app:*", "unknown"),
        (one("cel", "assertion.sub in ['repo:acme/app:x', 'y']", claim="assertion"), "repo:acme/app:*", "pattern"),
        (one("cel", "assertion.sub == 'repo:acme/web:x'", claim="assertion"), "repo:acme/app:*", "no"),
        (one("cel", "unheard.of(assertion.sub)", claim="assertion"), SUB, "unknown"),
        (one("cel", "assertion.sub ==", claim="assertion"), SUB, "unknown"),
        (one("unknown", claim="job_workflow_ref"), SUB, "unknown"),
        (one("unknown", claim="job_workflow_ref", optional=True), SUB, "unknown"),
        (one("unknown", claim="environment"), SUB, "unknown"),
        (one("unknown", claim="environment", optional=True), SUB, "exact"),
        (one("equals", "x", claim="environment"), SUB, "no"),
        (one("equals", "x", claim="job_workflow_ref"), SUB, "unknown"),
        (one("equals", "x", claim="job_workflow_ref", optional=True), SUB, "exact"),
        (one("exists", "true", claim="sub"), SUB, "exact"),
        (one("exists", "false", claim="sub"), SUB, "no"),
        ([*one("equals", SUB), *one("cel", "x")], SUB, "unknown"),
        ([*one("equals", "no"), *one("cel", "x")], SUB, "no"),
        ([], SUB, "exact"),
    ],
)  # fmt: skip
def test_a_token(tests: list[Test], subject: str, verdict: str) -> None:
    assert simulate(tests, {"sub": subject, "aud": "sts.amazonaws.com", "environment": ""}) == verdict


def test_claims_are_found_whatever_their_case() -> None:
    assert (
        simulate(one("equals", "o-1", claim="aws:PrincipalOrgID"), {"aws:principalorgid": "o-1"}) == "exact"
    )


def test_brackets_are_themselves() -> None:
    assert matches("dependabot[bot]*", "dependabot[bot]:x")
    assert not matches("dependabot[bot]", "dependabotb")


PATTERN = st.text(alphabet="ab:*?", max_size=8)
TEXT = st.text(alphabet="ab:", max_size=8)


@given(left=PATTERN, right=PATTERN, text=TEXT)
def test_what_two_patterns_share_they_intersect_in(left: str, right: str, text: str) -> None:
    if matches(left, text) and matches(right, text):
        assert intersects(left, right)


@given(left=PATTERN, right=PATTERN)
def test_intersection_does_not_depend_on_the_order(left: str, right: str) -> None:
    assert intersects(left, right) == intersects(right, left)


@given(pattern=PATTERN, text=TEXT)
def test_a_pattern_matches_as_a_plain_reading_of_it_does(pattern: str, text: str) -> None:
    def plain(left: str, right: str) -> bool:
        if not left:
            return not right
        if left[0] == "*":
            return plain(left[1:], right) or (bool(right) and plain(left, right[1:]))
        return bool(right) and left[0] in ("?", right[0]) and plain(left[1:], right[1:])

    assert matches(pattern, text) == plain(pattern, text)


def test_a_pattern_of_many_stars_takes_no_time() -> None:
    assert not matches("*a" * 60 + "b", "a" * 20_000)


@given(pattern=PATTERN, text=TEXT)
def test_a_text_intersects_a_pattern_exactly_when_it_matches(pattern: str, text: str) -> None:
    assert intersects(pattern, text) == matches(pattern, text)


@given(pattern=PATTERN, text=TEXT)
def test_what_matches_begins_with_the_literal_prefix(pattern: str, text: str) -> None:
    if matches(pattern, text):
        assert text.startswith(literal_prefix(pattern))


@given(pattern=PATTERN, subject=PATTERN.filter(lambda text: "?" not in text), filler=TEXT)
def test_exact_means_that_every_such_token_passes(pattern: str, subject: str, filler: str) -> None:
    if simulate(one("glob", pattern), {"sub": subject}) == "exact":
        assert matches(pattern, subject.replace("*", filler))
