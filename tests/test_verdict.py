"""What counts as new, what counts at all, and the exit code: a night that sees less never has a better verdict."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from scanner.config import Settings
from scanner.night import open_night
from scanner.pipeline.notify import message
from scanner.pipeline.outcome import Exit, Outcome, assess_run
from scanner.records import Grant, Record
from scanner.snapshot import read_manifest
from tests.sealed_night import (
    ACCOUNT,
    account,
    analyzed,
    denied,
    everything,
    findings,
    key,
    on,
    role,
    rows,
    run_of,
)

if TYPE_CHECKING:
    from pathlib import Path

RULE = "credential-unused"
BASE: list[Record] = [account(), role("deploy"), *everything()]
LESS: list[Record] = [account(), role("deploy"), *everything(without="credentials")]
BROKEN = """
title: Fails on some nights
severity: high
category: stale
why: It divides. That is all.
fix: Do not divide. Multiply.
needs: [credentials]
subject: credentials
query: SELECT id AS subject, CASE WHEN name = 'B' THEN error('broken') ELSE name END AS detail FROM credentials
examples: []
"""


def outcome(state: Path, night: int, **settings: Any) -> Outcome:
    given = Settings(state=state, collectors={}, min_coverage=0, max_unobserved=1, **settings)
    with open_night(state, run_of(night)) as opened:
        return assess_run(given, read_manifest(opened.snapshot), [], night=opened, stopped=False)


def news(state: Path, night: int, rule: str = RULE) -> dict[str, str | None]:
    query = f"SELECT subject_name, counts_as_new FROM findings WHERE rule = '{rule}' ORDER BY 1"
    return dict(rows(state, night, query))


def told(state: Path, night: int, threshold: str) -> dict[str, int]:
    with open_night(state, run_of(night)) as opened:
        text = message(opened, threshold, None)
    return {} if text is None else text["new"]


def accepted(folder: Path, **values: str) -> Path:
    given = {
        "id": "RISK-1",
        "rule": RULE,
        "subject": "aws:access-key:A",
        "owner": "payments",
        "approver": "ciso",
        "reason": "accepted-risk",
        "explanation": "For a while.",
        "approved": f"{on(0):%Y-%m-%d}",
        "expires": f"{on(2):%Y-%m-%d}",
        **values,
    }
    path = folder / "exceptions.yaml"
    lines = [
        f"{'  - ' if number == 0 else '    '}{name}: {value}"
        for number, (name, value) in enumerate(given.items())
    ]
    path.write_text("\n".join(["exceptions:", *lines, ""]), encoding="utf-8")
    return path


def admin(**more: Any) -> Grant:
    given: dict[str, Any] = {"conditional": False, **more}
    return Grant(
        id="aws:grant:1",
        provider="aws",
        account_id=ACCOUNT,
        identity_id="aws:iam-role:deploy",
        role="Admin",
        resource="*",
        breadth="account",
        powers=["admin"],
        level="admin",
        **given,
    )


def test_the_end_of_an_exception_is_news(tmp_path: Path) -> None:
    exceptions = accepted(tmp_path)
    others = ("exception-expiring", "exception-expired")
    for night in (1, 2, 3, 4):
        analyzed(tmp_path, night, [*BASE, key("A")], exceptions=exceptions, disabled=others)
    assert [findings(tmp_path, night, RULE)["A"] for night in (1, 2, 3, 4)] == [
        "excepted",
        "excepted after excepted",
        "open after excepted",
        "open after open",
    ]
    assert [news(tmp_path, night)["A"] for night in (1, 2, 3, 4)] == [None, None, "exception-ended", None]
    assert [outcome(tmp_path, night, fail_on="new:medium").exit_code for night in (2, 3, 4)] == [0, 3, 0]
    assert [told(tmp_path, night, "medium").get("medium") for night in (2, 3, 4)] == [None, 1, None]


def test_an_exception_can_end_while_nobody_looks(tmp_path: Path) -> None:
    exceptions = accepted(tmp_path)
    analyzed(tmp_path, 1, [*BASE, key("A")], exceptions=exceptions)
    for night in (2, 3):
        analyzed(tmp_path, night, [*LESS, denied("credentials")], exceptions=exceptions)
    analyzed(tmp_path, 4, [*BASE, key("A")], exceptions=exceptions)
    assert [news(tmp_path, night)["A"] for night in (1, 2, 3, 4)] == [None, None, "exception-ended", None]
    # Covered: it does not count. Not covered: it does, seen or not.
    assert [outcome(tmp_path, night, fail_on="medium").exit_code for night in (1, 2, 3, 4)] == [0, 0, 3, 3]


def test_an_exception_without_effect_is_news_too(tmp_path: Path) -> None:
    analyzed(tmp_path, 1, [*BASE, key("A")], exceptions=accepted(tmp_path))
    analyzed(tmp_path, 2, [*BASE, key("A")], exceptions=accepted(tmp_path, state_hash="st-0000000000000000"))
    assert rows(tmp_path, 2, "SELECT state FROM exceptions") == [("void",)]
    assert news(tmp_path, 2) == {"A": "exception-ended"}
    analyzed(tmp_path, 3, [*BASE, key("A")])
    assert news(tmp_path, 3) == {"A": None}


def test_a_graver_severity_is_news(tmp_path: Path) -> None:
    analyzed(tmp_path, 1, [*BASE, admin(conditional=True)])
    analyzed(tmp_path, 2, [*BASE, admin()])
    analyzed(tmp_path, 3, [*BASE, admin()])
    analyzed(tmp_path, 4, [*BASE, admin(conditional=True)])
    found = [
        rows(tmp_path, night, "SELECT severity, counts_as_new FROM findings WHERE rule = 'automation-admin'")
        for night in (1, 2, 3, 4)
    ]
    assert found == [[("medium", "new")], [("high", "severity-raised")], [("high", None)], [("medium", None)]]
    assert [outcome(tmp_path, night, fail_on="new:high").exit_code for night in (1, 2, 3)] == [0, 3, 0]


@pytest.mark.parametrize("second", [[*LESS, denied("credentials")], LESS], ids=["refused", "not requested"])
def test_seeing_less_is_no_better_verdict(tmp_path: Path, second: list[Record]) -> None:
    analyzed(tmp_path, 1, [*BASE, key("A")])
    analyzed(tmp_path, 2, second)
    assert [outcome(tmp_path, night, fail_on="medium").exit_code for night in (1, 2)] == [3, 3]
    assert outcome(tmp_path, 2, fail_on="medium").not_observed["medium"] == 1
    assert outcome(tmp_path, 2, fail_on="high").exit_code == 0


def test_a_rule_that_fails_is_no_better_verdict(tmp_path: Path) -> None:
    custom = tmp_path / "rules"
    custom.mkdir()
    (custom / "breaks.yaml").write_text(BROKEN, encoding="utf-8")
    analyzed(tmp_path, 1, [*BASE, key("A")], custom_rules=custom)
    analyzed(tmp_path, 2, [*BASE, key("B", unused_days=1)], custom_rules=custom)
    assert findings(tmp_path, 2, "breaks") == {"A": "error after new"}
    second = outcome(tmp_path, 2, fail_on="high")
    assert second.conditions == ["COVERAGE", "FINDINGS"]
    assert second.exit_code == Exit.COVERAGE
    assert second.failed_rules == 1


def test_too_many_findings_that_nobody_looked_at(tmp_path: Path) -> None:
    analyzed(tmp_path, 1, [*BASE, key("A"), role("b", owner=None)])
    analyzed(tmp_path, 2, [*LESS, denied("credentials"), role("b", owner=None)])
    assert findings(tmp_path, 2, "identity-without-owner") == {"b": "open after new"}
    given = Settings(state=tmp_path, collectors={}, min_coverage=0, max_unobserved=0.5)
    with open_night(tmp_path, run_of(2)) as opened:
        manifest = read_manifest(opened.snapshot)
        assert assess_run(given, manifest, [], night=opened, stopped=False).exit_code == Exit.OK
        stricter = given.model_copy(update={"max_unobserved": 0.4})
        assert assess_run(stricter, manifest, [], night=opened, stopped=False).exit_code == Exit.COVERAGE


def test_a_disabled_rule_is_out_of_scope_and_says_so_once(tmp_path: Path) -> None:
    analyzed(tmp_path, 1, [*BASE, key("A")])
    analyzed(tmp_path, 2, [*LESS, denied("credentials")])
    off: dict[str, Any] = {"disabled": (RULE,)}
    analyzed(tmp_path, 3, [*BASE, key("A")], **off)
    query = f"SELECT status, out_of_scope, changed, not_observed FROM findings WHERE rule = '{RULE}'"
    assert rows(tmp_path, 3, query) == [
        ("unobserved", True, ["out_of_scope"], "its rule is disabled or gone")
    ]
    assert outcome(tmp_path, 3, fail_on="medium").exit_code == 0
    analyzed(tmp_path, 4, [*BASE, key("A")], **off)
    assert rows(tmp_path, 4, query) == []
    analyzed(tmp_path, 5, BASE)
    assert findings(tmp_path, 5, RULE) == {"A": "resolved after unobserved"}


@pytest.mark.parametrize(("expires", "new"), [(2, {"medium": 1}), (30, {})])
def test_an_exception_that_lapses_while_its_rule_is_disabled_is_told_when_the_rule_is_back(
    tmp_path: Path, expires: int, new: dict[str, int]
) -> None:
    exceptions = accepted(tmp_path, expires=f"{on(expires):%Y-%m-%d}")
    for night, off in ((1, ()), (2, (RULE,)), (3, (RULE,)), (4, (RULE,)), (5, ()), (6, ())):
        analyzed(tmp_path, night, [*BASE, key("A")], exceptions=exceptions, disabled=off)
    told = {night: outcome(tmp_path, night, fail_on="new:medium") for night in (4, 5, 6)}
    assert {name: count for name, count in told[5].new.items() if count} == new
    assert [told[night].exit_code for night in (4, 5, 6)] == [0, 3 if new else 0, 0]
    reason = rows(tmp_path, 5, f"SELECT status, counts_as_new FROM findings WHERE rule = '{RULE}'")
    assert reason == [("open", "exception-ended") if new else ("excepted", None)]


def test_an_exception_of_a_disabled_rule_sleeps(tmp_path: Path) -> None:
    exceptions = accepted(tmp_path, expires=f"{on(30):%Y-%m-%d}")
    analyzed(tmp_path, 1, [*BASE, key("A")], exceptions=exceptions)
    for night in (2, 3):
        analyzed(tmp_path, night, [*BASE, key("A")], exceptions=exceptions, disabled=(RULE,))
    assert rows(tmp_path, 3, "SELECT state, detail FROM exceptions") == [
        ("dormant", f"no finding of {RULE} has this subject; its rule is disabled")
    ]
    analyzed(tmp_path, 4, [*BASE, key("A")], exceptions=exceptions)
    assert findings(tmp_path, 4, RULE) == {"A": "excepted after unobserved"}


def test_an_exception_for_what_could_not_be_looked_at_sleeps(tmp_path: Path) -> None:
    exceptions = accepted(tmp_path, expires=f"{on(30):%Y-%m-%d}")
    analyzed(tmp_path, 1, [*LESS, denied("credentials")], exceptions=exceptions)
    [(state, why)] = rows(tmp_path, 1, "SELECT state, detail FROM exceptions")
    assert state == "dormant"
    assert "could not look everywhere: list: denied" in why
    analyzed(tmp_path, 2, BASE, exceptions=exceptions)
    assert rows(tmp_path, 2, "SELECT state FROM exceptions") == [("unmatched",)]


def test_a_glob_goes_on_covering_what_did_not_grow(tmp_path: Path) -> None:
    exceptions = accepted(
        tmp_path, rule="automation-admin", subject="'aws:grant:*'", expires=f"{on(50):%Y-%m-%d}"
    )
    two = msgspec.structs.replace(admin(conditional=True), id="aws:grant:2")
    analyzed(tmp_path, 1, [*BASE, admin(conditional=True), two], exceptions=exceptions)
    analyzed(tmp_path, 2, [*BASE, admin(), two], exceptions=exceptions)
    query = "SELECT subject, status, counts_as_new FROM findings WHERE rule = 'automation-admin' ORDER BY 1"
    assert rows(tmp_path, 2, query) == [
        ("aws:grant:1", "open", "exception-ended"),
        ("aws:grant:2", "excepted", None),
    ]
    [(state, matched, detail)] = rows(tmp_path, 2, "SELECT state, matched, detail FROM exceptions")
    assert (state, matched) == ("active", 1)
    assert detail.startswith(
        "1 of 2 findings are not accepted: a high finding may be accepted for at most 30 days"
    )


def test_a_comment_in_the_exceptions_changes_no_finding(tmp_path: Path) -> None:
    exceptions = accepted(tmp_path, subject="aws:access-key:NOBODY", expires=f"{on(30):%Y-%m-%d}")
    analyzed(tmp_path, 1, BASE, exceptions=exceptions)
    exceptions.write_text("# A comment.\n" + exceptions.read_text(encoding="utf-8"), encoding="utf-8")
    analyzed(tmp_path, 2, BASE, exceptions=exceptions)
    assert rows(tmp_path, 2, "SELECT status, changed FROM findings WHERE rule = 'exception-unmatched'") == [
        ("open", [])
    ]


def test_the_clock_of_a_reopened_finding_starts_again(tmp_path: Path) -> None:
    due: dict[str, Any] = {"due_days": {"medium": 3}}
    analyzed(tmp_path, 1, [*BASE, key("A")], **due)
    analyzed(tmp_path, 2, BASE, **due)
    analyzed(tmp_path, 5, [*BASE, key("A")], **due)
    analyzed(tmp_path, 6, [*LESS, denied("credentials")], **due)
    analyzed(tmp_path, 7, [*BASE, key("A")], **due)
    query = f"SELECT status, first_seen, open_since, due_at FROM findings WHERE rule = '{RULE}'"
    first, again = on(1).replace(tzinfo=None), on(5).replace(tzinfo=None)
    for night, status in ((5, "reopened"), (7, "open")):
        assert rows(tmp_path, night, query) == [(status, first, again, again + timedelta(days=3))]


def test_what_a_changed_rule_no_longer_finds_was_not_fixed(tmp_path: Path) -> None:
    analyzed(tmp_path, 1, [*BASE, key("A", unused_days=100)])
    analyzed(tmp_path, 2, [*BASE, key("A", unused_days=100)], rule_params={RULE: {"days": 200}})
    assert rows(tmp_path, 2, f"SELECT status, changed FROM findings WHERE rule = '{RULE}'") == [
        ("resolved", ["rule_version"])
    ]
