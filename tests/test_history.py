"""Status over nights: nothing is resolved by a night that did not look."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from scanner.analyze.steps import AnalyzeSettings, analyze
from scanner.collect.memory import carried_forward
from scanner.snapshot import remove
from tests.sealed_night import (
    ACCOUNT,
    FIRST,
    account,
    analyzed,
    denied,
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
    from pathlib import Path

    from scanner.records import Record

RULE = "credential-unused"
BASE: list[Record] = [account(), role("deploy"), *everything()]


def test_first_night_is_new_and_has_no_baseline(tmp_path: Path) -> None:
    summary = analyzed(tmp_path, 1, [*BASE, key("A")])
    assert summary.baseline is None
    assert findings(tmp_path, 1, RULE) == {"A": "new"}


def test_open_then_resolved_then_silent_then_reopened(tmp_path: Path) -> None:
    analyzed(tmp_path, 1, [*BASE, key("A"), key("B")])
    second = analyzed(tmp_path, 2, [*BASE, key("A")])
    assert second.baseline == run_of(1)
    assert findings(tmp_path, 2, RULE) == {"A": "open after new", "B": "resolved after new"}
    assert rows(tmp_path, 2, "SELECT DISTINCT gone_in FROM findings WHERE status = 'resolved'") == [
        (run_of(2),)
    ]
    analyzed(tmp_path, 3, [*BASE, key("A")])
    assert findings(tmp_path, 3, RULE) == {"A": "open after open"}
    analyzed(tmp_path, 4, [*BASE, key("A"), key("B")])
    assert findings(tmp_path, 4, RULE) == {"A": "open after open", "B": "reopened after resolved"}
    seen = "SELECT subject_name, first_seen, changed_at FROM findings WHERE rule = 'credential-unused' ORDER BY 1"
    first, fourth = on(1).replace(tzinfo=None), on(4).replace(tzinfo=None)
    assert rows(tmp_path, 4, seen) == [("A", first, first), ("B", first, fourth)]
    analyzed(tmp_path, 5, [*BASE, key("A"), key("B")])
    assert findings(tmp_path, 5, RULE) == {"A": "open after open", "B": "open after reopened"}
    assert rows(tmp_path, 5, seen)[1] == ("B", first, fourth)


def test_what_differs_from_the_night_before_is_named(tmp_path: Path) -> None:
    def night(owner: str, **changes: Any) -> list[Record]:
        return [account(), role("deploy", owner=owner), *everything(), key("A", **changes)]

    def changed(number: int) -> list[str]:
        [(names,)] = rows(tmp_path, number, f"SELECT changed FROM findings WHERE rule = '{RULE}'")
        return list(names)

    analyzed(tmp_path, 1, night("platform"))
    analyzed(tmp_path, 2, night("platform"))
    analyzed(tmp_path, 3, night("data"))
    analyzed(tmp_path, 4, night("data", unused_days=99))
    analyzed(tmp_path, 5, night("data", unused_days=99), due_days={"medium": 5})
    analyzed(tmp_path, 6, [account(), role("deploy"), denied("credentials")], due_days={"medium": 5})
    assert [changed(number) for number in range(1, 7)] == [[], [], ["owner"], ["detail"], ["due_at"], []]


@pytest.mark.parametrize(
    ("second_night", "reason"),
    [
        pytest.param([denied("credentials")], "credentials: list: denied (needs iam:ListAccessKeys)", id="denied"),
        pytest.param([denied("*", call="collect")], "credentials: collect: denied", id="whole target"),
        pytest.param(
            [listed("credentials", call="other"), denied("credentials", kind="access-key")],
            "credentials: list: denied",
            id="the subject's kind of a rule that needs all",
        ),
        pytest.param([], "nothing that its rule needs was listed in its account", id="not requested"),
        pytest.param(
            [listed("credentials", call="other")],
            "was complete when this was last seen, and is not tonight: list",
            id="listing taken out of the configuration",
        ),
    ],
)  # fmt: skip
def test_a_night_that_did_not_look_resolves_nothing(
    tmp_path: Path, second_night: list[Record], reason: str
) -> None:
    analyzed(tmp_path, 1, [*BASE, key("A")])
    rest = [record for record in BASE if record.id != listed("credentials").id]
    analyzed(tmp_path, 2, [*rest, *second_night])
    assert findings(tmp_path, 2, RULE) == {"A": "unobserved after new"}
    [(said,)] = rows(tmp_path, 2, f"SELECT not_observed FROM findings WHERE rule = '{RULE}'")
    assert said.startswith(reason)
    # The night that looks again decides.
    analyzed(tmp_path, 3, BASE)
    assert findings(tmp_path, 3, RULE) == {"A": "resolved after unobserved"}
    assert rows(tmp_path, 3, f"SELECT not_observed FROM findings WHERE rule = '{RULE}'") == [(None,)]


def test_a_listing_that_was_carried_forward_is_the_one_that_is_read_again_later(tmp_path: Path) -> None:
    rest = [record for record in BASE if record.id != listed("credentials").id]
    carried = carried_forward(listed("credentials"), on(1))
    analyzed(tmp_path, 1, [*BASE, key("A")])
    for night in (2, 3):
        analyzed(tmp_path, night, [*rest, carried, key("A")])
        assert findings(tmp_path, night, RULE)["A"].startswith("open")
    analyzed(tmp_path, 4, BASE)
    assert findings(tmp_path, 4, RULE) == {"A": "resolved after open"}


def test_what_is_unobserved_and_seen_again_is_open_with_its_first_night(tmp_path: Path) -> None:
    analyzed(tmp_path, 1, [*BASE, key("A")])
    analyzed(tmp_path, 2, [account(), role("deploy"), denied("credentials")])
    analyzed(tmp_path, 3, [*BASE, key("A")])
    assert findings(tmp_path, 3, RULE) == {"A": "open after unobserved"}
    assert rows(tmp_path, 3, f"SELECT first_seen FROM findings WHERE rule = '{RULE}'") == [
        (on(1).replace(tzinfo=None),)
    ]


def test_another_account_without_gap_does_not_resolve_for_this_one(tmp_path: Path) -> None:
    other = "aws:account:2"
    second = [account(2), key("B", account_id=other), *everything(other)]
    analyzed(tmp_path, 1, [*BASE, key("A")], second)
    analyzed(tmp_path, 2, second)
    assert findings(tmp_path, 2, RULE) == {"A": "unobserved after new", "B": "open after new"}


def test_a_gap_of_another_kind_or_table_does_not_hold_a_finding_open(tmp_path: Path) -> None:
    analyzed(tmp_path, 1, [*BASE, key("A")])
    analyzed(tmp_path, 2, [*BASE, denied("secrets")])
    assert findings(tmp_path, 2, RULE) == {"A": "resolved after new"}


def test_what_a_provider_never_shows_does_not_hold_findings_of_other_kinds_open(tmp_path: Path) -> None:
    blind = denied("credentials", kind="oauth-app", call="OAuth apps")
    analyzed(tmp_path, 1, [*BASE, blind, key("A")])
    analyzed(tmp_path, 2, [*BASE, blind])
    assert findings(tmp_path, 2, RULE) == {"A": "resolved after new"}


def test_findings_of_a_disabled_rule_are_listed_once_and_come_back(tmp_path: Path) -> None:
    night = [*BASE, key("A")]
    analyzed(tmp_path, 1, night)
    analyzed(tmp_path, 2, night, disabled=(RULE,))
    assert findings(tmp_path, 2, RULE) == {"A": "unobserved after new"}
    analyzed(tmp_path, 3, night, disabled=(RULE,))
    assert findings(tmp_path, 3, RULE) == {}
    analyzed(tmp_path, 4, night)
    assert findings(tmp_path, 4, RULE) == {"A": "open after unobserved"}


def test_a_failing_rule_keeps_its_findings_as_errors(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    text = """\
title: Own
severity: low
category: stale
why: It is so. It is.
fix: Change it. Then look.
params: {divisor: 1}
needs: [credentials]
subject: credentials
query: SELECT id AS subject, 'x' AS detail FROM credentials WHERE (100 // $divisor)::UTINYINT > 0 AND id <> ''
examples:
  - given: {credentials: [{id: found}, {id: ""}, {id: unknown}]}
    finds: [found, unknown]
"""
    (rules / "own.yaml").write_text(text, encoding="utf-8")
    night = [*BASE, key("A")]
    analyzed(tmp_path, 1, night, custom_rules=rules)
    assert findings(tmp_path, 1, "own") == {"A": "new"}
    failed = analyzed(tmp_path, 2, night, custom_rules=rules, rule_params={"own": {"divisor": -1}})
    assert [error.split(":")[0] for error in failed.errors] == ["own"]
    assert findings(tmp_path, 2, "own") == {"A": "error after new"}
    assert findings(tmp_path, 2, RULE) == {"A": "open after new"}
    assert rows(tmp_path, 2, "SELECT DISTINCT status FROM rule_results WHERE rule = 'own'") == [("error",)]


def test_history_outlives_pruned_snapshots(tmp_path: Path) -> None:
    analyzed(tmp_path, 1, [*BASE, key("A")])
    remove(tmp_path / "snapshots" / run_of(1))
    analyzed(tmp_path, 2, [*BASE, key("A")])
    assert findings(tmp_path, 2, RULE) == {"A": "open after new"}
    assert (tmp_path / "history" / f"{run_of(1)}.metrics.json").is_file()


def test_an_earlier_run_is_compared_with_what_came_before_it(tmp_path: Path) -> None:
    analyzed(tmp_path, 1, [*BASE, key("A")])
    analyzed(tmp_path, 2, [*BASE, key("A")])
    again = analyze(tmp_path, run_of(1), settings=AnalyzeSettings())
    assert again.baseline is None
    assert findings(tmp_path, 1, RULE) == {"A": "new"}


def test_transitions_are_kept(tmp_path: Path) -> None:
    analyzed(tmp_path, 1, [*BASE, key("A")])
    analyzed(tmp_path, 2, [*BASE, key("A")])
    analyzed(tmp_path, 3, BASE)
    analyzed(tmp_path, 4, [*BASE, key("A")])
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(tmp_path / "history" / f"{run_of(4)}.parquet")
    kept = {row["rule"]: row["transitions"] for row in table.to_pylist()}
    assert kept[RULE] == [f"{run_of(1)} new", f"{run_of(3)} resolved", f"{run_of(4)} reopened"]


def test_due_dates_count_from_the_first_night(tmp_path: Path) -> None:
    analyzed(tmp_path, 1, [*BASE, key("A")])
    analyzed(tmp_path, 2, [*BASE, key("A")], due_days={"medium": 10})
    assert rows(tmp_path, 2, f"SELECT due_at FROM findings WHERE rule = '{RULE}'") == [
        ((FIRST + timedelta(days=10)).replace(tzinfo=None),)
    ]


def test_a_path_across_accounts_is_resolved_only_when_no_listing_of_it_was_lost(tmp_path: Path) -> None:
    from scanner.records import Grant, Link

    other = "aws:account:2"
    link = Link(id="l", provider="aws", account_id=ACCOUNT, source_id="aws:iam-role:deploy", relation="runs_as",
                target_id="aws:iam-role:boss")  # fmt: skip
    grant = Grant(id="g", provider="aws", account_id=other, identity_id="aws:iam-role:boss", role="Admin", resource="*",
                  breadth="account", powers=["admin"], level="admin")  # fmt: skip
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "reaches-admin.yaml").write_text(
        """\
title: Reaches admin
severity: high
category: over-scope
why: It does. It should not.
fix: Cut the path. Then look again.
needs: [identities, reach]
subject: identities
query: SELECT identity_id AS subject, 'reaches ' || power AS detail FROM reach WHERE power = 'admin' AND steps > 0
examples:
  - given:
      identities: [{id: a}, {id: unknown}]
      reach: [{identity_id: a, power: admin, steps: 1}]
    finds: [a]
""",
        encoding="utf-8",
    )
    here = [*BASE, link]
    there = [account(2), role("boss", account_id=other), grant, *everything(other)]
    first = analyzed(tmp_path, 1, here, there, custom_rules=rules)
    assert first.errors == []
    assert findings(tmp_path, 1, "reaches-admin") == {"deploy": "new"}
    blind = [account(2), role("boss", account_id=other), denied("grants", account_id=other)]
    analyzed(tmp_path, 2, here, blind, custom_rules=rules)
    assert findings(tmp_path, 2, "reaches-admin") == {"deploy": "unobserved after new"}
    status = f"SELECT status FROM rule_results WHERE rule = 'reaches-admin' AND account_id = '{ACCOUNT}'"
    assert rows(tmp_path, 2, status) == [("incomplete",)]
    analyzed(tmp_path, 3, BASE, there, custom_rules=rules)
    assert findings(tmp_path, 3, "reaches-admin") == {"deploy": "resolved after unobserved"}
