"""The section ``gitlab`` of config.yaml."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import Field, field_validator

from scanner.collect.http_config import HttpConfig, origin_url
from scanner.config import SecretRef, Section, named_once


class ProjectFilter(Section):
    """Which projects are read, by full path."""

    include: tuple[str, ...] = ("*",)
    """Glob patterns (``acme/payments/*``); a project must match one."""
    exclude: tuple[str, ...] = ()
    """Glob patterns; a project must match none."""


class Config(HttpConfig):
    """Which groups are read, with which token, and how often."""

    base_url: str = "https://gitlab.com"
    """Address of the instance, without ``/api/v4``. Its host is the only one contacted."""
    token: SecretRef
    """A personal, group or service account token with the scope ``read_api``."""
    groups: tuple[str, ...] = ()
    """Full paths of groups; empty means every top-level group that the token can list."""
    instance: bool | None = None
    """Whether the instance itself is read (users, their tokens, instance variables). By default, if the token is an
    administrator's."""
    projects: ProjectFilter = ProjectFilter()
    """Which projects are read."""
    oidc_issuer: str | None = None
    """Issuer of ID tokens, if it is not ``base_url``."""
    archived: bool = False
    """Whether archived projects, which run no pipelines, are read in full."""
    deployments: int = Field(default=100, ge=0, le=100)
    """How many of a project's last deployments are read."""
    rotate_above: int = Field(default=1000, ge=0)
    """Groups of at most this many projects are read in full every night."""
    rotation_days: int = Field(default=7, ge=1)
    """In larger groups, a project without a visible change is read in full once in this many nights; in between, its
    records are carried forward and marked."""
    impersonation_tokens: bool = True
    """Whether users' impersonation tokens are read (one request per user). Needs an administrator's token."""

    @field_validator("groups")
    @classmethod
    def _once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        paths = tuple(path.strip("/") for path in value)
        return named_once("collectors.gitlab.groups", paths, str.lower)

    @field_validator("base_url")
    @classmethod
    def _whole_url(cls, value: str) -> str:
        return origin_url(value, "https://gitlab.com").removesuffix("/api/v4")

    @property
    def issuer(self) -> str:
        """Issuer of ID tokens: https://docs.gitlab.com/ci/secrets/id_token_authentication/"""
        return (self.oidc_issuer or self.base_url).rstrip("/")

    @property
    def public(self) -> bool:
        """Whether this is gitlab.com, whose instance runners are GitLab's own."""
        return urlsplit(self.base_url).hostname == "gitlab.com"
