"""Finds the strings and comments of a Groovy text, without parsing the rest.

https://groovy-lang.org/syntax.html. A ``/*`` in a string (``'build/*.jar'``) opens no comment, a quote in a comment opens
no string. An unclosed string or comment ends with the line or the file.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOKEN = re.compile(
    r"""(?xs)
      (?P<comment> /\* (?: [^*] | \*(?!/) )*+ (?: \*/ | \Z ) | (?<! [:\w\\] ) // [^\n]*+ )
    | (?P<triple> \"\"\" (?: [^"\\] | \\. | "(?!"") )*+ (?: \"\"\" | \\?\Z ) | ''' (?: [^'\\] | \\. | '(?!'') )*+ (?: ''' | \\?\Z ) )
    | (?P<single> " (?: [^"\\\n] | \\. )*+ (?: " | (?=\n) | \\?\Z ) | ' (?: [^'\\\n] | \\. )*+ (?: ' | (?=\n) | \\?\Z ) )
    """
)
_ESCAPE = re.compile(r"\\(?P<sign>[\s\S])")
_SIGNS = {"n": "\n", "t": "\t", "r": "\r", "\n": "\\\n"}
"""A backslash at the end of a line is left to the shell."""


class Text(NamedTuple):
    """A string literal."""

    value: str
    """Escapes undone, except that ``\\$`` keeps its backslash where Groovy fills in variables."""
    start: int
    """Offset of its first character, after the quotes."""
    end: int
    """Offset of its closing quotes."""
    opening: int
    """Offset of its opening quotes."""
    filled: bool
    """Whether Groovy interpolates ``$name`` and ``${...}``."""


def without_comments(source: str) -> str:
    """Replace comments by blanks, which keeps all offsets and line numbers."""

    def blank(match: re.Match[str]) -> str:
        if match.lastgroup != "comment":
            return match.group()
        return re.sub(r"[^\n]", " ", match.group())

    return _TOKEN.sub(blank, source)


def strings(text: str) -> Iterator[Text]:
    """Yield the string literals of a text without comments."""
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind == "comment":
            continue
        raw, width = match.group(), 3 if kind == "triple" else 1
        quote = raw[0]
        closed = len(raw) >= 2 * width and raw.endswith(quote * width)
        inner = raw[width:-width] if closed else raw[width:]
        start = match.start() + width
        yield Text(_undone(inner, quote), start, start + len(inner), match.start(), quote == '"')


def masked(text: str, texts: list[Text]) -> str:
    """Return a text with the content of its strings masked: offsets stay the same and only code remains."""
    pieces: list[str] = []
    at = 0
    for found in texts:
        pieces += [text[at : found.start], "\x01" * (found.end - found.start)]
        at = found.end
    return "".join([*pieces, text[at:]])


def closings(code: str) -> dict[int, int]:
    """Return the offset of each opening bracket in masked code to that of its closing bracket."""
    found: dict[int, int] = {}
    stack: list[int] = []
    for match in _BRACKET.finditer(code):
        if match.group() in "([{":
            stack.append(match.start())
        elif stack:
            found[stack.pop()] = match.start()
    return found


_BRACKET = re.compile(r"[()\[\]{}]")


def _undone(inner: str, quote: str) -> str:
    if "\\" not in inner:
        return inner

    def sign(match: re.Match[str]) -> str:
        escaped = match["sign"]
        if escaped == "$" and quote == '"':
            return "\\$"
        return _SIGNS.get(escaped, escaped)

    return _ESCAPE.sub(sign, inner)
