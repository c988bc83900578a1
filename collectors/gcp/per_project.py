"""Lists that Cloud Asset Inventory lacks: one for each project, where there are not too many of them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from collectors.gcp.names import project_id
from scanner.collect.listings import side_by_side

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from collectors.gcp.scope import GcpScope
    from scanner.records import Record

TOO_MANY = "not read: the target has more projects than projects_up_to"


def each_project(
    scope: GcpScope,
    call: str,
    convert: Callable[[str, dict[str, Any]], Iterable[Record]],
    *,
    table: str,
    kind: str,
    needs: str,
    at: str,
    parameters: Mapping[str, str | int],
    fills: Sequence[str] = (),
) -> Iterator[Record]:
    """Yield what ``convert`` makes of each item of one list of each project, by project ID; otherwise a Gap for each."""
    projects = sorted(scope.held.projects)
    if not scope.asks_each_project:
        for project in projects:
            yield scope.within(project_id(project)).unseen(table, kind, f"GET {call}", TOO_MANY, needs=needs)
        return
    listings = [
        scope.within(project_id(project), project=project).listing(
            call,
            partial(convert, project),
            table=table,
            kind=kind,
            needs=needs,
            at=at,
            parameters=parameters,
            fills=fills,
        )
        for project in projects
    ]
    yield from side_by_side(listings, scope.config.workers)
