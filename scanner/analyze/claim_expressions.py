"""Whether a token passes an expression of the Common Expression Language over its claims, with ``*`` for any text."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Literal

from scanner.cel import holds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MOST_TRIALS = 256
"""How many combinations of values are tried for claims with ``*``."""
_LITERALS = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"")
_CALLS = re.compile(r"\.(\w+)\(")
_DECIDED = frozenset(("startsWith",))
"""Functions for which the trials of `_values` are enough to know that no text passes."""
_FILLER = "\uffff"
"""Stands for a text that no condition names."""


def passes(expression: str, token: Mapping[str, str]) -> Literal["exact", "pattern", "no", "unknown"]:
    """Evaluate an expression for a token's claims, by name in lower case.

    A claim that the token never has (an empty text) makes its part fail, as Google Cloud has it; one that is not known
    leaves it unknown. A claim with ``*`` is tried with every text that the expression names and that fits, and with others.
    """
    lowered = {name.lower(): value for name, value in token.items()}
    open_claims = [name for name, value in sorted(lowered.items()) if "*" in value and name in expression]
    fixed = {name: value for name, value in lowered.items() if value and name not in open_claims}
    choices = [list(_values(lowered[name], expression)) for name in open_claims]
    count = 1
    for choice in choices:
        count *= len(choice)
    if count > MOST_TRIALS:
        return "unknown"
    never = any(not value and f"assertion.{name}" in expression for name, value in lowered.items())
    verdicts = [
        holds(expression, {"assertion": {**fixed, **dict(zip(open_claims, values, strict=True))}})
        for values in itertools.product(*choices)
    ]
    if never:
        verdicts = [bool(verdict) for verdict in verdicts]
    if all(verdicts):
        return "exact"
    if any(verdicts):
        return "pattern"
    if None in verdicts:
        return "unknown"
    if open_claims and not {match[1] for match in _CALLS.finditer(expression)} <= _DECIDED:
        return "unknown"
    return "no"


def _values(pattern: str, expression: str) -> Iterator[str]:
    """Yield texts that a claim with ``*`` may be: nothing and something for each star, and each literal that fits."""
    yield pattern.replace("*", "")
    yield pattern.replace("*", _FILLER)
    shape = re.compile("[\\s\\S]*".join(re.escape(part) for part in re.split(r"\*+", pattern)))
    for one, other in _LITERALS.findall(expression):
        literal = re.sub(r"\\(.)", r"\1", one or other)
        if shape.fullmatch(literal):
            yield literal
        start = pattern.partition("*")[0]
        tail = pattern.rpartition("*")[2]
        if literal.startswith(start) and shape.fullmatch(f"{literal}{_FILLER}{tail}"):
            yield f"{literal}{_FILLER}{tail}"
