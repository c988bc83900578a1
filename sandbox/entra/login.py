"""The token service of Entra ID. https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qs

from sandbox.entra.estate import CLIENT_SECRET, SCANNER, TENANT
from sandbox.kit.api import HttpSandbox
from sandbox.kit.authority import CertificateAuthority
from sandbox.kit.http import HttpRequest, Json, RefusedError, Reply, reply
from sandbox.kit.issued import secret_value
from sandbox.kit.tokens import KnownToken, TokenStore, bearer

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

LOGIN = f"/{TENANT}/oauth2/v2.0/token"
DISCOVERY = f"/{TENANT}/v2.0/.well-known/openid-configuration"


class TokenService:
    """Issues tokens for the client secret of the scanner's application, with all of ``permissions`` that were not revoked."""

    def __init__(self, name: str, permissions: Iterable[str]) -> None:
        self.tokens: TokenStore[KnownToken] = TokenStore()
        self._name = name
        self._permissions = frozenset(permissions)
        self._issued = 0
        self.refusal: tuple[int, str] | None = None
        """Status and words of an error that every sign-in gets."""

    def answer(self, method: str, path: str, request: HttpRequest, origin: str) -> Reply | None:
        """Answer a request of a client that signs in; None if it is another one."""
        match method, path:
            case "GET", _ if path == DISCOVERY:
                return reply(200, _discovery(origin))
            case "POST", _ if path == LOGIN:
                return self._login(request)
            case _:
                return None

    def token(self, request: HttpRequest) -> KnownToken:
        """Return the token of a request. Raises `RefusedError` 401."""
        token = self.tokens.get(bearer(request.headers))
        if token is None or token.expired:
            raise RefusedError(401, "InvalidAuthenticationToken: Access token is empty or not known")
        return token

    def _login(self, request: HttpRequest) -> Reply:
        if self.refusal is not None:
            raise RefusedError(*self.refusal)
        asked = {name: values[-1] for name, values in parse_qs(request.body.decode()).items()}
        if asked.get("client_secret") != CLIENT_SECRET or asked.get("client_id") != SCANNER:
            raise RefusedError(401, "AADSTS7000215: Invalid client secret provided.")
        self._issued += 1
        value = secret_value(f"{self._name}/token/{self._issued}", 80, "eyJ0eXAi")
        granted = set(self._permissions) - self.tokens.revoked
        self.tokens.add(KnownToken(value=value, scopes=granted, expires_at=time.time() + 3599))
        return reply(200, {"token_type": "Bearer", "expires_in": 3599, "access_token": value})


def origin_of(request: HttpRequest, usual: str) -> str:
    """Return the origin that the client knows: a proxy may stand in front."""
    return f"https://{request.headers['host']}" if "host" in request.headers else usual


def _discovery(origin: str) -> Json:
    """Return the token service's description. https://openid.net/specs/openid-connect-discovery-1_0.html"""
    return {
        "token_endpoint": f"{origin}{LOGIN}",
        "authorization_endpoint": f"{origin}/{TENANT}/oauth2/v2.0/authorize",
        "issuer": f"https://login.microsoftonline.com/{TENANT}/v2.0",
        "jwks_uri": f"{origin}/{TENANT}/discovery/v2.0/keys",
        "tenant_region_scope": "EU",
    }


class TenantSandbox(HttpSandbox):
    """An API that takes tokens of Entra ID, with the token service on the same origin. It always speaks TLS.

    azure-identity refuses an authority without TLS, so that the sandbox has an authority of its own unless one is given.
    ``secret`` is the environment variable of the client secret.
    """

    secret: ClassVar[str]

    def __init__(
        self,
        server: str,
        permissions: tuple[str, ...],
        *,
        latency: float = 0.0,
        authority: CertificateAuthority | None = None,
    ) -> None:
        self._own_authority = CertificateAuthority() if authority is None else None
        if self._own_authority is not None:
            authority = self._own_authority.__enter__()
        super().__init__(server, latency=latency, authority=authority)
        self._permissions = permissions
        self._service = TokenService(self.provider, permissions)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)
        if self._own_authority is not None:
            self._own_authority.__exit__(kind, error, trace)

    def section(self) -> dict[str, Any]:
        """Return how the collector signs in, for its section of config.yaml."""
        return {
            "tenant": TENANT,
            "client_id": SCANNER,
            "client_secret": f"${{env:{self.secret}}}",
            "authority": self.url,
            "ca_bundle": str(self.bundle),
        }

    def environment(self) -> dict[str, str]:
        """Return the environment variable that the section refers to: the application's client secret."""
        return {self.secret: CLIENT_SECRET}

    def permissions(self) -> tuple[str, ...]:
        """Return what the scanner's application was granted."""
        return self._permissions

    def refuse_sign_in(self, status: int, words: str) -> None:
        """Let every sign-in fail, as the token service words it."""
        self._service.refusal = status, words

    def revoke(self, permission: str) -> None:
        """Take a permission away, from tokens to come as well."""
        self._service.tokens.revoke(permission)

    def restore(self) -> None:
        """Give back everything that was revoked."""
        self._service.tokens.restore()
