"""What `verify` notices: every kind of file of a state, changed, cut, removed, added and replaced."""

from __future__ import annotations

import hashlib
import json
import shutil
from typing import TYPE_CHECKING

import pytest

from scanner.analyze.steps import AnalyzeSettings, analyze
from scanner.config import Retention
from scanner.ledger import Ledger
from scanner.pipeline.retention import apply, discard, superfluous
from scanner.snapshot import SnapshotError
from scanner.verification import verify_state
from tests.checkout_nights import DANGEROUS, Checkout, on, run_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="module")
def three_nights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = Checkout(tmp_path_factory.mktemp("nights"))
    place.write("open", DANGEROUS)
    for number in (1, 2, 3):
        place.night(number)
    return place.state


@pytest.fixture
def state(three_nights: Path, tmp_path: Path) -> Path:
    return shutil.copytree(three_nights, tmp_path / "state")


def problems(state: Path) -> str:
    try:
        return "\n".join(verify_state(state).problems)
    except SnapshotError as exc:
        return str(exc)


def test_an_untouched_state_has_no_problem_and_names_every_night(state: Path) -> None:
    found = verify_state(state)
    assert found.problems == []
    assert [line.split(":")[0] for line in found.lines] == [
        "ledger.jsonl",
        *(run_of(number) for number in (1, 2, 3)),
    ]
    manifest = hashlib.sha256((state / "snapshots" / run_of(2) / "manifest.json").read_bytes()).hexdigest()
    assert found.lines[2].endswith(f"manifest sha256 {manifest}")


KINDS = {
    "manifest": f"snapshots/{run_of(2)}/manifest.json",
    "snapshot table": f"snapshots/{run_of(2)}/identities/*.parquet",
    "start of the run": f"snapshots/{run_of(2)}/run.json",
    "finished target": f"snapshots/{run_of(2)}/targets/*.json",
    "findings": f"analysis/{run_of(2)}/findings.parquet",
    "resolved records": f"analysis/{run_of(2)}/records/*.parquet",
    "population": f"analysis/{run_of(2)}/population/identities.parquet",
    "rules": f"analysis/{run_of(2)}/rules.json",
    "summary of the analysis": f"analysis/{run_of(2)}/summary.json",
    "history": f"history/{run_of(2)}.parquet",
    "history of listings": f"history/{run_of(3)}.listings.parquet",
    "history of targets": f"history/{run_of(3)}.targets.parquet",
    "figures": f"history/{run_of(1)}.metrics.json",
    "report": f"reports/{run_of(2)}/findings.jsonl",
    "report manifest": f"reports/{run_of(2)}/summary.json",
    "outcome": f"reports/{run_of(3)}/run.json",
}


def change(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def remove(path: Path) -> None:
    path.unlink()


def replace_by_link(path: Path) -> None:
    shutil.copy(path, path.parents[3] / "elsewhere")
    path.unlink()
    path.symlink_to(path.parents[3] / "elsewhere")


@pytest.mark.parametrize("how", [change, cut, remove, replace_by_link], ids=lambda how: how.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_every_kind_is_noticed_and_named(
    state: Path, kind: str, how: Callable[[Path], None]
) -> None:
    path = next(iter(sorted(state.glob(KINDS[kind]))))
    how(path)
    assert str(path) in problems(state)


@pytest.mark.parametrize(
    "name",
    [
        f"snapshots/{run_of(2)}/identities/more.parquet",
        f"snapshots/{run_of(2)}/more.txt",
        f"analysis/{run_of(2)}/more.parquet",
        f"history/{run_of(2)}.more.parquet",
        f"reports/{run_of(2)}/more.html",
        "snapshots/20261121T020000Z/manifest.json",
        "analysis/20261121T020000Z/findings.parquet",
        "history/20261121T020000Z.parquet",
        "reports/20261121T020000Z/report.html",
        "reports/stray.csv",
    ],
)
def test_an_added_file_is_noticed(state: Path, name: str) -> None:
    path = state / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"{}")
    assert "is not in the ledger" in problems(state)


def test_a_file_replaced_by_that_of_another_night_is_noticed(state: Path) -> None:
    """Whole and well-formed, only not of this night."""
    path = state / "analysis" / run_of(3) / "summary.json"
    shutil.copy(state / "analysis" / run_of(2) / "summary.json", path)
    assert f"{path} differs from the ledger" in problems(state)


def test_a_manifest_rewritten_to_fit_a_changed_file_is_noticed(state: Path) -> None:
    folder = state / "snapshots" / run_of(2)
    path = next(folder.glob("identities/*.parquet"))
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    change(path)
    after = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace(before, after))
    assert f"{manifest} differs from the ledger" in problems(state)
    with pytest.raises(SnapshotError, match=r"manifest\.json differs from the ledger"):
        analyze(state, run_of(2), settings=AnalyzeSettings())


