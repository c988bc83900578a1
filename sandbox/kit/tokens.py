"""The tokens that a sandbox has issued: permissions, expiration, and what tests revoked."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

from sandbox.kit.issued import ISSUED

if TYPE_CHECKING:
    from collections.abc import Iterator


class KnownToken(msgspec.Struct, kw_only=True, gc=False):
    """An issued token. ``permissions`` and ``scopes`` shrink when a test revokes some."""

    value: str
    scopes: set[str] = set()
    permissions: dict[str, str] = {}
    """Permission -> level."""
    expires_at: float | None = None
    """Seconds since the epoch."""

    @property
    def expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= time.time()


T = TypeVar("T", bound=KnownToken)


class TokenStore(Generic[T]):
    """Tokens by value. Thread-safe."""

    def __init__(self) -> None:
        self._tokens: dict[str, T] = {}
        self._revoked: set[str] = set()
        self._taken: list[tuple[T, str, str | None]] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._tokens)

    def __iter__(self) -> Iterator[T]:
        with self._lock:
            return iter(list(self._tokens.values()))

    def add(self, token: T) -> T:
        """Register a token; its value is added to the secrets that must not occur in any output."""
        with self._lock:
            self._tokens[token.value] = token
        ISSUED.add(token.value)
        return token

    def get(self, value: str) -> T | None:
        """Return the token of that value."""
        return self._tokens.get(value)

    @property
    def revoked(self) -> frozenset[str]:
        """The permissions and scopes revoked from every token."""
        return frozenset(self._revoked)

    def revoke(self, permission: str) -> None:
        """Revoke a permission or scope from every token, including future ones."""
        with self._lock:
            self._revoked.add(permission)
            for token in self._tokens.values():
                if permission in token.permissions:
                    self._taken.append((token, permission, token.permissions.pop(permission)))
                if permission in token.scopes:
                    token.scopes.discard(permission)
                    self._taken.append((token, permission, None))

    def restore(self) -> None:
        """Restore everything that was revoked."""
        with self._lock:
            self._revoked.clear()
            for token, permission, level in self._taken:
                if level is None:
                    token.scopes.add(permission)
                else:
                    token.permissions[permission] = level
            self._taken.clear()


def bearer(headers: dict[str, str]) -> str:
    """Return the token of an ``Authorization`` header, of any scheme; empty without one."""
    return headers.get("authorization", "").split(" ", 1)[-1].strip()
