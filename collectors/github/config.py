"""The section ``github`` of config.yaml."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from scanner.collect.http_config import HttpConfig, origin_url
from scanner.config import SecretRef, Section, named_once


class AppSection(Section):
    """A GitHub App: https://docs.github.com/en/apps/creating-github-apps"""

    app_id: int | str
    """The App's id or client id."""
    private_key: SecretRef
    """Its private key, PEM."""
    installation_id: int | None = None
    """The only installation to read; by default all, or those of ``organizations``."""


class RepositoryFilter(Section):
    """Which repositories are read, by name."""

    include: tuple[str, ...] = ("*",)
    """Glob patterns; a repository must match one."""
    exclude: tuple[str, ...] = ()
    """Glob patterns; a repository must match none."""


class Config(HttpConfig):
    """Which organizations are read, with which credential, and how often."""

    organizations: tuple[str, ...] = ()
    """Organization logins. With an App, empty means every organization that installed it."""
    base_url: str = "https://api.github.com"
    """``https://HOST/api/v3`` for GitHub Enterprise Server, ``https://api.NAME.ghe.com`` with data residency. Only this
    host is contacted, for GraphQL and App token requests too."""
    token: SecretRef | None = None
    """A fine-grained or classic token. Either this or ``app``."""
    app: AppSection | None = None
    """A GitHub App. Either this or ``token``."""
    oidc_issuer: str | None = None
    """Issuer of workflow tokens, if the enterprise has its own (ending in its slug)."""
    repositories: RepositoryFilter = RepositoryFilter()
    """Which repositories are read. The others are only listed as accounts."""
    deployments: bool = True
    """Whether the latest deployments are read."""
    audit_log: bool = True
    """Whether the audit log is used to find changed repositories, in organizations with more than ``rotate_above``."""
    rotate_above: int = Field(default=1000, ge=0)
    """Organizations with at most this many repositories are read in full every night."""
    rotation_days: int = Field(default=7, ge=1)
    """In larger organizations, a repository without a visible change is read in full once in this many nights (four
    times as many if the audit log shows changes); in between, its records are carried forward and marked."""
    rare_secrets: bool | None = None
    """Whether Codespaces and agents secrets of repositories are read. By default on github.com, in organizations that
    are read in full every night."""
    public_keys_up_to: int = Field(default=100, ge=0)
    """Users' SSH and GPG keys are read (two requests per user) in organizations with at most this many users."""
    seconds_between_requests: float = Field(default=0.07, ge=0)
    """Shortest time between requests of one token, over all workers; GitHub allows 900 points a minute."""
    longest_wait_seconds: float = Field(default=3900, ge=0)
    """A rate limit that lasts longer becomes a Gap immediately; the hourly limit resets within an hour."""

    @property
    def server(self) -> bool:
        """Whether this is a GitHub Enterprise Server."""
        return self.base_url.endswith("/api/v3")

    @property
    def graphql_url(self) -> str:
        """Where GraphQL queries are sent.

        https://docs.github.com/en/enterprise-server@latest/graphql/guides/forming-calls-with-graphql#the-graphql-endpoint
        """
        return f"{self.base_url.removesuffix('/v3')}/graphql"

    @property
    def token_issuer(self) -> str:
        """Issuer of workflow tokens: the server's own, a data residency tenant's, or else github.com's.

        https://docs.github.com/en/enterprise-server@latest/actions/how-tos/security-for-github-actions/security-hardening-your-deployments
        """
        if self.oidc_issuer is not None:
            return self.oidc_issuer
        host = urlsplit(self.base_url).netloc
        if self.server:
            return f"https://{host}/_services/token"
        if host.startswith("api.") and host.endswith(".ghe.com"):
            return f"https://token.actions.{host.removeprefix('api.')}"
        return "https://token.actions.githubusercontent.com"

    @field_validator("organizations")
    @classmethod
    def _once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return named_once("collectors.github.organizations", value, str.lower)

    @field_validator("base_url")
    @classmethod
    def _whole_url(cls, value: str) -> str:
        return origin_url(value, "https://api.github.com or https://HOST/api/v3")

    @model_validator(mode="after")
    def _one_way_in(self) -> Config:
        if (self.token is None) == (self.app is None):
            raise ValueError("give either token or app")
        if self.token is not None and not self.organizations:
            raise ValueError("organizations: name at least one when token is used")
        return self
