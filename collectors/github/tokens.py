"""Authentication of requests: with the configured token, an App's own token, or an installation token. PyGithub signs
with the App's key.
https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.github.dialect import GitHubDialect
from scanner.collect.auth import IssuedToken, TokenAuth
from scanner.collect.failures import SourceError
from scanner.collect.rest import RestClient

if TYPE_CHECKING:
    from collections.abc import Mapping

    from github.Auth import AppAuth

    from collectors.github.config import Config
    from scanner.collect.collector import Run


class GitHubAuth(TokenAuth):
    """A token, and the permissions it is known to have."""

    @property
    def permissions(self) -> Mapping[str, str]:
        """The permissions of an App's installation (``members: read``); empty if unknown."""
        return {}


class UserAuth(GitHubAuth):
    """The configured token, the same every night."""

    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__(self._read)

    def _read(self) -> IssuedToken:
        if self._config.token is None:
            raise ValueError("no token is configured")
        return IssuedToken(value=self._config.token.read())


class AppTokenAuth(GitHubAuth):
    """The App's own signed token (JWT), used only to list its installations. Valid for five minutes."""

    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__(self._sign)

    def _sign(self) -> IssuedToken:
        import jwt

        try:
            return IssuedToken(value=_app(self._config).create_jwt(), seconds=300)
        except (jwt.PyJWTError, ValueError) as exc:
            raise _cannot_sign(exc) from None


class InstallationAuth(GitHubAuth):
    """An installation token, requested with the App's JWT. Valid for an hour. This request is the only POST besides
    GraphQL queries: https://docs.github.com/en/rest/apps/apps#create-an-installation-access-token-for-an-app
    """

    def __init__(self, config: Config, run: Run, installation: int) -> None:
        self._config = config
        self._run = run
        self._path = f"/app/installations/{installation}/access_tokens"
        self._permissions: dict[str, str] = {}
        super().__init__(self._exchange)

    @property
    def permissions(self) -> Mapping[str, str]:
        """Permissions granted to the installation."""
        self.headers()
        return self._permissions

    def _exchange(self) -> IssuedToken:
        client = RestClient(
            self._config.base_url,
            self._config,
            self._run,
            auth=AppTokenAuth(self._config),
            dialect=GitHubDialect(),
            posts=(self._path,),
        )
        try:
            granted = client.post(self._path, {}, expected=(201,)).body
        finally:
            client.close()
        if not isinstance(granted, dict) or not isinstance(granted["token"], str):
            raise SourceError("malformed", "the response to the exchange of the App's key has no token")
        permissions = granted.get("permissions")
        if not isinstance(permissions, dict):
            raise SourceError("malformed", "the response to the exchange of the App's key has no permissions")
        self._permissions = {str(name): str(level) for name, level in permissions.items()}
        return IssuedToken(value=granted["token"], seconds=3600)


def _app(config: Config) -> AppAuth:
    import github

    if config.app is None:
        raise ValueError("no GitHub App is configured")
    key = config.app.private_key.read()
    return github.Auth.AppAuth(config.app.app_id, sign_func=lambda claims: _signed(claims, key))


def _signed(claims: dict[str, Any], key: str) -> str:
    """Sign an App's claims with its PEM key. Raises ValueError and ``jwt.PyJWTError`` for what is no such key.

    PyGithub would check the key's numbers each time, which takes as long as fifty listings. A wrong key is refused by GitHub.
    """
    import jwt
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        private = load_pem_private_key(key.encode(), None, unsafe_skip_rsa_key_validation=True)
        return jwt.encode(claims, private, algorithm="RS256")  # type: ignore[arg-type]
    except TypeError:  # a key of another kind, or with a passphrase
        raise ValueError("not an RSA key without a passphrase") from None


def _cannot_sign(exc: Exception) -> SourceError:
    return SourceError("denied", f"the App's private key cannot be used to sign: {type(exc).__name__}")
