"""What people enter where something must be entered and nothing is to be said: an owner that is none."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_NOTHING = frozenset(
    ("", "-", "--", "?", "n/a", "na", "nil", "nobody", "none", "no owner", "not set", "null", "tba", "tbc", "tbd", "to be defined",
     "to do", "todo", "unassigned", "undefined", "unknown", "unowned", "unset", "xxx")
)  # fmt: skip


def stated(text: str | None) -> str | None:
    """Return what a text says, without surrounding blanks and invisible characters; None for ``TBD``, ``n/a``, ``-``."""
    if text is None:
        return None
    shown = "".join(letter for letter in text if unicodedata.category(letter) not in _INVISIBLE)
    value = shown.strip()
    return None if value.strip(" .<>[]()\"'").casefold() in _NOTHING else value


_INVISIBLE = frozenset(("Cc", "Cf"))
"""Unicode's categories of control and format characters, such as the zero-width space."""


def first_stated(tags: Mapping[str, str], wanted: Iterable[str]) -> tuple[str | None, str | None]:
    """Return the first of the wanted tags that says something, with its key as it is spelled; case does not matter."""
    said = {key.lower(): (value, key) for key, text in tags.items() if (value := stated(text)) is not None}
    return next((said[name.lower()] for name in wanted if name.lower() in said), (None, None))
