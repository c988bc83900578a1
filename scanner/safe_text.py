"""Makes text from providers safe to display in a report, on a terminal or in a log.

Anyone who can create a repository or a role chooses its name. Each writer escapes for its own format; this module
handles what escaping leaves: characters that reorder or hide text (https://unicode.org/reports/tr36/) or control a
terminal, and excessive length.
"""

from __future__ import annotations

import unicodedata

NAME = 200
"""Maximum length of a displayed name, in characters."""
SENTENCE = 1200
"""Maximum length of a displayed sentence, in characters."""
_SPACES = frozenset("\t\n\r\u00a0\u202f\u2009")
FORMULA = (
    r"^[\x00-\x20\x7f-\xa0\xad"
    "\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff"
    r"]*[=+\-@\t\r＝＋－＠]"
)
"""Characters that make a spreadsheet evaluate a cell, also after blanks, invisible characters (a byte order mark) and in full width."""


def plain(text: str, limit: int = SENTENCE) -> str:
    """Return text without characters that reorder, hide or break it, truncated to ``limit`` characters.

    Such characters are replaced by their code point, ``‹U+202E›``, so that readers notice them.
    """
    if len(text) <= limit and text.isprintable():
        return text
    if len(text) > limit:
        return f"{plain(text[:limit], limit)}… ({len(text):,} characters)"
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    if character in _SPACES:
        return " "
    if character.isprintable() or unicodedata.category(character) == "Zs":
        return character
    return f"‹U+{ord(character):04X}›"


def plain_lines(text: str) -> str:
    """Apply `plain` to each line of a text, without a length limit."""
    return "\n".join(plain(line, len(line)) for line in text.split("\n"))
