"""The scope of listings: the account they read and the common way to run a listing of an HTTP API.

A provider derives its own scope with what its listings need. Each listing is then one call::

    yield from scope.within(repository.account_id, repo=repository.name).listing(
        "/repos/{org}/{repo}/hooks", webhook, table="identities", kind="github-webhook", needs="Webhooks: read"
    )
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import quote

import msgspec

from scanner.collect.collector import Run, Target  # noqa: TC001  msgspec reads the annotations at run time
from scanner.collect.failures import Classify, Failure, SourceError, classify_error
from scanner.collect.listings import ListingRequest, gap, with_coverage
from scanner.collect.rest import RestClient  # noqa: TC001

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence

    from scanner.collect.paging import Paginator
    from scanner.records import Gap, Record

T = TypeVar("T")
_PLACEHOLDER = re.compile(r"(?<=/):(\w+)|\{(\w+)\}")


class SourceScope(msgspec.Struct, frozen=True, kw_only=True):
    """The shared context of all listings of one target."""

    client: RestClient
    run: Run
    target: Target
    account_id: str
    """The account of the listings."""
    names: dict[str, str] = {}
    """The values of placeholders in calls: ``org`` in ``/orgs/{org}/hooks``, ``id`` in ``/groups/:id/hooks``."""

    @property
    def provider(self) -> str:
        """The provider's name in records. Default: the collector's name."""
        return self.target.collector

    def within(self, account_id: str, **names: str) -> Self:
        """Return the scope of a child account: a repository, a project."""
        return msgspec.structs.replace(self, account_id=account_id, names={**self.names, **names})

    def path(self, call: str, **names: str) -> str:
        """Return the path of a documented call, with its placeholders filled and quoted."""
        known = {**self.names, **names}
        return _PLACEHOLDER.sub(lambda match: quote(known[match.group(1) or match.group(2)], safe=""), call)

    def request(
        self,
        table: str,
        call: str,
        *,
        kind: str | None = None,
        needs: str | None = None,
        item: str | None = None,
    ) -> ListingRequest:
        """Describe a listing. ``item`` distinguishes listings with the same call and account: a team, an environment."""
        return ListingRequest(
            provider=self.provider,
            account_id=self.account_id,
            collector=self.target.collector,
            target=self.target.name,
            table=table,
            call=f"{call} ({item})" if item else call,
            of_item=item is not None,
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
        fills: Sequence[str] = (),
        loses: Sequence[str] = (),
        parameters: Mapping[str, str | int] | None = None,
        at: str = "",
        limit: int | None = None,
        item: str | None = None,
        salt: str = "",
        rows: Iterable[dict[str, Any]] | None = None,
        paginator: Paginator | None = None,
        classify: Classify = classify_error,
        **names: str,
    ) -> Generator[Record, None, None]:
        """Read a list with the client's paginator, or with another one. ``call`` is the documented path.

        For ``fills`` and ``loses`` see `with_coverage`. ``at`` is the place of the list in the body.
        ``salt`` names other inputs of the records besides the list.
        ``rows`` are the items if another response already contains them: then nothing is requested, but the listing keeps
        its identity, so that findings from earlier nights can be resolved.
        """

        def read() -> Iterator[Record]:
            path = self.path(call, **names)
            if rows is None and limit is None:
                yield from self.client.records(
                    path, convert, parameters, paginator=paginator, at=at, salt=salt
                )
                return
            if rows is None:
                items = self.client.items(path, parameters, paginator=paginator, at=at, limit=limit)
            for row in items if rows is None else rows:
                yield from convert(row)

        request = self.request(table, f"GET {call}", kind=kind, needs=needs, item=item)
        yield from with_coverage(read(), request, classify, fills=fills, loses=loses)

    def object(
        self,
        call: str,
        convert: Callable[[dict[str, Any]], Generator[Record, None, T]],
        *,
        table: str,
        kind: str | None = None,
        needs: str | None = None,
        fills: Sequence[str] = (),
        classify: Classify = classify_error,
        **names: str,
    ) -> Generator[Record, None, T | None]:
        """Read one object as `listing` reads a list. Returns the value of ``convert``; None if it was not read."""

        def read() -> Generator[Record, None, T]:
            return (yield from convert(self.client.one(self.path(call, **names))))

        request = self.request(table, f"GET {call}", kind=kind, needs=needs)
        return (yield from with_coverage(read(), request, classify, fills=fills))

    def unseen(self, table: str, kind: str, call: str, detail: str, *, needs: str | None = None) -> Gap:
        """Return the Gap for data that the provider does not offer, or not to this credential."""
        request = self.request(table, call, kind=kind, needs=needs)
        return gap(request, Failure(reason="unsupported", detail=detail))


_SHORT_OFFSET = re.compile(r"([+-])(\d:\d\d)\Z")
"""``-8:00``, as examples of Microsoft Graph write it."""


def utc_time(text: str | None) -> datetime | None:
    """Read a provider's ISO 8601 time or date as aware UTC; None stays None. A date means its first moment.

    Raises `SourceError` (malformed) for what is none, without showing it.
    """
    if not text:
        return None
    try:
        read = datetime.fromisoformat(_SHORT_OFFSET.sub(r"\g<1>0\g<2>", text))
    except (TypeError, ValueError):
        raise SourceError("malformed", "a time in the response is not ISO 8601") from None
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
