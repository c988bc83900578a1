"""The secret values of the configuration, and of the tokens issued for it: no text that leaves the process shows one.

A provider may echo a credential in an error message or a name, and few credentials have a format of their own. So every
value is remembered when it is read, and `hide_configured` replaces it wherever it stands, also in base64. Values in
percent-encoding are found by `scanner.secrets.redact`, which decodes first.
"""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Callable
from typing import TypeAlias

import msgspec

Label: TypeAlias = Callable[[str, str], str]
"""Returns what stands in place of a secret: given its detector and the secret."""

SHORTEST_SECRET = 8
"""Length of the shortest value that can be distinguished from other text. ``check-config`` refuses shorter ones."""
_SHORTEST_LINE = 16
"""Characters of the shortest line of a value of several lines (a private key) that is a secret by itself."""
_LONGEST = 200
"""Lines of one value that are remembered."""


class _Form(msgspec.Struct, frozen=True):
    """One form of a value."""

    core: str
    """Letters and digits that stand in it, whatever the encoding: searched first, because that is cheap."""
    pattern: re.Pattern[str]


_known: dict[str, tuple[_Form, ...]] = {}
_lock = threading.Lock()


def remember(value: str) -> None:
    """Remember a secret value for the rest of the process. Shorter values than `SHORTEST_SECRET` are ignored."""
    value = value.strip()
    if len(value) < SHORTEST_SECRET or value in _known:
        return
    lines = [line.strip() for line in value.splitlines()[:_LONGEST]]
    several = [line for line in lines if len(line) >= _SHORTEST_LINE and not line.startswith("-----")]
    with _lock:
        for text in (value, *(several if len(lines) > 1 else ())):
            _known[text] = _forms(text)


def remembered() -> int:
    """Return how many values are remembered: a text that was looked at before may hold one remembered since."""
    return len(_known)


def cores() -> list[str]:
    """Return literals of which at least one stands in every text that shows a remembered value, except where encoded."""
    return sorted({form.core for forms in list(_known.values()) for form in forms})


def hide_configured(text: str, label: Label) -> str:
    """Replace every remembered value in a text."""
    for value, forms in list(_known.items()):
        for form in forms:
            if form.core in text:
                hidden = label("configured", value)
                text = form.pattern.sub(lambda _, hidden=hidden: hidden, text)  # type: ignore[misc]
    return text


def _forms(value: str) -> tuple[_Form, ...]:
    """Return the value as it is, and in base64 at each of the three places where a byte can begin."""
    found = [_Form(_core(value), re.compile("".join(map(_raw, value))))]
    plain = value.encode("utf-8", "surrogatepass")
    for shift in range(3):
        packed = base64.b64encode(b"\0" * shift + plain).decode()
        # Only the characters that hold nothing but bits of the value.
        inner = packed[(0, 2, 3)[shift] : (shift + len(plain)) * 8 // 6]
        found.append(_Form(_core(inner), re.compile("".join(map(_packed, inner)) + "[A-Za-z0-9+/=_-]{0,3}")))
    return tuple(found)


def _core(text: str) -> str:
    """Return the longest run of letters and digits, which no encoding changes; empty if there is none."""
    return max(re.findall(r"[A-Za-z0-9]+", text), key=len, default="")


def _raw(character: str) -> str:
    """Return the pattern of one character: a space may be a plus, and JSON escapes some."""
    if character.isalnum() and character.isascii():
        return character
    if character == " ":
        return "[ +]"
    escaped = rf"\\{{0,3}}{re.escape(character)}" if character in "\"'\\/" else re.escape(character)
    if character == "\n":
        escaped = r"\r?\n|(?:\\r)?\\n"
    if not character.isascii():
        units = character.encode("utf-16-be", "surrogatepass").hex()
        escaped += "|" + "".join(rf"\\u(?i:{units[at : at + 4]})" for at in range(0, len(units), 4))
    return f"(?:{escaped})"


def _packed(character: str) -> str:
    """Return the pattern of one character of base64, in either of its alphabets."""
    return {"+": "[+-]", "/": "[/_]"}.get(character, re.escape(character))
