"""Hides a private key that is spread over the items of a list, one line of it in each.

Each line alone looks like any other base64 text. What comes after the item with the first line is part of the key for as
long as it looks like it; the rest of an item stays, so that a command cannot be hidden behind the words of a key.
"""

from __future__ import annotations

import re

_BEGIN = re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----")
_END = "-----END"
_LINE = re.compile(r"[A-Za-z0-9+/]{16,}={0,2}|[A-Za-z0-9+/]{2,15}={1,2}")
_HEADER = re.compile(r"\s*+(?:(?:Proc-Type|DEK-Info|Version|Comment|Hash): .{0,200})?\s*")
"""The lines that may stand between the first line and the key: https://www.rfc-editor.org/rfc/rfc1421#section-4.4"""
HIDDEN = "[redacted:private-key]"


def without_key_lines(texts: list[str]) -> list[str]:
    """Return the texts of a list in its order, without the lines of a private key that began in an earlier one."""
    if not any("PRIVATE KEY-----" in text or "PRIVATE KEY BLOCK-----" in text for text in texts):
        return texts
    found: list[str] = []
    inside = False
    for text in texts:
        hidden = text
        if inside:
            before, end, after = text.partition(_END)
            hidden = _LINE.sub(HIDDEN, before) + end + after
            inside = not end and (hidden != text or _HEADER.fullmatch(text) is not None)
        for begin in _BEGIN.finditer(hidden):
            inside = _END not in hidden[begin.end() :]
        found.append(hidden)
    return found
