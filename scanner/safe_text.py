"""Text from providers, made safe to show: in a report, on a terminal, in a log for people.

Names are chosen by whoever can create a repository or a role. Escaping is a writer's own part; this undoes what
escaping leaves: characters that reorder or hide text (https://unicode.org/reports/tr36/) or command a terminal, and
lengths that bury a page.
"""

from __future__ import annotations

import unicodedata

NAME = 200
"""Characters of a name that are shown."""
SENTENCE = 1200
"""Characters of a sentence that are shown."""
_SPACES = frozenset("\t\n\r\u00a0\u202f\u2009")


def plain(text: str, limit: int = SENTENCE) -> str:
    """Return text without characters that reorder, hide or break it, clipped at ``limit`` characters.

    Such characters are shown as their code point, ``‹U+202E›``, so that a reader sees that somebody put them there.
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
    """Return text of several lines with each line `plain`, whatever its length."""
    return "\n".join(plain(line, len(line)) for line in text.split("\n"))
