"""Text made from a regular expression to keep it busy: what it repeats, many times over, and then something else."""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_PARSER: Any = importlib.import_module("re._parser")
_REPEATS = frozenset(("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"))
_CATEGORIES = {
    "CATEGORY_DIGIT": "0",
    "CATEGORY_SPACE": " ",
    "CATEGORY_WORD": "a",
    "CATEGORY_NOT_DIGIT": "a",
    "CATEGORY_NOT_SPACE": "a",
    "CATEGORY_NOT_WORD": ".",
}
_CANDIDATES = "a0A .-/=:_'\"\n$!~"
"""Characters to try for a class that excludes some."""
_MANY = 20
"""From so many repetitions on, a repetition is one to try."""


def generated(pattern: re.Pattern[str]) -> list[str]:
    """Return pieces of text: of each repetition in a pattern what it repeats, alone and after all that is before it.

    Where each line is a beginning, also with line breaks for spaces: whitespace that runs over lines is tried from each.
    """
    pieces = list(_pieces(_PARSER.parse(pattern.pattern, pattern.flags), ""))
    if pattern.flags & re.MULTILINE:
        pieces += [piece.replace(" ", "\n") for piece in pieces]
    return [piece for piece in dict.fromkeys(pieces) if piece]


def texts(pattern: re.Pattern[str], length: int) -> Iterator[str]:
    """Yield texts of about ``length`` characters, each piece repeated, with an end that hardly any pattern expects."""
    for piece in generated(pattern):
        yield (piece * (length // len(piece) + 1))[:length] + "\x01"


def _pieces(nodes: Any, before: str) -> Iterator[str]:
    for operation, argument in nodes:
        for inner in _inside(str(operation), argument):
            yield from _pieces(inner, before)
        if str(operation) in _REPEATS and argument[1] >= _MANY:
            body = _sample(argument[2])
            yield from (body, before + body, body[:1] + before)
        before += _sample([(operation, argument)])


def _inside(name: str, argument: Any) -> list[Any]:
    """Return the nodes within a node, one list for each alternative."""
    if name in _REPEATS:
        return [argument[2]]
    match name:
        case "SUBPATTERN":
            return [argument[-1]]
        case "ATOMIC_GROUP":
            return [argument]
        case "BRANCH":
            return list(argument[1])
        case "ASSERT" | "ASSERT_NOT":
            return [argument[1]]
        case _:
            return []


def _sample(nodes: Any) -> str:
    """Return a short text that nodes match, as far as one can tell without looking around."""
    return "".join(_of(str(operation), argument) for operation, argument in nodes)


def _of(name: str, argument: Any) -> str:
    if name in _REPEATS:
        return str(_sample(argument[2]) * max(argument[0], 1))
    match name:
        case "LITERAL":
            return str(chr(argument))
        case "NOT_LITERAL":
            return "b" if chr(argument) == "a" else "a"
        case "ANY":
            return "a"
        case "IN":
            return _member(argument)
        case "SUBPATTERN" | "ATOMIC_GROUP" | "BRANCH":
            return _sample(_inside(name, argument)[0])
        case _:
            return ""


def _member(items: Any) -> str:
    """Return a character of a class."""
    if str(items[0][0]) != "NEGATE":
        name, argument = str(items[0][0]), items[0][1]
        match name:
            case "LITERAL":
                return str(chr(argument))
            case "RANGE":
                return str(chr(argument[0]))
            case _:
                return _CATEGORIES.get(str(argument), "a")
    return next((letter for letter in _CANDIDATES if not _holds(items[1:], letter)), "é")


def _holds(items: Any, letter: str) -> bool:
    for operation, argument in items:
        match str(operation):
            case "LITERAL":
                found = chr(argument) == letter
            case "RANGE":
                found = argument[0] <= ord(letter) <= argument[1]
            case _:
                category = str(argument)
                kind = {
                    "DIGIT": letter.isdigit(),
                    "SPACE": letter.isspace(),
                    "WORD": letter.isalnum() or letter == "_",
                }
                found = kind[category.rpartition("_")[2]] != ("NOT" in category)
        if found:
            return True
    return False
