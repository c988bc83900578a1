"""A project's settings: what REST adds to GraphQL, tonight or carried forward from an earlier night.

Audit events are not asked which projects changed: https://docs.gitlab.com/api/audit_events/ lists a group's own events
without its projects', a project's one project a request, and all of them only to an administrator (Premium); and no
documented list of event types promises one for each change of what is carried. So everything is read again in turn.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

from collectors.gitlab.listings import controls, credentials, groups, schedules, secrets
from collectors.gitlab.scope import Scope, time
from scanner.collect.memory import Carried, Memory
from scanner.records import Deployment, record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from collectors.gitlab.listings.projects import Project
    from collectors.gitlab.listings.structure import Structure
    from scanner.records import Record


class Facts(msgspec.Struct, kw_only=True):
    """What a project's settings say about its pipeline; carried forward with its records."""

    identifiers: dict[str, str] = {}
    """Its variables that name something: see `secrets.variable`."""


_FACTS = msgspec.json.Decoder(Facts)
"""Made at import: msgspec crashes when two threads are the first to decode a type at the same time."""


class Night(msgspec.Struct, frozen=True, kw_only=True):
    """What one night's reading of the projects shares."""

    memory: Memory
    rotate: bool
    """Whether there are so many projects that those without a visible change are read in turn."""
    keys: dict[str, list[dict[str, Any]]] | None
    """Deploy keys by project number, where the instance listed them all."""
    carried: Carried = msgspec.field(default_factory=Carried)


def settings(
    scope: Scope,
    night: Night,
    project: Project,
    structure: Structure,
    facts: Facts,
    *,
    whole: bool,
    deploys: bool,
) -> Generator[Record, None, bool]:
    """Yield what REST tells of a project, tonight or from the last night that asked; fills ``facts``.

    Returns whether it was carried forward from an earlier night. Not ``whole``: only what still opens it. ``deploys``: whether its pipeline may name an environment.
    """
    config, number = scope.settings, int(project.place.number)
    keys = None if night.keys is None else night.keys.get(project.place.number, [])
    seen = msgspec.json.encode((structure.digest, whole, deploys, config.deployments, keys))
    digest = hashlib.sha256(seen).hexdigest()[:32]
    reading = night.memory.reading(number) if night.rotate else None
    if reading is not None and not reading.stale(
        number, digest, as_of=scope.run.as_of, days=config.rotation_days
    ):
        facts.identifiers = _FACTS.decode(reading.facts).identifiers
        night.carried.note(reading.read_at)
        yield from reading.carried()
        return True
    kept: list[Record] = []
    for record in _read(scope, project, structure, keys, facts, whole=whole, deploys=deploys):
        kept.append(record)
        yield record
    night.memory.keep_reading(number, digest, msgspec.json.encode(facts), kept)
    return False


def _where_any(seen: list[dict[str, Any]] | None) -> Iterable[dict[str, Any]] | None:
    """Return no rows where it is known that there are none; None where REST must be asked."""
    return () if seen == [] else None


def _read(
    scope: Scope,
    project: Project,
    structure: Structure,
    keys: list[dict[str, Any]] | None,
    facts: Facts,
    *,
    whole: bool,
    deploys: bool,
) -> Iterator[Record]:
    place = project.place
    yield from groups.members(scope, place, _where_any(structure.members))
    if whole:
        pipeline = record_id("gitlab", "pipeline", place.number) if project.builds else None
        yield from secrets.variables(
            scope, place, facts.identifiers, holder=pipeline, rows=_where_any(structure.variables)
        )
    yield from credentials.deploy_tokens(scope, place)
    yield from credentials.deploy_keys(scope, project, keys)
    yield from credentials.access_tokens(scope, place, _where_any(structure.members))
    if not whole:
        yield scope.unseen(
            "secrets",
            "archived-project",
            "archived projects",
            "Archived: its members, keys and tokens were read, but not its variables, webhooks and protections. It runs no pipelines.",
            needs="archived: true",
            place=place,
        )
        return
    yield from schedules.schedules(scope, project, structure.schedules)
    names: list[str] = []
    listed = yield from controls.environments(scope, project, names, deploys=deploys)
    yield from controls.webhooks(scope, place)
    yield from controls.integrations(scope, project, _where_any(structure.integrations))
    if scope.settings.deployments:
        # A deployment goes with its environment.
        yield from _deployments(scope, project, () if listed and not names else None)


def _deployments(scope: Scope, project: Project, rows: Iterable[dict[str, Any]] | None) -> Iterator[Record]:
    """Yield the last deployments. https://docs.gitlab.com/api/deployments/"""
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
            deployed_at=time(item.get("created_at")),
            state=item.get("status"),
        )

    yield from scope.listing(
        "/projects/:id/deployments",
        convert,
        table="deployments",
        needs="Reporter of the project",
        place=place,
        parameters={"order_by": "id", "sort": "desc"},
        limit=scope.settings.deployments,
        rows=rows,
    )
