"""The order of nights: a wrong clock neither breaks a later night nor makes everything new, and one night can be discarded."""

from __future__ import annotations

import email.utils
import json
import shutil
import time
from typing import TYPE_CHECKING

import pytest

from sandbox.kit.http import Reply
from scanner.analyze.steps import AnalyzeSettings, analyze
from scanner.collect.interrupted import ResumeError
from scanner.collect.night_order import ImplausibleTimeError, SourceClock, check_time, next_free
from scanner.config import Retention
from scanner.ledger import Ledger
from scanner.pipeline.retention import apply, discard, superfluous
from scanner.pipeline.stages import discard_night
from scanner.pipeline.state_folder import resolve_run
from scanner.snapshot import RunInfo, SnapshotError, begin, list_sealed
from tests.checkout_nights import DANGEROUS, Checkout, on, run_of
from tests.kit_source import Source, client
from tests.sealed_night import account, analyzed, everything, findings, key, role, rows, seal_night
from tests.sealed_night import on as sealed_on

if TYPE_CHECKING:
    from pathlib import Path

    from scanner.records import Record

RULE = "credential-unused"
BASE: list[Record] = [account(), role("deploy"), *everything()]


def clock(seconds_ahead: float | None) -> SourceClock:
    """Return the clock of sources that this machine is ahead of by so much."""
    made = SourceClock()
    if seconds_ahead is not None:
        made.note("api", email.utils.formatdate(time.time() - seconds_ahead, usegmt=True))
    return made


# Refused


def test_a_night_before_the_last_one_is_refused_and_says_what_to_do(tmp_path: Path) -> None:
    place = Checkout(tmp_path)
    place.night(5)
    with pytest.raises(ImplausibleTimeError, match=f"sprawlscan discard {run_of(5)}"):
        place.night(2)
    assert [path.name for path in list_sealed(place.state / "snapshots")] == [run_of(5)]
    assert Ledger(place.state).nights().keys() == {run_of(5)}


@pytest.mark.parametrize(("ahead", "word"), [(5 * 86400, "5.0 days ahead of"), (-7200, "2.0 hours behind")])
def test_a_clock_that_the_sources_contradict_seals_nothing(tmp_path: Path, ahead: int, word: str) -> None:
    with pytest.raises(ImplausibleTimeError, match=word):
        check_time(Ledger(tmp_path), on(1), clock(ahead), from_clock=True)
    check_time(Ledger(tmp_path), on(1), clock(ahead), from_clock=False)
    check_time(Ledger(tmp_path), on(1), clock(60), from_clock=True)


def test_a_clock_set_back_that_nobody_confirms_is_refused(tmp_path: Path) -> None:
    seal_night(tmp_path, 5, BASE)
    for from_clock, ahead in ((True, None), (False, 0.0)):
        with pytest.raises(ImplausibleTimeError, match="set it"):
            check_time(Ledger(tmp_path), sealed_on(2), clock(ahead), from_clock=from_clock)
    assert resolve_run(tmp_path, None) == run_of(5)


def test_an_odd_date_header_is_no_witness() -> None:
    made = SourceClock()
    for date in ("", "yesterday", "Thu, 99 Foo 2026 00:00:00 GMT"):
        made.note("api", date)
    made.note("api", None)
    assert made.seconds_ahead() is None


@pytest.mark.parametrize(
    ("answers", "ahead"),
    [
        ({"wrong": (400, 5 * 86400)}, 5 * 86400),
        ({"wrong": (400, 5 * 86400), "right": (1, 2)}, 2),
        ({"right": (1, 2), "wrong": (400, -5 * 86400)}, 2),
        ({"wrong": (900, 5 * 86400), "right": (3, 2), "another": (3, 4)}, 4),
        ({"one": (1, 5 * 86400), "two": (1, 5 * 86400), "agrees": (900, 2)}, 5 * 86400),
    ],
)
def test_each_host_is_one_witness(answers: dict[str, tuple[int, int]], ahead: int) -> None:
    made = SourceClock()
    for host, (count, seconds) in answers.items():
        for _ in range(count):
            made.note(host, email.utils.formatdate(time.time() - seconds, usegmt=True))
    assert made.seconds_ahead() == pytest.approx(ahead, abs=2)


