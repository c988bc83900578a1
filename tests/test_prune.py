"""What retention deletes, and what of the past stays known afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanner.command.summary import prune_lines
from scanner.config import Retention, Settings
from scanner.ledger import Ledger
from scanner.pipeline.retention import superfluous
from tests.sealed_night import account, analyzed, everything, findings, key, on, role, rows, run_of

if TYPE_CHECKING:
    from pathlib import Path

    from scanner.records import Record

RULE = "credential-unused"
BASE: list[Record] = [account(), role("deploy"), *everything()]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_superseded_histories_go_and_what_they_knew_stays(tmp_path: Path) -> None:
    for night in range(1, 6):
        analyzed(tmp_path, night, [*BASE, key("A")])
    settings = Settings(state=tmp_path, collectors={}, retention=Retention(daily=1, monthly=0, yearly=0))
    history = tmp_path / "history"
    before = names(history)
    told = prune_lines(Ledger(tmp_path), settings.retention, at=on(9), delete=False, force=True)
    assert f"would delete (add --delete) history/{run_of(1)}.parquet" in told
    assert f"would delete (add --delete) analysis/{run_of(1)}" in told
    assert names(history) == before
    told = prune_lines(Ledger(tmp_path), settings.retention, at=on(9), delete=True, force=True)
    assert f"deleted history/{run_of(2)}.listings.parquet" in told
    others = (
        "listings",
        "targets",
        "asked",
        "nights",
        "accounts",
        "identities",
        "credentials",
        "grants",
        "secrets",
    )
    ends = (".parquet", *(f".{name}.parquet" for name in others))
    kept = {f"{run_of(night)}{end}" for night in (3, 4, 5) for end in ends}
    figures = {f"{run_of(night)}.metrics.json" for night in range(1, 6)}
    assert names(history) == kept | figures | {"version.json"}
    assert names(tmp_path / "snapshots") == names(tmp_path / "analysis") == {run_of(5)}

    analyzed(tmp_path, 6, BASE)
    assert findings(tmp_path, 6, RULE) == {"A": "resolved after open"}
    first_seen = rows(
        tmp_path, 6, f"SELECT strftime(first_seen, '%Y%m%dT%H%M%SZ') FROM findings WHERE rule = '{RULE}'"
    )
    assert first_seen == [(run_of(1),)]


def test_three_histories_or_fewer_stay(tmp_path: Path) -> None:
    keep = Retention(daily=1, monthly=0, yearly=0)
    assert superfluous(Ledger(tmp_path), keep, force=True) == []
    for night in (1, 2, 3):
        analyzed(tmp_path, night, [*BASE, key("A")])
    parts = {part for one in superfluous(Ledger(tmp_path), keep, force=True) for part in one.parts}
    assert parts == {"snapshot", "analysis"}
