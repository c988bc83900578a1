"""What is being read, and the one shape in which a listing of an HTTP API is asked for.

A provider derives its own scope, with what its listings need besides, and each listing is then one call::

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

    from scanner.records import Gap, Record

T = TypeVar("T")
_PLACEHOLDER = re.compile(r"(?<=/):(\w+)|\{(\w+)\}")


class SourceScope(msgspec.Struct, frozen=True, kw_only=True):
    """What every listing of one target needs."""

    client: RestClient
    run: Run
    target: Target
    account_id: str
    """The account that a listing belongs to."""
    names: dict[str, str] = {}
    """What fills the placeholders of a call: ``org`` in ``/orgs/{org}/hooks``, ``id`` in ``/groups/:id/hooks``."""

    @property
    def provider(self) -> str:
        """The provider's name in records; the collector's, unless a subclass says otherwise."""
        return self.target.collector

    def within(self, account_id: str, **names: str) -> Self:
        """Return the scope of an account below: a repository, a project."""
        return msgspec.structs.replace(self, account_id=account_id, names={**self.names, **names})

    def path(self, call: str, **names: str) -> str:
        """Return the provider's documented call as a path, its placeholders filled and quoted."""
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
        """Describe a listing. ``item`` tells listings apart that share a call and an account: a team, an environment."""
        return ListingRequest(
            provider=self.provider,
            account_id=self.account_id,
            collector=self.target.collector,
            target=self.target.name,
            table=table,
            call=f"{call} ({item})" if item else call,
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
        classify: Classify = classify_error,
        **names: str,
    ) -> Generator[Record, None, None]:
        """Read a list, by the client's own way of paging. ``call`` is the documented path.

        ``fills`` and ``loses`` are those of `with_coverage`; ``at`` is where the list is in the answer.
        ``salt`` names what the records depend on beside the list itself.
        ``rows`` are the list's, where another answer gave them: then nothing is asked, and it is the same listing still, so
        that a finding which it gave on another night can be resolved.
        """

        def read() -> Iterator[Record]:
            path = self.path(call, **names)
            if rows is None and limit is None:
                yield from self.client.records(path, convert, parameters, at=at, salt=salt)
                return
            for row in self.client.items(path, parameters, at=at, limit=limit) if rows is None else rows:
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
        """Read one object as `listing` reads a list. Returns what ``convert`` returns; None when it was not read."""

        def read() -> Generator[Record, None, T]:
            return (yield from convert(self.client.one(self.path(call, **names))))

        request = self.request(table, f"GET {call}", kind=kind, needs=needs)
        return (yield from with_coverage(read(), request, classify, fills=fills))

    def unseen(self, table: str, kind: str, call: str, detail: str, *, needs: str | None = None) -> Gap:
        """Return the Gap for what the provider shows to nobody, or not to this credential."""
        request = self.request(table, call, kind=kind, needs=needs)
        return gap(request, Failure(reason="unsupported", detail=detail))


def utc_time(text: str | None) -> datetime | None:
    """Read a provider's ISO 8601 time or date as aware UTC; None stays None. A date means its first moment.

    Raises `SourceError` (malformed) for what is none, without showing it.
    """
    if not text:
        return None
    try:
        read = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise SourceError("malformed", "a time in the response is not ISO 8601") from None
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
