"""Collectors that read what others listed tonight: when they run, what they see, and what incompleteness does to them."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from scanner.kinds import declared_by
from scanner.parquet import read_table
from scanner.plugins import after_of, collector_names, declared_kinds
from scanner.records import TABLES, Coverage, Gap, Identity
from scanner.snapshot import list_sealed, read_manifest, verify
from tests.test_run import NIGHT, Box, release, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from scanner.records import Record

SNAPSHOT = "20261123T020000Z"


class TwoCollectors(Box):
    """A folder with a configuration of both collectors, and the command run in it."""

    def both(self, first: dict[str, Any] | None, second: dict[str, Any], **top: Any) -> None:
        collectors = {"second-look": second} | ({"made-up": first} if first is not None else {})
        document = {**top, "collectors": collectors, "reports": {"formats": []}}
        (self.folder / "config.yaml").write_text(json.dumps(document))

    def rows(self, kind: type[Record], collector: str = "second-look") -> list[Any]:
        table = next(name for name, record in TABLES.items() if record is kind)
        paths = sorted((self.state / "snapshots" / SNAPSHOT / table).glob(f"{collector}-*.parquet"))
        return [row for path in paths for row in read_table(path, kind)]


@pytest.fixture
def box(tmp_path: Path) -> TwoCollectors:
    return TwoCollectors(tmp_path)


def test_the_second_wave_begins_when_the_first_is_done_and_reads_it(box: TwoCollectors) -> None:
    ledger = box.folder / "ledger"
    options = {"ledger": str(ledger)}
    box.both({"names": ["a", "b"], "seconds": 0.5, **options}, options)
    code, _, err = box.run("collect", "--as-of", NIGHT)
    assert code == 0, err
    assert sorted(ledger.read_text().split()[:2]) == ["a", "b"]
    assert sorted(ledger.read_text().split()[2:]) == ["second-a", "second-b"]
    assert {row.native_id for row in box.rows(Identity)} == {
        f"made-up:account:{name}-{part}" for name in "ab" for part in range(3)
    }
    assert [(row.target, row.items) for row in box.rows(Coverage)] == [("a", 3), ("b", 3)]
    assert verify(box.state / "snapshots" / SNAPSHOT).coverage == 1.0


def test_what_the_first_wave_lost_the_second_has_not_seen(box: TwoCollectors) -> None:
    box.both({"names": ["a", "b"], "denied": "b"}, {})
    assert box.run("collect", "--as-of", NIGHT)[0] == 4
    assert {row.name for row in box.rows(Identity)} == {"a"}
    assert box.rows(Coverage) == []
    told = {(row.target, row.table, row.call): (row.reason, row.detail) for row in box.rows(Gap)}
    because = "what it reads of tonight's listings is incomplete (made-up:account:b: list: denied)"
    assert told == {
        ("a", "identities", "workloads"): ("truncated", because),
        ("section-0", "*", "targets"): ("truncated", f"there may be more targets; {because}"),
    }


def test_a_target_that_crashed_in_the_first_wave_is_in_doubt_in_the_second(box: TwoCollectors) -> None:
    box.both({"names": ["a", "b"], "crash": "b"}, {})
    assert box.run("collect", "--as-of", NIGHT)[0] == 4
    assert {row.reason for row in box.rows(Gap)} == {"truncated"}
    assert box.rows(Coverage) == []


def test_where_nothing_was_listed_the_second_wave_finds_nothing_and_says_so(box: TwoCollectors) -> None:
    box.both({"names": ["a"]}, {})
    code, _, err = box.run("collect", "--as-of", NIGHT, "--only", "second-look")
    assert code == 2
    assert "nothing of tonight names a target" in err
    assert list((box.state / "snapshots").iterdir()) == []


def test_only_the_tables_that_after_names_may_be_read(box: TwoCollectors) -> None:
    box.both({"names": ["a"]}, {"peek": True})
    assert box.run("collect", "--as-of", NIGHT)[0] == 4
    (gap,) = box.rows(Gap)
    assert gap.reason == "bug"
    assert "`after` does not name identities" in gap.detail


def test_a_second_wave_that_cannot_list_its_targets_is_a_gap(box: TwoCollectors) -> None:
    box.both({"names": ["a"]}, {"refuse": "no such registry"})
    code, _, err = box.run("collect", "--as-of", NIGHT)
    assert code == 4
    assert "no such registry" in err
    assert [(row.target, row.reason, row.detail) for row in box.rows(Gap)] == [
        ("section-0", "denied", "no such registry")
    ]


def test_a_deadline_in_the_first_wave_leaves_the_second_unbegun(box: TwoCollectors) -> None:
    ledger = box.folder / "ledger"
    options = {"ledger": str(ledger)}
    box.both({"names": ["a", "b"], "hold": "a", **options}, options, limits={"workers": 1})
    process = box.start("collect", "--as-of", NIGHT)
    wait_for(ledger, "a")
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 6, err
    assert "second" not in ledger.read_text()
    manifest = read_manifest(box.state / "snapshots" / SNAPSHOT)
    assert manifest.not_started == ["made-up/b", "second-look/section-0"]
    assert [(row.table, row.reason) for row in box.rows(Gap)] == [("*", "deadline")]


def test_a_resumed_run_repeats_neither_wave_and_reads_the_first_whole(box: TwoCollectors) -> None:
    ledger = box.folder / "ledger"
    options = {"ledger": str(ledger)}
    box.both({"names": ["a", "b"], **options}, {"hold": "b", **options}, limits={"workers": 1})
    process = box.start("collect", "--as-of", NIGHT)
    wait_for(ledger, "second-b")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    release(ledger)
    assert list_sealed(box.state / "snapshots") == []
    code, _, err = box.run("collect", "--resume")
    assert code == 0, err
    assert ledger.read_text().split() == ["a", "b", "second-a", "second-b", "second-b"]
    assert len(box.rows(Identity)) == 6
    assert verify(box.state / "snapshots" / SNAPSHOT).coverage == 1.0


@pytest.mark.parametrize("name", collector_names())
def test_after_names_tables_and_kinds_that_collectors_of_the_first_wave_yield(name: str) -> None:
    for wanted in after_of(name):
        table, _, kind = wanted.partition("/")
        assert table in TABLES
        assert not kind or kind in declared_kinds().of(table)


def test_a_plugin_declares_its_kinds_like_any_collector(
    box: TwoCollectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib

    box.both({"names": ["a"]}, {})
    assert box.run("collect", "--as-of", NIGHT)[0] == 0
    monkeypatch.syspath_prepend(str(box.plugins))
    module: Any = importlib.import_module("second_look_collector")
    assert declared_by(module).undeclared([*box.rows(Identity), *box.rows(Coverage)]) == set()
