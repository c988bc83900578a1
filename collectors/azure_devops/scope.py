"""The context of one organization's listings, and the ids of its objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import msgspec

from collectors.azure_devops.nights import DevOpsNights  # noqa: TC001  msgspec reads the annotations at run time
from scanner.collect.scope import SourceScope
from scanner.records import record_id

if TYPE_CHECKING:
    from collectors.azure_devops.client import DevOpsClients
    from collectors.azure_devops.config import Config
    from scanner.collect.rest import RestClient

PROVIDER = "azure-devops"


class DevOpsScope(SourceScope, frozen=True, kw_only=True):
    """What every listing of one organization, or of one of its projects, needs."""

    config: Config
    clients: DevOpsClients
    organization: str
    """The organization's name."""
    nights: DevOpsNights

    @property
    def provider(self) -> str:
        """The provider's name in records."""
        return PROVIDER

    @property
    def own(self) -> dict[str, Any]:
        """The fields that all records of the account share."""
        return {"provider": PROVIDER, "account_id": self.account_id}

    def rotating(self) -> Self:
        """Return the scope of an organization with so many projects that readings are carried forward."""
        return msgspec.structs.replace(self, nights=self.nights.rotating())

    def on(self, client: RestClient) -> Self:
        """Return the scope on another host of the organization."""
        return msgspec.structs.replace(self, client=client)


class DevOpsProjectFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One project."""

    id: str
    name: str
    account_id: str
    public: bool


def connection(number: str) -> str:
    """Return the id of a service connection, which several projects may share."""
    return record_id(PROVIDER, "connection", number.lower())


def pipeline(project: str, number: object) -> str:
    """Return the id of a pipeline."""
    return record_id(PROVIDER, "pipeline", f"{project}/{number}")


def repository(number: str) -> str:
    """Return the id of a repository as an account."""
    return record_id(PROVIDER, "repository", number.lower())
