"""What `make faults` tries, what it calls wrong, and how it goes on after an interruption."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.faults import attempts
from benchmarks.faults.criteria import FaultyNight, misses
from benchmarks.faults.pairs import FAULTS, FaultPair, pairs_of
from sandbox.kit.api import LoggedCall
from sandbox.kit.trial import TrialNight
from scanner.records import Account, Coverage, Gap

if TYPE_CHECKING:
    from pathlib import Path

    from scanner.records import Record


def call(name: str, opens: str) -> LoggedCall:
    return LoggedCall(
        method="GET", path="/", name=name, template=name, status=200, caller="", headers={}, opens=opens
    )


def test_each_endpoint_meets_each_fault_that_is_no_legal_answer() -> None:
    log = [call("GET /list", "["), call("GET /object", "{"), call("GET /file", "a"), call("GET /list", "[")]
    met = {
        route: {pair.fault for pair in pairs_of("", log, frozenset({"short"})) if pair.route == route}
        for route in ("GET /list", "GET /object", "GET /file")
    }
    every = {str(fault) for fault in FAULTS} - {"short"}
    assert met["GET /list"] == every - {"empty-list"}
    assert met["GET /object"] == every
    assert met["GET /file"] == every - {
        "empty-body", "empty-object", "empty-list", "null", "malformed", "deep", "surrogate",
    }  # fmt: skip
    assert len(every) >= 12


ACCOUNT = Account(
    id="a:account:1", provider="a", account_id="a:account:1", kind="k", native_id="1", name="one"
)
LISTED = Coverage(
    id="c", provider="a", account_id="a:account:1", collector="a", target="t", table="accounts", call="GET /a", items=1
)  # fmt: skip
LOST = Gap(
    id="g", provider="a", account_id="a:account:1", collector="a", target="t", table="accounts", call="GET /a",
    reason="denied", detail="no",
)  # fmt: skip
BUG = Gap(
    id="g", provider="a", account_id="a:account:1", collector="a", target="t", table="accounts", call="GET /a",
    reason="bug", detail="KeyError",
)  # fmt: skip
BEFORE = {"rule one": "open", "rule two": "open", "rule gone": "resolved"}


def sealed(*records: Record) -> TrialNight:
    return TrialNight(by_target={"t": list(records)}, asked={}, struck={}, refused=None, seconds=0)


def ended(
    night: TrialNight | None,
    findings: dict[str, str],
    *,
    exit_code: int = 0,
    traceback: str = "",
    seconds: float = 1.0,
    contacted: tuple[str, ...] = (),
) -> FaultyNight:
    return FaultyNight(
        night=night,
        exit_code=exit_code,
        findings=findings,
        traceback=traceback,
        seconds=seconds,
        contacted=list(contacted),
        struck=True,
    )


@pytest.mark.parametrize(
    ("tonight", "wrong"),
    [
        (ended(sealed(ACCOUNT, LISTED), BEFORE), set()),
        (ended(sealed(ACCOUNT, LISTED), {**BEFORE, "rule one": "resolved"}, exit_code=4), {"resolved"}),
        (ended(sealed(ACCOUNT, LISTED), {"rule two": "open"}, exit_code=4), {"resolved"}),
        (ended(sealed(ACCOUNT, LISTED), {**BEFORE, "rule three": "new"}), {"new"}),
        (ended(sealed(ACCOUNT, LISTED), {**BEFORE, "account-not-read x": "new"}), set()),
        (ended(sealed(ACCOUNT, LISTED), {**BEFORE, "rule one": "unobserved"}), {"exit"}),
        (ended(sealed(ACCOUNT, LISTED), {**BEFORE, "rule one": "unobserved"}, exit_code=4), set()),
        (ended(sealed(LOST), BEFORE), {"exit"}),
        (ended(sealed(LOST), BEFORE, exit_code=4), set()),
        (ended(sealed(LISTED), BEFORE, exit_code=4), {"reported"}),
        (ended(sealed(ACCOUNT, BUG), BEFORE), {"bug"}),
        (ended(None, {}, exit_code=2), set()),
        (ended(None, {}, exit_code=0), {"exit"}),
        (ended(None, {}, exit_code=1, traceback="Traceback"), {"ends"}),
        (ended(sealed(ACCOUNT, LISTED), BEFORE, seconds=99), {"time"}),
        (ended(sealed(ACCOUNT, LISTED), BEFORE, contacted=("GET /x",)), {"host"}),
    ],
)
def test_what_is_wrong_is_seen(tonight: FaultyNight, wrong: set[str]) -> None:
    assert set(misses("500", tonight, sealed(ACCOUNT, LISTED), BEFORE, {})) == wrong


def test_an_interrupted_run_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(attempts, "RESULTS", tmp_path)
    pair = FaultPair(variant="v", route="GET /a", fault="500")
    result = attempts.PairResult(pair=pair, met=True, misses={}, exit_code=0, seconds=1.0)
    attempts.PairResults("x").add(result)
    with (tmp_path / "faults-x.jsonl").open("ab") as file:
        file.write(b'{"pair": {"var')  # the run was killed
    assert attempts.PairResults("x").results == {pair: result}
