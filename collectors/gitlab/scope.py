"""What every listing of one group, or of the instance, needs."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Self

import msgspec

from collectors.gitlab.texts import RepositoryTexts
from scanner.collect.scope import SourceScope
from scanner.records import Identity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from collectors.gitlab.client import GitLabClient
    from collectors.gitlab.config import Config
    from collectors.gitlab.facts import GitLabPlace
    from scanner.collect.memory import Memory
    from scanner.records import Record


class GitLabScope(SourceScope, frozen=True, kw_only=True):
    """What every listing of one target needs."""

    client: GitLabClient
    config: Config
    memory: Memory
    place: GitLabPlace
    """The top-level group, or the instance."""
    role: int | None = None
    """The token's own role in the group; 60 for an administrator, None if unknown."""
    texts: RepositoryTexts = msgspec.field(default_factory=RepositoryTexts)
    instance_lists_users: bool = False
    """Whether the instance target lists all users, with more fields than a list of members has."""

    def at(self, place: GitLabPlace) -> Self:
        """Return the scope of a place, whose listings belong to its account. ``:id`` in a call is the place's id."""
        return self.within(place.account_id, id=place.number)

    def includes(self, project: str) -> bool:
        """Return whether the configuration asks for the project of this full path."""
        chosen = self.config.projects
        return any(fnmatchcase(project, pattern) for pattern in chosen.include) and not any(
            fnmatchcase(project, pattern) for pattern in chosen.exclude
        )


def once(records: Iterable[Record]) -> Iterator[Record]:
    """Yield records, and each identity only once: the same person is a member of many groups."""
    seen: set[str] = set()
    for record in records:
        if isinstance(record, Identity):
            if record.id in seen:
                continue
            seen.add(record.id)
        yield record
