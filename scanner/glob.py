"""Anchored globs: the whole text must match. ``*`` matches any text, ``?`` one character, everything else itself."""

from __future__ import annotations


def is_glob(text: str) -> bool:
    """Whether a selector is a glob rather than an exact text."""
    return "*" in text or "?" in text


def like_pattern(glob: str) -> str:
    r"""Return a glob as the pattern of SQL's ``LIKE ... ESCAPE '\'``.

    SQL's own GLOB would read the brackets of names such as ``dependabot[bot]`` as a set of characters.
    """
    escaped = glob.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%").replace("?", "_")
