"""How a collector signs in to Entra ID: the keys that every Microsoft section of config.yaml has."""

from __future__ import annotations

from typing import Literal, Self
from uuid import UUID  # noqa: TC003  pydantic reads the annotations at run time

from pydantic import field_validator, model_validator

from scanner.collect.http_config import HttpConfig, origin_url
from scanner.config import SecretRef  # noqa: TC001  pydantic reads the annotations at run time


class MicrosoftConfig(HttpConfig):
    """An application's own sign-in (preferably federated), a managed identity, or the Azure CLI's for a first try."""

    tenant: UUID
    """The tenant's ID, as ``az account show --query tenantId`` prints it."""
    sign_in: Literal["application", "managed-identity", "azure-cli"] = "application"
    """How the scanner signs in. ``managed-identity`` works on Azure compute, ``azure-cli`` after ``az login``."""
    client_id: UUID | None = None
    """The client ID of the application, or of a user-assigned managed identity."""
    federated_token: SecretRef | None = None
    """The token of the platform that runs the scanner, exchanged for one of Entra ID:
    ``${file:/var/run/secrets/azure/tokens/azure-identity-token}``. No secret is stored then."""
    client_certificate: SecretRef | None = None
    """A certificate and its private key, PEM."""
    client_secret: SecretRef | None = None
    """A client secret."""
    authority: str = "https://login.microsoftonline.com"
    """Where tokens are issued: ``https://login.microsoftonline.us`` and ``https://login.chinacloudapi.cn`` in the
    sovereign clouds."""

    @field_validator("authority")
    @classmethod
    def _https(cls, value: str) -> str:
        url = origin_url(value, "https://login.microsoftonline.com")
        if not url.startswith("https://"):
            raise ValueError("must be a URL such as https://login.microsoftonline.com")
        return url

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        self.check_sign_in()
        return self

    def check_sign_in(self) -> None:
        """Raise ValueError unless the keys say one way to sign in."""
        given = [
            name
            for name in ("federated_token", "client_certificate", "client_secret")
            if getattr(self, name) is not None
        ]
        if self.sign_in == "application":
            if self.client_id is None:
                raise ValueError("set client_id to the client ID of the scanner's application")
            if len(given) != 1:
                raise ValueError(
                    "set one of federated_token, client_certificate and client_secret, or sign_in: managed-identity"
                )
        elif given:
            raise ValueError(f"{given[0]} is for sign_in: application; remove it")
