"""The section ``gcp`` of config.yaml."""

from __future__ import annotations

import re
from pathlib import Path  # noqa: TC003  pydantic reads the annotations at run time
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from scanner.collect.http_config import HttpConfig
from scanner.config import SecretRef, named_once

_PROJECT = re.compile(r"(?:[a-z0-9.-]{1,60}:)?[a-z][a-z0-9-]{4,28}[a-z0-9]")
"""https://docs.cloud.google.com/resource-manager/docs/creating-managing-projects: 6 to 30 characters; an old one may begin
with its organization's domain and a colon."""


class Config(HttpConfig):
    """Which organizations and projects are read, and how the scanner signs in."""

    organizations: tuple[str, ...] = ()
    """Numbers of organizations, as ``gcloud organizations list`` prints them. Each is read with everything below it."""
    projects: tuple[str, ...] = ()
    """IDs of projects that are read on their own, such as those without an organization."""
    token: SecretRef | None = None
    """An access token: for a first try, ``gcloud auth print-access-token``. Without it and without ``credentials_file``, the
    Application Default Credentials are used: the account of the machine, the pod or the job that runs the scanner."""
    credentials_file: Path | None = None
    """A credential configuration of workload identity federation, as ``gcloud iam workload-identity-pools
    create-cred-config`` writes it. It contains no secret."""
    quota_project: str | None = None
    """The project whose quota the requests use; default: that of the credential."""
    endpoint: str = "https://{api}.googleapis.com"
    """Where each API is served, with ``{api}`` for its name: ``cloudasset``, ``iam``."""
    iam_grpc: str = "iam.googleapis.com:443"
    """Host and port of the IAM API's gRPC endpoint, always TLS."""
    last_use: bool = True
    """Whether the last authentication of service accounts and keys is read, one or two requests for each project."""
    projects_up_to: int = Field(default=100, ge=0)
    """Lists that Cloud Asset Inventory lacks (deny policies of projects, HMAC keys, Workflows, recommendations) take up to four
    requests for each project. They are read where a target has at most so many projects; 0 for never."""

    @field_validator("organizations")
    @classmethod
    def _numbers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            if not re.fullmatch(r"[0-9]{1,20}", one):
                raise ValueError(f"must be the number of an organization, such as 123456789012: {one}")
        return named_once("gcp.organizations", value, str)

    @field_validator("projects")
    @classmethod
    def _ids(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            if not _PROJECT.fullmatch(one):
                raise ValueError(f"must be the ID of a project, such as acme-production: {one}")
        return named_once("gcp.projects", value, str)

    @field_validator("endpoint")
    @classmethod
    def _template(cls, value: str) -> str:
        url = urlsplit(value.replace("{api}", "iam"))
        if "{api}" not in value or url.scheme not in {"http", "https"} or not url.hostname or url.query:
            raise ValueError("must be a URL such as https://{api}.googleapis.com")
        return value.rstrip("/")

    @field_validator("iam_grpc")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9.-]{1,253}:[0-9]{1,5}", value):
            raise ValueError("must be a host and a port, such as iam.googleapis.com:443")
        return value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.organizations and not self.projects:
            raise ValueError("name organizations, projects or both")
        if self.token is not None and self.credentials_file is not None:
            raise ValueError("token and credentials_file are two ways to sign in: remove one")
        return self
