"""Text and addresses from providers, made safe to show. Everything that a report shows as text passes here.

Names are chosen by whoever can create a repository or a role. Escaping is the template's part; this one undoes what
escaping leaves: characters that reorder or hide text (https://unicode.org/reports/tr36/), and lengths that bury a page.
"""

from __future__ import annotations

import unicodedata
from urllib.parse import urlsplit

NAME = 200
"""Characters of a name that are shown."""
SENTENCE = 1200
"""Characters of a sentence that are shown."""
ADDRESS = 2000
"""Longest address that is made a link."""

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


def web_address(text: str | None) -> str | None:
    """Return an address that is safe as a link: http or https, with a host, printable; None for everything else."""
    if text is None or len(text) > ADDRESS or not text.isprintable() or " " in text:
        return None
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    return text if parts.scheme in ("http", "https") and parts.hostname else None
