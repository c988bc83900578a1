"""Listings: records out, failures turned into `Gap` rows, answers into `Coverage` rows."""

from __future__ import annotations

import contextlib
import hashlib
import queue
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime  # noqa: TC003  msgspec reads the annotations at run time
from typing import TYPE_CHECKING, TypeVar, overload

import msgspec

from scanner.records import Coverage, Gap, Reason, Record
from scanner.secrets.redact import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence


T = TypeVar("T")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a listing was asked for: who, which table, which call, which permission."""

    provider: str
    account_id: str
    collector: str
    target: str
    table: str
    call: str
    kind: str | None = None
    region: str | None = None
    needs: str | None = None


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """What a collector says of an exception that its provider's SDK raised."""

    reason: Reason
    detail: str
    needs: str | None = None


Explain = "Callable[[Exception], Failure | None]"


def _row_id(asked: Asked) -> str:
    """Return an id that is the same every night for the same listing."""
    parts = (
        asked.collector,
        asked.target,
        asked.account_id,
        asked.table,
        asked.kind,
        asked.call,
        asked.region,
    )
    return hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).hexdigest()[:24]


def gap(asked: Asked, failure: Failure) -> Gap:
    """Return the `Gap` for a listing that failed."""
    return Gap(
        id=f"{asked.provider}:gap:{_row_id(asked)}",
        provider=asked.provider,
        account_id=asked.account_id,
        collector=asked.collector,
        target=asked.target,
        table=asked.table,
        kind=asked.kind,
        call=asked.call,
        region=asked.region,
        reason=failure.reason,
        detail=redact(failure.detail)[:2000],
        needs=failure.needs or asked.needs,
    )


@overload
def or_gap(  # type: ignore[overload-overlap]  # a generator has a value to hand on, another iterable has none
    listing: Generator[Record, None, T], asked: Asked, explain: Callable[[Exception], Failure | None]
) -> Generator[Record, None, T | None]: ...


@overload
def or_gap(
    listing: Iterable[Record], asked: Asked, explain: Callable[[Exception], Failure | None]
) -> Generator[Record, None, None]: ...


def or_gap(
    listing: Iterable[Record] | Generator[Record, None, T],
    asked: Asked,
    explain: Callable[[Exception], Failure | None],
) -> Generator[Record, None, T | None]:
    """Yield what the listing yields, then its `Coverage`; on failure keep what came and append a `Gap`.

    The value that the listing's generator returns is returned; None when it failed or returns none.
    ``explain`` says what an SDK's exception means; what it does not know is a ``bug``, told with its traceback.
    This is the only place that catches a broad exception.
    """
    items = 0
    iterator = iter(listing)
    try:
        while True:
            try:
                record = next(iterator)
            except StopIteration as end:
                result: T | None = end.value
                break
            if not isinstance(record, Gap | Coverage):
                items += 1
            yield record
    except Exception as exc:  # noqa: BLE001  the one place: see the docstring
        failure = explain(exc) or Failure(
            reason="bug", detail="".join(traceback.format_exception(exc, limit=-4)).strip()
        )
        yield gap(asked, failure)
        return None
    yield Coverage(
        id=f"{asked.provider}:coverage:{_row_id(asked)}",
        provider=asked.provider,
        account_id=asked.account_id,
        collector=asked.collector,
        target=asked.target,
        table=asked.table,
        kind=asked.kind,
        call=asked.call,
        region=asked.region,
        items=items,
    )
    return result


def told(
    listing: Iterable[Record],
    asked: Asked,
    explain: Callable[[Exception], Failure | None],
    *,
    fills: Sequence[str] = (),
    loses: Sequence[str] = (),
) -> Generator[Record, None, None]:
    """Yield a listing, then its Coverage or Gap: for its own table and for each that it also fills.

    ``fills`` names tables, or ``table/kind``. So does ``loses``: what is in doubt when this fails, and is not proven when
    it does not.
    """
    failures: list[Failure] = []

    def noted(exc: Exception) -> Failure | None:
        failure = explain(exc)
        failures.append(failure or Failure(reason="bug", detail=type(exc).__name__))
        return failure

    yield from or_gap(listing, asked, noted)
    for name in (*fills, *(loses if failures else ())):
        table, _, kind = name.partition("/")
        other = msgspec.structs.replace(asked, table=table, kind=kind or None)
        if failures:
            yield gap(other, failures[0])
        else:
            yield from or_gap((), other, explain)


def entrance(
    listing: Generator[Record, None, T], asked: Asked, explain: Callable[[Exception], Failure | None]
) -> Generator[Record, None, T | None]:
    """Yield the records of a target's first call, without which nothing else is asked, or the Gap for everything.

    Returns what the listing returns; None when it failed. It proves no table complete: no Coverage is yielded.
    """
    rows = or_gap(listing, asked, explain)
    while True:
        try:
            record = next(rows)
        except StopIteration as end:
            result: T | None = end.value
            return result
        if not isinstance(record, Coverage):
            yield record


CARRIED = " [carried forward from "
"""What stands behind the call of a listing that was not asked again tonight; then a date and ``]``.

It is the same listing: who asks whether one was lost looks at what stands before.
"""


def as_carried(coverage: Coverage, read_at: datetime) -> Coverage:
    """Return the coverage of a listing of an earlier night, marked as such."""
    return msgspec.structs.replace(coverage, call=f"{coverage.call}{CARRIED}{read_at:%Y-%m-%d}]")


def side_by_side(listings: Sequence[Iterable[Record]], workers: int) -> Iterator[Record]:
    """Yield the records of several listings, read by ``workers`` threads, in the order in which they come.

    The listings must not raise: wrap each in `or_gap`. When the caller stops reading, the threads stop.
    """
    if workers <= 1 or len(listings) <= 1:
        for listing in listings:
            yield from listing
        return
    out: queue.Queue[Record | None] = queue.Queue(maxsize=2000)
    closed = threading.Event()
    errors: list[BaseException] = []

    def put(item: Record | None) -> bool:
        while not closed.is_set():
            with contextlib.suppress(queue.Full):
                out.put(item, timeout=0.2)
                return True
        return False

    def drain(listing: Iterable[Record]) -> None:
        try:
            for record in listing:
                if not put(record):
                    return
        except BaseException as exc:  # noqa: BLE001  handed to the reader, who raises it
            errors.append(exc)
        finally:
            put(None)

    with ThreadPoolExecutor(max_workers=workers) as pool:
        try:
            for listing in listings:
                pool.submit(drain, listing)
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
