"""A project's latest deployments. https://docs.gitlab.com/api/deployments/"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scanner.collect.scope import utc_time
from scanner.records import Deployment, record_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from collectors.gitlab.facts import ProjectFacts
    from collectors.gitlab.scope import GitLabScope
    from scanner.records import Record


def deployments(
    scope: GitLabScope, project: ProjectFacts, rows: Iterable[dict[str, Any]] | None
) -> Iterator[Record]:
    """Yield the latest deployments, up to the configured number."""
    place = project.place

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        yield Deployment(
            id=record_id("gitlab", "deployment", str(item["id"])),
            provider="gitlab",
            account_id=place.account_id,
            pipeline_id=record_id("gitlab", "pipeline", place.number),
            environment=(item.get("environment") or {}).get("name"),
            ref=item.get("sha") or item.get("ref"),
            deployed_by=(item.get("user") or {}).get("username"),
            deployed_at=utc_time(item.get("created_at")),
            state=item.get("status"),
        )

    yield from scope.at(place).listing(
        "/projects/:id/deployments",
        convert,
        table="deployments",
        needs="Reporter of the project",
        parameters={"order_by": "id", "sort": "desc"},
        limit=scope.config.deployments,
        rows=rows,
    )