def test_every_response_of_a_source_is_a_witness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    date = email.utils.formatdate(time.time() - 5 * 86400, usegmt=True)
    monkeypatch.setattr("http.server.BaseHTTPRequestHandler.date_time_string", lambda *_: date)
    source = Source()
    try:
        source.answers = [Reply(status=200, body=b"{}", headers={})]
        asking = client(source, tmp_path)
        asking.one("/me")
        asking.close()
    finally:
        source.close()
    ahead = asking.run.clock.seconds_ahead()
    assert ahead is not None
    assert abs(ahead - 5 * 86400) < 60


# Set aside


def test_a_night_from_the_future_is_set_aside_when_the_sources_confirm_the_clock(tmp_path: Path) -> None:
    analyzed(tmp_path, 1, [*BASE, key("A")])
    analyzed(tmp_path, 9, [*BASE, key("A"), key("B")])
    assert resolve_run(tmp_path, None) == run_of(9)
    check_time(Ledger(tmp_path), sealed_on(2), clock(1.0), from_clock=True)
    summary = analyzed(tmp_path, 2, [*BASE, key("A"), key("B")])
    assert summary.baseline == run_of(1)
    assert findings(tmp_path, 2, RULE) == {"A": "open after new", "B": "new"}
    assert resolve_run(tmp_path, None) == run_of(2)
    # Its date comes and goes: it is still neither the base nor the default.
    summary = analyzed(tmp_path, 10, [*BASE, key("A")])
    assert summary.baseline == run_of(2)
    assert resolve_run(tmp_path, None) == run_of(10)
    first_seen = f"SELECT strftime(first_seen, '%Y%m%dT%H%M%SZ') FROM findings WHERE rule = '{RULE}' AND status = 'open'"
    assert rows(tmp_path, 10, first_seen) == [(run_of(1),)]


def test_runs_that_wait_for_each_other_and_a_taken_second_are_no_wrong_clock(tmp_path: Path) -> None:
    seal_night(tmp_path, 2, BASE)
    ledger = Ledger(tmp_path)
    assert (next_free(ledger, sealed_on(2)) - sealed_on(2)).total_seconds() == 1
    assert next_free(ledger, sealed_on(1)) == sealed_on(1)
    assert next_free(ledger, sealed_on(3)) == sealed_on(3)


# Discarded


def test_a_discarded_night_leaves_a_history_as_if_it_had_not_been(tmp_path: Path) -> None:
    place = Checkout(tmp_path)
    loaded = place.configure()
    place.night(1)
    place.write("open", DANGEROUS)
    place.night(2)
    place.night(3)
    summary = place.state / "analysis" / run_of(3) / "summary.json"
    assert json.loads(summary.read_text())["baseline"] == run_of(2)
    from scanner.pipeline.inputs import read_rules

    told = discard_night(loaded.settings, run_of(2), at=on(4), rules=read_rules(loaded))
    assert told[-1] == f"analyzed {run_of(3)} again"
    after = json.loads(summary.read_text())
    assert after["baseline"] == run_of(1)
    assert after["findings"]["new"]
    assert not list(place.state.glob(f"*/{run_of(2)}*"))
    with pytest.raises(SnapshotError, match="discarded before"):
        discard(Ledger(place.state), run_of(2), on(5))
    # The night can be taken again only by a new one, and the next goes on from the last.
    outcome = place.night(4)
    assert outcome.run_id == run_of(4)
    assert sum(outcome.new.values()) == 0


def test_without_a_configuration_the_next_run_mends_what_was_compared_with_a_discarded_night(
    tmp_path: Path,
) -> None:
    place = Checkout(tmp_path)
    loaded = place.configure()
    for number in (1, 2, 3):
        place.night(number)
    told = discard_night(loaded.settings, run_of(2), at=on(4), rules=None)
    assert told[-1] == f"{run_of(3)} was compared with it; the next run analyzes it again"
    place.night(4)
    for number, base in ((3, 1), (4, 3)):
        found = json.loads((place.state / "analysis" / run_of(number) / "summary.json").read_text())
        assert found["baseline"] == run_of(base)


