"""The section ``azure`` of config.yaml."""

from __future__ import annotations

from pydantic import Field, field_validator

from collectors._microsoft.config import MicrosoftConfig
from scanner.collect.http_config import origin_url


class Config(MicrosoftConfig):
    """Which tenant's subscriptions are read, and how the scanner signs in."""

    management_url: str = "https://management.azure.com"
    """Azure Resource Manager: ``https://management.usgovcloudapi.net`` and ``https://management.chinacloudapi.cn`` in the
    sovereign clouds. This host and ``authority`` are the only ones contacted."""
    eligible: bool = True
    """Whether assignments that may be activated are read, one request for each subscription and management group (Entra ID
    P2)."""
    deny_assignments: bool = True
    """Whether deny assignments are read, one request for each subscription and management group."""
    federated_credentials: bool = True
    """Whether federated credentials of user-assigned identities are read, one request for each identity."""
    vault_entries: bool = True
    """Whether names and dates of secrets and keys in key vaults are read, two requests for each vault; never a value."""
    settings: bool = True
    """Whether names of application settings, tokens of registries and entries of Automation accounts are read, one to six
    requests for each resource; never a value."""
    batch_from: int = Field(default=50, ge=0)
    """From how many requests of one kind on they are sent in batches of 20, as the Azure portal does; 0 for never."""

    @field_validator("management_url")
    @classmethod
    def _origin(cls, value: str) -> str:
        return origin_url(value, "https://management.azure.com")
