"""Simulates tokens against the tests of a trust: would this token pass?

A token is the set of claims that a known identity can present. A ``*`` in a claim means any text, where a trigger allows
several subjects or the caller chooses the value. An empty string means that the token never has the claim. A missing
claim is unknown. Whether a trust also admits outsiders is not decided here but by the collector, as its
`scanner.records.Exposure`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from scanner.records import Test

Verdict: TypeAlias = Literal["exact", "pattern", "no", "unknown"]
"""exact: the token passes; pattern: some values of a ``*`` pass; unknown: a test cannot be evaluated, or checks an
unknown claim."""


@lru_cache(maxsize=65_536)
def _compiled(pattern: str, ignore_case: bool) -> re.Pattern[str]:
    parts = (
        ".*" if part == "*" else "." if part == "?" else re.escape(part)
        for part in re.split(r"([*?])", pattern)
    )
    return re.compile("".join(parts), re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def matches(pattern: str, text: str, *, ignore_case: bool = False) -> bool:
    """Return whether a pattern with ``*`` (any text) and ``?`` (one character) matches the whole text."""
    return _compiled(pattern, ignore_case).fullmatch(text) is not None


def intersects(left: str, right: str) -> bool:
    """Return whether some text matches both patterns. At worst quadratic in their lengths."""
    reach = {0}
    reach = _skip_stars(right, reach)
    for char in left:
        following: set[int] = set()
        for at in reach:
            if char == "*":
                following.update(range(at, len(right) + 1))
            elif at < len(right):
                if right[at] == "*":
                    following.add(at)
                elif char == "?" or right[at] in ("?", char):
                    following.add(at + 1)
        reach = _skip_stars(right, following)
        if not reach:
            return False
    return len(right) in reach


def _skip_stars(pattern: str, positions: set[int]) -> set[int]:
    """Add the positions after stars, since a star can match the empty string."""
    found = set(positions)
    for position in positions:
        at = position
        while at < len(pattern) and pattern[at] == "*":
            at += 1
            found.add(at)
    return found


def _one(pattern: str, claim: str, *, glob: bool, ignore_case: bool) -> Verdict:
    """Compare one value of a test with a claim. Both can be patterns."""
    if ignore_case:
        pattern, claim = pattern.lower(), claim.lower()
    if "*" not in claim:
        passed = matches(pattern, claim) if glob else pattern == claim
        return "exact" if passed else "no"
    if glob:
        # A pattern that matches for any replacement of the claim's stars, long or empty, admits every such token.
        if matches(pattern, claim.replace("*", "\0" * 9)) and matches(pattern, claim.replace("*", "")):
            return "exact"
        return "pattern" if intersects(pattern, claim) else "no"
    return "pattern" if matches(claim, pattern) else "no"


def _best(verdicts: Iterable[Verdict]) -> Verdict:
    order: tuple[Verdict, ...] = ("exact", "pattern", "unknown")
    found = set(verdicts)
    return next((verdict for verdict in order if verdict in found), "no")


_NOTHING: Mapping[str, str] = {}


def judge(test: Test, token: Mapping[str, str]) -> Verdict:
    """Evaluate one test. Claim names are case-insensitive, as AWS condition keys are."""
    claim = token.get(test.claim, token.get(test.claim.lower()))
    if claim is None:
        return "exact" if test.optional and test.operator != "exists" else "unknown"
    if test.operator == "exists":
        return "exact" if (claim != "") == ("false" not in test.values) else "no"
    if claim == "" and test.operator != "cel":
        return "exact" if test.optional else "no"
    match test.operator:
        case "equals" | "principal":
            return _best(_one(value, claim, glob=False, ignore_case=False) for value in test.values)
        case "equals-ignore-case":
            return _best(_one(value, claim, glob=False, ignore_case=True) for value in test.values)
        case "glob":
            return _best(_one(value, claim, glob=True, ignore_case=False) for value in test.values)
        case "glob-ignore-case":
            return _best(_one(value, claim, glob=True, ignore_case=True) for value in test.values)
        case "prefix":
            return _best(_one(value + "*", claim, glob=True, ignore_case=False) for value in test.values)
        case "regex":
            if "*" in claim:
                return "unknown"
            return "exact" if any(re.fullmatch(value, claim) for value in test.values) else "no"
        case "not-equals" | "not-glob":
            glob = test.operator == "not-glob"
            against = _best(_one(value, claim, glob=glob, ignore_case=False) for value in test.values)
            return {"exact": "no", "pattern": "pattern", "no": "exact", "unknown": "unknown"}[against]  # type: ignore[return-value]
        case _:
            return "unknown"


def simulate(
    tests: Iterable[Test], token: Mapping[str, str], chosen: Mapping[str, str] = _NOTHING
) -> Verdict:
    """Evaluate all tests of a trust: any ``no`` rejects the token; otherwise any ``unknown`` makes the result unknown.

    ``chosen`` are claims whose value the caller can choose if the token does not fix them: a test that some text
    passes counts as passed.
    """
    verdicts = set()
    for test in tests:
        free = test.claim.lower() in chosen and token.get(test.claim.lower(), "*") == "*"
        verdict = judge(test, chosen if free else token)
        verdicts.add("exact" if free and verdict == "pattern" else verdict)
    order: tuple[Verdict, ...] = ("no", "unknown", "pattern")
    return next((verdict for verdict in order if verdict in verdicts), "exact")


def literal_prefix(pattern: str) -> str:
    """Return the literal prefix of a pattern."""
    return re.split(r"[*?]", pattern, maxsplit=1)[0]
