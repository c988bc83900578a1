"""One tenant's night: in which order its listings are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from collectors.azure.evaluator import Estate, RoleEvaluator
from collectors.azure.library import AuthorizationLibrary
from collectors.azure.listings import identities, roles
from collectors.azure.listings.applications import applications, site_settings
from collectors.azure.listings.clusters import clusters
from collectors.azure.listings.containers import containers
from collectors.azure.listings.delegations import delegations
from collectors.azure.listings.denies import denies
from collectors.azure.listings.eligible import Eligible, activated, activation, eligible
from collectors.azure.listings.entries import automation_assets, registry_tokens, vault_entries
from collectors.azure.listings.federated import federated_credentials
from collectors.azure.listings.policies import policies
from collectors.azure.listings.stores import stores
from collectors.azure.scope import AzureScope
from scanner.collect.listings import preflight, with_coverage
from scanner.records import Account

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from datetime import datetime

    from collectors.azure.client import ArmClient
    from collectors.azure.config import Config
    from collectors.azure.facts import Containers
    from scanner.collect.collector import Run, Target
    from scanner.records import Record

T = TypeVar("T")
FIRST = "/subscriptions"
"""https://learn.microsoft.com/rest/api/resources/subscriptions/list"""


def tenant_night(client: ArmClient, target: Target, config: Config, run: Run) -> Iterator[Record]:
    """Yield what one tenant's subscriptions hold."""
    scope = AzureScope(client=client, run=run, target=target, account_id=target.account_id, config=config)

    def itself() -> Generator[Record, None, list[dict[str, Any]]]:
        found = list(client.items(FIRST, {"api-version": "2022-12-01"}))
        yield from ()
        return found

    seen = yield from preflight(itself(), scope.request("*", f"GET {FIRST}", needs="Reader"))
    if seen is None:
        return
    estate = Estate()
    library = AuthorizationLibrary(config, run, client.sign_in)
    try:
        yield from estate.seen(_tenant(scope))
        held = yield from _kept(estate, containers(scope, seen))
        yield from estate.seen(_resources(scope, held))
        yield from _roles(scope, held, estate, library)
    finally:
        library.close()


def _kept(estate: Estate, listing: Generator[Record, None, T]) -> Generator[Record, None, T]:
    """Yield records, each taken note of, and return what the listing returns."""
    while True:
        try:
            record = next(listing)
        except StopIteration as end:
            found: T = end.value
            return found
        estate.add(record)
        yield record


def _tenant(scope: AzureScope) -> Iterator[Record]:
    account = Account(
        id=scope.account_id,
        provider="azure",
        account_id=scope.account_id,
        kind="azure-tenant",
        native_id=scope.tenant,
        name="Azure tenant",
    )
    yield from with_coverage([account], scope.request("accounts", f"GET {FIRST}", kind="azure-tenant"))


def _resources(scope: AzureScope, held: Containers) -> Iterator[Record]:
    """Yield what decides what roles amount to: resources with identities, and their settings."""
    config = scope.config
    assigned = yield from identities.user_assigned(scope, held.accounts)
    yield from identities.running(scope, held.accounts)
    issuers = yield from clusters(scope, held.accounts)
    keeping = yield from stores(scope, held.accounts)
    running = yield from applications(scope, held.accounts)
    yield from policies(scope, held)
    if config.federated_credentials:
        yield from federated_credentials(scope, assigned, issuers)
    if config.vault_entries:
        yield from vault_entries(scope, keeping.vaults)
    if config.settings:
        yield from registry_tokens(scope, keeping.registries)
        yield from site_settings(scope, running.sites)
        yield from automation_assets(scope, running.automation)


def _roles(
    scope: AzureScope, held: Containers, estate: Estate, library: AuthorizationLibrary
) -> Iterator[Record]:
    config = scope.config
    defined = yield from roles.definitions(scope, held, library)
    denied = (yield from denies(scope, held)) if config.deny_assignments else []
    evaluator = RoleEvaluator(estate, defined, denied, scope.run.as_of.date())
    may: Eligible | None = None
    ends: dict[str, datetime] = {}
    if config.eligible:
        may = yield from eligible(scope, held, evaluator)
        ends = yield from activated(scope, held, may)
        yield from activation(scope, may, evaluator)
    yield from roles.assignments(scope, held, evaluator, ends, library)
    yield from delegations(scope, held, evaluator)
