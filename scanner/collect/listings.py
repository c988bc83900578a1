"""Listings: generators of records, with failures recorded as `Gap` rows and complete results as `Coverage` rows.

A listing is a generator of records for one question, such as "which deploy keys does this repository have?". It yields
what it finds, can return a value that its caller needs, and raises if it fails. It is always run through
`with_coverage`::

    keys = yield from with_coverage(deploy_keys(client), request, fills=["grants"])

`with_coverage` is the only place that catches a broad exception, beside the one that calls reports, which may be of
other packages.
"""

from __future__ import annotations

import contextlib
import hashlib
import queue
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar, get_args, overload

import msgspec

from scanner.collect.failures import Classify, Failure, bug, classify_error
from scanner.records import TABLE_OF, Coverage, Gap, Record, Relation
from scanner.secrets.redact import redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


T = TypeVar("T")


class ListingRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Describes one listing: account, table, API call and required permission."""

    provider: str
    account_id: str
    collector: str
    target: str
    table: str
    call: str
    """The provider's documented name of the call. It must not change between nights."""
    kind: str | None = None
    region: str | None = None
    needs: str | None = None
    of_item: bool = False
    """Whether it is about one item of another listing: a file, a team, an environment."""

    def but(self, table_and_kind: str) -> ListingRequest:
        """Return the same request for another table (``grants``) or kind of a table (``secrets/ci-variable``)."""
        table, _, kind = table_and_kind.partition("/")
        return msgspec.structs.replace(self, table=table, kind=kind or None)


def _row_id(request: ListingRequest) -> str:
    """Return an id that is stable across nights for the same listing."""
    parts = (
        request.collector,
        request.target,
        request.account_id,
        request.table,
        request.kind,
        request.call,
        request.region,
    )
    text = "\x1f".join(str(part) for part in parts)
    # The name of a file may be any bytes.
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:24]


_READ = 20_000
"""Characters of a message that are looked at."""


def gap(request: ListingRequest, failure: Failure) -> Gap:
    """Return the `Gap` for a listing that failed."""
    return Gap(
        id=f"{request.provider}:gap:{_row_id(request)}",
        provider=request.provider,
        account_id=request.account_id,
        collector=request.collector,
        target=request.target,
        table=request.table,
        kind=request.kind,
        call=request.call,
        region=request.region,
        of_item=request.of_item,
        reason=failure.reason,
        detail=redact(failure.detail[:_READ])[:2000],
        needs=failure.needs or request.needs,
    )


def coverage(request: ListingRequest, items: int) -> Coverage:
    """Return the `Coverage` for a complete listing with this number of records."""
    return Coverage(
        id=f"{request.provider}:coverage:{_row_id(request)}",
        provider=request.provider,
        account_id=request.account_id,
        collector=request.collector,
        target=request.target,
        table=request.table,
        kind=request.kind,
        call=request.call,
        region=request.region,
        of_item=request.of_item,
        items=items,
    )


_KINDS = ("kind", "store", "relation")
"""The columns that say of what kind a record is."""
_RELATIONS = frozenset(get_args(Relation))


class ListedRecords:
    """The records of a listing by table and kind. Duplicates count once."""

    def __init__(self, requests: Iterable[ListingRequest]) -> None:
        self._ids: dict[str, dict[str | None, set[str]]] = {request.table: {} for request in requests}

    def add(self, record: Record) -> None:
        """Count a record of one of the tables."""
        kinds = self._ids.get(TABLE_OF[type(record)])
        if kinds is not None:
            kind = next((getattr(record, name) for name in _KINDS if hasattr(record, name)), None)
            kinds.setdefault(kind, set()).add(record.id)

    def of(self, request: ListingRequest) -> int:
        """Return the number of records of the request's table and kind, or of the whole table if it has no kinds."""
        kinds = self._ids[request.table]
        # A part of the links may be named for what they lead from, which no column says: it counts them all.
        part = request.table == "links" and request.kind not in _RELATIONS
        if request.kind is None or part or set(kinds) == {None}:
            return sum(len(ids) for ids in kinds.values())
        return len(kinds.get(request.kind, ()))


@overload
def with_coverage(  # type: ignore[overload-overlap]  # a generator has a value to hand on, another iterable has none
    listing: Generator[Record, None, T],
    request: ListingRequest,
    classify: Classify = ...,
    *,
    fills: Sequence[str] = ...,
    loses: Sequence[str] = ...,
) -> Generator[Record, None, T | None]: ...


