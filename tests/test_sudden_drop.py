"""A listing that answers, but with far less than before, proves nothing until a second night says the same."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from scanner.collect.memory import carried_forward
from scanner.night import open_night
from scanner.pipeline.notify import message
from scanner.records import Coverage, Grant, Record
from scanner.snapshot import verify
from tests.sealed_night import (
    ACCOUNT,
    account,
    analyzed,
    everything,
    findings,
    key,
    listed,
    on,
    role,
    rows,
    run_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

RULE = "credential-unused"
REST: list[Record] = [account(), role("deploy"), *everything(without="credentials")]


def credentials(items: int, *, account_id: str = ACCOUNT, call: str = "list") -> Coverage:
    return msgspec.structs.replace(listed("credentials", account_id=account_id, call=call), items=items)


def keys(names: Iterable[int]) -> list[Record]:
    return [key(f"K{name}") for name in names]


def statuses(state: Path, night: int, rule: str = RULE) -> set[str]:
    return set(findings(state, night, rule).values())


def test_a_second_night_confirms_what_the_first_left_open(tmp_path: Path) -> None:
    analyzed(tmp_path, 1, [*REST, credentials(8), *keys(range(8))])
    analyzed(tmp_path, 2, [*REST, credentials(0)])
    assert statuses(tmp_path, 2) == {"unobserved after new"}
    assert rows(tmp_path, 2, "SELECT reason, detail FROM gaps") == [
        (
            "unconfirmed",
            "gave 0 rows, after 8 on the last night that read it; not confirmed by a second night yet",
        )
    ]
    assert rows(tmp_path, 2, "SELECT count(*) FROM population WHERE removed_at IS NOT NULL") == [(0,)]
    assert rows(tmp_path, 2, "SELECT state, reason FROM target_coverage") == [
        ("partial", "list: unconfirmed")
    ]
    verify(tmp_path / "snapshots" / run_of(2))
    with open_night(tmp_path, run_of(2)) as night:
        told = message(night, "critical", None)
    assert told is not None
    assert told["unconfirmed_listings"] == 1
    assert "1 listings gave far fewer rows than before" in told["text"]
    analyzed(tmp_path, 3, [*REST, credentials(0)])
    assert statuses(tmp_path, 3) == {"resolved after unobserved"}
    assert rows(tmp_path, 3, "SELECT count(*) FROM population WHERE removed_at IS NOT NULL") == [(8,)]


def test_what_comes_back_was_never_gone(tmp_path: Path) -> None:
    analyzed(tmp_path, 1, [*REST, credentials(8), *keys(range(8))])
    analyzed(tmp_path, 2, [*REST, credentials(1), *keys([0])])
    assert findings(tmp_path, 2, RULE)["K0"] == "open after new"
    analyzed(tmp_path, 3, [*REST, credentials(7), *keys(range(7))])
    found = findings(tmp_path, 3, RULE)
    assert [found[f"K{name}"] for name in range(8)] == [
        "open after open",
        *["open after unobserved"] * 6,
        "resolved after unobserved",
    ]
    assert rows(tmp_path, 3, "SELECT count(*) FROM findings WHERE counts_as_new IS NOT NULL") == [(0,)]


def test_a_further_drop_is_another_one(tmp_path: Path) -> None:
    analyzed(tmp_path, 1, [*REST, credentials(40), *keys(range(40))])
    analyzed(tmp_path, 2, [*REST, credentials(15), *keys(range(15))])
    analyzed(tmp_path, 3, [*REST, credentials(0)])
    assert statuses(tmp_path, 3) == {"unobserved after open", "unobserved after unobserved"}
    analyzed(tmp_path, 4, [*REST, credentials(0)])
    assert statuses(tmp_path, 4) == {"resolved after unobserved"}


@pytest.mark.parametrize(
    ("before", "after", "settings", "status"),
    [
        pytest.param(4, 0, {}, "resolved", id="four rows are too few to tell"),
        pytest.param(5, 0, {}, "unobserved", id="five are enough"),
        pytest.param(10, 5, {}, "resolved", id="half is not more than half"),
        pytest.param(11, 5, {}, "unobserved", id="six of eleven"),
        pytest.param(10, 5, {"drop_share": 0.4}, "unobserved", id="another share"),
        pytest.param(5, 0, {"drop_rows": 6}, "resolved", id="another number of rows"),
    ],
)
def test_how_much_a_listing_must_fall(
    tmp_path: Path, before: int, after: int, settings: dict[str, Any], status: str
) -> None:
    analyzed(tmp_path, 1, [*REST, credentials(before), *keys(range(before))])
    analyzed(tmp_path, 2, [*REST, credentials(after), *keys(range(after))], **settings)
    assert findings(tmp_path, 2, RULE)[f"K{before - 1}"] == f"{status} after new"


def test_small_listings_of_one_call_are_judged_together(tmp_path: Path) -> None:
    numbers = range(1, 5)

    def night(number: int, each: int, *, last: int) -> None:
        records: list[Record] = [role("deploy")]
        for one in numbers:
            place, items = f"aws:account:{one}", last if one == 4 else each
            records += [account(one), *everything(place, without="credentials")]
            records += [credentials(items, account_id=place)]
            records += [key(f"K{one}-{item}", account_id=place) for item in range(items)]
        analyzed(tmp_path, number, records)

    night(1, 3, last=3)
    night(2, 0, last=3)
    assert findings(tmp_path, 2, RULE)["K1-0"] == "unobserved after new"
    assert findings(tmp_path, 2, RULE)["K4-0"] == "open after new"
    [(why,)] = rows(tmp_path, 2, "SELECT DISTINCT detail FROM gaps")
    assert "in all 3 rows after 12" in why
    night(3, 0, last=3)
    assert findings(tmp_path, 3, RULE)["K1-0"] == "resolved after unobserved"


def test_other_answers_contradict_a_listing_of_any_size(tmp_path: Path) -> None:
    def night(number: int, *names: str, granted: str) -> None:
        grant = Grant(
            id="aws:grant:1",
            provider="aws",
            account_id=ACCOUNT,
            identity_id=granted,
            role="admin",
            resource="*",
            breadth="account",
            powers=["admin"],
            level="admin",
        )
        rest = everything(without="identities")
        listing = msgspec.structs.replace(listed("identities"), items=len(names))
        analyzed(
            tmp_path, number, [account(), *rest, listing, *(role(name, owner=None) for name in names), grant]
        )

    night(1, "deploy", "build", granted="aws:iam-role:deploy")
    night(2, "build", granted="arn:aws:iam::1:role/deploy")
    assert findings(tmp_path, 2, "identity-without-owner") == {
        "deploy": "unobserved after new",
        "build": "unobserved after new",
    }
    [(why,)] = rows(tmp_path, 2, "SELECT detail FROM gaps")
    assert why.startswith("gave 1 rows, after 2")
    assert "other answers still name what is missing, such as aws:iam-role:deploy" in why
    night(3, "build", granted="arn:aws:iam::1:role/deploy")
    assert findings(tmp_path, 3, "identity-without-owner")["deploy"] == "resolved after unobserved"


def test_a_smaller_listing_that_nothing_contradicts_is_believed(tmp_path: Path) -> None:
    analyzed(tmp_path, 1, [*REST, credentials(2), *keys(range(2))])
    analyzed(tmp_path, 2, [*REST, credentials(1), *keys([0])])
    assert findings(tmp_path, 2, RULE) == {"K0": "open after new", "K1": "resolved after new"}


def test_rows_that_were_carried_forward_confirm_nothing(tmp_path: Path) -> None:
    analyzed(tmp_path, 1, [*REST, credentials(8), *keys(range(8))])
    analyzed(tmp_path, 2, [*REST, credentials(0)])
    analyzed(tmp_path, 3, [*REST, carried_forward(credentials(0), on(2))])
    assert statuses(tmp_path, 3) == {"unobserved after unobserved"}
    analyzed(tmp_path, 4, [*REST, credentials(0)])
    assert statuses(tmp_path, 4) == {"resolved after unobserved"}


def test_a_night_that_could_not_read_it_confirms_nothing_either(tmp_path: Path) -> None:
    analyzed(tmp_path, 1, [*REST, credentials(8), *keys(range(8))])
    analyzed(tmp_path, 2, REST)
    analyzed(tmp_path, 3, [*REST, credentials(0)])
    assert statuses(tmp_path, 3) == {"unobserved after unobserved"}


def test_no_rule_of_absence_speaks_of_a_listing_in_doubt(tmp_path: Path) -> None:
    old = timedelta(days=100)
    young = [role(f"r{number}", owner=None, created_at=on(1)) for number in range(8)]
    aged = [msgspec.structs.replace(one, created_at=on(1) - old) for one in young]

    def night(number: int, records: list[Record], items: int) -> None:
        rest = everything(without="identities")
        analyzed(
            tmp_path,
            number,
            [account(), *rest, msgspec.structs.replace(listed("identities"), items=items), *records],
        )

    night(1, [*young], 8)
    assert findings(tmp_path, 1, "identity-without-owner") == {}
    night(2, [*aged[:2]], 2)
    assert findings(tmp_path, 2, "identity-without-owner") == {}
    night(3, [*aged[:2]], 2)
    assert findings(tmp_path, 3, "identity-without-owner") == {"r0": "new", "r1": "new"}
