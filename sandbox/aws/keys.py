"""Access key ids and secret keys of AWS, derived from names. Other sandboxes use the same functions and so the same
values: a CI variable contains the key of ``ci-fraud``.
"""

from __future__ import annotations

import base64
import hashlib

from sandbox.kit.issued import ISSUED, WORD, text_of

_OFFSET = 549755813888
_ID = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def unique_id(prefix: str, account: str, name: str) -> str:
    """Return an IAM unique id (``AKIA``, ``ASIA``, ``AIDA``, ``AROA``, ``ANPA`` and so on).

    The characters after the prefix carry the account's number, as they do in AWS since 2019.
    """
    number = int(account)
    part = base64.b32encode((number // 2 + _OFFSET).to_bytes(5, "big")).decode()
    rest = text_of(f"{prefix}/{account}/{name}", 20 if prefix in {"AKIA", "ASIA"} else 21, _ID)
    middle = _ID[16 + _ID.index(rest[0]) % 16] if number % 2 else _ID[_ID.index(rest[0]) % 16]
    length = 20 if prefix in {"AKIA", "ASIA"} else 21
    return (prefix + part + middle + rest[1:])[:length]


def key_id(account: str, user: str, number: int = 1) -> str:
    """Return the id of a user's n-th access key."""
    return unique_id("AKIA", account, f"{user}/{number}")


def key_secret(account: str, user: str, number: int = 1) -> str:
    """Return the secret of that key: 40 characters."""
    made = text_of(f"secret/{account}/{user}/{number}", 40, WORD + "/+")
    ISSUED.add(made)
    return made


def digest(name: str) -> str:
    """Return ``sha256:...`` of a name."""
    return "sha256:" + hashlib.sha256(name.encode()).hexdigest()


def serial(name: str) -> str:
    """Return a UUID that depends on its name alone."""
    text = hashlib.sha256(name.encode()).hexdigest()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:32]}"
