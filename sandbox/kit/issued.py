"""Secret values of the simulated company, derived from names.

They are not stored in the code, so that secret scanners do not report this repository.
"""

from __future__ import annotations

import hashlib
import string

WORD = string.ascii_letters + string.digits
ISSUED: set[str] = set()
"""Every secret value created in this process: none may occur in a record, report or log."""


def text_of(seed: str, length: int, alphabet: str = WORD) -> str:
    """Return ``length`` characters that depend only on the seed."""
    out = ""
    turn = 0
    while len(out) < length:
        for byte in hashlib.sha256(f"lantern/{seed}/{turn}".encode()).digest():
            out += alphabet[byte % len(alphabet)]
        turn += 1
    return out[:length]


def secret_value(name: str, length: int = 32, prefix: str = "") -> str:
    """Return a secret value of letters and digits that depends only on its name."""
    made = prefix + text_of(f"token/{name}", length)
    ISSUED.add(made)
    return made
