"""Authentication of requests: with the configured token, an App's own token, or an installation token. PyGithub signs
with the App's key and requests installation tokens.
https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scanner.collect.auth import IssuedToken, TokenAuth
from scanner.collect.failures import SourceError, reason_of
from scanner.collect.http_config import authorities

if TYPE_CHECKING:
    from collections.abc import Mapping

    from github.Auth import AppAuth

    from collectors.github.config import Config

API_VERSION = "2022-11-28"
"""Pinned, because responses differ between versions. https://docs.github.com/en/rest/about-the-rest-api/api-versions"""


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

    def __init__(self, config: Config, installation: int) -> None:
        self._config = config
        self._installation = installation
        self._permissions: dict[str, str] = {}
        super().__init__(self._exchange)

    @property
    def permissions(self) -> Mapping[str, str]:
        """Permissions granted to the installation."""
        self.headers()
        return self._permissions

    def _exchange(self) -> IssuedToken:
        import github
        import jwt

        config = self._config
        integration = github.GithubIntegration(
            auth=_app(config),
            base_url=config.base_url,
            verify=authorities(config.ca_bundle),
            timeout=int(config.timeout_seconds),
            user_agent="sprawlscan",
            retry=config.retries,
            seconds_between_requests=0,
            seconds_between_writes=0,
            api_version=API_VERSION,
            lazy=True,
        )
        try:
            granted = integration.get_access_token(self._installation)
        except github.GithubException as exc:
            raise SourceError(
                reason_of(exc.status), f"HTTP {exc.status}: {exc.message or ''}", status=exc.status
            ) from None
        except (jwt.PyJWTError, ValueError) as exc:
            raise _cannot_sign(exc) from None
        finally:
            integration.close()
        if not isinstance(granted.token, str):
            raise SourceError("malformed", "the response to the exchange of the App's key has no token")
        self._permissions = dict(granted.permissions or {})
        return IssuedToken(value=granted.token, seconds=3600)


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
