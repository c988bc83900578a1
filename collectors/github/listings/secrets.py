"""Stored secrets: of the organization, of repositories, of environments.

GitHub never shows a secret's value or who last used it.
https://docs.github.com/en/rest/actions/secrets https://docs.github.com/en/rest/dependabot/secrets
https://docs.github.com/en/rest/codespaces/organization-secrets
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from collectors.github.stores import (
    ACTIONS,
    AGENTS,
    CODESPACES,
    DEPENDABOT,
    SecretStore,
    StoragePlace,
    available_to,
    environment_place,
    organization_place,
    repository_place,
)
from scanner.collect.listings import with_coverage
from scanner.collect.scope import utc_time
from scanner.records import Secret, record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from collectors.github.facts import EnvironmentFacts, RepositoryFacts
    from collectors.github.scope import OrganizationScope
    from scanner.records import Record


def organization_secrets(scope: OrganizationScope) -> Iterator[Record]:
    """Yield the organization's secrets of all four stores."""
    for store in (ACTIONS, DEPENDABOT, CODESPACES, AGENTS):
        yield from with_coverage(
            _of_organization(scope, store),
            scope.request(
                "secrets",
                f"GET /orgs/{{org}}/{store.app}/secrets",
                kind=f"github-{store.app}",
                needs=store.organization_needs,
            ),
            classify=store.classify,
        )


def _of_organization(scope: OrganizationScope, store: SecretStore) -> Generator[Record, None, None]:
    call = f"/orgs/{{org}}/{store.app}/secrets"
    for item in scope.client.items(scope.path(call), at="secrets"):
        yield _secret(store, organization_place(scope), item, available_to(scope, call, item))


def repository_secrets(
    scope: OrganizationScope, repository: RepositoryFacts, *, rare: bool
) -> Iterator[Record]:
    """Yield a repository's own secrets; with ``rare``, also Codespaces and agents secrets."""
    place = repository_place(repository)
    for store in (ACTIONS, DEPENDABOT, *((CODESPACES, AGENTS) if rare else ())):
        yield from scope.of(repository).listing(
            f"/repos/{{owner}}/{{repo}}/{store.app}/secrets",
            partial(_secrets, store, place),
            table="secrets",
            kind=f"github-{store.app}",
            needs=store.repository_needs,
            at="secrets",
            classify=store.classify,
        )


def environment_secrets(
    scope: OrganizationScope, repository: RepositoryFacts, environment: EnvironmentFacts
) -> Iterator[Record]:
    """Yield the secrets of one environment."""
    yield from scope.of(repository).listing(
        "/repos/{owner}/{repo}/environments/{environment_name}/secrets",
        partial(_secrets, ACTIONS, environment_place(repository, environment)),
        table="secrets",
        kind="github-actions",
        needs="environments: read",
        at="secrets",
        item=environment.number,
        salt=str(environment.protected),
        environment_name=environment.name,
    )


def _secrets(store: SecretStore, place: StoragePlace, item: dict[str, Any]) -> Iterator[Record]:
    yield _secret(store, place, item)


def _secret(
    store: SecretStore, place: StoragePlace, item: dict[str, Any], repositories: Sequence[str] = ()
) -> Secret:
    """Return a stored secret: its name and dates."""
    return Secret(
        id=record_id("github", f"github-{store.app}", f"{place.path}/{item['name']}"),
        provider="github",
        account_id=place.account_id,
        store=f"github-{store.app}",
        name=item["name"],
        environment=place.environment,
        readable=False,
        masked=True,
        protected=place.protected,
        visibility=item.get("visibility") or place.visibility,
        available_to=list(repositories),
        encrypted=True,
        rotation_enabled=False,
        created_at=utc_time(item.get("created_at")),
        updated_at=utc_time(item.get("updated_at")),
        location=place.address,
    )
