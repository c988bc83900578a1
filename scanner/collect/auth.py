"""How a request signs in: a credential's headers, made anew when they end or when the source refuses them."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Protocol

import msgspec

from scanner.collect.failures import SourceError
from scanner.config import SecretMissingError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Auth(Protocol):
    """What a client asks before each request. Must be thread-safe."""

    def headers(self) -> Mapping[str, str]:
        """Return the headers that sign a request in. May ask a token service; raises `SourceError`."""

    def renew(self, refused: Mapping[str, str]) -> bool:
        """Drop headers that were refused (401). False when no others can be had, so that asking again is no use."""


class IssuedToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token in use."""

    value: str
    seconds: float | None = None
    """How long it is good from now on; None for one that another cannot be asked for."""


class TokenAuth:
    """A token in a header, issued when it is first needed, and again shortly before it ends.

    ``TokenAuth(lambda: IssuedToken(value=config.token.read()), header="PRIVATE-TOKEN", prefix="")`` for a token of the
    configuration; for one that a service issues, the callable asks the service and says how long the token is good.
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
        """Return the header. Raises `SourceError` (denied) for a secret that is not there, and what ``issue`` raises."""
        with self._lock:
            if self._token is None or time.monotonic() >= self._until:
                try:
                    self._token = self._issue()
                except SecretMissingError as exc:
                    raise SourceError("denied", str(exc)) from None
                good = self._token.seconds
                self._until = float("inf") if good is None else time.monotonic() + max(good - 60, good / 2)
            return {self._header: self._prefix + self._token.value}

    def renew(self, refused: Mapping[str, str]) -> bool:
        """Drop the refused token, unless another thread has done so; False for a token of the configuration."""
        with self._lock:
            if self._token is None:
                return True
            if self._token.seconds is None:
                return False
            if refused.get(self._header) == self._prefix + self._token.value:
                self._token = None
            return True


class NoAuth:
    """Signs nothing."""

    def headers(self) -> Mapping[str, str]:
        """Return no headers."""
        return {}

    def renew(self, refused: Mapping[str, str]) -> bool:  # noqa: ARG002  the protocol's
        """Return False: there is nothing to renew."""
        return False
