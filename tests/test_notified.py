"""Who must know of a new critical finding is told at least once, wherever the run that found it ended."""

from __future__ import annotations

import json
import shutil
import threading
from typing import TYPE_CHECKING, Any

import pytest

from scanner.ledger import Analyzed, Ledger, Notified
from scanner.pipeline.outcome import Exit
from scanner.verification import verify_state
from tests.checkout_nights import DANGEROUS, Checkout, run_of
from tests.test_notify import Listener

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scanner.pipeline.outcome import Outcome


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    made = Listener()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WEBHOOK", f"{made.url}/hook")
        yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def night(place: Checkout, number: int) -> Outcome:
    loaded = place.configure(
        notify={"webhook": "${env:WEBHOOK}", "webhook_threshold": "critical"},
        fail_on="new:critical",
        max_unobserved=1,
    )
    return place.night(number, loaded)


@pytest.fixture(scope="module")
def two_nights(tmp_path_factory: pytest.TempPathFactory, listener: Listener) -> Path:
    """The second night found a critical finding, and told of it."""
    place = Checkout(tmp_path_factory.mktemp("nights"))
    night(place, 1)
    place.write("open", DANGEROUS)
    assert night(place, 2).exit_code == Exit.FINDINGS
    (message,) = listener.messages()
    assert message["new"] == {"critical": 1}
    return place.folder


@pytest.fixture
def place(two_nights: Path, tmp_path: Path, listener: Listener) -> Iterator[Checkout]:
    listener.notified.clear()
    listener.status = 200
    folder = shutil.copytree(two_nights, tmp_path / "copy")
    made = Checkout(folder)
    (made.workflows / "open.yml").unlink()
    yield made
    listener.status = 200


def cut_back(place: Checkout, last: str) -> None:
    """Leave the state as a run leaves it that is killed right after this line of its ledger was written."""
    lines = (place.state / "ledger.jsonl").read_text().splitlines(keepends=True)
    mine = [number for number, line in enumerate(lines) if run_of(2) in line and f'"what":"{last}"' in line]
    (place.state / "ledger.jsonl").write_text("".join(lines[: mine[0] + 1]))
    if last in {"sealed", "analysis-begun", "analyzed"}:
        shutil.rmtree(place.state / "reports" / run_of(2))
    if last in {"sealed", "analysis-begun"}:
        shutil.rmtree(place.state / "analysis" / run_of(2))
    if last == "sealed":
        for path in (place.state / "history").glob(f"{run_of(2)}.*"):
            path.unlink()
    if last == "analysis-begun":
        (place.state / "history" / f"{run_of(2)}.targets.parquet").unlink()


def news(listener: Listener) -> list[dict[str, Any]]:
    """Return the messages about new findings."""
    return [message for message in listener.messages() if message["new"]]


def told_of(place: Checkout, number: int) -> list[str]:
    """Return the statuses in a night's report of what is critical."""
    rows = (place.state / "reports" / run_of(number) / "findings.jsonl").read_text().splitlines()
    return [row["status"] for row in map(json.loads, rows) if row["severity"] == "critical"]


@pytest.mark.parametrize("last", ["sealed", "analysis-begun", "analyzed", "reported"])
def test_the_next_run_tells_what_a_killed_one_did_not_come_to(
    place: Checkout, listener: Listener, last: str
) -> None:
    """By then the finding is gone: only the killed night saw it."""
    cut_back(place, last)
    assert verify_state(place.state).problems == []
    outcome = night(place, 3)
    (message,) = news(listener)
    assert (message["run_id"], message["new"]) == (run_of(2), {"critical": 1})
    assert outcome.exit_code == Exit.FINDINGS
    assert told_of(place, 2) == ["new"]
    assert "new" not in told_of(place, 3)
    assert verify_state(place.state).problems == []
    assert night(place, 4).exit_code == Exit.OK
    assert len(news(listener)) == 1


def test_a_night_that_was_told_is_not_told_again(place: Checkout, listener: Listener) -> None:
    assert night(place, 3).exit_code == Exit.OK
    assert news(listener) == []


def test_what_the_webhook_did_not_take_is_sent_again_with_the_same_id(
    place: Checkout, listener: Listener
) -> None:
    cut_back(place, "reported")
    listener.status = 503
    assert night(place, 3).exit_code == Exit.FINDINGS
    assert night(place, 4).exit_code == Exit.OK
    listener.status = 200
    assert night(place, 5).exit_code == Exit.OK
    messages = [message for message in listener.messages() if message["run_id"] == run_of(2)]
    assert len(messages) == 3
    assert len({message["id"] for message in messages}) == 1
    listener.notified.clear()
    night(place, 6)
    assert news(listener) == []


def test_a_run_that_is_killed_after_it_told_of_an_earlier_one_has_not_returned_its_exit_code(
    place: Checkout, listener: Listener
) -> None:
    cut_back(place, "reported")
    ledger = Ledger(place.state)
    analyzed = ledger.night(run_of(2)).analyzed
    assert isinstance(analyzed, Analyzed)
    news: dict[str, Any] = {"message": "0" * 32, "delivered": True}
    ledger.append(Notified(run_id=run_of(2), analysis=analyzed.digest, ended=False, **news))
    assert night(place, 3).exit_code == Exit.FINDINGS
    assert night(place, 4).exit_code == Exit.OK


@pytest.mark.parametrize("name", ["findings.parquet", "summary.json"])
def test_a_damaged_night_that_is_still_to_be_told_does_not_prevent_a_new_one(
    place: Checkout, listener: Listener, name: str
) -> None:
    cut_back(place, "analyzed")
    (place.state / "analysis" / run_of(2) / name).write_bytes(b"PAR1")
    assert night(place, 3).exit_code == Exit.OK
    assert (place.state / "reports" / run_of(3) / "run.json").is_file()


def test_other_news_of_one_night_have_another_id(place: Checkout, listener: Listener) -> None:
    """The night is analyzed again, and this time it finds less: nothing of it was told."""
    from scanner.analyze.steps import AnalyzeSettings, analyze

    found = [
        json.loads(line)
        for line in (place.state / "reports" / run_of(2) / "findings.jsonl").read_text().splitlines()
    ]
    others = [row["rule"] for row in found if row["severity"] == "critical"]
    analyze(place.state, run_of(2), settings=AnalyzeSettings(disabled=others))
    night(place, 3)
    assert news(listener) == []
