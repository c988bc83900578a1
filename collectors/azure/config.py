"""The section ``azure`` of config.yaml."""

from __future__ import annotations

from pydantic import field_validator

from collectors._microsoft.config import MicrosoftConfig
from scanner.collect.http_config import origin_url


class Config(MicrosoftConfig):
    """Which tenant's subscriptions are read, and how the scanner signs in."""

    management_url: str = "https://management.azure.com"
    """Azure Resource Manager: ``https://management.usgovcloudapi.net`` and ``https://management.chinacloudapi.cn`` in the
    sovereign clouds. This host and ``authority`` are the only ones contacted."""
    eligible: bool = True
    """Whether assignments that may be activated are read, one request for each subscription (Entra ID P2)."""
    deny_assignments: bool = True
    """Whether deny assignments are read, one request for each subscription."""

    @field_validator("management_url")
    @classmethod
    def _origin(cls, value: str) -> str:
        return origin_url(value, "https://management.azure.com")
