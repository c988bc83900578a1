"""The context of one tenant's listings, and the ids of its objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scanner.collect.scope import SourceScope
from scanner.records import record_id

if TYPE_CHECKING:
    from collectors.entra.client import GraphClient
    from collectors.entra.config import Config

MICROSOFT = frozenset(("f8cdef31-a31e-4b4a-93e4-5f571e91255a", "72f988bf-86f1-41af-91ab-2d7cd011db47"))
"""The tenants in which Microsoft registers its own applications.
https://learn.microsoft.com/troubleshoot/entra/entra-id/governance/verify-first-party-apps-sign-in"""


class EntraScope(SourceScope, frozen=True, kw_only=True):
    """What every listing of one tenant needs."""

    client: GraphClient
    config: Config

    @property
    def tenant(self) -> str:
        """The tenant's ID."""
        return str(self.config.tenant)

    @property
    def own(self) -> dict[str, Any]:
        """The fields that all records of the tenant share."""
        return {"provider": self.provider, "account_id": self.account_id}


def principal(object_id: str) -> str:
    """Return the id of a user, group or service principal. All share one space of object IDs."""
    return record_id("entra", "principal", object_id.lower())


def application(app_id: str) -> str:
    """Return the address of an application's service principal: pipelines know only the client ID."""
    return record_id("entra", "application", app_id.lower())