@pytest.mark.parametrize("run_id", ["20200101T000000Z", "../../etc", "."])
def test_a_night_that_is_not_there_cannot_be_discarded(tmp_path: Path, run_id: str) -> None:
    seal_night(tmp_path, 1, BASE)
    with pytest.raises(SnapshotError, match=r"there is no night|is no run id"):
        discard(Ledger(tmp_path), run_id, on(2))


# The base is what the analysis says


def test_a_report_names_the_run_that_its_analysis_used(tmp_path: Path) -> None:
    from scanner.night import open_night

    for number in (1, 2, 3):
        analyzed(tmp_path, number, [*BASE, key("A")])
    ledger = Ledger(tmp_path)
    seal_night(tmp_path, 4, BASE)
    apply(ledger, superfluous(ledger, Retention(daily=1, monthly=0, yearly=0), force=True), on(9))
    with open_night(tmp_path, run_of(3)) as night:
        assert night.previous_run_id == run_of(2)


def test_a_night_whose_base_was_pruned_is_not_analyzed_again_from_nothing(tmp_path: Path) -> None:
    for number in (1, 2, 3, 4, 5):
        analyzed(tmp_path, number, [*BASE, key("A")])
    ledger = Ledger(tmp_path)
    apply(ledger, superfluous(ledger, Retention(daily=9, monthly=0, yearly=0), force=True), on(9))
    with pytest.raises(SnapshotError, match=f"{run_of(2)}, whose history was pruned"):
        analyze(tmp_path, run_of(3), settings=AnalyzeSettings())
    assert analyze(tmp_path, run_of(4), settings=AnalyzeSettings()).baseline == run_of(3)


# Resumed


def test_resume_refuses_another_configuration(tmp_path: Path) -> None:
    place = Checkout(tmp_path)
    loaded = place.configure()
    begin(
        place.state / "snapshots" / run_of(1),
        RunInfo(run_id=run_of(1), as_of=on(1), tool_version="x", config_digest="another"),
    )
    with pytest.raises(ResumeError, match="another configuration"):
        place.night(2, loaded, resume=True)


def test_resume_says_how_old_the_data_are(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    place = Checkout(tmp_path)
    loaded = place.configure()
    begin(
        place.state / "snapshots" / run_of(1),
        RunInfo(run_id=run_of(1), as_of=on(1), tool_version="x", config_digest=loaded.digest),
    )
    with caplog.at_level("WARNING"):
        assert place.night(3, loaded, resume=True).run_id == run_of(1)
    (record,) = [one for one in caplog.records if "resuming" in one.message]
    assert vars(record)["hours_old"] == 48.0


def test_a_damaged_mark_of_a_finished_target_costs_that_target_alone(tmp_path: Path) -> None:
    place = Checkout(tmp_path)
    loaded = place.configure()
    folder = place.state / "snapshots" / run_of(1)
    begin(folder, RunInfo(run_id=run_of(1), as_of=on(1), tool_version="x", config_digest=loaded.digest))
    (folder / "targets").mkdir()
    (folder / "targets" / "definitions-checkout.json").touch()
    outcome = place.night(1, loaded, resume=True)
    assert outcome.coverage.ratio == 1.0


def test_a_snapshot_that_lost_its_seal_is_not_taken_for_an_interrupted_run(tmp_path: Path) -> None:
    place = Checkout(tmp_path)
    place.night(1)
    (place.state / "snapshots" / run_of(1) / "manifest.json").unlink()
    with pytest.raises(SnapshotError, match="although the night was analyzed"):
        place.night(2)
    assert (place.state / "snapshots" / run_of(1)).is_dir()
    shutil.rmtree(place.state / "snapshots" / run_of(1))


# Prune


def test_prune_keeps_what_the_last_analyzed_night_cites_when_a_newer_one_is_not_analyzed(
    tmp_path: Path,
) -> None:
    for number in (1, 2, 3):
        analyzed(tmp_path, number, [*BASE, key("A")])
    seal_night(tmp_path, 4, BASE)
    ledger = Ledger(tmp_path)
    gone = {one.run_id for one in superfluous(ledger, Retention(daily=1, monthly=0, yearly=0), force=False)}
    # First found on the first night.
    assert gone == {run_of(2)}
