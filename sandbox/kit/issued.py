"""Secret values of the make-believe company: made from names, always the same.

They are written nowhere, so that no secret scanner takes this repository for a leak.
"""

from __future__ import annotations

import hashlib
import string

WORD = string.ascii_letters + string.digits
ISSUED: set[str] = set()
"""Every secret value that was made in this process: no record, report or log may hold one."""


def text_of(seed: str, length: int, alphabet: str = WORD) -> str:
    """Return ``length`` characters that depend on the seed alone."""
    out = ""
    turn = 0
    while len(out) < length:
        for byte in hashlib.sha256(f"lantern/{seed}/{turn}".encode()).digest():
            out += alphabet[byte % len(alphabet)]
        turn += 1
    return out[:length]


def secret_value(name: str, length: int = 32, prefix: str = "") -> str:
    """Return a secret value of letters and digits that depends on its name alone."""
    made = prefix + text_of(f"token/{name}", length)
    ISSUED.add(made)
    return made
