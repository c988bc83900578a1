"""Signs in to Entra ID with azure-identity, which builds the signed requests and parses the token service's responses.

azure-identity sends through `BoundedSession`: only to the configured authority (or to the platform's metadata address,
for a managed identity), without redirects, within the collector's limits of time and size.
https://learn.microsoft.com/python/api/azure-identity/azure.identity
"""

from __future__ import annotations

import io
import logging
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
import urllib3

from scanner.collect.answers import read_json
from scanner.collect.auth import IssuedToken, TokenAuth
from scanner.collect.failures import SourceError, reason_of
from scanner.collect.transport import Transport

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

    from collectors._microsoft.config import MicrosoftConfig
    from scanner.collect.collector import Run

METADATA = "http://169.254.169.254"
"""The instance metadata service. https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token"""
IMPORTING = threading.Lock()
"""Held while the Azure libraries are imported: two targets that do so at once can each see half of a module."""
_LARGEST = 2**20
"""The largest response of a token service, in bytes."""


class BoundedSession(requests.Session):
    """A session of requests that sends through `Transport`, to the given origins only."""

    def __init__(self, transport: Transport, origins: frozenset[str], *, largest: int = _LARGEST) -> None:
        super().__init__()
        self._largest = largest
        self._transport = transport
        self._origins = origins
        self.status = 0
        """The status of the last response; 0 before the first."""
        self.failure: SourceError | None = None
        """Why the last request got no response, if it got none. azure-identity calls everything a failed sign-in."""

    def request(  # type: ignore[override]  # azure-core passes everything by keyword
        self, method: str, url: str, *, headers: Any = None, data: Any = None, **_: Any
    ) -> requests.Response:
        """Send one request without following redirects. Raises OSError if it fails."""
        self.status, self.failure = 0, None
        parts = urlsplit(url)
        if f"{parts.scheme}://{parts.netloc}".lower() not in self._origins:
            self.failure = SourceError(
                "malformed", f"the token service points to another host: {parts.netloc}"
            )
            raise requests.ConnectionError(self.failure.detail)
        prepared = requests.Request(method, url, headers=dict(headers or {}), data=data).prepare()
        body = prepared.body.encode() if isinstance(prepared.body, str) else prepared.body
        try:
            raw = self._transport.send(
                method,
                url,
                headers={name: str(value) for name, value in prepared.headers.items()},
                credential={},
                body=body,
                largest=self._largest,
            )
            if raw.status < 300:
                # The libraries parse without a bound on nesting.
                read_json(raw.content)
        except SourceError as exc:
            self.failure = exc
            raise requests.ConnectionError(exc.detail) from None
        self.status = raw.status
        response = requests.Response()
        response.status_code = raw.status
        # Decompressed already.
        hidden = {"content-encoding", "content-length", "transfer-encoding"}
        kept = {name: value for name, value in raw.headers.items() if name not in hidden}
        response.headers.update(kept)
        response.raw = urllib3.HTTPResponse(
            body=io.BytesIO(raw.content), headers=kept, status=raw.status, preload_content=False
        )
        response.url = url
        response.encoding = "utf-8"
        return response


class MicrosoftAuth(TokenAuth):
    """Tokens of one tenant for one API. ``resource`` is its address: ``https://graph.microsoft.com``."""

    def __init__(self, config: MicrosoftConfig, resource: str, run: Run) -> None:
        self._config = config
        self._scope = f"{resource}/.default"
        self._transport = Transport(config, run.stopping, run.clock)
        self._credential: TokenCredential | None = None
        self._session: BoundedSession | None = None
        super().__init__(self._ask)

    def close(self) -> None:
        """Close the connections to the token service."""
        self._transport.close()

    def _ask(self) -> IssuedToken:
        with IMPORTING:
            from azure.core.exceptions import AzureError

        try:
            if self._credential is None:
                self._credential = self._signer()
            token = self._credential.get_token(self._scope)
        except (AzureError, OSError, ValueError, TypeError, KeyError, AttributeError) as exc:
            # The last four: a key that is none, or a response that azure-identity cannot take apart.
            raise self._failure(exc) from None
        return IssuedToken(value=token.token, seconds=max(1.0, token.expires_on - time.time()))

    def _failure(self, exc: Exception) -> SourceError:
        """Return why no token was issued."""
        session = self._session
        words = f"Entra ID refused the sign-in: {(str(exc).splitlines() or [type(exc).__name__])[0]}"
        if session is None or (session.failure is None and not session.status):
            return SourceError("denied", words)
        if session.failure is not None:
            return SourceError(session.failure.reason, f"the token service: {session.failure.detail}")
        if session.status < 400:
            return SourceError("malformed", words, status=session.status)
        # 400 is the answer to a credential that is wrong: https://www.rfc-editor.org/rfc/rfc6749#section-5.2
        reason = "denied" if session.status == 400 else reason_of(session.status)
        return SourceError(reason, words, status=session.status)

    def _signer(self) -> TokenCredential:
        with IMPORTING:
            from azure.core.pipeline.transport import RequestsTransport
            from azure.identity import (
                AzureCliCredential,
                CertificateCredential,
                ClientAssertionCredential,
                ClientSecretCredential,
                ManagedIdentityCredential,
            )

        # Otherwise Python prints the library's warnings, which repeat what becomes a Gap.
        logging.getLogger("azure").addHandler(logging.NullHandler())
        config = self._config
        tenant, client = str(config.tenant), str(config.client_id) if config.client_id else ""
        origins = frozenset(
            (config.authority.lower(), *((METADATA,) if config.sign_in != "application" else ()))
        )
        self._session = BoundedSession(self._transport, origins)
        options: dict[str, Any] = {
            "authority": config.authority,
            # Otherwise an authority that the library does not know is looked up at login.microsoftonline.com.
            "disable_instance_discovery": True,
            "transport": RequestsTransport(session=self._session, session_owner=False),
            "retry_total": config.retries,
            "retry_backoff_max": 5,
        }
        match config.sign_in:
            case "managed-identity":
                del options["authority"], options["disable_instance_discovery"]
                return ManagedIdentityCredential(client_id=client or None, **options)
            case "azure-cli":
                return AzureCliCredential(tenant_id=tenant)
            case "application":
                pass
        if config.client_secret is not None:
            return ClientSecretCredential(tenant, client, config.client_secret.read(), **options)
        if config.client_certificate is not None:
            pem = config.client_certificate.read().encode()
            return CertificateCredential(tenant, client, certificate_data=pem, **options)
        if config.federated_token is not None:
            return ClientAssertionCredential(tenant, client, config.federated_token.read, **options)
        raise ValueError("no credential is configured")
