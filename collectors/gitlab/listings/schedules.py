"""Pipeline schedules: which user they run as, and the variables that they set.
https://docs.gitlab.com/api/pipeline_schedules/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.gitlab.records import user, user_id, variable
from scanner.collect.failures import SourceError
from scanner.collect.listings import with_coverage
from scanner.collect.scope import utc_time
from scanner.records import Identity, Link, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.gitlab.facts import GitLabPlace, ProjectFacts
    from collectors.gitlab.scope import GitLabScope
    from scanner.records import Record


def schedules(scope: GitLabScope, project: ProjectFacts, count: int | None) -> Iterator[Record]:
    """Yield a project's schedules and their variables, which only the request for a single schedule returns. ``count``
    is the number of schedules, if known.
    """
    place = project.place
    found: list[str] = []

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        number, owner = str(item["id"]), item.get("owner") or {}
        found.append(number)
        identity = record_id("gitlab", "schedule", number)
        yield Identity(
            id=identity,
            provider="gitlab",
            account_id=place.account_id,
            surface="automation",
            kind="gitlab-schedule",
            native_id=number,
            name=str(item.get("description") or f"schedule {number}"),
            address=f"{place.address} schedule {number}",
            enabled=bool(item["active"]),
            created_at=utc_time(item.get("created_at")),
            owner=owner.get("username"),
            owner_source="creator" if owner.get("username") else None,
            triggers=["schedule"],
            tags={"cron": str(item.get("cron")), "owner_state": str(owner.get("state") or "unknown")},
        )
        if owner.get("id") is not None:
            if not scope.instance_lists_users:
                yield user(scope, owner)
            yield _link(place, number, user_id(owner["id"]), "owns", identity)
        yield _link(place, number, identity, "uses", record_id("gitlab", "pipeline", place.number))

    yield from scope.at(place).listing(
        "/projects/:id/pipeline_schedules",
        convert,
        table="identities",
        kind="gitlab-schedule",
        needs="Developer of the project",
        fills=("secrets/gitlab-schedule-variable", "links/gitlab-schedule"),
        rows=() if count == 0 else None,
    )
    for number in found:
        yield from with_coverage(
            _variables(scope, place, number),
            scope.at(place).request(
                "secrets",
                f"GET /projects/:id/pipeline_schedules/:pipeline_schedule_id ({number})",
                kind="gitlab-schedule-variable",
                needs="Maintainer of the project, or the schedule's owner",
            ),
        )


def _variables(scope: GitLabScope, place: GitLabPlace, number: str) -> Iterator[Record]:
    path = scope.at(place).path("/projects/:id/pipeline_schedules/:schedule", schedule=number)
    item = scope.client.one(path)
    _ = item["id"]  # without it, this is no schedule
    if "variables" not in item:
        raise SourceError("denied", "the schedule's variables are visible to Maintainers and its owner only")
    holder = record_id("gitlab", "pipeline", place.number)
    for given in item["variables"]:
        found = variable(scope, given, place, holder=holder, schedule=number)
        if isinstance(found, list):
            yield from found
    # Inputs are not meant for secrets: they are neither masked nor protected.
    for given in item.get("inputs") or []:
        if isinstance(given["value"], str):
            shown = {"key": given["name"], "value": given["value"]}
            found = variable(scope, shown, place, holder=holder, schedule=f"{number} inputs")
            if isinstance(found, list):
                yield from found


def _link(place: GitLabPlace, number: str, source: str, relation: str, target: str) -> Link:
    return Link(
        id=record_id("gitlab", "link", f"schedule/{number}/{relation}"),
        provider="gitlab",
        account_id=place.account_id,
        source_id=source,
        relation="owns" if relation == "owns" else "uses",
        target_id=target,
        evidence=f"schedule {number}",
    )
