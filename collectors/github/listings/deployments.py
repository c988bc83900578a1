"""The latest deployments of a repository.

https://docs.github.com/en/graphql/reference/objects#deployment
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from scanner.collect.scope import utc_time
from scanner.records import Deployment, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from collectors.github.facts import RepositoryFacts
    from collectors.github.scope import OrganizationScope
    from scanner.records import Record


def deployments(
    scope: OrganizationScope, repository: RepositoryFacts, pipelines: Mapping[str, frozenset[str]]
) -> Iterator[Record]:
    """Yield the latest deployments. ``pipelines`` are the `Identity.id` of the pipelines that name an environment, by
    environment.
    """
    yield from scope.part(
        repository,
        repository.deployments,
        partial(_deployment, repository, pipelines),
        table="deployments",
        kind=None,
        field="deployments",
        needs="deployments: read",
    )


def _deployment(
    repository: RepositoryFacts, pipelines: Mapping[str, frozenset[str]], item: dict[str, Any]
) -> Deployment:
    environment = item.get("environment")
    by = pipelines.get(str(environment), frozenset())
    return Deployment(
        # The number is null for some old deployments.
        id=record_id("github", "deployment", str(item.get("databaseId") or item["id"])),
        provider="github",
        account_id=repository.account_id,
        # The pipeline is known only if a single one names the environment.
        pipeline_id=next(iter(by)) if len(by) == 1 else None,
        environment=environment,
        ref=item.get("commitOid") or (item.get("ref") or {}).get("name"),
        deployed_by=(item.get("creator") or {}).get("login"),
        deployed_at=utc_time(item.get("createdAt")),
        state=str(item["state"]).lower() if item.get("state") else None,
    )
