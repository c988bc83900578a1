"""The tokens that the sandbox has given out, and the App that exchanges its JWT for one.

https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from sandbox.aws.keys import ISSUED
from sandbox.github.access import READ_ONLY_APP, Token
from sandbox.github.route import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox.github.organization import Organization


class AppKey(msgspec.Struct, frozen=True, kw_only=True):
    """What an inventory App is configured with."""

    app_id: int
    installation_id: int
    client_id: str
    private_key: str
    """PEM."""


class Tokens:
    """Makes, knows and revokes the tokens of one organization. Thread-safe.

    ``scale`` shortens the hour of an installation token as it shortens the windows of the limits.
    """

    def __init__(self, organization: Organization, scale: float) -> None:
        self.organization = organization
        self._scale = scale
        self._lock = threading.Lock()
        self._tokens: dict[str, Token] = {}
        self._revoked: set[str] = set()

    def _add(self, token: Token) -> str:
        with self._lock:
            self._tokens[token.value] = token
        ISSUED.add(token.value)
        return token.value

    def _value(self, prefix: str) -> str:
        with self._lock:
            seed = f"{prefix}{len(self._tokens)}{self.organization.id}"
        return prefix + hashlib.sha256(seed.encode()).hexdigest()[:36]

    def classic_token(self, *scopes: str, login: str | None = None, expires_in: float | None = None) -> str:
        """Make a classic personal access token of an owner (or of ``login``) with those scopes."""
        owner = next(user.login for user in self.organization.users if user.role == "admin")
        return self._add(
            Token(
                value=self._value("ghp_"),
                kind="classic",
                login=login or owner,
                scopes=set(scopes),
                expires_at=None if expires_in is None else time.time() + expires_in,
            )
        )

    def fine_grained_token(
        self, permissions: dict[str, str], repositories: Iterable[str] | None = None
    ) -> str:
        """Make a fine-grained token of an owner with those permissions, on all or on some repositories."""
        owner = next(user.login for user in self.organization.users if user.role == "admin")
        return self._add(
            Token(
                value=self._value("github_pat_"),
                kind="fine-grained",
                login=owner,
                permissions=dict(permissions),
                repositories=None if repositories is None else frozenset(repositories),
                expires_at=time.time() + 30 * 86_400,
            )
        )

    def installation_token(
        self,
        permissions: dict[str, str] | None = None,
        repositories: Iterable[str] | None = None,
    ) -> Token:
        """Make the App's token for an hour: with all of its permissions, or some; on all repositories, or some."""
        token = Token(
            value="ghs_" + secrets.token_hex(18),
            kind="installation",
            permissions=self.app_permissions if permissions is None else dict(permissions),
            repositories=None if repositories is None else frozenset(repositories),
            expires_at=time.time() + 3600 / self._scale,
            installation_id=self.organization.installations[0].id,
        )
        self._add(token)
        return token

    @property
    def app_permissions(self) -> dict[str, str]:
        """What the inventory App may do: the permissions of the first installation, less what was revoked."""
        installations = self.organization.installations
        held = installations[0].permissions if installations else READ_ONLY_APP
        return {name: level for name, level in held.items() if name not in self._revoked}

    @cached_property
    def app(self) -> AppKey:
        """The inventory App: its ids and its private key, made for this sandbox."""
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import rsa

        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        ISSUED.add(pem.decode())
        own = self.organization.installations[0]
        return AppKey(
            app_id=own.app_id,
            installation_id=own.id,
            client_id=own.client_id,
            private_key=pem.decode(),
        )

    def revoke(self, permission: str) -> None:
        """Take a permission (``organization_secrets``) or a classic scope (``admin:org``) from every token."""
        with self._lock:
            self._revoked.add(permission)
            for token in self._tokens.values():
                token.permissions.pop(permission, None)
                token.scopes.discard(permission)

    def authenticate(self, header: str | None) -> Token:
        """Return the token that a request carries.

        Raises `RefusedError` 401 for one that is unknown or expired.
        """
        if not header:
            return Token(value="anonymous", kind="anonymous")
        value = header.split(" ", 1)[-1].strip()
        with self._lock:
            token = self._tokens.get(value)
        if token is not None:
            if token.expired:
                raise RefusedError(401, "Bad credentials")
            return token
        if value.count(".") == 2:
            return self._app_token(value)
        raise RefusedError(401, "Bad credentials")

    def _app_token(self, value: str) -> Token:
        """Check an App's JWT: RS256, ten minutes at most, issued by the App's id or client id."""
        import jwt
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        key = load_pem_private_key(self.app.private_key.encode(), None).public_key()
        try:
            claims = jwt.decode(
                value,
                key,  # type: ignore[arg-type]
                algorithms=["RS256"],
                leeway=60,
                options={"require": ["exp", "iat", "iss"]},
            )
        except jwt.PyJWTError:
            raise RefusedError(401, "A JSON web token could not be decoded") from None
        if claims["exp"] - time.time() > 600 + 60:
            raise RefusedError(401, "'Expiration time' claim ('exp') is too far in the future")
        if str(claims["iss"]) not in {str(self.app.app_id), self.app.client_id}:
            raise RefusedError(401, "Integration not found")
        return Token(value=value, kind="jwt")
