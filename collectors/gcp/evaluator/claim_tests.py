"""Tests of a trust, from the condition and the attribute mapping of a workload identity provider and a bound principal.

https://docs.cloud.google.com/iam/docs/workload-identity-federation#conditions,
https://docs.cloud.google.com/iam/docs/principal-identifiers
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from collectors.gcp.evaluator.expressions import alternatives, in_claims, quoted
from scanner.records import Test

if TYPE_CHECKING:
    from collections.abc import Mapping

_CLAIM = r"assertion(?:\.(?P<claim>\w+)|\[(?:'(?P<claim1>[^'\\]+)'|\"(?P<claim2>[^\"\\]+)\")\])"
_LITERAL = r"(?:'(?P<one>[^'\\]*)'|\"(?P<two>[^\"\\]*)\")"
_COMPARED = re.compile(rf"{_CLAIM}\s*(?P<operator>==|!=)\s*{_LITERAL}")
_REVERSED = re.compile(rf"{_LITERAL}\s*(?P<operator>==|!=)\s*{_CLAIM}")
_LISTED = re.compile(rf"{_CLAIM}\s+in\s+\[(?P<list>[^\]\[]*)\]")
_STARTS = re.compile(rf"{_CLAIM}\s*\.startsWith\(\s*{_LITERAL}\s*\)")
_ITEM = re.compile(r"\s*(?:'([^'\\]*)'|\"([^\"\\]*)\")\s*(?:,|\Z)")


def provider_tests(condition: str, mapping: Mapping[str, str], member_condition: str) -> list[list[Test]]:
    """Return the alternatives by which a token passes a provider's condition and is the bound principal.

    ``member_condition`` is what `member_condition` returns. Empty if no token can pass, since an attribute is not mapped.
    """
    whole = " && ".join(f"({one})" for one in (condition, member_condition) if one.strip())
    if not whole:
        return [[]]
    text = in_claims(whole, dict(mapping))
    if text is None:
        return []
    return [[_test(part) for part in both] for both in alternatives(text)]


def member_condition(kind: str, value: str) -> str:
    """Return which tokens of a pool are a principal: ``kind`` is ``subject``, ``group``, ``attribute.NAME`` or ``*``."""
    match kind:
        case "*":
            return ""
        case "subject":
            return f"google.subject == {quoted(value)}"
        case "group":
            return f"{quoted(value)} in google.groups"
        case _:
            return f"{kind} == {quoted(value)}"


def _test(text: str) -> Test:
    """Return one part of a condition as a test of a claim; as CEL where it is more than a comparison."""
    stripped = _unwrapped(text)
    compared = _COMPARED.fullmatch(stripped) or _REVERSED.fullmatch(stripped)
    if compared is not None:
        return Test(
            claim=_claim(compared),
            operator="equals" if compared["operator"] == "==" else "not-equals",
            values=[_literal(compared)],
        )
    starts = _STARTS.fullmatch(stripped)
    if starts is not None:
        return Test(claim=_claim(starts), operator="prefix", values=[_literal(starts)])
    listed = _LISTED.fullmatch(stripped)
    if listed is not None:
        values = _items(listed["list"])
        if values:
            return Test(claim=_claim(listed), operator="equals", values=values)
    return Test(claim="assertion", operator="cel", values=[stripped])


def _unwrapped(text: str) -> str:
    stripped = text.strip()
    while stripped.startswith("(") and stripped.endswith(")"):
        inner = alternatives(stripped)
        if len(inner) != 1 or len(inner[0]) != 1 or inner[0][0] == stripped:
            break
        stripped = inner[0][0].strip()
    # ``(assertion.sub) == 'x'``: a mapped attribute in parentheses.
    return re.sub(r"^\((assertion(?:\.\w+)+)\)", r"\1", stripped)


def _claim(match: re.Match[str]) -> str:
    return match["claim"] or match["claim1"] or match["claim2"]


def _literal(match: re.Match[str]) -> str:
    return match["one"] if match["one"] is not None else match["two"]


def _items(text: str) -> list[str]:
    """Return the texts of a list; empty if it holds anything else."""
    found, at = [], 0
    while at < len(text):
        match = _ITEM.match(text, at)
        if match is None:
            return []
        found.append(match[1] if match[1] is not None else match[2])
        at = match.end()
    return found
