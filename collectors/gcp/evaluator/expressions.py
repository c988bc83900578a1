"""Takes expressions of the Common Expression Language apart, as far as trusts and conditions need it. Evaluates nothing."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

MOST_ALTERNATIVES = 32
"""How many alternatives of a condition are told apart."""
_TOKEN = re.compile(
    r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|&&|\|\||[()\[\]{}]|[^'"&|()\[\]{}]+|.""", re.DOTALL
)
_OPENING = {"(": ")", "[": "]", "{": "}"}

Operator: TypeAlias = Literal["&&", "||"]


def parts_of(expression: str, operator: Operator) -> list[str]:
    """Return the operands of an operator at the top level; the expression itself if it has none.

    Outer parentheses do not count. ``||`` binds weaker than ``&&``, so that ``a && b || c`` has no operands of ``&&``.
    """
    text = expression.strip()
    while True:
        found, levels, whole = _split(text, operator)
        if whole and levels:
            text = text[1:-1].strip()
            continue
        return found


def _split(text: str, operator: Operator) -> tuple[list[str], bool, bool]:
    """Return the operands, whether there is a bracket, and whether one pair of parentheses encloses everything."""
    depth, start, at = 0, 0, 0
    found: list[str] = []
    levels, whole, weaker = False, text.startswith("(") and text.endswith(")"), False
    for match in _TOKEN.finditer(text):
        piece, at = match.group(), match.end()
        if piece in _OPENING:
            depth += 1
            levels = True
        elif piece in _OPENING.values():
            depth -= 1
            whole = whole and (depth > 0 or at == len(text))
        elif depth == 0 and piece == operator:
            found.append(text[start : match.start()].strip())
            start = at
        elif depth == 0 and piece == "||":
            weaker = True
    if depth != 0:
        return [text], levels, False
    if operator == "&&" and weaker:
        return [text], levels, whole
    return [*found, text[start:].strip()], levels, whole


def alternatives(expression: str) -> list[list[str]]:
    """Return an expression as alternatives of tests that must all pass. One that is too large stays one test."""
    found: list[list[str]] = []
    for either in parts_of(expression, "||"):
        if _compound(either) and either != expression:
            found += alternatives(either)
            continue
        both = parts_of(either, "&&")
        combined: list[list[str]] = [[]]
        for part in both:
            inner = alternatives(part) if _compound(part) else [[part]]
            combined = [[*one, *more] for one in combined for more in inner]
            if len(combined) > MOST_ALTERNATIVES:
                return [[expression]]
        found += combined
    return found if len(found) <= MOST_ALTERNATIVES else [[expression]]


def _compound(expression: str) -> bool:
    return len(parts_of(expression, "||")) > 1 or len(parts_of(expression, "&&")) > 1


_MAPPED = re.compile(
    r"""(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|(?<![\w.])(?P<name>google\.(?:subject|groups)|attribute\.\w+|"""
    r"""attribute\[(?:'\w+'|"\w+")\])"""
)


def in_claims(expression: str, mapping: dict[str, str]) -> str | None:
    """Return a condition with the mapped attributes replaced by what they are made of: only ``assertion`` remains.

    None if it reads an attribute that is not mapped, which no token has.
    """
    missing = False

    def replaced(match: re.Match[str]) -> str:
        nonlocal missing
        name = match["name"]
        if name is None:
            return match.group()
        if "[" in name:
            name = f"attribute.{name[11:-2]}"
        made_of = mapping.get(name)
        if made_of is None:
            missing = True
            return match.group()
        return made_of if re.fullmatch(r"assertion(?:\.\w+)+", made_of) else f"({made_of})"

    text = _MAPPED.sub(replaced, expression)
    return None if missing else text


def quoted(text: str) -> str:
    """Return a text as a literal of CEL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
