"""First-seen and removal dates: nothing is removed on a night that did not list it."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import pytest

from reports.csv import Config, write
from scanner.analyze.population import KEPT_DAYS
from scanner.analyze.steps import AnalyzeSettings, analyze
from scanner.command.summary import prune_lines
from scanner.config import Retention, Settings
from scanner.ledger import Ledger
from scanner.night import open_night
from scanner.records import Grant
from tests.sealed_night import (
    ACCOUNT,
    account,
    analyzed,
    denied,
    everything,
    key,
    listed,
    on,
    role,
    rows,
    run_of,
)

if TYPE_CHECKING:
    from pathlib import Path

    from scanner.records import Record

BASE: list[Record] = [account(), role("deploy"), *everything()]


def grant(role_name: str) -> Grant:
    return Grant(
        id=f"aws:grant:deploy:{role_name}", provider="aws", account_id=ACCOUNT, identity_id="aws:iam-role:deploy",
        role=role_name, resource="*", breadth="account",
    )  # fmt: skip


def known(state: Path, night: int, table: str = "credentials") -> dict[str, tuple[int | None, int | None]]:
    """Return the nights on which the members of a table came and went."""
    found = rows(
        state,
        night,
        f"SELECT name, first_seen, removed_at FROM population WHERE \"table\" = '{table}' ORDER BY name",
    )
    return {name: (_night(came), _night(went)) for name, came, went in found}


def _night(moment: Any) -> int | None:
    return None if moment is None else (moment - on(1).replace(tzinfo=None)).days + 1


def test_what_comes_and_goes_has_its_nights(tmp_path: Path) -> None:
    analyzed(tmp_path, 1, [*BASE, key("A"), grant("reader")])
    assert known(tmp_path, 1) == {"A": (1, None)}
    analyzed(tmp_path, 2, [*BASE, key("A"), key("B"), grant("admin")])
    assert known(tmp_path, 2) == {"A": (1, None), "B": (2, None)}
    assert known(tmp_path, 2, "grants") == {"admin": (2, None), "reader": (1, 2)}
    analyzed(tmp_path, 3, [*BASE, key("B")])
    assert known(tmp_path, 3) == {"A": (1, 3), "B": (2, None)}
    assert known(tmp_path, 3, "identities") == {"deploy": (1, None)}
    analyzed(tmp_path, 5, [*BASE, key("A")])
    assert known(tmp_path, 5) == {"A": (1, None), "B": (2, 5)}


@pytest.mark.parametrize(
    "second_night",
    [
        pytest.param([denied("credentials")], id="denied"),
        pytest.param([denied("*", call="collect")], id="whole target"),
        pytest.param(
            [listed("credentials"), denied("credentials", kind="access-key", call="other")], id="its kind"
        ),
        pytest.param([], id="not requested"),
        pytest.param([listed("credentials", call="other")], id="listing taken out of the configuration"),
        pytest.param([listed("credentials", kind="password")], id="another kind listed"),
    ],
)
def test_a_night_that_did_not_look_removes_nothing(tmp_path: Path, second_night: list[Record]) -> None:
    analyzed(tmp_path, 1, [*BASE, key("A")])
    rest = [record for record in BASE if record.id != listed("credentials").id]
    analyzed(tmp_path, 2, [*rest, *second_night])
    assert known(tmp_path, 2) == {"A": (1, None)}
    # The night that looks again decides.
    analyzed(tmp_path, 3, BASE)
    assert known(tmp_path, 3) == {"A": (1, 3)}


def test_a_gap_of_another_kind_or_account_holds_nothing(tmp_path: Path) -> None:
    analyzed(tmp_path, 1, [*BASE, key("A")])
    other = "aws:account:2"
    analyzed(
        tmp_path,
        2,
        [*BASE, denied("credentials", kind="oauth-app")],
        [account(2), denied("*", account_id=other)],
    )
    assert known(tmp_path, 2) == {"A": (1, 2)}


def test_dates_outlive_pruned_snapshots_and_what_is_gone_is_listed_for_a_year(tmp_path: Path) -> None:
    for night in (1, 2, 3, 4, 5):
        analyzed(tmp_path, night, [*BASE, key("A")] if night < 3 else BASE)
    settings = Settings(state=tmp_path, collectors={}, retention=Retention(daily=1, monthly=0, yearly=0))
    prune_lines(Ledger(tmp_path), settings.retention, at=on(9), delete=True, force=True)
    analyzed(tmp_path, 2 + KEPT_DAYS, BASE)
    assert known(tmp_path, 2 + KEPT_DAYS) == {"A": (1, 3)}
    analyzed(tmp_path, 3 + KEPT_DAYS, BASE)
    assert known(tmp_path, 3 + KEPT_DAYS) == {}


def test_a_night_analyzed_again_is_the_same(tmp_path: Path) -> None:
    analyzed(tmp_path, 1, [*BASE, key("A"), key("B")])
    analyzed(tmp_path, 2, [*BASE, key("B"), key("C")])
    files = sorted((tmp_path / "analysis" / run_of(2) / "population").iterdir())
    before = [path.read_bytes() for path in files]
    analyze(tmp_path, run_of(2), settings=AnalyzeSettings())
    assert [path.read_bytes() for path in files] == before
    assert [(tmp_path / "history" / f"{run_of(2)}.{path.name}").read_bytes() for path in files] == before
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "history").iterdir()} == {0o600}


def test_the_csv_files_list_what_is_gone_once(tmp_path: Path) -> None:
    gone = role("gone", surface="workload")
    analyzed(tmp_path, 1, [*BASE, gone, key("A"), key("B"), grant("reader")])
    analyzed(tmp_path, 2, [*BASE, key("B"), key("C")])
    (tmp_path / "out").mkdir()
    with open_night(tmp_path, run_of(2)) as night:
        write(night, tmp_path / "out", Config())

    def sheet(name: str, *columns: str) -> list[tuple[str, ...]]:
        with (tmp_path / "out" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            return [tuple(row[column] for column in columns) for row in csv.DictReader(file)]

    first, second = "2026-11-22T02:00:00Z", "2026-11-23T02:00:00Z"
    assert sheet("credentials", "credential_id", "native_id", "state", "first_seen_at", "removed_at") == [
        ("aws:access-key:A", "A", "", first, second),
        ("aws:access-key:B", "B", "active", first, ""),
        ("aws:access-key:C", "C", "active", second, ""),
    ]
    assert sheet(
        "identities", "identity_id", "provider", "name", "identity_type", "subtype", "removed_at"
    ) == [
        ("aws:iam-role:deploy", "aws", "deploy", "automation", "iam-role", ""),
        ("aws:iam-role:gone", "aws", "gone", "workload", "iam-role", second),
    ]
    assert sheet("grants", "grant_id", "identity_id", "role_name", "privilege_level", "removed_at") == [
        ("aws:grant:deploy:reader", "aws:iam-role:deploy", "reader", "", second)
    ]
