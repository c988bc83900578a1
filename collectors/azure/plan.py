"""One tenant's night: in which order its listings are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.azure.listings import resources, roles
from collectors.azure.listings.containers import containers
from collectors.azure.scope import AzureScope
from scanner.collect.listings import preflight, with_coverage
from scanner.records import Account

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from collectors.azure.client import ArmClient
    from collectors.azure.config import Config
    from scanner.collect.collector import Run, Target
    from scanner.records import Record

FIRST = "/subscriptions"
"""https://learn.microsoft.com/rest/api/resources/subscriptions/list"""


def tenant_night(client: ArmClient, target: Target, config: Config, run: Run) -> Iterator[Record]:
    """Yield what one tenant's subscriptions hold."""
    scope = AzureScope(client=client, run=run, target=target, account_id=target.account_id, config=config)

    def itself() -> Generator[Record, None, bool]:
        client.one(FIRST, {"api-version": "2022-12-01"})
        yield from ()
        return True

    if not (yield from preflight(itself(), scope.request("*", f"GET {FIRST}", needs="Reader"))):
        return
    account = Account(
        id=scope.account_id,
        provider="azure",
        account_id=scope.account_id,
        kind="azure-tenant",
        native_id=scope.tenant,
        name="Azure tenant",
    )
    yield from with_coverage([account], scope.request("accounts", f"GET {FIRST}", kind="azure-tenant"))
    held = yield from containers(scope)
    defined = yield from roles.definitions(scope, held.accounts)
    denied = (yield from roles.denies(scope, held.subscriptions)) if config.deny_assignments else []
    yield from roles.assignments(scope, held.accounts, defined, denied)
    if config.eligible:
        yield from roles.eligible(scope, defined, held.subscriptions, client.eligible_roles)
    yield from resources.user_assigned(scope, held.accounts)
    yield from resources.running(scope, held.accounts)
    yield from resources.stores(scope, held.accounts)
