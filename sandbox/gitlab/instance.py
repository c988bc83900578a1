"""The content of a GitLab instance, as the JSON of its API: one list or object for each path.

The entities are those of https://docs.gitlab.com/api/rest/ ; `sandbox.gitlab.entities` builds them.
"""

from __future__ import annotations

from collections.abc import (
    Callable,
    Mapping,
    MutableMapping,
    Sequence,
)
from typing import overload

import msgspec

from sandbox.gitlab.entities import project_identity
from sandbox.kit.http import Json
from sandbox.kit.tokens import KnownToken

GUEST, REPORTER, DEVELOPER, MAINTAINER, OWNER, ADMIN = 10, 20, 30, 40, 50, 60


class GitLabToken(KnownToken, kw_only=True, gc=False):
    """A token that may call the API."""

    user_id: int
    access_level: int
    """Its user's role in the top-level group; `ADMIN` for an administrator."""


class MadeRows(Sequence[Json]):
    """The rows of a list, each created on demand."""

    def __init__(self, count: int, make: Callable[[int], Json]) -> None:
        self._count = count
        self._make = make

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Json: ...

    @overload
    def __getitem__(self, index: slice) -> list[Json]: ...

    def __getitem__(self, index: int | slice) -> Json | list[Json]:
        if isinstance(index, slice):
            return [self._make(place) for place in range(self._count)[index]]
        return self._make(range(self._count)[index])


class Instance(msgspec.Struct, kw_only=True):
    """Everything that one sandbox serves."""

    users: dict[int, Json] = {}
    groups: dict[int, Json] = {}
    """By id, with ``shared_with_groups``."""
    projects: MutableMapping[int, Json] = {}
    lists: MutableMapping[str, list[Json]] = {}
    """Rows by path: ``/projects/9001/hooks``. A missing path has no rows."""
    objects: MutableMapping[str, Json] = {}
    """Objects by path: ``/projects/9001/job_token_scope``."""
    files: MutableMapping[str, str] = {}
    """Texts by ``<project id>/<path>``, on the default branch."""
    templates: dict[str, str] = {}
    """Pipeline templates that come with GitLab, by name."""
    remotes: dict[str, str] = {}
    """Remote files that GitLab would fetch, by URL."""
    runners: list[Json] = []
    """As GraphQL's ``CiRunner``."""
    triggers: MutableMapping[int, list[Json]] = {}
    """By project, as GraphQL's ``PipelineTrigger``; with the REST-only fields under their REST names."""
    owners: dict[str, int] = {}
    """For paths with values that only their owner or a Maintainer can read: the owner's user id."""

    def group_of(self, key: str) -> Json | None:
        """Return a group by id or full path."""
        return _found(self.groups, key, "full_path")

    def project_of(self, key: str) -> Json | None:
        """Return a project by id or full path."""
        return _found(self.projects, key, "path_with_namespace")

    def below(self, group: Json) -> list[Json]:
        """Return the groups under a group."""
        prefix = f"{group['full_path']}/"
        return [one for one in self.groups.values() if one["full_path"].startswith(prefix)]

    def deploy_keys(self) -> list[Json]:
        """Return every deploy key with its projects: https://docs.gitlab.com/api/deploy_keys/"""
        found: dict[int, Json] = {}
        for number, project in self.projects.items():
            for key in self.lists.get(f"/projects/{number}/deploy_keys", []):
                own = {name: value for name, value in key.items() if name != "can_push"}
                nowhere: Json = {"projects_with_write_access": [], "projects_with_readonly_access": []}
                row = found.setdefault(key["id"], own | nowhere)
                kind = "projects_with_write_access" if key["can_push"] else "projects_with_readonly_access"
                row[kind].append(project_identity(project))
        return list(found.values())

    def projects_of(self, group: Json, *, subgroups: bool) -> Sequence[Json]:
        """Return the projects of a group."""
        inside = {group["id"], *((one["id"] for one in self.below(group)) if subgroups else ())}
        return [one for one in self.projects.values() if one["namespace"]["id"] in inside]


def _found(held: Mapping[int, Json], key: str, name: str) -> Json | None:
    if key.isdigit():
        return held.get(int(key))
    return next((one for one in held.values() if one[name] == key), None)
