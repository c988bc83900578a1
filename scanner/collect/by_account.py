"""Coverage of a query over the whole tenant, account by account.

One query answers for every subscription and management group. What it proves, it proves for each of them: a finding in a
subscription is resolved by a night that lists that subscription, and not by one that lists others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from scanner.collect.failures import Failure
from scanner.collect.listings import ListedRecords, ListingRequest, coverage, gap, with_coverage
from scanner.records import Coverage, Gap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from scanner.collect.scope import SourceScope
    from scanner.records import Record

Instead: TypeAlias = "Callable[[str], Iterable[Record] | None]"
"""Reads for one account what a query over the tenant would return; None where there is no such call."""


def by_account(
    scope: SourceScope,
    accounts: Sequence[str],
    records: Iterable[Record],
    *,
    call: str,
    table: str,
    kind: str | None,
    needs: str,
    fills: Sequence[str] = (),
    loses: Sequence[str] = (),
    instead: Instead | None = None,
    partly: str | None = None,
) -> Iterator[Record]:
    """Yield the records of a query with a Coverage for each of ``accounts`` and for the tenant, or a Gap for each.

    What came before the query failed is kept. Records of an account that is not known are the tenant's. Where the query is
    denied, ``instead`` is asked for each account that it knows; the listing keeps its identity. ``partly`` is the
    call of one that reads less than the query: it is a listing of its own then, and the Gap of the query stands.
    """
    others = {*accounts} - {scope.account_id}
    request = scope.request(table, call, kind=kind, needs=needs)
    asked = [request, *(request.but(name) for name in fills)]
    came = {account: ListedRecords(asked) for account in (scope.account_id, *others)}
    failure: Failure | None = None
    lost: list[Gap] = []
    for row in with_coverage(records, request, fills=fills, loses=loses):
        match row:
            case Coverage():
                yield coverage(_named(row, asked), came[scope.account_id].of(_named(row, asked)))
            case Gap():
                failure = Failure(reason=row.reason, detail=row.detail, needs=row.needs)
                lost.append(row)
            case _:
                came[row.account_id if row.account_id in others else scope.account_id].add(row)
                yield row
    itself = instead(scope.account_id) if instead and failure and failure.reason == "denied" else None
    if itself is not None:
        asked_instead = scope.request(table, partly or call, kind=kind, needs=needs)
        yield from with_coverage(itself, asked_instead, fills=fills, loses=loses)
    if itself is None or partly:
        yield from lost
    for account in sorted(others):
        here = scope.within(account).request(table, call, kind=kind, needs=needs)
        alone = instead(account) if instead and failure and failure.reason == "denied" else None
        if alone is not None:
            asked_instead = scope.within(account).request(table, partly or call, kind=kind, needs=needs)
            yield from with_coverage(alone, asked_instead, fills=fills, loses=loses)
            if not partly:
                continue
        for one in (here, *(here.but(name) for name in fills)):
            yield coverage(one, came[account].of(one)) if failure is None else gap(one, failure)
        if failure is not None:
            for name in loses:
                yield gap(here.but(name), failure)


def _named(row: Coverage, asked: list[ListingRequest]) -> ListingRequest:
    return next(one for one in asked if (one.table, one.kind) == (row.table, row.kind))
