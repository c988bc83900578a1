"""CI/CD variables of projects, groups and the instance. Values are inspected in memory and dropped.

https://docs.gitlab.com/ci/variables/ https://docs.gitlab.com/api/project_level_variables/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.gitlab.records import variable

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from collectors.gitlab.facts import GitLabPlace
    from collectors.gitlab.scope import GitLabScope
    from scanner.records import Record

NEEDS = {
    "instance": "an administrator's token",
    "group": "Owner of the group",
    "project": "Maintainer of the project",
}


def variables(
    scope: GitLabScope,
    place: GitLabPlace,
    *,
    holder: str | None = None,
    rows: Iterable[dict[str, Any]] | None = None,
) -> Generator[Record, None, dict[str, str]]:
    """Yield the variables of a project, a group or the instance. Returns, by name, the values of those that are only
    identifiers. ``holder`` is the pipeline that gets a project's variables. GitLab does not show when a variable was
    created or changed.
    """
    identifiers: dict[str, str] = {}

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        found = variable(scope, item, place, holder=holder)
        if isinstance(found, str):
            identifiers.setdefault(str(item["key"]), found)
        elif found is not None:
            yield from found

    yield from scope.at(place).listing(
        "/admin/ci/variables" if place.kind == "instance" else f"/{place.kind}s/:id/variables",
        convert,
        table="secrets",
        kind="gitlab-variable",
        needs=NEEDS[place.kind],
        rows=rows,
    )
    return identifiers
