"""The tokens that requests carry: one of the configuration, an App's own, or an installation's.

https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from collectors.github.failures import GitHubError

if TYPE_CHECKING:
    from collections.abc import Callable

    from github import GithubIntegration
    from github.Auth import AppAuth

    from collectors.github.config import Config

    Token = Callable[[Config], "HeldToken"]

API_VERSION = "2022-11-28"
"""Pinned: GitHub changes answers between versions."""


class HeldToken(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A token in use."""

    auth: Any
    """PyGithub's ``Auth``."""
    until: float
    """The `time.monotonic` at which another must be made."""
    permissions: dict[str, str] = {}


def _app_auth(config: Config) -> AppAuth:
    import github

    if config.app is None:
        raise ValueError("no GitHub App is configured")
    return github.Auth.AppAuth(config.app.app_id, config.app.private_key.read())


def _integration(config: Config) -> GithubIntegration:
    import github

    return github.GithubIntegration(
        auth=_app_auth(config),
        base_url=config.base_url,
        verify=str(config.ca_bundle) if config.ca_bundle else True,
        timeout=config.timeout_seconds,
        user_agent="sprawlscan",
        retry=config.retries,
        seconds_between_requests=0,
        seconds_between_writes=0,
        api_version=API_VERSION,
        lazy=True,
    )


def user_token(config: Config) -> HeldToken:
    """Return the token of the configuration: the same every night."""
    import github

    if config.token is None:
        raise ValueError("no token is configured")
    return HeldToken(auth=github.Auth.Token(config.token.read()), until=float("inf"))


def app_token(config: Config) -> HeldToken:
    """Return the App's own signed token, which lists its installations and nothing else. Good for five minutes."""
    import github
    import jwt

    auth = _app_auth(config)
    try:
        signed = auth.create_jwt()
    except (jwt.PyJWTError, ValueError) as exc:
        raise GitHubError(
            "denied", f"the App's private key cannot be used to sign: {type(exc).__name__}"
        ) from None
    return HeldToken(auth=github.Auth.AppAuthToken(signed), until=time.monotonic() + 200)


def installation_token(installation: int) -> Token:
    """Return what exchanges the App's key for an installation's token, good for an hour.

    The exchange is the one POST beside GraphQL queries:
    https://docs.github.com/en/rest/apps/apps#create-an-installation-access-token-for-an-app
    """

    def exchange(config: Config) -> HeldToken:
        import github
        import jwt

        integration = _integration(config)
        try:
            granted = integration.get_access_token(installation)
        except (jwt.PyJWTError, ValueError) as exc:
            raise GitHubError(
                "denied", f"the App's private key cannot be used to sign: {type(exc).__name__}"
            ) from None
        finally:
            integration.close()
        return HeldToken(
            auth=github.Auth.Token(granted.token),
            until=time.monotonic() + 3000,
            permissions=dict(granted.permissions or {}),
        )

    return exchange
