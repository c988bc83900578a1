"""The context of one tenant's listings, and the ids of its objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from collectors.azure.calls import GROUP, SUBSCRIPTION
from collectors.azure.facts import Place
from scanner.collect.scope import SourceScope
from scanner.records import record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.azure.client import ArmClient
    from collectors.azure.config import Config
    from collectors.azure.facts import Containers


class AzureScope(SourceScope, frozen=True, kw_only=True):
    """What every listing of one tenant needs."""

    client: ArmClient
    config: Config

    @property
    def tenant(self) -> str:
        """The tenant's ID."""
        return str(self.config.tenant)

    def account_of(self, resource: str) -> str:
        """Return the account of a resource or scope: its subscription, its management group, or the tenant."""
        parts = resource.lower().strip("/").split("/")
        if parts[0] == "subscriptions" and len(parts) > 1:
            return subscription(parts[1])
        if "managementgroups" in parts[:-1]:
            return management_group(parts[parts.index("managementgroups") + 1])
        return self.account_id


def scopes_of(held: Containers) -> Iterator[Place]:
    """Yield the management groups, then the subscriptions: what a group's list holds, lists below repeat."""
    for name in held.groups:
        yield Place(
            account=management_group(name),
            path=f"/providers/Microsoft.Management/managementGroups/{quote(name, safe='')}",
            template=GROUP,
        )
    for number in held.subscriptions:
        yield Place(
            account=subscription(number),
            path=f"/subscriptions/{quote(number, safe='')}",
            template=SUBSCRIPTION,
        )


def subscription(number: str) -> str:
    """Return the id of a subscription as an account."""
    return record_id("azure", "subscription", number.lower())


def management_group(name: str) -> str:
    """Return the id of a management group as an account."""
    return record_id("azure", "management-group", name.lower())


def resource_id(resource: str) -> str:
    """Return the id of a resource as an identity. ARM compares without regard to case."""
    return record_id("azure", "resource", resource.lower())


def principal(object_id: str) -> str:
    """Return the id of a principal of Entra ID, which the collector ``entra`` describes."""
    return record_id("entra", "principal", object_id.lower())


def own(account_id: str) -> dict[str, Any]:
    """Return the fields that all records of an account share."""
    return {"provider": "azure", "account_id": account_id}
