"""One organization being read: its client, its ids, and the one shape in which every listing is asked for."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import msgspec

from collectors.github.failures import GitHubError, explain
from scanner.collect.failures import Failure
from scanner.collect.listings import ListingRequest, gap, preflight, with_coverage
from scanner.records import record_id

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence

    from collectors.github.client import GitHubClient
    from collectors.github.config import Config
    from collectors.github.facts import RepositoryFacts
    from scanner.collect.collector import Run, Target
    from scanner.collect.failures import Classify
    from scanner.collect.memory import Memory
    from scanner.records import Gap, Record

T = TypeVar("T")


class OrganizationScope(msgspec.Struct, frozen=True, kw_only=True):
    """What every listing of one organization needs."""

    client: GitHubClient
    run: Run
    target: Target
    config: Config
    memory: Memory
    login: str
    """The organization's login, as GitHub spells it."""
    number: int
    """Its immutable id."""

    @property
    def account_id(self) -> str:
        """The organization's `Account.id`."""
        return record_id("github", "org", str(self.number))

    def wants(self, repository: str) -> bool:
        """Tell whether the configuration asks for the repository of this name."""
        chosen = self.config.repositories
        return any(fnmatchcase(repository, pattern) for pattern in chosen.include) and not any(
            fnmatchcase(repository, pattern) for pattern in chosen.exclude
        )

    def sure_of_zero(self, repository: RepositoryFacts) -> bool:
        """Tell whether GraphQL's zero is a fact.

        Only administrators, and Apps with the permission, are shown deploy keys and branch protection rules.
        """
        permissions = self.client.permissions
        if permissions:
            return permissions.get("administration") in {"read", "write"}
        return repository.administered

    @staticmethod
    def quoted(name: str) -> str:
        """Return a name as one part of a path."""
        return quote(name, safe="")

    def request(
        self,
        table: str,
        call: str,
        *,
        kind: str | None = None,
        needs: str | None = None,
        account_id: str | None = None,
    ) -> ListingRequest:
        """Describe a listing; ``account_id`` is the organization's by default."""
        return ListingRequest(
            provider="github",
            account_id=account_id or self.account_id,
            collector="github",
            target=self.target.name,
            table=table,
            call=call,
            kind=kind,
            needs=needs,
        )

    def listing(
        self,
        call: str,
        convert: Callable[[dict[str, Any]], Iterable[Record]],
        *,
        table: str,
        kind: str | None = None,
        needs: str | None = None,
        inside: str | None = None,
        account_id: str | None = None,
        fills: Sequence[str] = (),
        parameters: Mapping[str, str | int] | None = None,
        classify: Classify = explain,
        item: str | None = None,
        salt: str = "",
        empty: bool = False,
        **names: str,
    ) -> Iterator[Record]:
        """Read a list. ``call`` is GitHub's documented path (``/orgs/{org}/hooks``), filled with ``names``.

        ``fills`` names what else the same list fills, as ``table/kind``: each gets a Coverage or Gap of its own.
        ``item`` tells listings apart that share a call and an account: a team, an environment.
        ``salt`` names what the records depend on beside the list itself. ``empty``: it is known that there is nothing, so
        nothing is asked; it is the same listing all the same, and what it held yesterday is gone.
        """
        path = call.format(org=self.login, **{name: self.quoted(value) for name, value in names.items()})
        yield from self.with_coverage(
            _nothing() if empty else self.client.records(path, convert, parameters, inside=inside, salt=salt),
            self.request(
                table,
                f"GET {_documented(call)} ({item})" if item else f"GET {_documented(call)}",
                kind=kind,
                needs=needs,
                account_id=account_id,
            ),
            fills=fills,
            classify=classify,
        )

    def object(
        self,
        call: str,
        convert: Callable[[dict[str, Any]], Generator[Record, None, T]],
        *,
        table: str,
        kind: str | None = None,
        needs: str | None = None,
        account_id: str | None = None,
        fills: Sequence[str] = (),
        classify: Classify = explain,
        **names: str,
    ) -> Generator[Record, None, T | None]:
        """Read one object as `listing` reads a list. Returns what ``convert`` returns; None when the object was not read."""
        path = call.format(org=self.login, **{name: self.quoted(value) for name, value in names.items()})

        def read() -> Generator[Record, None, T]:
            return (yield from convert(self.client.one(path)))

        return (
            yield from self.with_coverage(
                read(),
                self.request(
                    table, f"GET {_documented(call)}", kind=kind, needs=needs, account_id=account_id
                ),
                fills=fills,
                classify=classify,
            )
        )

    def with_coverage(
        self,
        listing: Generator[Record, None, T],
        request: ListingRequest,
        *,
        fills: Sequence[str] = (),
        loses: Sequence[str] = (),
        classify: Classify = explain,
    ) -> Generator[Record, None, T | None]:
        """Yield a listing, then its Coverage or Gap. Returns what the listing returns; None when it failed."""
        return with_coverage(listing, request, classify, fills=fills, loses=loses)

    def without_coverage(
        self, listing: Generator[Record, None, T], request: ListingRequest
    ) -> Generator[Record, None, T | None]:
        """Yield a listing of tonight only, then its Gap if it failed.

        It leaves no Coverage: a listing that is not asked for again tomorrow would count as lost then.
        """
        return preflight(listing, request, explain)

    def not_read(self, table: str, kind: str, call: str, detail: str, needs: str | None = None) -> Gap:
        """Return the Gap for what is not asked for, and why."""
        return gap(
            self.request(table, call, kind=kind, needs=needs), Failure(reason="unsupported", detail=detail)
        )

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
    ) -> Iterator[Record]:
        """Yield what one field of the repositories' query gave for a repository; None, what was refused, is a Gap."""

        def read() -> Generator[Record, None, None]:
            if items is None:
                raise GitHubError("denied", f"{repository.full_name}: {field} is not visible")
            for item in items:
                yield convert(item)

        yield from self.with_coverage(
            read(),
            self.request(
                table,
                f"POST /graphql organization.repositories.{field}",
                kind=kind,
                needs=needs,
                account_id=repository.account_id,
            ),
        )


def _nothing() -> Generator[Record, None, None]:
    yield from ()


def _documented(call: str) -> str:
    """Return a call as GitHub's documentation writes it."""
    return call.replace("/repos/{org}/", "/repos/{owner}/")
