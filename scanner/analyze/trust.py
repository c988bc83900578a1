"""Simulates tokens against the tests of a trust: would this token pass?

A token is the set of claims that a known identity can present. A ``*`` in a claim means any text, where a trigger allows
several subjects or the caller chooses the value; nothing else in a claim is special. An empty string means that the token
never has the claim. A missing claim is unknown. Whether a trust also admits outsiders is not decided here but by the
collector, as its `scanner.records.Exposure`. docs/analysis.md defines the verdicts.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, TypeAlias

from scanner.analyze.claim_expressions import passes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from scanner.records import Test

Verdict: TypeAlias = Literal["exact", "pattern", "no", "unknown"]
"""exact: the token passes; pattern: some values of a ``*`` pass; unknown: a test cannot be evaluated, or checks an
unknown claim."""


@lru_cache(maxsize=65_536)
def _compiled(pattern: str) -> re.Pattern[str]:
    first, *rest = [
        "".join("." if char == "?" else re.escape(char) for char in part) for part in pattern.split("*")
    ]
    if not rest:
        return re.compile(first, re.DOTALL)
    # Where a part between two stars matches first is as good as any later place, so nothing need be tried twice.
    middle = "".join(f"(?>.*?{part})" for part in rest[:-1] if part)
    return re.compile(f"{first}{middle}.*{rest[-1]}", re.DOTALL)


def matches(pattern: str, text: str) -> bool:
    """Return whether a pattern with ``*`` (any text) and ``?`` (one character) matches the whole text."""
    return _compiled(pattern).fullmatch(text) is not None


_Piece: TypeAlias = tuple[Literal["any", "one", "char"], str]
"""A part of a pattern: any text, one character, or the given character."""


def _pieces(pattern: str, *, wild: str = "*?") -> list[_Piece]:
    """Return a pattern as pieces. Characters that are not in ``wild`` stand for themselves."""
    return [
        ("any", char)
        if char == "*" and char in wild
        else ("one", char)
        if char == "?" and char in wild
        else ("char", char)
        for char in pattern
    ]


def intersects(left: str, right: str) -> bool:
    """Return whether some text matches both patterns. At worst quadratic in their lengths."""
    return _intersect(_pieces(left), _pieces(right))


def _intersect(left: Sequence[_Piece], right: Sequence[_Piece]) -> bool:
    reach = _past_stars(right, {0})
    for kind, char in left:
        following: set[int] = set()
        for at in reach:
            if kind == "any":
                following.update(range(at, len(right) + 1))
            elif at < len(right):
                other, its = right[at]
                if other == "any":
                    following.add(at)
                elif "one" in (kind, other) or char == its:
                    following.add(at + 1)
        reach = _past_stars(right, following)
        if not reach:
            return False
    return len(right) in reach


def _past_stars(pattern: Sequence[_Piece], positions: set[int]) -> set[int]:
    """Add the positions after stars, since a star can match the empty string."""
    found = set(positions)
    for position in positions:
        at = position
        while at < len(pattern) and pattern[at][0] == "any":
            at += 1
            found.add(at)
    return found


def _equals(value: str, claim: str) -> Verdict:
    if "*" not in claim:
        return "exact" if value == claim else "no"
    return "pattern" if _intersect(_pieces(value, wild=""), _pieces(claim, wild="*")) else "no"


def _glob(value: str, claim: str) -> Verdict:
    if "*" not in claim:
        return "exact" if matches(value, claim) else "no"
    if not value.strip("*") and value:
        return "exact"
    # A pattern that matches for any replacement of the claim's stars, long or empty, admits every such token.
    if matches(value, claim.replace("*", "\0" * (len(value) + 1))) and matches(value, claim.replace("*", "")):
        return "exact"
    return "pattern" if _intersect(_pieces(value), _pieces(claim, wild="*")) else "no"


def _prefix(value: str, claim: str) -> Verdict:
    if claim.partition("*")[0].startswith(value):
        return "exact"
    if "*" not in claim:
        return "no"
    prefix: list[_Piece] = [*_pieces(value, wild=""), ("any", "*")]
    return "pattern" if _intersect(prefix, _pieces(claim, wild="*")) else "no"


def _regex(value: str, claim: str) -> Verdict:
    if "*" in claim:
        return "unknown"
    try:
        return "exact" if re.fullmatch(value, claim) else "no"
    except (re.error, RecursionError, OverflowError):
        return "unknown"


def _best(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict of values of which any may match."""
    best: Verdict = "no"
    for verdict in verdicts:
        if verdict == "exact":
            return "exact"
        if verdict == "pattern" or best == "no":
            best = verdict
    return best


_REVERSED: dict[Verdict, Verdict] = {
    "exact": "no",
    "pattern": "pattern",
    "no": "exact",
    "unknown": "unknown",
}


def evaluate(test: Test, token: Mapping[str, str]) -> Verdict:
    """Evaluate one test. Claim names of the token are in lower case; the test's may be in any."""
    if test.operator == "cel":
        return combine(passes(value, token) for value in test.values)
    claim = token.get(test.claim.lower())
    unevaluated = test.operator == "unknown"
    if claim is None:
        return "exact" if test.optional and not unevaluated and test.operator != "exists" else "unknown"
    if test.operator == "exists":
        return "exact" if (claim != "") == ("false" not in test.values) else "no"
    if claim == "" and test.optional:
        return "exact"
    if unevaluated:
        return "unknown"
    return _compare(test, claim) if claim else "no"


def _compare(test: Test, claim: str) -> Verdict:
    """Compare a claim that the token has with a test that can be evaluated."""
    values = test.values
    match test.operator:
        case "equals" | "principal":
            return _best(_equals(value, claim) for value in values)
        case "equals-ignore-case":
            return _best(_equals(value.lower(), claim.lower()) for value in values)
        case "glob":
            return _best(_glob(value, claim) for value in values)
        case "glob-ignore-case":
            return _best(_glob(value.lower(), claim.lower()) for value in values)
        case "prefix":
            return _best(_prefix(value, claim) for value in values)
        case "regex":
            return _best(_regex(value, claim) for value in values)
        case "not-equals":
            return _REVERSED[_best(_equals(value, claim) for value in values)]
        case "not-glob":
            return _REVERSED[_best(_glob(value, claim) for value in values)]
        case _:
            return "unknown"


def simulate(
    tests: Iterable[Test], token: Mapping[str, str], chosen: frozenset[str] = frozenset()
) -> Verdict:
    """Evaluate all tests of a trust: any ``no`` rejects the token; otherwise any ``unknown`` makes the result unknown.

    ``chosen`` are the claims, in lower case, whose value the caller can choose if the token does not fix them, beside
    those of tests that say so: such a test counts as passed if some text passes it. The token's claim names are in lower
    case.
    """
    return combine(_evaluate_with_choice(test, token, chosen) for test in tests)


def _evaluate_with_choice(test: Test, token: Mapping[str, str], chosen: frozenset[str]) -> Verdict:
    claim = test.claim.lower()
    if (claim in chosen or test.caller == "chosen") and token.get(claim, "*") == "*":
        verdict = evaluate(test, {claim: "*"})
        return "exact" if verdict == "pattern" else verdict
    return evaluate(test, token)


def combine(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict of tests that must all pass."""
    worst: Verdict = "exact"
    for verdict in verdicts:
        if verdict == "no":
            return "no"
        if verdict == "unknown" or worst == "exact":
            worst = verdict
    return worst


def literal_prefix(pattern: str) -> str:
    """Return the literal prefix of a pattern."""
    return re.split(r"[*?]", pattern, maxsplit=1)[0]
