"""Tells which values and names look like secrets, and fingerprints values without keeping them."""

from __future__ import annotations

import hashlib
import hmac

import msgspec


class Fingerprint:
    """HMAC-SHA-256 of a value under the installation's key: 32 hex digits, useless without the key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __call__(self, value: str) -> str:
        """Return the fingerprint of a value."""
        return hmac.new(self._key, value.strip().encode(), hashlib.sha256).hexdigest()[:32]

    def __repr__(self) -> str:
        return "Fingerprint(...)"


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a value: what it looks like, its length, its fingerprint; never the value."""

    looks_like: str
    """Detector: ``aws-access-key-id``, ``aws-secret-key``, ``github-token``, ``private-key``, ``jwt``,
    ``connection-string``, ``high-entropy``; ``name:password`` when only the name tells."""
    length: int
    fingerprint: str
    key_id: str | None = None
    """The public identifier inside the value (an AWS access key id), where there is one."""


def inspect(name: str, value: str, fingerprint: Fingerprint) -> Seen | None:
    """Judge one named value. None when it is no secret: empty, a reference, a flag, a URL without userinfo."""
    raise NotImplementedError
