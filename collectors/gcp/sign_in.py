"""Signs in to Google Cloud with google-auth: workload identity federation, the metadata server, or a token by reference.

google-auth sends through `GoogleTransport`, within the collector's limits of time and size.
https://googleapis.dev/python/google-auth/latest/reference/google.auth.html
"""

from __future__ import annotations

import json
import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scanner.collect.answers import read_json
from scanner.collect.auth import IssuedToken, TokenAuth
from scanner.collect.failures import SourceError, reason_of
from scanner.collect.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from collectors.gcp.config import Config
    from scanner.collect.collector import Run

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
"""Cloud Asset Inventory and IAM accept no narrower scope; roles decide what the scanner may read.
https://docs.cloud.google.com/asset-inventory/docs/reference/rest/v1/assets/list"""
IMPORTING = threading.Lock()
"""Held while the Google libraries are imported: two targets that do so at once can each see half of a module."""
_LARGEST = 2**20


class _Response:
    """What google-auth expects of a response."""

    def __init__(self, status: int, headers: Mapping[str, str], data: bytes) -> None:
        self.status = status
        self.headers = headers
        self.data = data


class GoogleTransport:
    """What google-auth sends its requests with; see ``google.auth.transport.Request``."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.status = 0
        """The status of the last response; 0 before the first."""
        self.failure: SourceError | None = None
        """Why the last request got no response."""

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        **_: Any,
    ) -> _Response:
        """Send one request. Raises TransportError of google-auth if it fails."""
        from google.auth.exceptions import TransportError

        self.status, self.failure = 0, None
        try:
            raw = self._transport.send(
                method,
                url,
                headers=dict(headers or {}),
                credential={},
                body=body.encode() if isinstance(body, str) else body,
                largest=_LARGEST,
            )
            if raw.status < 300 and "json" in raw.headers.get("content-type", ""):
                # The library parses without a bound on nesting.
                read_json(raw.content)
        except SourceError as exc:
            self.failure = exc
            raise TransportError(exc.detail) from None  # type: ignore[no-untyped-call]  # untyped in this library
        self.status = raw.status
        return _Response(raw.status, raw.headers, raw.content)


class GoogleAuth(TokenAuth):
    """Access tokens of one section of config.yaml."""

    def __init__(self, config: Config, run: Run) -> None:
        self._config = config
        self._transport = Transport(config, run.stopping, run.clock)
        self._sender = GoogleTransport(self._transport)
        self._credential: Any = None
        super().__init__(self._ask)

    def close(self) -> None:
        """Close the connections to the token service."""
        self._transport.close()

    def _ask(self) -> IssuedToken:
        if self._config.token is not None:
            return IssuedToken(value=self._config.token.read())
        with IMPORTING:
            from google.auth.exceptions import GoogleAuthError

        try:
            if self._credential is None:
                self._credential = self._signer()
            self._credential.refresh(self._sender)
        except (GoogleAuthError, OSError, ValueError, TypeError, KeyError, AttributeError) as exc:
            # The last four: a file that is none, or a response that google-auth cannot take apart.
            raise self._failure(exc) from None
        expiry: datetime | None = self._credential.expiry
        left = 300.0 if expiry is None else (expiry.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds()
        return IssuedToken(value=str(self._credential.token), seconds=max(1.0, left))

    def _failure(self, exc: Exception) -> SourceError:
        words = f"the sign-in to Google Cloud failed: {(str(exc).splitlines() or [type(exc).__name__])[0]}"
        sender = self._sender
        if sender.failure is not None:
            return SourceError(sender.failure.reason, f"the token service: {sender.failure.detail}")
        if sender.status < 400:
            return SourceError("malformed" if sender.status else "denied", words)
        # 400 is the answer to a credential that is wrong: https://www.rfc-editor.org/rfc/rfc6749#section-5.2
        reason = "denied" if sender.status == 400 else reason_of(sender.status)
        return SourceError(reason, words, status=sender.status)

    def _signer(self) -> Any:
        with IMPORTING:
            import google.auth

        named = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
        path = self._config.credentials_file or (Path(named) if named else None)
        if path is not None:
            return _from_file(json.loads(path.read_text(encoding="utf-8")))
        sender: Any = self._sender
        credential, _ = google.auth.default(scopes=[SCOPE], request=sender)
        return credential


def _from_file(info: dict[str, Any]) -> Any:
    """Return the credential of a file by its type. Raises ValueError for one that is not read.

    The library's loader of any type asks another host for a project first, and may run a program:
    https://docs.cloud.google.com/docs/authentication/external/externally-sourced-credentials
    """
    with IMPORTING:
        from google.auth import aws, identity_pool
        from google.oauth2 import credentials, service_account

    source = info.get("credential_source") or {}
    match info.get("type"):
        case "external_account" if "executable" in source:
            raise ValueError("the credential runs a program, which the scanner does not")
        case "external_account" if "regional_cred_verification_url" in source:
            return aws.Credentials.from_info(info, scopes=[SCOPE])  # type: ignore[no-untyped-call]  # untyped in this library
        case "external_account":
            return identity_pool.Credentials.from_info(info, scopes=[SCOPE])  # type: ignore[no-untyped-call]  # untyped in this library
        case "service_account":
            return service_account.Credentials.from_service_account_info(info, scopes=[SCOPE])  # type: ignore[no-untyped-call]  # untyped in this library
        case "authorized_user":
            return credentials.Credentials.from_authorized_user_info(info, scopes=[SCOPE])  # type: ignore[no-untyped-call]  # untyped in this library
        case other:
            raise ValueError(f"a credential of the type {other} is not read")
