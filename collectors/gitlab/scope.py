"""One group, or the instance, being read: its client, and the one shape in which every listing is asked for."""

from __future__ import annotations

from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from collectors.gitlab.failures import explain
from collectors.gitlab.listings.texts import Texts
from scanner.collect.failures import Failure
from scanner.collect.listings import ListingRequest, gap, with_coverage
from scanner.records import Identity

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence

    from collectors.gitlab import Config
    from collectors.gitlab.client import Client
    from scanner.collect.collector import Run, Target
    from scanner.records import Record


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A group, a project or the instance: what a listing hangs on."""

    kind: str
    """``group``, ``project`` or ``instance``."""
    number: str
    """Its immutable id."""
    address: str
    """Its full path."""
    account_id: str


def once(records: Iterable[Record]) -> Iterator[Record]:
    """Yield records, and each identity only where it comes up first: the same person is a member of many groups."""
    told: set[str] = set()
    for record in records:
        if isinstance(record, Identity):
            if record.id in told:
                continue
            told.add(record.id)
        yield record


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What every listing of one target needs."""

    client: Client
    run: Run
    target: Target
    config: Any
    """`collectors.gitlab.Config`."""
    place: Place
    """The top-level group, or the instance."""
    role: int | None = None
    """The token's own role in the group; 60 for an administrator, None where that could not be read."""
    texts: Texts = msgspec.field(default_factory=Texts)
    people_elsewhere: bool = False
    """Whether the instance's own target tells of all users, and more of each than a list of members does."""

    @property
    def settings(self) -> Config:
        """The configuration, typed."""
        config: Config = self.config
        return config

    def wants(self, project: str) -> bool:
        """Tell whether the configuration asks for the project of this full path."""
        chosen = self.settings.projects
        return any(fnmatchcase(project, pattern) for pattern in chosen.include) and not any(
            fnmatchcase(project, pattern) for pattern in chosen.exclude
        )

    def asked(
        self,
        table: str,
        call: str,
        *,
        kind: str | None = None,
        needs: str | None = None,
        place: Place | None = None,
    ) -> ListingRequest:
        """Describe a listing."""
        return ListingRequest(
            provider="gitlab",
            account_id=(place or self.place).account_id,
            collector="gitlab",
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
        place: Place,
        kind: str | None = None,
        needs: str | None = None,
        fills: Sequence[str] = (),
        parameters: Mapping[str, str | int] | None = None,
        limit: int | None = None,
        explained: Callable[[Exception], Failure | None] = explain,
        item: str | None = None,
        rows: Iterable[dict[str, Any]] | None = None,
        **names: str,
    ) -> Iterator[Record]:
        """Read a list. ``call`` is GitLab's documented path (``/projects/:id/hooks``), filled with ``names``.

        ``fills`` names what else the same list fills, as ``table/kind``: each gets a Coverage or Gap of its own.
        ``item`` tells listings apart that share a call and an account.
        ``rows`` are the list's, where something else told them: then nothing is asked, and it is the same listing still,
        so that a finding which it gave on another night can be resolved.
        """

        def read() -> Iterator[Record]:
            shown = rows
            if shown is None:
                shown = self.client.items(path_of(call, place, **names), parameters, limit=limit)
            for row in shown:
                yield from convert(row)

        yield from self.told(
            read(),
            self.asked(
                table, f"GET {call} ({item})" if item else f"GET {call}", kind=kind, needs=needs, place=place
            ),
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

    def unseen(
        self,
        table: str,
        kind: str,
        call: str,
        detail: str,
        *,
        needs: str | None = None,
        place: Place | None = None,
    ) -> Record:
        """Return the Gap for what GitLab shows to nobody, or not to this token."""
        return gap(
            self.asked(table, call, kind=kind, needs=needs, place=place),
            Failure(reason="unsupported", detail=detail),
        )


def path_of(call: str, place: Place, **names: str) -> str:
    """Fill GitLab's documented path with a place's id and other values, quoted."""
    parts = {"id": place.number, **names}
    return "/".join(
        quote(parts[part[1:]], safe="") if part.startswith(":") else part for part in call.split("/")
    )


def time(text: str | None) -> datetime | None:
    """Read GitLab's times and dates as aware UTC; None stays None. A date means its first moment."""
    if not text:
        return None
    read = datetime.fromisoformat(text)
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
