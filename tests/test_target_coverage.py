"""Coverage by target: a lost target counts with all its listings, and losing more never looks better."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from scanner.analyze.rule_files import load_rules
from scanner.analyze.steps import AnalysisSummary, AnalyzeSettings, analyze
from scanner.analyze.target_coverage import PlannedTarget, target_ids
from scanner.config import Settings
from scanner.ledger import Ledger
from scanner.night import open_night
from scanner.pipeline.outcome import Exit, assess_run
from scanner.records import Account, Coverage, Gap, Record
from scanner.run_coverage import seen_tonight
from scanner.snapshot import RunInfo, begin, read_manifest, seal
from scanner.target_writer import TargetWriter
from tests.sealed_night import FINGERPRINT, on, rows, run_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


RULES = load_rules()


def account(name: str, **more: Any) -> Account:
    return Account(
        id=f"p:account:{name}",
        provider="p",
        account_id=f"p:account:{name}",
        kind="p-account",
        native_id=name,
        name=f"the {name}",
        **more,
    )


def answered(target: str, call: str, items: int = 10) -> Coverage:
    return Coverage(
        id=f"p:coverage:{target}-{call}",
        provider="p",
        account_id=f"p:account:{target}",
        collector="p",
        target=target,
        table="identities",
        call=call,
        items=items,
    )


def refused(target: str, call: str, table: str = "identities", reason: Any = "denied") -> Gap:
    return Gap(
        id=f"p:gap:{target}-{call}",
        provider="p",
        account_id=f"p:account:{target}",
        collector="p",
        target=target,
        table=table,
        call=call,
        reason=reason,
        detail="no",
        needs="p:Read",
    )


def whole(target: str, listings: int = 10) -> list[Record]:
    return [account(target), *(answered(target, f"list-{number}") for number in range(listings))]


def unread(target: str) -> list[Record]:
    return [refused(target, "first", table="*")]


def night(
    state: Path,
    number: int,
    targets: dict[str, list[Record]],
    *,
    selected: bool = False,
    names: Mapping[str, str] = MappingProxyType({}),
    retired: tuple[str, ...] = (),
    disabled: tuple[str, ...] = (),
) -> AnalysisSummary:
    folder = state / "snapshots" / run_of(number)
    info = RunInfo(
        run_id=run_of(number), as_of=on(number), tool_version="test", config_digest="", selected=selected
    )
    begin(folder, info)
    for name, records in targets.items():
        writer = TargetWriter(
            folder, "p", names.get(name, name), f"p:account:{name}", fingerprint=FINGERPRINT
        )
        for record in records:
            writer.write(record)
        writer.finish(0.0)
    seal(folder, info, record=Ledger(state).sealing(info))
    others = [rule.id for rule in RULES if rule.id != "account-not-read"]
    return analyze(
        state,
        run_of(number),
        settings=AnalyzeSettings(disabled=[*others, *disabled], retired=list(retired)),
        rules=RULES,
    )


def states(state: Path, number: int) -> dict[str, tuple[str, int, int]]:
    found = rows(
        state,
        number,
        "SELECT target, state, listings_answered, listings_expected FROM target_coverage ORDER BY target",
    )
    return {row[0]: row[1:] for row in found}


def unread_findings(state: Path, number: int) -> dict[str, str]:
    found = rows(state, number, "SELECT subject, status FROM findings WHERE rule = 'account-not-read'")
    return dict(found)


def test_a_target_that_is_lost_counts_with_all_that_it_listed_before(tmp_path: Path) -> None:
    names = [f"a{number}" for number in range(10)]
    first = night(tmp_path, 1, {name: whole(name) for name in names})
    assert first.coverage.ratio == 1.0
    assert (first.coverage.complete, first.coverage.partial, first.coverage.unread) == (10, 0, 0)
    second = night(tmp_path, 2, {name: unread(name) if name in names[:4] else whole(name) for name in names})
    # 60 listings of 100 and the four first calls that were refused: not 60 of 64.
    assert second.coverage.listings_answered == 60
    assert second.coverage.listings_expected == 100
    assert second.coverage.ratio == 0.6
    assert second.coverage.unread == 4
    assert (second.coverage.items, second.coverage.items_expected) == (600, 1000)
    assert rows(
        tmp_path, 2, "SELECT DISTINCT typeof(items), typeof(items_expected) FROM target_coverage"
    ) == [("BIGINT", "BIGINT")]
    assert second.coverage.unread_targets == [f"the a{number} (p a{number})" for number in range(4)]
    assert unread_findings(tmp_path, 2) == {f"p/p:account:a{number}": "new" for number in range(4)}


@pytest.mark.parametrize("lost", [1, 3, 9, 10])
def test_losing_more_never_looks_better(tmp_path: Path, lost: int) -> None:
    names = [f"a{number}" for number in range(10)]
    night(tmp_path, 1, {name: whole(name) for name in names})
    fewer = night(
        tmp_path, 2, {name: unread(name) if name in names[: lost - 1] else whole(name) for name in names}
    )
    more = night(tmp_path, 3, {name: unread(name) if name in names[:lost] else whole(name) for name in names})
    assert more.coverage.ratio < fewer.coverage.ratio
    assert more.coverage.unread == lost


def test_what_hangs_below_a_listing_that_failed_is_lost_with_it(tmp_path: Path) -> None:
    night(tmp_path, 1, {"a": whole("a")})
    few: list[Record] = [account("a"), answered("a", "list-0"), refused("a", "list-1")]
    assert night(tmp_path, 2, {"a": few}).coverage.listings_expected == 10
    assert states(tmp_path, 2) == {"a": ("partial", 1, 10)}
    # What is gone on a night that saw everything is gone: nobody waits for it.
    third = night(tmp_path, 3, {"a": whole("a", 4)})
    assert states(tmp_path, 3) == {"a": ("complete", 4, 4)}
    assert third.coverage.ratio == 1.0


def test_a_unread_target_stays_unread_however_long_and_opens_again(tmp_path: Path) -> None:
    night(tmp_path, 1, {"a": whole("a"), "b": whole("b")})
    for number in (2, 3, 4):
        summary = night(tmp_path, number, {"a": unread("a"), "b": whole("b")})
        assert summary.coverage.ratio == 0.5
        assert states(tmp_path, number)["a"] == ("unread", 0, 10)
    (seen,) = rows(tmp_path, 4, "SELECT last_read_in, name FROM target_coverage WHERE target = 'a'")
    assert seen == (run_of(1), "the a")
    assert unread_findings(tmp_path, 4) == {"p/p:account:a": "open"}
    night(tmp_path, 5, {"a": whole("a"), "b": whole("b")})
    assert unread_findings(tmp_path, 5) == {"p/p:account:a": "resolved"}


def test_a_target_that_is_not_asked_for_any_more_is_unread(tmp_path: Path) -> None:
    night(tmp_path, 1, {"a": whole("a"), "b": whole("b")})
    summary = night(tmp_path, 2, {"a": whole("a")})
    assert states(tmp_path, 2)["b"] == ("unread", 0, 10)
    assert summary.coverage.ratio == 0.5
    # Unless the run was told so: that is no loss, and is said.
    told = night(tmp_path, 3, {"a": whole("a")}, selected=True)
    assert (told.coverage.unread, told.coverage.not_requested, told.coverage.ratio) == (0, 1, 1.0)


def test_an_account_that_the_list_above_it_has_no_more_is_gone_not_dark(tmp_path: Path) -> None:
    listing = Coverage(
        id="p:coverage:top-accounts",
        provider="p",
        account_id="p:account:top",
        collector="p",
        target="top",
        table="accounts",
        kind="p-account",
        call="list-accounts",
        items=2,
    )
    below = [account("a", parent_id="p:account:top"), *whole("a")[1:]]
    night(tmp_path, 1, {"top": [account("top"), listing], "a": below})
    gone = night(tmp_path, 2, {"top": [account("top"), listing]})
    assert states(tmp_path, 2) == {"top": ("complete", 1, 1)}
    assert gone.coverage.ratio == 1.0
    # Not when that list itself failed.
    night(tmp_path, 3, {"top": [account("top"), listing], "a": below})
    unlisted = night(tmp_path, 4, {"top": [account("top"), refused("top", "accounts", "accounts")]})
    assert states(tmp_path, 4)["a"][0] == "unread"
    assert unlisted.coverage.ratio < 0.5


def test_what_a_provider_shows_to_nobody_makes_no_account_partial(tmp_path: Path) -> None:
    records = [*whole("a"), refused("a", "oauth-apps", reason="unsupported")]
    summary = night(tmp_path, 1, {"a": records})
    assert states(tmp_path, 1) == {"a": ("complete", 10, 11)}
    assert summary.coverage.listings_never_shown == 1


def test_an_account_that_is_known_from_above_and_cannot_be_entered_is_unread(tmp_path: Path) -> None:
    known = Coverage(
        id="p:coverage:a-known",
        provider="p",
        account_id="p:account:a",
        collector="p",
        target="a",
        table="accounts",
        call="list-accounts",
        items=1,
    )
    summary = night(tmp_path, 1, {"a": [account("a"), known, *unread("a")]})
    assert states(tmp_path, 1) == {"a": ("unread", 1, 2)}
    assert (summary.coverage.unread, summary.coverage.ratio) == (1, 0.5)
    assert rows(tmp_path, 1, "SELECT last_read_in FROM target_coverage") == [(None,)]
    # What was stopped midway was seen in part.
    stopped = [*whole("a", 3), refused("a", "collect", "*", "deadline")]
    night(tmp_path, 2, {"a": stopped})
    assert states(tmp_path, 2)["a"][0] == "partial"


@pytest.mark.parametrize("disabled", [(), ("account-not-read",)])
def test_a_lost_target_is_exit_code_4_whether_or_not_a_rule_names_it(
    tmp_path: Path, disabled: tuple[str, ...]
) -> None:
    names = [f"a{number}" for number in range(10)]
    night(tmp_path, 1, {name: whole(name) for name in names}, disabled=disabled)
    settings = Settings(state=tmp_path, collectors={}, min_coverage=0, max_unobserved=1)
    for number, lost, code in ((2, 0, Exit.OK), (3, 1, Exit.COVERAGE), (4, 1, Exit.COVERAGE)):
        given = {name: unread(name) if name in names[:lost] else whole(name) for name in names}
        night(tmp_path, number, given, disabled=disabled)
        assert len(unread_findings(tmp_path, number)) == (0 if disabled else lost)
        with open_night(tmp_path, run_of(number)) as opened:
            manifest = read_manifest(opened.snapshot)
            assert assess_run(settings, manifest, [], night=opened, stopped=False).exit_code == code


def test_a_target_of_another_name_is_the_same(tmp_path: Path) -> None:
    def named(name: str, listings: int) -> list[Record]:
        return [
            msgspec.structs.replace(one, target=name) if isinstance(one, Coverage) else one
            for one in whole("a", listings)
        ]

    night(tmp_path, 1, {"a": named("acme", 10), "b": whole("b")}, names={"a": "acme"})
    summary = night(tmp_path, 2, {"a": named("acme-inc", 7), "b": whole("b")}, names={"a": "acme-inc"})
    assert states(tmp_path, 2) == {"acme-inc": ("complete", 7, 7), "b": ("complete", 10, 10)}
    assert summary.coverage.ratio == 1.0
    night(tmp_path, 3, {"b": whole("b")})
    assert states(tmp_path, 3)["acme-inc"] == ("unread", 0, 7)


def test_a_retired_target_is_not_expected(tmp_path: Path) -> None:
    night(tmp_path, 1, {"a": whole("a"), "b": whole("b")})
    night(tmp_path, 2, {"a": whole("a")})
    assert unread_findings(tmp_path, 2) == {"p/p:account:b": "new"}
    summary = night(tmp_path, 3, {"a": whole("a")}, retired=("p/b",))
    assert states(tmp_path, 3)["b"][0] == "not-requested"
    assert (summary.coverage.ratio, summary.coverage.unread, summary.coverage.not_requested) == (1.0, 0, 1)
    query = "SELECT status, out_of_scope, not_observed FROM findings WHERE rule = 'account-not-read'"
    assert rows(tmp_path, 3, query) == [("unobserved", True, "its target is retired")]
    night(tmp_path, 4, {"a": whole("a")}, retired=("p/p:account:b",))
    assert rows(tmp_path, 4, query) == []
    # What the configuration names is read, retired or not.
    night(tmp_path, 5, {"a": whole("a"), "b": whole("b")}, retired=("p/b",))
    assert states(tmp_path, 5)["b"] == ("complete", 10, 10)


def test_a_target_is_retired_by_any_name_that_it_had(tmp_path: Path) -> None:
    def called(**names: str) -> None:
        targets = {
            target: [
                msgspec.structs.replace(one, target=name) if isinstance(one, Coverage) else one
                for one in whole(target)
            ]
            for target, name in names.items()
        }
        night(tmp_path, 1 + len(list(tmp_path.glob("snapshots/*"))), targets, names=names)

    called(a="a", b="old", c="taken")
    called(a="a", b="newer", c="other")
    # Another target has an earlier name of c now: the name means that one.
    called(a="a", b="newest", d="taken")
    assert rows(tmp_path, 3, "SELECT target, earlier_targets FROM target_coverage ORDER BY target") == [
        ("a", []), ("newest", ["newer", "old"]), ("other", ["taken"]), ("taken", []),
    ]  # fmt: skip
    night(tmp_path, 4, {"a": whole("a")}, retired=("p/old", "p/taken"))
    assert {name: state[0] for name, state in states(tmp_path, 4).items()} == {
        "a": "complete", "newest": "not-requested", "other": "unread", "taken": "not-requested",
    }  # fmt: skip


def test_a_run_that_left_a_target_out_does_not_say_that_it_can_be_read_again(tmp_path: Path) -> None:
    night(tmp_path, 1, {"a": whole("a"), "b": whole("b")})
    night(tmp_path, 2, {"a": whole("a"), "b": unread("b")})
    night(tmp_path, 3, {"a": whole("a")}, selected=True)
    assert unread_findings(tmp_path, 3) == {"p/p:account:b": "unobserved"}


def test_a_target_that_was_never_read_is_not_missed_when_it_is_no_longer_named(tmp_path: Path) -> None:
    night(tmp_path, 1, {"a": whole("a"), "unknown": unread("unknown")}, names={"unknown": "section-0"})
    night(tmp_path, 2, {"a": whole("a")})
    assert states(tmp_path, 2) == {"a": ("complete", 10, 10)}


def test_targets_are_known_by_the_ids_of_their_accounts() -> None:
    given = [
        ("acme", "gh:org:1"),
        ("section-0", "gh:unknown"),
        ("section-1", "gh:unknown"),
        ("acme~1", "gh:org:1"),
    ]
    planned = [PlannedTarget(collector="gh", target=name, account_id=place) for name, place in given]
    assert target_ids(planned) == ["gh/gh:org:1", "gh/section-0", "gh/section-1", "gh/gh:org:1/acme~1"]


def test_what_a_snapshot_alone_does_not_tell_is_unknown(tmp_path: Path) -> None:
    night(tmp_path, 1, {"a": whole("a"), "b": unread("b")})
    seen = seen_tonight(read_manifest(tmp_path / "snapshots" / run_of(1)))
    assert (seen.complete, seen.unread, seen.listings_answered, seen.listings_expected) == (1, 1, 10, 11)
    assert (seen.items, seen.items_expected, seen.listings_never_shown, seen.not_requested) == (
        None,
        None,
        None,
        None,
    )
