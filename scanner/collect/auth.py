"""Authentication of requests: a credential's headers, renewed when they expire or are rejected."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Protocol

import msgspec

from scanner.collect.failures import SourceError
from scanner.config import SecretMissingError
from scanner.secrets.configured import remember

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Auth(Protocol):
    """Provides the headers of each request. Must be thread-safe."""

    def headers(self) -> Mapping[str, str]:
        """Return the headers that authenticate a request. May call a token service. Raises `SourceError`."""

    def renew(self, refused: Mapping[str, str]) -> bool:
        """Drop headers rejected with 401. Return False if they cannot be renewed, so that a retry is useless."""


class IssuedToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token in use."""

    value: str
    seconds: float | None = None
    """Its remaining lifetime in seconds; None if it cannot be renewed."""


class TokenAuth:
    """A token in a header, issued when first needed and renewed shortly before it expires.

    ``TokenAuth(lambda: IssuedToken(value=config.token.read()), header="PRIVATE-TOKEN", prefix="")`` for a token from the
    configuration. For a token issued by a service, the callable calls the service and returns the token's lifetime.
    """

    def __init__(
        self, issue: Callable[[], IssuedToken], *, header: str = "Authorization", prefix: str = "Bearer "
    ) -> None:
        self._issue = issue
        self._header = header
        self._prefix = prefix
        self._lock = threading.Lock()
        self._token: IssuedToken | None = None
        self._until = 0.0

    def headers(self) -> Mapping[str, str]:
        """Return the header. Raises `SourceError` (denied) for a missing secret, and what ``issue`` raises."""
        with self._lock:
            if self._token is None or time.monotonic() >= self._until:
                try:
                    self._token = self._issue()
                except SecretMissingError as exc:
                    raise SourceError("denied", str(exc)) from None
                remember(self._token.value)
                good = self._token.seconds
                self._until = float("inf") if good is None else time.monotonic() + max(good - 60, good / 2)
            return {self._header: self._prefix + self._token.value}

    def renew(self, refused: Mapping[str, str]) -> bool:
        """Drop the rejected token, unless another thread already did. Return False for a token from the configuration."""
        with self._lock:
            if self._token is None:
                return True
            if self._token.seconds is None:
                return False
            if refused.get(self._header) == self._prefix + self._token.value:
                self._token = None
            return True


class NoAuth:
    """No authentication."""

    def headers(self) -> Mapping[str, str]:
        """Return no headers."""
        return {}

    def renew(self, refused: Mapping[str, str]) -> bool:  # noqa: ARG002  the protocol's
        """Return False: there is nothing to renew."""
        return False
