"""Subscriptions and management groups. https://learn.microsoft.com/azure/governance/resource-graph/reference/supported-tables-resources#resourcecontainers"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.azure.calls import GRAPH
from collectors.azure.facts import Containers
from collectors.azure.scope import management_group, subscription
from scanner.collect.listings import with_coverage
from scanner.records import Account
from scanner.stated import first_stated

if TYPE_CHECKING:
    from collections.abc import Generator

    from collectors.azure.scope import AzureScope
    from scanner.records import Record

_ENVIRONMENT = ("environment", "env", "stage")
"""Tags that say it, the first of them that does."""
QUERY = (
    "resourcecontainers | where type in~ ('microsoft.resources/subscriptions', 'microsoft.management/managementgroups') "
    "| project id, name, type, subscriptionId, properties, tags | order by id asc"
)
NEEDS = "Reader at the root management group"


def containers(scope: AzureScope, seen: list[dict[str, Any]]) -> Generator[Record, None, Containers]:
    """Yield subscriptions and management groups as accounts, and return them.

    ``seen`` are the subscriptions as Resource Manager lists them: all that is known where Resource Graph fails.
    """
    found = Containers()

    def read() -> Generator[Record, None, None]:
        for row in scope.client.query(QUERY):
            properties = row["properties"] or {}
            if row["type"].lower() == "microsoft.resources/subscriptions":
                number = str(row["subscriptionId"]).lower()
                found.subscriptions.append(number)
                found.accounts.append(subscription(number))
                chain = properties.get("managementGroupAncestorsChain") or []
                tags = {str(key): str(value) for key, value in (row.get("tags") or {}).items()}
                yield Account(
                    id=subscription(number),
                    provider="azure",
                    account_id=subscription(number),
                    kind="azure-subscription",
                    native_id=number,
                    name=str(row["name"]),
                    address=f"/subscriptions/{number}",
                    parent_id=management_group(str(chain[0]["name"])) if chain else scope.account_id,
                    environment=first_stated(tags, _ENVIRONMENT)[0],
                    active=str(properties.get("state", "Enabled")).lower() == "enabled",
                    tags=tags,
                )
            else:
                name = str(row["name"]).lower()
                found.groups.append(name)
                found.accounts.append(management_group(name))
                details = (properties.get("details") or {}).get("parent") or {}
                parent = details.get("name")
                yield Account(
                    id=management_group(name),
                    provider="azure",
                    account_id=management_group(name),
                    kind="azure-management-group",
                    native_id=name,
                    name=str(properties.get("displayName") or name),
                    address=str(row["id"]),
                    parent_id=management_group(str(parent)) if parent else scope.account_id,
                )

    request = scope.request(
        "accounts", f"POST {GRAPH} resourcecontainers", kind="azure-subscription", needs=NEEDS
    )
    loses = ("grants/eligible-role", "policies/deny-assignment", "controls/deny-assignment")
    yield from with_coverage(read(), request, fills=("accounts/azure-management-group",), loses=loses)
    for one in seen:
        number = str(one["subscriptionId"]).lower()
        if number not in found.subscriptions:
            found.subscriptions.append(number)
            found.accounts.append(subscription(number))
            yield Account(
                id=subscription(number),
                provider="azure",
                account_id=subscription(number),
                kind="azure-subscription",
                native_id=number,
                name=str(one.get("displayName") or number),
                address=f"/subscriptions/{number}",
                parent_id=scope.account_id,
                active=str(one.get("state", "Enabled")).lower() == "enabled",
            )
    return found
