"""One organization being read: its client, its ids, and the one shape in which every listing is asked for."""

from __future__ import annotations

from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from collectors.github.failures import explain
from scanner.collect.listings import ListingRequest, with_coverage
from scanner.records import record_id

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence

    from collectors.github.client import Client
    from collectors.github.config import Config
    from scanner.collect.collector import Run, Target
    from scanner.collect.failures import Failure
    from scanner.records import Record


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What every listing of one organization needs."""

    client: Client
    run: Run
    target: Target
    settings: Config
    login: str
    """The organization's login, as GitHub spells it."""
    number: int
    """Its immutable id."""
    roles: dict[str, str] = msgspec.field(default_factory=dict)
    """Custom repository roles, by the base role that each extends."""
    logins: dict[str, str] = msgspec.field(default_factory=dict)
    """Login to `Identity.id`, of the people that were listed."""

    @property
    def account_id(self) -> str:
        """The organization's `Account.id`."""
        return record_id("github", "org", str(self.number))

    def wants(self, repository: str) -> bool:
        """Tell whether the configuration asks for the repository of this name."""
        chosen = self.settings.repositories
        return any(fnmatchcase(repository, pattern) for pattern in chosen.include) and not any(
            fnmatchcase(repository, pattern) for pattern in chosen.exclude
        )

    @staticmethod
    def quoted(name: str) -> str:
        """Return a name as one part of a path."""
        return quote(name, safe="")

    def asked(
        self,
        table: str,
        call: str,
        *,
        kind: str | None = None,
        needs: str | None = None,
        account_id: str | None = None,
    ) -> ListingRequest:
        """Describe a listing."""
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
        explained: Callable[[Exception], Failure | None] = explain,
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
        yield from self.told(
            () if empty else self.client.records(path, convert, parameters, inside=inside, salt=salt),
            self.asked(
                table,
                f"GET {_documented(call)} ({item})" if item else f"GET {_documented(call)}",
                kind=kind,
                needs=needs,
                account_id=account_id,
            ),
            fills=fills,
            explained=explained,
        )

    def object(
        self,
        call: str,
        convert: Callable[[dict[str, Any]], Iterable[Record]],
        *,
        table: str,
        kind: str | None = None,
        needs: str | None = None,
        account_id: str | None = None,
        fills: Sequence[str] = (),
        explained: Callable[[Exception], Failure | None] = explain,
        **names: str,
    ) -> Iterator[Record]:
        """Read one object as `listing` reads a list."""
        path = call.format(org=self.login, **{name: self.quoted(value) for name, value in names.items()})

        def read() -> Iterator[Record]:
            yield from convert(self.client.one(path))

        yield from self.told(
            read(),
            self.asked(table, f"GET {_documented(call)}", kind=kind, needs=needs, account_id=account_id),
            fills=fills,
            explained=explained,
        )

    def told(
        self,
        listing: Iterable[Record],
        asked: ListingRequest,
        *,
        fills: Sequence[str] = (),
        loses: Sequence[str] = (),
        explained: Callable[[Exception], Failure | None] = explain,
    ) -> Generator[Record, None, None]:
        """Yield a listing, then its Coverage or Gap: see `scanner.collect.listings.told`."""
        return with_coverage(listing, asked, explained, fills=fills, loses=loses)


def _documented(call: str) -> str:
    """Return a call as GitHub's documentation writes it."""
    return call.replace("/repos/{org}/", "/repos/{owner}/")


def time(text: str | None) -> datetime | None:
    """Read GitHub's times (``2026-11-22T02:00:00Z``, with or without an offset) as aware UTC; None stays None."""
    if not text:
        return None
    read = datetime.fromisoformat(text)
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
