"""The tokens that the sandbox has issued, and the App that requests tokens with its JWT.

https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app
"""

from __future__ import annotations

import hashlib
import secrets
import time
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from sandbox.github.access import READ_ONLY_APP, GitHubToken
from sandbox.kit.http import RefusedError
from sandbox.kit.issued import ISSUED
from sandbox.kit.tokens import TokenStore

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox.github.organization import Organization


class AppKey(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration of an inventory App."""

    app_id: int
    installation_id: int
    client_id: str
    private_key: str
    """PEM."""


class GitHubTokens:
    """Makes, knows and revokes the tokens of one organization. Thread-safe.

    ``scale`` shortens the lifetime of an installation token like the windows of the limits.
    """

    def __init__(self, organization: Organization, scale: float) -> None:
        self.organization = organization
        self._scale = scale
        self._store: TokenStore[GitHubToken] = TokenStore()

    def _value(self, prefix: str) -> str:
        seed = f"{prefix}{len(self._store)}{self.organization.id}"
        return prefix + hashlib.sha256(seed.encode()).hexdigest()[:36]

    def classic_token(self, *scopes: str, login: str | None = None, expires_in: float | None = None) -> str:
        """Make a classic personal access token of an owner (or of ``login``) with those scopes."""
        owner = next(user.login for user in self.organization.users if user.role == "admin")
        return self._store.add(
            GitHubToken(
                value=self._value("ghp_"),
                kind="classic",
                login=login or owner,
                scopes=set(scopes),
                expires_at=None if expires_in is None else time.time() + expires_in,
            )
        ).value

    def fine_grained_token(
        self, permissions: dict[str, str], repositories: Iterable[str] | None = None
    ) -> str:
        """Make a fine-grained token of an owner with those permissions, on all or on some repositories."""
        owner = next(user.login for user in self.organization.users if user.role == "admin")
        return self._store.add(
            GitHubToken(
                value=self._value("github_pat_"),
                kind="fine-grained",
                login=owner,
                permissions=dict(permissions),
                repositories=None if repositories is None else frozenset(repositories),
                expires_at=time.time() + 30 * 86_400,
            )
        ).value

    def installation_token(
        self,
        permissions: dict[str, str] | None = None,
        repositories: Iterable[str] | None = None,
    ) -> GitHubToken:
        """Make the App's token for an hour: with all of its permissions, or some; on all repositories, or some."""
        return self._store.add(
            GitHubToken(
                value="ghs_" + secrets.token_hex(18),
                kind="installation",
                permissions=self.app_permissions if permissions is None else dict(permissions),
                repositories=None if repositories is None else frozenset(repositories),
                expires_at=time.time() + 3600 / self._scale,
                installation_id=self.organization.installations[0].id,
            )
        )

    @property
    def app_permissions(self) -> dict[str, str]:
        """The inventory App's permissions: those of the first installation, except revoked ones."""
        installations = self.organization.installations
        held = installations[0].permissions if installations else READ_ONLY_APP
        return {name: level for name, level in held.items() if name not in self._store.revoked}

    @cached_property
    def app(self) -> AppKey:
        """The inventory App: its ids and its private key, which all sandboxes of a process share."""
        pem, _ = _key_pair()
        ISSUED.add(pem)
        own = self.organization.installations[0]
        return AppKey(
            app_id=own.app_id,
            installation_id=own.id,
            client_id=own.client_id,
            private_key=pem,
        )

    def revoke(self, permission: str) -> None:
        """Take a permission (``organization_secrets``) or a classic scope (``admin:org``) from every token."""
        self._store.revoke(permission)

    def restore(self) -> None:
        """Give back everything that was revoked."""
        self._store.restore()

    def authenticate(self, header: str | None) -> GitHubToken:
        """Return the token that a request carries.

        Raises `RefusedError` 401 for one that is unknown or expired.
        """
        if not header:
            return GitHubToken(value="anonymous", kind="anonymous")
        value = header.split(" ", 1)[-1].strip()
        token = self._store.get(value)
        if token is not None:
            if token.expired:
                raise RefusedError(401, "Bad credentials")
            return token
        if value.count(".") == 2:
            return self._app_token(value)
        raise RefusedError(401, "Bad credentials")

    def _app_token(self, value: str) -> GitHubToken:
        """Check an App's JWT: RS256, ten minutes at most, issued by the App's id or client id."""
        import jwt

        try:
            claims = jwt.decode(
                value,
                _key_pair()[1],
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
        return GitHubToken(value=value, kind="jwt")


@cache
def _key_pair() -> tuple[str, Any]:
    """Return the App's private key as PEM, and its public half. Made once, because that takes as long as many answers."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return pem.decode(), key.public_key()
