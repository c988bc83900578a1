"""GitHub's four secret stores, and the places where each stores secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from collectors.github.records import repository_id
from scanner.collect.failures import classify_error, unsupported_on

if TYPE_CHECKING:
    from collectors.github.facts import EnvironmentFacts, RepositoryFacts
    from collectors.github.scope import OrganizationScope
    from scanner.collect.failures import Classify


class SecretStore(msgspec.Struct, frozen=True, kw_only=True):
    """One store: its name in paths, the permissions needed to list it, and why it may be absent."""

    app: str
    """``actions`` in ``/orgs/{org}/actions/secrets``."""
    organization_needs: str
    repository_needs: str
    absent: str | None = None
    """What a 404 means if whole editions lack the store."""

    @property
    def classify(self) -> Classify:
        """Return what an exception means for a listing of this store."""
        return classify_error if self.absent is None else unsupported_on({404}, self.absent)


ACTIONS = SecretStore(
    app="actions", organization_needs="organization_secrets: read", repository_needs="secrets: read"
)
DEPENDABOT = SecretStore(
    app="dependabot",
    organization_needs="organization_dependabot_secrets: read",
    repository_needs="dependabot_secrets: read",
)
CODESPACES = SecretStore(
    app="codespaces",
    organization_needs="a user token with admin:org (not offered to GitHub Apps)",
    repository_needs="codespaces_secrets: read",
    absent="Codespaces secrets are not available on GitHub Enterprise Server.",
)
AGENTS = SecretStore(
    app="agents",
    organization_needs="organization_agent_secrets: read",
    repository_needs="agent_secrets: read",
    absent="Agents secrets are not available on every plan or on GitHub Enterprise Server.",
)


class StoragePlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where secrets and variables are stored: the organization, a repository, or an environment of one."""

    account_id: str
    path: str
    """Part of the record's id: ``org/7001001``, ``repo/5001``, ``repo/5001/env/3``."""
    address: str
    """Its display name: ``acme``, ``acme/app``."""
    visibility: str
    """Default `Secret.visibility`."""
    environment: str | None = None
    protected: bool | None = None


def organization_place(scope: OrganizationScope) -> StoragePlace:
    """Return the place of the organization's secrets."""
    return StoragePlace(
        account_id=scope.account_id,
        path=f"org/{scope.number}",
        address=scope.login,
        visibility="all",
    )


def repository_place(repository: RepositoryFacts) -> StoragePlace:
    """Return the place of a repository's secrets."""
    return StoragePlace(
        account_id=repository.account_id,
        path=f"repo/{repository.number}",
        address=repository.full_name,
        visibility="repository",
        protected=False,
    )


def environment_place(repository: RepositoryFacts, environment: EnvironmentFacts) -> StoragePlace:
    """Return the place of an environment's secrets."""
    return StoragePlace(
        account_id=repository.account_id,
        path=f"repo/{repository.number}/env/{environment.number}",
        address=f"{repository.full_name} environment {environment.name}",
        visibility="environment",
        environment=environment.name,
        protected=environment.protected,
    )


def available_to(scope: OrganizationScope, call: str, item: dict[str, Any]) -> list[str]:
    """Return the `Account.id` of each repository that gets an organization's secret or variable; [] when not selected.

    ``call`` is the call of its list. One request each:
    https://docs.github.com/en/rest/actions/secrets#list-selected-repositories-for-an-organization-secret
    """
    if item.get("visibility") != "selected":
        return []
    path = scope.path(f"{call}/{{name}}/repositories", name=str(item["name"]))
    return sorted(repository_id(one["id"]) for one in scope.client.items(path, at="repositories"))
