"""with_coverage keeps the records, reports what is missing, and never raises."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import msgspec
import pytest

from scanner.collect.collector import collector_of
from scanner.collect.failures import Failure, SourceError
from scanner.collect.listings import ListingRequest, preflight, side_by_side, with_coverage
from scanner.plugins import collector_names, load_collector
from scanner.records import Account, Coverage, Gap, Grant, Identity, Record

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

ASKED = ListingRequest(
    provider="aws",
    account_id="aws:account:1",
    collector="aws",
    target="1",
    table="accounts",
    kind="aws-account",
    call="organizations:ListAccounts",
    needs="organizations:ListAccounts",
)


def account(number: int) -> Account:
    return Account(
        id=f"aws:account:{number}",
        provider="aws",
        account_id="aws:account:1",
        kind="aws-account",
        native_id=str(number),
        name=f"account {number}",
    )


def failing(after: int, exc: Exception) -> Iterator[Record]:
    for number in range(after):
        yield account(number)
    raise exc


def test_a_full_listing_ends_with_its_coverage() -> None:
    *rows, last = with_coverage((account(number) for number in range(3)), ASKED, lambda _: None)
    assert [row.id for row in rows] == ["aws:account:0", "aws:account:1", "aws:account:2"]
    assert isinstance(last, Coverage)
    assert (last.items, last.table, last.kind, last.call) == (3, "accounts", "aws-account", ASKED.call)


def test_an_empty_listing_is_covered_and_not_a_gap() -> None:
    (only,) = with_coverage(iter(()), ASKED, lambda _: None)
    assert isinstance(only, Coverage)
    assert only.items == 0


def identity(number: int, kind: str) -> Identity:
    return Identity(
        id=f"aws:{kind}:{number}",
        provider="aws",
        account_id="aws:account:1",
        surface="automation",
        kind=kind,
        native_id=str(number),
        name=str(number),
    )


def grant(number: int) -> Grant:
    return Grant(
        id=f"aws:grant:{number}",
        provider="aws",
        account_id="aws:account:1",
        identity_id="aws:role:1",
        role="r",
        resource="*",
        breadth="account",
        powers=[],
        level="read",
    )


def test_coverage_counts_the_records_of_its_own_table_and_kind_each_once() -> None:
    records: list[Record] = [
        account(1),
        identity(1, "role"),
        identity(2, "role"),
        identity(3, "user"),
        grant(1),
    ]
    fills = [
        "identities/role",
        "identities/user",
        "identities/group",
        "identities",
        "grants/member",
        "secrets",
    ]
    rows = list(with_coverage([*records, *records], ASKED, fills=fills))
    assert {(row.table, row.kind): row.items for row in rows if isinstance(row, Coverage)} == {
        ("accounts", "aws-account"): 1,
        ("identities", "role"): 2,
        ("identities", "user"): 1,
        ("identities", "group"): 0,
        ("identities", None): 3,
        # Grants have no kind of their own.
        ("grants", "member"): 1,
        ("secrets", None): 0,
    }


@pytest.mark.parametrize("bad", [True, False])
def test_what_is_in_doubt_after_a_failure_is_a_gap_and_no_coverage_otherwise(bad: bool) -> None:
    listing = failing(1, OSError("gone")) if bad else iter([account(1)])
    rows = list(with_coverage(listing, ASKED, fills=["grants"], loses=["secrets/x", "links"]))
    told = {(type(row), row.table, row.kind) for row in rows if isinstance(row, Gap | Coverage)}
    filled = {("accounts", "aws-account"), ("grants", None)}
    lost = {("secrets", "x"), ("links", None)}
    assert told == ({(Gap, *one) for one in filled | lost} if bad else {(Coverage, *one) for one in filled})
    assert len({row.id for row in rows}) == len(rows)


def test_a_first_call_proves_no_table_and_loses_everything() -> None:
    def itself(bad: bool) -> Generator[Record, None, str]:
        yield account(1)
        if bad:
            raise SourceError("denied", "no", needs="a role")
        return "found"

    values: list[str | None] = []

    def outer(bad: bool) -> Iterator[Record]:
        values.append((yield from preflight(itself(bad), ASKED)))

    assert [type(row) for row in outer(False)] == [Account]
    assert [type(row) for row in outer(True)] == [Account, Gap]
    assert values == ["found", None]


def test_a_failure_keeps_what_came_and_gives_no_coverage() -> None:
    *rows, last = with_coverage(
        failing(2, PermissionError("no")), ASKED, lambda exc: Failure(reason="denied", detail=str(exc))
    )
    assert len(rows) == 2
    assert isinstance(last, Gap)
    assert (last.reason, last.detail, last.needs) == ("denied", "no", "organizations:ListAccounts")


def test_what_nobody_can_explain_is_a_bug_with_its_traceback() -> None:
    (last,) = with_coverage(failing(0, ZeroDivisionError("x")), ASKED, lambda _: None)
    assert isinstance(last, Gap)
    assert last.reason == "bug"
    assert "ZeroDivisionError" in last.detail
    assert "in failing" in last.detail


def test_a_gap_never_carries_a_secret() -> None:
    secret = "ghp_" + "a1B2" * 9
    (last,) = with_coverage(failing(0, ValueError(f"Authorization: Bearer {secret}")), ASKED, lambda _: None)
    assert isinstance(last, Gap)
    assert secret not in last.detail


def test_the_value_of_the_listing_comes_back_and_is_none_on_failure() -> None:
    def listing(bad: bool) -> Generator[Record, None, dict[str, int]]:
        yield account(1)
        if bad:
            raise OSError
        return {"one": 1}

    results: list[dict[str, int] | None] = []

    def outer(bad: bool) -> Iterator[Record]:
        results.append((yield from with_coverage(listing(bad), ASKED, lambda _: None)))

    for bad in (False, True):
        list(outer(bad))
    assert results == [{"one": 1}, None]


def test_the_same_listing_has_the_same_id_every_night_and_another_region_has_another() -> None:
    ids = {next(iter(with_coverage(iter(()), ASKED, lambda _: None))).id for _ in range(2)}
    assert len(ids) == 1
    elsewhere = msgspec.structs.replace(ASKED, region="eu-west-1")
    assert next(iter(with_coverage(iter(()), elsewhere, lambda _: None))).id not in ids


@pytest.mark.parametrize("workers", [1, 4])
def test_side_by_side_gives_everything(workers: int) -> None:
    listings = [[account(10 * part + number) for number in range(5)] for part in range(6)]
    got = sorted(record.id for record in side_by_side(listings, workers))
    assert got == sorted(record.id for part in listings for record in part)


@pytest.mark.parametrize("workers", [1, 4])
def test_side_by_side_returns_the_values_of_its_listings_in_their_order(workers: int) -> None:
    def numbered(number: int) -> Generator[Record, None, int]:
        yield account(number)
        time.sleep(0.02 * (4 - number))
        return number

    def read() -> Generator[Record, None, None]:
        values.append((yield from side_by_side([numbered(number) for number in range(4)], workers)))

    values: list[list[int | None]] = []
    list(read())
    assert values == [[0, 1, 2, 3]]


def test_side_by_side_stops_its_threads_when_the_reader_leaves() -> None:
    before = threading.active_count()

    def endless() -> Iterator[Record]:
        while True:
            yield account(1)

    reader = side_by_side([endless(), endless()], 2)
    next(reader)
    del reader
    assert threading.active_count() == before


def test_side_by_side_hands_an_error_to_the_reader() -> None:
    with pytest.raises(ValueError, match="broken"):
        list(side_by_side([failing(1, ValueError("broken")), [account(1)]], 2))


def test_every_collector_has_the_three_names_and_says_what_it_needs() -> None:
    for name in collector_names():
        module = collector_of(name)
        assert callable(module.targets)
        assert callable(module.collect)
        assert module.Config.model_config["extra"] == "forbid"
        assert "Needs:" in (module.__doc__ or "")
        assert "Cannot see:" in (module.__doc__ or "")


def test_an_unknown_collector_is_a_lookup_error() -> None:
    with pytest.raises(LookupError):
        load_collector("azzure")