@pytest.mark.parametrize("folder", ["snapshots", "analysis", "reports"])
def test_a_removed_night_is_noticed(state: Path, folder: str) -> None:
    shutil.rmtree(state / folder / run_of(2))
    assert str(state / folder / run_of(2)) in problems(state)


def test_a_removed_history_is_noticed(state: Path) -> None:
    shutil.rmtree(state / "history")
    assert f"{state / 'history' / run_of(3)}.parquet is missing" in problems(state)


# The ledger itself


def lines(state: Path) -> list[bytes]:
    return (state / "ledger.jsonl").read_bytes().splitlines(keepends=True)


@pytest.mark.parametrize("place", [0, 4, -2])
def test_a_line_of_the_ledger_that_is_removed_or_moved_is_noticed(state: Path, place: int) -> None:
    kept = lines(state)
    del kept[place]
    (state / "ledger.jsonl").write_bytes(b"".join(kept))
    assert problems(state)


def test_a_line_of_the_ledger_that_is_changed_breaks_the_chain(state: Path) -> None:
    kept = lines(state)
    kept[2] = kept[2].replace(b'"base":null', b'"base":"20261121T020000Z"')
    (state / "ledger.jsonl").write_bytes(b"".join(kept))
    assert "does not follow the line before it" in problems(state)


def test_a_ledger_that_is_missing_is_an_error_that_says_what_to_do(state: Path) -> None:
    (state / "ledger.jsonl").unlink()
    assert "Restore it from a backup, or name a new folder as `state`" in problems(state)
    (state / "ledger.jsonl").touch()
    assert "Restore it from a backup" in problems(state)


def test_a_ledger_cut_back_with_all_its_files_shows_against_a_head_that_was_noted(state: Path) -> None:
    """Without the head, or a signature that was kept elsewhere, nobody could tell that a night is gone."""
    head = Ledger(state).head()
    (state / "ledger.jsonl").write_bytes(
        b"".join(line for line in lines(state) if run_of(3).encode() not in line)
    )
    for part in ("snapshots", "analysis", "reports"):
        shutil.rmtree(state / part / run_of(3))
    for path in (state / "history").glob(f"{run_of(3)}.*"):
        path.unlink()
    assert problems(state) == ""
    assert "its end was cut off" in verify_state(state, head=head).problems[0]


def test_a_ledger_whose_last_line_a_crash_cut_off_goes_on(state: Path) -> None:
    whole = (state / "ledger.jsonl").read_bytes()
    (state / "ledger.jsonl").write_bytes(whole + b'{"what":"sealed","run_id":"2026')
    assert problems(state) == ""
    discard(Ledger(state), run_of(3), on(4))
    assert problems(state) == ""
    assert (state / "ledger.jsonl").read_bytes().startswith(whole)


# What was removed in an orderly way


def test_what_prune_and_discard_removed_is_told_by_its_tombstone(state: Path) -> None:
    manifest = hashlib.sha256((state / "snapshots" / run_of(1) / "manifest.json").read_bytes()).hexdigest()
    ledger = Ledger(state)
    apply(ledger, superfluous(ledger, Retention(daily=1, monthly=0, yearly=0), force=True), on(4))
    discard(ledger, run_of(2), on(5))
    found = verify_state(state)
    assert found.problems == []
    told = "\n".join(found.lines)
    assert (
        f"{run_of(1)}: snapshot, analysis pruned on 2026-11-25 02:00 UTC; manifest sha256 {manifest}" in told
    )
    every = "snapshot, analysis, history, figures, reports"
    assert f"{run_of(2)}: {every} discarded on 2026-11-26 02:00 UTC; manifest sha256 " in told


def test_what_was_removed_and_is_there_again_is_noticed(state: Path) -> None:
    shutil.copytree(state / "snapshots" / run_of(1), state / "kept")
    discard(Ledger(state), run_of(1), on(4))
    shutil.move(state / "kept", state / "snapshots" / run_of(1))
    assert "was removed and is there again" in problems(state)


# History that is missing is an error, and not "everything is new"


@pytest.mark.parametrize("how", [change, cut, remove], ids=lambda how: how.__name__)
@pytest.mark.parametrize("name", ["", ".listings", ".identities", ".targets", ".asked"])
def test_a_night_is_not_analyzed_over_a_damaged_history(
    state: Path, name: str, how: Callable[[Path], None]
) -> None:
    how(state / "history" / f"{run_of(2)}{name}.parquet")
    with pytest.raises(SnapshotError, match=f"sprawlscan analyze --run {run_of(2)}"):
        analyze(state, run_of(3), settings=AnalyzeSettings())
    analyze(state, run_of(2), settings=AnalyzeSettings())
    analyze(state, run_of(3), settings=AnalyzeSettings())
    assert json.loads((state / "analysis" / run_of(3) / "summary.json").read_text())["findings"].keys() == {
        "open"
    }
