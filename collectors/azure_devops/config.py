"""The section ``azure-devops`` of config.yaml."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit
from uuid import UUID  # noqa: TC003  pydantic reads the annotations at run time

from pydantic import Field, field_validator, model_validator

from collectors._microsoft.config import MicrosoftConfig
from scanner.collect.http_config import origin_url
from scanner.config import SecretRef  # noqa: TC001  pydantic reads the annotations at run time

_ADDRESSES = (
    "release_url",
    "graph_url",
    "entitlement_url",
    "extension_url",
    "audit_url",
    "feeds_url",
    "security_url",
)
"""The hosts of Azure DevOps Services beside the main one."""


class Config(MicrosoftConfig):
    """Which organizations are read, and how the scanner signs in: as an application of Entra ID, or with a token."""

    organizations: tuple[str, ...] = Field(min_length=1)
    """Names of organizations, as in ``https://dev.azure.com/NAME``."""
    tenant: UUID | None = None  # type: ignore[assignment]  # only a token needs no tenant
    """The ID of the tenant that the organizations are connected to. Not needed with ``token``."""
    token: SecretRef | None = None
    """A personal access token with read scopes only, where no application can be added to the organization."""
    base_url: str = "https://dev.azure.com"
    """The main API, without the organization. For Azure DevOps Server the address above the collections, such as
    ``https://devops.example/tfs``; the collections are the ``organizations``, and the other addresses follow it unless they are
    set: a token of the server is sent nowhere else."""
    release_url: str = "https://vsrm.dev.azure.com"
    """Classic releases."""
    graph_url: str = "https://vssps.dev.azure.com"
    """People, groups and service principals."""
    entitlement_url: str = "https://vsaex.dev.azure.com"
    """Access levels and last access."""
    extension_url: str = "https://extmgmt.dev.azure.com"
    """Installed extensions."""
    audit_url: str = "https://auditservice.dev.azure.com"
    """Where the audit log goes."""
    feeds_url: str = "https://feeds.dev.azure.com"
    """Package feeds."""
    security_url: str = "https://advsec.dev.azure.com"
    """GitHub Advanced Security: which repositories are scanned for secrets, and the open alerts."""
    personal_access_tokens: bool = False
    """Whether the personal access tokens and SSH keys of all users are read, two requests for each user. Only an administrator of
    the organization may: without, who has a token is unknown."""
    last_use: bool = True
    """Whether the last use of each service connection is read, one request each."""
    history: bool = True
    """Whether the newest approvals and deployments are read: who started each, and who approved it."""
    yaml: bool = True
    """Whether the YAML of each pipeline is read from the default branch of its repository."""
    authorized_pipelines: bool = True
    """Whether each resource that is not open to all pipelines is asked for those that may use it, one request each."""
    rotate_above: int = Field(default=50, ge=0)
    """Organizations with at most this many projects are read in full every night."""
    rotation_days: int = Field(default=7, ge=1)
    """In larger organizations, what shows no change is read again once in this many nights (last use and authorized pipelines: four
    times as many); in between, it is carried forward and marked."""
    authorizations_a_night: int = Field(default=50, ge=0)
    """How many resources a night asks for the first time for their authorized pipelines, in organizations of more than
    ``rotate_above`` projects."""
    seconds_between_requests: float = Field(default=0.02, ge=0)
    """Pace over all workers; Azure DevOps delays a caller above 200 units in five minutes."""

    @model_validator(mode="before")
    @classmethod
    def _server(cls, given: Any) -> Any:
        """Use the server's own address for what has a host of its own in the cloud."""
        if not isinstance(given, dict) or not isinstance(base := given.get("base_url"), str):
            return given
        if (urlsplit(base).hostname or "").lower() == "dev.azure.com":
            return given
        return {**dict.fromkeys(_ADDRESSES, base), **given}

    @field_validator(
        "base_url",
        "release_url",
        "graph_url",
        "entitlement_url",
        "extension_url",
        "audit_url",
        "feeds_url",
        "security_url",
    )
    @classmethod
    def _origin(cls, value: str) -> str:
        return origin_url(value, "https://dev.azure.com")

    def check_sign_in(self) -> None:
        """Raise ValueError unless the keys say one way to sign in."""
        if self.token is not None:
            if self.client_id or self.federated_token or self.client_certificate or self.client_secret:
                raise ValueError("set either token or an application's client_id and credential, not both")
            return
        if self.tenant is None:
            raise ValueError("set tenant to the ID of the tenant, or token to a personal access token")
        super().check_sign_in()
