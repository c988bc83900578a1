"""Accepted risks: exact, for a time, for certain facts; whatever is wrong with them is itself a finding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scanner.analyze.exceptions import REASONS, problems, read_exceptions
from scanner.analyze.rule_files import load_rules
from scanner.document import DocumentError
from tests.sealed_night import account, analyzed, everything, findings, key, on, role, rows

if TYPE_CHECKING:
    from pathlib import Path

    from scanner.records import Record

RULE = "credential-unused"
NIGHT: list[Record] = [account(), role("deploy"), *everything(), key("A"), key("AB")]

ENTRY = {
    "id": "RISK-1",
    "rule": RULE,
    "subject": "aws:access-key:A",
    "owner": "payments",
    "approver": "ciso",
    "reason": "planned-removal",
    "explanation": "The ledger moves to OIDC in January.",
    "approved": "2026-11-20",
    "expires": "2027-01-15",
}


def written(tmp_path: Path, *entries: dict[str, str]) -> Path:
    path = tmp_path / "exceptions.yaml"
    lines = ["exceptions:"]
    for entry in entries:
        lines += [f"{'  - ' if number == 0 else '    '}{name}: {value}" for number, (name, value) in enumerate(entry.items())]  # fmt: skip
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def changed(**values: str | None) -> dict[str, str]:
    given: dict[str, str | None] = {**ENTRY, **values}
    return {name: value for name, value in given.items() if value is not None}


def state(tmp_path: Path, night: int = 1) -> list[tuple[str, str, int]]:
    return rows(tmp_path, night, "SELECT id, state, matched FROM exceptions ORDER BY id")


def test_an_exact_exception_covers_its_subject_and_no_neighbor(tmp_path: Path) -> None:
    analyzed(tmp_path, 1, NIGHT, exceptions=written(tmp_path, ENTRY))
    assert findings(tmp_path, 1, RULE) == {"A": "excepted", "AB": "new"}
    assert rows(tmp_path, 1, "SELECT exception_id FROM findings WHERE status = 'excepted'") == [("RISK-1",)]
    assert state(tmp_path) == [("RISK-1", "active", 1)]


@pytest.mark.parametrize(
    ("subject", "covered"),
    [
        ("'aws:access-key:A*'", {"A": "excepted", "AB": "excepted"}),
        ("'aws:access-key:A?'", {"A": "new", "AB": "excepted"}),
        ("'*key:A'", {"A": "excepted", "AB": "new"}),
        ("'access-key:A*'", {"A": "new", "AB": "new"}),
        ("'aws_access-key:A*'", {"A": "new", "AB": "new"}),
    ],
)
def test_globs_are_anchored_and_take_nothing_else_for_a_sign(
    tmp_path: Path, subject: str, covered: dict[str, str]
) -> None:
    analyzed(tmp_path, 1, NIGHT, exceptions=written(tmp_path, changed(subject=subject)))
    assert findings(tmp_path, 1, RULE) == covered


def test_a_subject_may_be_named_by_its_address(tmp_path: Path) -> None:
    night = [account(), role("deploy", owner=None), *everything()]
    entry = changed(rule="identity-without-owner", subject="arn:aws:iam::1:role/deploy")
    analyzed(tmp_path, 1, night, exceptions=written(tmp_path, entry))
    assert findings(tmp_path, 1, "identity-without-owner") == {"deploy": "excepted"}


WRONG = [
    (changed(expires="2026-11-21"), "expired", "expired on 2026-11-21; 1 findings count again"),
    (changed(subject="aws:access-key:C"), "unmatched", "no finding of credential-unused has this subject"),
    (changed(state_hash="st-0"), "void", "approve it with state_hash: "),
    (
        changed(expires="2027-01-20"),
        "malformed",
        "a medium finding may be accepted for at most 60 days, here until 2027-01-19",
    ),
    (
        changed(rule="credential-unusd"),
        "malformed",
        "rule: no rule `credential-unusd`; did you mean `credential-unused`?",
    ),
    (changed(reason="because"), "malformed", "reason: unknown reason; known: accepted-risk"),
    (changed(owner="''"), "malformed", "owner: must not be empty"),
    (changed(subject="'*'"), "malformed", "subject: must not match everything"),
    (changed(subject="'aws:*'", state_hash="st-0"), "malformed", "needs an exact subject"),
    (changed(approved="2026-12-01"), "malformed", "approved: is in the future"),
    (changed(expires="2026-11-19"), "malformed", "expires: is before the approval"),
    (changed(expires=None), "malformed", "expires: is missing; add it"),
    (changed(expires="soon"), "malformed", "expires"),
    (changed(until="2027-01-01"), "malformed", "until: unknown key"),
]


def test_what_is_wrong_covers_nothing_and_is_a_finding(tmp_path: Path) -> None:
    entries = [{**entry, "id": f"W{number:02}"} for number, (entry, _, _) in enumerate(WRONG)]
    analyzed(tmp_path, 1, NIGHT, exceptions=written(tmp_path, *entries))
    assert findings(tmp_path, 1, RULE) == {"A": "new", "AB": "new"}
    told = rows(tmp_path, 1, "SELECT state, detail FROM exceptions ORDER BY id")
    assert [verdict for verdict, _ in told] == [verdict for _, verdict, _ in WRONG]
    assert [
        detail for (_, detail), (_, _, wanted) in zip(told, WRONG, strict=True) if wanted not in detail
    ] == []
    query = """
        SELECT DISTINCT rule, account_id, provider, status FROM findings WHERE category = 'exception' ORDER BY ALL
    """
    assert rows(tmp_path, 1, query) == [
        (f"exception-{verdict}", "sprawlscan:file:exceptions", "sprawlscan", "new")
        for verdict in ("expired", "malformed", "unmatched", "void")
    ]
    subjects = "SELECT subject FROM findings WHERE category = 'exception' ORDER BY ALL"
    assert rows(tmp_path, 1, subjects) == [(entry["id"],) for entry in entries]


def test_the_end_is_announced_while_it_still_covers(tmp_path: Path) -> None:
    analyzed(tmp_path, 1, NIGHT, exceptions=written(tmp_path, changed(expires="2026-12-05")))
    assert state(tmp_path) == [("RISK-1", "expiring", 1)]
    assert findings(tmp_path, 1, RULE)["A"] == "excepted"
    assert list(findings(tmp_path, 1, "exception-expiring").values()) == ["new"]


def test_it_covers_its_last_day_and_no_longer(tmp_path: Path) -> None:
    path = written(tmp_path, changed(expires="2026-11-22"))
    analyzed(tmp_path, 1, NIGHT, exceptions=path)
    assert findings(tmp_path, 1, RULE)["A"] == "excepted"
    analyzed(tmp_path, 2, NIGHT, exceptions=path)
    assert findings(tmp_path, 2, RULE)["A"] == "open after excepted"
    assert findings(tmp_path, 2, "exception-expired") == {"credential-unused for aws:access-key:A": "new"}
    assert findings(tmp_path, 2, "exception-expiring") == {
        "credential-unused for aws:access-key:A": "resolved after new"
    }


def test_it_is_void_when_the_accepted_facts_change(tmp_path: Path) -> None:
    analyzed(tmp_path, 1, NIGHT)
    query = f"SELECT state_hash FROM findings WHERE rule = '{RULE}' AND subject_name = 'A'"
    [(accepted,)] = rows(tmp_path, 1, query)
    path = written(tmp_path, changed(state_hash=accepted))
    analyzed(tmp_path, 2, NIGHT, exceptions=path)
    assert findings(tmp_path, 2, RULE)["A"] == "excepted after new"
    used_again = [*NIGHT[:-2], key("A", unused_days=70), key("AB")]
    analyzed(tmp_path, 3, used_again, exceptions=path)
    assert findings(tmp_path, 3, RULE)["A"] == "open after excepted"
    assert state(tmp_path, 3) == [("RISK-1", "void", 1)]
    [(now,)] = rows(tmp_path, 3, query)
    assert now != accepted
    assert now in rows(tmp_path, 3, "SELECT detail FROM exceptions")[0][0]


def test_an_age_that_grows_voids_nothing(tmp_path: Path) -> None:
    analyzed(tmp_path, 1, NIGHT)
    analyzed(tmp_path, 2, NIGHT)
    query = "SELECT id, state_hash FROM findings ORDER BY id"
    assert rows(tmp_path, 1, query) == rows(tmp_path, 2, query)


def test_an_excepted_finding_that_nobody_looked_at_is_unobserved_and_matched(tmp_path: Path) -> None:
    path = written(tmp_path, ENTRY)
    analyzed(tmp_path, 1, NIGHT, exceptions=path)
    analyzed(tmp_path, 2, [account(), role("deploy")], exceptions=path)
    assert findings(tmp_path, 2, RULE) == {"A": "unobserved after excepted", "AB": "unobserved after new"}
    assert state(tmp_path, 2) == [("RISK-1", "active", 1)]


def test_exceptions_without_an_id_get_one_and_a_double_is_reported(tmp_path: Path) -> None:
    entry = changed(id=None)
    analyzed(tmp_path, 1, NIGHT, exceptions=written(tmp_path, entry, entry))
    [first, second] = state(tmp_path)
    assert first[0].startswith("exc-")
    assert first[1:] == ("active", 1)
    assert second == (f"{first[0]}#2", "malformed", 1)


def test_the_exact_one_wins_over_a_glob(tmp_path: Path) -> None:
    entries = (changed(id="WIDE", subject="'aws:*'"), ENTRY)
    analyzed(tmp_path, 1, NIGHT, exceptions=written(tmp_path, *entries))
    query = f"SELECT subject_name, exception_id FROM findings WHERE rule = '{RULE}' ORDER BY 1"
    assert rows(tmp_path, 1, query) == [("A", "RISK-1"), ("AB", "WIDE")]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("exception: []\n", "exceptions.yaml:1:1: exception: unknown key; did you mean `exceptions`?"),
        ("exceptions: {}\nx: [\n", "not valid YAML"),
        ("exceptions: yes please\n", "exceptions.yaml:1:1: exceptions: must be a list"),
        ("- rule: x\n", "must be a mapping with the keys exceptions"),
    ],
)
def test_a_file_that_cannot_be_read_ends_the_run(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "exceptions.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DocumentError) as caught:
        read_exceptions(path, [RULE], on(1))
    assert problem in str(caught.value)


def test_no_file_and_an_empty_file_accept_nothing(tmp_path: Path) -> None:
    path = tmp_path / "exceptions.yaml"
    path.write_text("", encoding="utf-8")
    assert read_exceptions(path, [RULE], on(1)) == []
    with pytest.raises(DocumentError, match="No such file"):
        read_exceptions(tmp_path / "none.yaml", [RULE], on(1))


def test_what_can_be_told_before_a_night(tmp_path: Path) -> None:
    severities = {rule.id: rule.severity for rule in load_rules()}
    path = written(tmp_path, changed(expires="2027-11-22"), changed(id="2", reason="x"), changed(id="3"))
    told = problems(read_exceptions(path, severities, on(1)), severities)
    assert [line.split("exceptions.yaml:")[1] for line in told] == [
        "2:5: longer than the 60 days allowed for its rule's severity",
        f"16:5: exceptions[1].reason: unknown reason; known: {', '.join(REASONS)}",
    ]