@overload
def with_coverage(
    listing: Iterable[Record],
    request: ListingRequest,
    classify: Classify = ...,
    *,
    fills: Sequence[str] = ...,
    loses: Sequence[str] = ...,
) -> Generator[Record, None, None]: ...


def with_coverage(
    listing: Iterable[Record] | Generator[Record, None, T],
    request: ListingRequest,
    classify: Classify = classify_error,
    *,
    fills: Sequence[str] = (),
    loses: Sequence[str] = (),
) -> Generator[Record, None, T | None]:
    """Yield what the listing yields, then its `Coverage`. If it fails, keep what was yielded and append a `Gap`.

    Returns the value of the listing; None if it failed.
    ``fills`` names other tables filled by the same response (``grants``, ``credentials/deploy-key``): each gets its own
    Coverage or Gap with its own count. ``loses`` names tables that become incomplete if this fails, but are not proven
    complete if it succeeds. ``classify`` returns the failure for an exception; an unknown exception is a ``bug``.
    """
    asked = [request, *(request.but(name) for name in fills)]
    count = ListedRecords(asked)
    iterator = iter(listing)
    try:
        while True:
            try:
                record = next(iterator)
            except StopIteration as end:
                result: T | None = end.value
                break
            count.add(record)
            yield record
    except Exception as exc:  # noqa: BLE001  the one place: see the module's docstring
        failure = classify(exc) or bug(exc)
        for one in (*asked, *(request.but(name) for name in loses)):
            yield gap(one, failure)
        return None
    for one in asked:
        yield coverage(one, count.of(one))
    return result


def preflight(
    listing: Generator[Record, None, T], request: ListingRequest, classify: Classify = classify_error
) -> Generator[Record, None, T | None]:
    """Yield the records of a target's first call, which all others depend on, or the Gap for the whole target.

    Returns the value of the listing; None if it failed. Yields no Coverage, because it proves no table complete.
    """
    rows = with_coverage(listing, request, classify)
    while True:
        try:
            record = next(rows)
        except StopIteration as end:
            result: T | None = end.value
            return result
        if not isinstance(record, Coverage):
            yield record


@overload
def side_by_side(  # type: ignore[overload-overlap]  # a generator has a value to hand on, another iterable has none
    listings: Sequence[Generator[Record, None, T]], workers: int
) -> Generator[Record, None, list[T | None]]: ...


@overload
def side_by_side(
    listings: Sequence[Iterable[Record]], workers: int
) -> Generator[Record, None, list[None]]: ...


def side_by_side(
    listings: Sequence[Iterable[Record]] | Sequence[Generator[Record, None, T]], workers: int
) -> Generator[Record, None, list[T | None]]:
    """Yield the records of several listings, read by ``workers`` threads, in the order of arrival.

    Returns the values of the listings, in the order of the listings.
    The listings must not raise: wrap each in `with_coverage`. The threads stop when the caller stops reading.
    """
    values: list[T | None] = [None] * len(listings)
    if workers <= 1 or len(listings) <= 1:
        for number, listing in enumerate(listings):
            if isinstance(listing, Generator):
                values[number] = yield from listing
            else:
                yield from listing
        return values
    out: queue.Queue[Record | None] = queue.Queue(maxsize=2000)
    closed = threading.Event()
    errors: list[BaseException] = []

    def put(item: Record | None) -> bool:
        while not closed.is_set():
            with contextlib.suppress(queue.Full):
                out.put(item, timeout=0.2)
                return True
        return False

    def drain(number: int, listing: Iterable[Record]) -> None:
        records = iter(listing)
        try:
            while True:
                try:
                    record = next(records)
                except StopIteration as end:
                    values[number] = end.value
                    return
                if not put(record):
                    return
        except BaseException as exc:  # noqa: BLE001  handed to the reader, who raises it
            errors.append(exc)
        finally:
            put(None)

    with ThreadPoolExecutor(max_workers=workers) as pool:
        try:
            for number, listing in enumerate(listings):
                pool.submit(drain, number, listing)
            left = len(listings)
            while left:
                record = out.get()
                if record is None:
                    left -= 1
                else:
                    yield record
        finally:
            closed.set()
    if errors:
        raise errors[0]
    return values
