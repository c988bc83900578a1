"""Coverage of a query over the whole tenant, account by account.

One query answers for every subscription and management group. What it proves, it proves for each of them: a finding in a
subscription is resolved by a night that lists that subscription, and not by one that lists others.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from typing import TYPE_CHECKING

from scanner.collect.listings import with_coverage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from collectors.azure.scope import AzureScope
    from scanner.records import Record


def by_account(
    scope: AzureScope,
    accounts: Sequence[str],
    records: Iterable[Record],
    *,
    call: str,
    table: str,
    kind: str | None,
    needs: str,
    fills: Sequence[str] = (),
    loses: Sequence[str] = (),
) -> Iterator[Record]:
    """Yield the records of a query with a Coverage for each of ``accounts`` and for the tenant, or a Gap for each.

    What came before the query failed is kept. Records of an account that is not known are the tenant's.
    """
    found: dict[str, list[Record]] = defaultdict(list)
    failure: BaseException | None = None
    known = {*accounts, scope.account_id}

    def tenant() -> Iterator[Record]:
        nonlocal failure
        try:
            for record in records:
                found[record.account_id if record.account_id in known else scope.account_id].append(record)
        finally:
            failure = sys.exception()
            yield from found.pop(scope.account_id, ())

    def other(account: str) -> Iterator[Record]:
        yield from found.pop(account, ())
        if failure is not None:
            raise failure

    for account in (scope.account_id, *sorted(known - {scope.account_id})):
        request = scope.within(account).request(table, call, kind=kind, needs=needs)
        rows = tenant() if account == scope.account_id else other(account)
        yield from with_coverage(rows, request, fills=fills, loses=loses)
