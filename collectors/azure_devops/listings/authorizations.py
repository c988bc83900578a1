"""Which pipelines may use a resource that is not open to all: one request for each resource.

https://learn.microsoft.com/rest/api/azure/devops/approvalsandchecks/pipeline-permissions/get : the answer is about the project of
the request only. Whoever may change an authorized pipeline's code signs in with the connection, whether or not it names it today.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import msgspec

from collectors.azure_devops.calls import PREVIEW
from collectors.azure_devops.scope import PROVIDER, pipeline
from scanner.collect.failures import SourceError
from scanner.collect.listings import with_coverage
from scanner.records import Control, Link, record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from collectors.azure_devops.facts import Guarded, Jobs
    from collectors.azure_devops.scope import DevOpsScope
    from scanner.records import Enforcement, Record

CALL = "/{project}/_apis/pipelines/pipelinepermissions/{type}/{id}"
NEEDS = "View builds"
_NUMBERS = msgspec.json.Decoder(list[str])
"""Made at import: msgspec crashes when two threads are the first to decode a type at the same time."""


class AuthorizationTurns:
    """How many resources are asked for the first time tonight, in an organization that is read in rotation. Thread-safe."""

    def __init__(self, most: int) -> None:
        self._left = most
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Return whether one more may be asked."""
        with self._lock:
            self._left -= 1
            return self._left >= 0


def authorizations(
    scope: DevOpsScope, resources: Sequence[Guarded], jobs: Jobs, turns: AuthorizationTurns
) -> Iterator[Record]:
    """Yield for each resource which pipelines may use it, and the way from each to a connection that it does not use.

    Those whose turn does not come tonight are a Gap.
    """
    waiting = 0
    for one in resources:
        key = f"pipelines of {scope.names['project']} {one.type} {one.id}"
        if scope.nights.rotate and scope.nights.earlier(key) is None and not turns.take():
            waiting += 1
            continue
        numbers = yield from scope.nights.reading(key, "", _asked(scope, one, jobs), _NUMBERS, slowly=True)
        if one.type == "endpoint":
            yield from _ways(scope, one, numbers, jobs)
    if waiting:
        yield scope.unseen(
            "controls",
            "authorized-pipelines",
            f"GET {CALL} (not yet)",
            f"Which pipelines may use {waiting} resources is asked on later nights, some each night.",
            needs="authorizations_a_night: a higher number asks more of them each night",
        )


def _asked(scope: DevOpsScope, one: Guarded, jobs: Jobs) -> Generator[Record, None, list[str]]:
    def read() -> Generator[Record, None, list[str]]:
        body = scope.client.one(scope.path(CALL, type=one.type, id=one.id), PREVIEW)
        everyone = bool((body.get("allPipelines") or {}).get("authorized"))
        listed = body["pipelines"]
        if not isinstance(listed, list):
            raise SourceError("malformed", "the authorized pipelines are not a list")
        numbers = sorted({str(row["id"]) for row in listed if row.get("authorized", True)})
        names = [jobs.names.get(("pipeline", number), f"pipeline {number}") for number in numbers]
        enforcement: Enforcement = "absent" if everyone else "enforced"
        shown = ", ".join(sorted(names)[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
        yield Control(
            id=record_id(PROVIDER, "authorized", f"{scope.names['project']}/{one.type}/{one.id}"),
            **scope.own,
            stage="deploy",
            kind="authorized-pipelines",
            name=one.name,
            enforcement=enforcement,
            target=one.target,
            detail="Every pipeline of the project may use it"
            if everyone
            else f"{len(names)} pipelines may use it" + (f": {shown}" if names else ""),
        )
        return numbers

    request = scope.request(
        "controls", f"GET {CALL}", kind="authorized-pipelines", needs=NEEDS, item=f"{one.type} {one.id}"
    )
    return (yield from with_coverage(read(), request, loses=("links/authorized",))) or []


def _ways(scope: DevOpsScope, one: Guarded, numbers: Sequence[str], jobs: Jobs) -> Iterator[Record]:
    project = scope.names["project"]
    for number in numbers:
        name, me = jobs.names.get(("pipeline", number)), pipeline(project, number)
        if name is None or (me, one.target) in jobs.uses:
            continue
        yield Link(
            id=record_id(PROVIDER, "authorized", f"{project}/{number}/{one.id}"),
            **scope.own,
            source_id=me,
            relation="can_become",
            target_id=one.target,
            evidence="pipeline permissions",
            why=f"{name} may use the service connection {one.name}, which its definition does not name",
            fix=f"Remove {name} under Security, Pipeline permissions, of {one.name}.",
        )
