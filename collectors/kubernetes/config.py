"""The section ``kubernetes`` of config.yaml."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  pydantic reads the annotations at run time

from pydantic import Field, field_validator, model_validator

from scanner.collect.http_config import HttpConfig, origin_url
from scanner.config import SecretRef, named_once


class Config(HttpConfig):
    """Which clusters are read, and how the scanner signs in to them."""

    name: str | None = None
    """The cluster's name in reports. Default: the context's name in the kubeconfig, or the host."""
    url: str | None = None
    """Address of the API server: ``https://10.0.0.1:6443``. Its host is the only one contacted."""
    token: SecretRef | None = None
    """A token of a service account, for ``url``."""
    kubeconfig: Path | None = None
    """A kubeconfig file: client certificates, tokens and token files are read; for other programs see ``allow_exec``."""
    contexts: tuple[str, ...] = ()
    """Contexts of the kubeconfig, each a cluster; empty means every context, and each cluster once."""
    in_cluster: bool = False
    """Whether the cluster in which the scanner runs is read, with its pod's service account."""
    allow_exec: bool = False
    """Whether programs that the kubeconfig names may be run to get a token (``aws eks get-token``, ``kubelogin``), without a
    shell."""
    exec_seconds: float = Field(default=30, gt=0, le=300)
    """How long such a program may take."""
    secrets: bool = False
    """Whether names, types and ages of Secrets are listed. Never a value, but the right to list them is the right to read
    them; without it, Secrets are known by what refers to them."""

    @field_validator("url")
    @classmethod
    def _origin(cls, value: str | None) -> str | None:
        return None if value is None else origin_url(value, "https://10.0.0.1:6443")

    @field_validator("contexts")
    @classmethod
    def _once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return named_once("collectors.kubernetes.contexts", value, str)

    @model_validator(mode="after")
    def _one_way(self) -> Config:
        if sum((self.url is not None, self.kubeconfig is not None, self.in_cluster)) != 1:
            raise ValueError("exactly one of url, kubeconfig and in_cluster must be set")
        if self.token is not None and self.url is None:
            raise ValueError("token is for url only; a kubeconfig and a pod have their own")
        if self.contexts and self.kubeconfig is None:
            raise ValueError("contexts are those of a kubeconfig")
        return self
