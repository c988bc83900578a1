"""Package feeds: who may publish to them, and where else their packages come from.

https://learn.microsoft.com/rest/api/azure/devops/artifacts/feed-management/get-feeds and .../get-feed-permissions :
a contributor publishes, a collaborator saves packages from upstream sources, and a reader installs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.azure_devops.calls import PREVIEW, WHOLE
from collectors.azure_devops.scope import PROVIDER
from scanner.collect.listings import side_by_side, with_coverage
from scanner.records import Control, Grant, Power, level_of, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.azure_devops.directory import DevOpsDirectory
    from collectors.azure_devops.scope import DevOpsScope
    from scanner.records import Record

CALL = "/_apis/packaging/feeds"
PERMISSIONS = "/_apis/packaging/feeds/{feed}/permissions"
NEEDS = "Reader of every feed"
_POWERS: dict[str, list[Power]] = {
    "administrator": ["grant-access", "change-delivery"],
    "contributor": ["change-delivery"],
}


def feeds(scope: DevOpsScope, directory: DevOpsDirectory | None) -> Iterator[Record]:
    """Yield who may publish to each feed, and whether packages from public sources may take the place of internal ones."""
    here = scope.on(scope.clients.feeds)
    found: dict[str, str] = {}

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        number, name = str(item["id"]).lower(), str(item["name"])
        found[number] = name
        public = [
            str(one.get("name") or one.get("location"))
            for one in item.get("upstreamSources") or []
            if isinstance(one, dict) and str(one.get("upstreamSourceType")) == "public"
        ]
        visible = str((item.get("project") or {}).get("visibility") or "").lower() == "public"
        open_above = bool(public) and item.get("upstreamEnabled") is not False
        yield Control(
            id=record_id(PROVIDER, "feed-upstream", number),
            **scope.own,
            stage="artifact",
            kind="feed-upstream",
            name=name,
            enforcement="absent" if open_above else "enforced",
            target=f"feed {name}",
            detail=f"Packages come from {', '.join(sorted(public))}, too"
            if open_above
            else "No packages come from public registries",
            public=visible,
        )

    yield from here.listing(
        CALL,
        convert,
        table="controls",
        kind="feed-upstream",
        needs=NEEDS,
        parameters=PREVIEW,
        paginator=WHOLE,
        loses=("grants/feeds",),
    )
    if directory is not None:
        known = directory
        yield from side_by_side(
            [_permissions(here, known, number, name) for number, name in sorted(found.items())],
            scope.config.workers,
        )


def _permissions(scope: DevOpsScope, directory: DevOpsDirectory, number: str, name: str) -> Iterator[Record]:
    def read() -> Iterator[Record]:
        path = scope.path(PERMISSIONS, feed=number)
        for item in scope.client.items(path, {**PREVIEW, "includeIds": "true"}, paginator=WHOLE):
            one = directory.by_descriptor.get(str(item["identityDescriptor"]).lower())
            role = str(item["role"])
            powers = _POWERS.get(role.lower())
            if one is None or powers is None:
                continue
            yield Grant(
                id=record_id(PROVIDER, "feed-grant", f"{number}/{one.id.partition(':')[2]}"),
                **scope.own,
                identity_id=one.id,
                role=f"Feed: {role.title()}",
                resource=f"feed {name}",
                breadth="resource",
                powers=powers,
                level=level_of(powers),
                why=f"{one.name} has {role.title()} on feed {name}",
                fix="Make it a reader of the feed, and let one pipeline publish.",
                actions=[role],
            )

    request = scope.request("grants", f"GET {PERMISSIONS}", kind="feeds", needs=NEEDS, item=number)
    yield from with_coverage(read(), request)
