"""What every listing of one organization needs: client, ids, configuration and memory."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from collectors.github.client import GitHubClient  # noqa: TC001  msgspec reads the annotations at run time
from collectors.github.config import Config  # noqa: TC001
from scanner.collect.failures import SourceError
from scanner.collect.listings import with_coverage
from scanner.collect.memory import Memory  # noqa: TC001
from scanner.collect.scope import SourceScope

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from collectors.github.facts import RepositoryFacts
    from scanner.records import Record


SETTINGS_NEED = "a token of an organization owner, or an App with organization_administration: read"
"""The permission that the settings of an organization need."""


class OrganizationScope(SourceScope, frozen=True, kw_only=True):
    """What every listing of one organization needs. Calls may have ``{org}`` or ``{owner}`` for its login."""

    client: GitHubClient
    config: Config
    memory: Memory
    login: str
    """The organization's login, as GitHub spells it."""
    number: int
    """Its immutable id."""

    def of(self, repository: RepositoryFacts) -> OrganizationScope:
        """Return the scope of a repository's own listings, with its account and its name for ``{repo}`` in calls."""
        return self.within(repository.account_id, repo=repository.name)

    def includes(self, repository: str) -> bool:
        """Return whether the configuration asks for the repository of this name."""
        chosen = self.config.repositories
        return any(fnmatchcase(repository, pattern) for pattern in chosen.include) and not any(
            fnmatchcase(repository, pattern) for pattern in chosen.exclude
        )

    def zero_is_reliable(self, repository: RepositoryFacts) -> bool:
        """Return whether GraphQL's zero is reliable. GitHub shows deploy keys and branch protection rules only to
        administrators, and to Apps with the permission.
        """
        permissions = self.client.permissions
        if permissions:
            return permissions.get("administration") in {"read", "write"}
        return repository.administered

    def part(
        self,
        repository: RepositoryFacts,
        items: Iterable[dict[str, Any]] | None,
        convert: Callable[[dict[str, Any]], Record],
        *,
        table: str,
        kind: str | None,
        field: str,
        needs: str,
        fills: Sequence[str] = (),
    ) -> Iterator[Record]:
        """Yield the records of one field of the repositories' query. A refused field (None) becomes a Gap."""

        def read() -> Generator[Record, None, None]:
            if items is None:
                words = f": {repository.withheld[field]}" if repository.withheld.get(field) else ""
                raise SourceError("denied", f"{repository.full_name}: {field} is not visible{words}")
            for item in items:
                yield convert(item)

        request = self.of(repository).request(
            table, f"POST /graphql organization.repositories.{field}", kind=kind, needs=needs
        )
        yield from with_coverage(read(), request, fills=fills)
