"""The section ``entra`` of config.yaml."""

from __future__ import annotations

from pydantic import field_validator

from collectors._microsoft.config import MicrosoftConfig
from scanner.collect.http_config import origin_url


class Config(MicrosoftConfig):
    """Which tenant is read, and how the scanner signs in."""

    graph_url: str = "https://graph.microsoft.com"
    """Microsoft Graph: ``https://graph.microsoft.us`` and ``https://microsoftgraph.chinacloudapi.cn`` in the sovereign
    clouds. This host and ``authority`` are the only ones contacted."""
    sign_in_activity: bool = True
    """Whether the last use of applications and their credentials is read, which needs AuditLog.Read.All and a tenant
    with Entra ID P1."""
    agents: bool = True
    """Whether agent identities and what they inherit are read."""

    @field_validator("graph_url")
    @classmethod
    def _origin(cls, value: str) -> str:
        return origin_url(value, "https://graph.microsoft.com")
