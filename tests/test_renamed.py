"""Nights of another schema: too old is refused with what to do, and what was only renamed is read with today's names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from scanner import renamed
from scanner.analyze.rule_files import RuleError, choose, load_rules
from scanner.document import DocumentError
from scanner.findings import Member
from scanner.parquet import sql_columns, write_table
from scanner.records import TABLES, Coverage, Gap, Grant, Identity
from scanner.renamed import read_renamed, renamed_values, todays_names
from scanner.snapshot import SCHEMA_VERSION, SnapshotError, check_history, mark_history, read_manifest
from scanner.tables import Tables
from tests.sealed_night import account, analyzed, denied, listed, on, role, rows, seal_night

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NAMES = """
values:
  - {table: identities, column: kind, was: iam-rolle, is: iam-role}
  - {table: identities, column: kind, was: o'clock, is: it's}
  - {table: grants, column: powers, was: delivery, is: change-delivery}
  - {table: gaps, column: reason, was: forbidden, is: denied}
"""


@pytest.fixture
def rename(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[], None]]:
    """Puts renamed values in the place of ours, which may be none."""

    def renaming() -> None:
        path = tmp_path / "renamed.yaml"
        path.write_text(NAMES)
        monkeypatch.setattr(renamed, "NAMES", path)
        renamed.renamed_values.cache_clear()

    yield renaming
    renamed.renamed_values.cache_clear()


@pytest.fixture
def names(rename: Callable[[], None]) -> None:
    rename()


def seen(tmp_path: Path, record: type[Any], rows: list[Any], query: str) -> list[Any]:
    write_table(tmp_path / "t.parquet", record, rows)
    tables = Tables([tmp_path])
    try:
        tables.view("t", record, [tmp_path / "t.parquet"])
        return [row[0] for row in tables.rows(query)]
    finally:
        tables.close()


@pytest.mark.usefixtures("names")
def test_kinds_and_enumeration_values_of_older_nights_have_todays_names(tmp_path: Path) -> None:
    kinds = ["iam-rolle", "iam-user", "o'clock"]
    identities = [msgspec.structs.replace(role(kind), kind=kind) for kind in kinds]
    assert seen(tmp_path, Identity, identities, "SELECT kind FROM t ORDER BY id") == [
        "iam-role",
        "iam-user",
        "it's",
    ]
    grant = Grant(
        id="g", provider="aws", account_id="a", identity_id="i", role="r", resource="*", breadth="account"
    )
    old: Any = ["admin", "delivery"]
    grants = [msgspec.structs.replace(grant, powers=old)]
    assert seen(tmp_path, Grant, grants, "SELECT powers FROM t") == [["admin", "change-delivery"]]
    refused: Any = "forbidden"
    gaps = [msgspec.structs.replace(denied("identities", kind="iam-rolle"), reason=refused)]
    assert seen(tmp_path, Gap, gaps, "SELECT kind || ' ' || reason FROM t") == ["iam-role denied"]


@pytest.mark.usefixtures("names")
def test_a_kind_is_mapped_where_it_stands_beside_the_name_of_its_table_and_nowhere_else(
    tmp_path: Path,
) -> None:
    rows = [listed("identities", kind="iam-rolle"), listed("credentials", kind="iam-rolle")]
    assert seen(tmp_path, Coverage, rows, 'SELECT kind FROM t ORDER BY "table"') == ["iam-rolle", "iam-role"]
    member = Member(
        table="identities",
        provider="aws",
        id="i",
        account_id="a",
        kind="iam-rolle",
        name="n",
        first_seen=on(1),
        last_seen="r",
    )
    assert seen(tmp_path, Member, [member], "SELECT kind FROM t") == ["iam-role"]


def test_our_own_list_is_well_formed() -> None:
    assert read_renamed(renamed.NAMES) == renamed_values()
    for name, record in TABLES.items():
        assert todays_names(name, sql_columns(record)).keys() <= sql_columns(record).keys()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{table: identity, column: kind, was: a, is: b}", "identity.kind is no column of text"),
        ("{table: identities, column: mfa, was: a, is: b}", "identities.mfa is no column of text"),
        ("{table: identities, column: kind, was: a}", "is"),
    ],
)
def test_a_list_that_names_no_column_is_refused(tmp_path: Path, line: str, problem: str) -> None:
    path = tmp_path / "renamed.yaml"
    path.write_text(f"values:\n  - {line}\n")
    with pytest.raises(DocumentError, match=problem):
        read_renamed(path)


def test_a_snapshot_of_the_first_schema_is_refused_with_what_to_do(tmp_path: Path) -> None:
    run = seal_night(tmp_path, 1, [account()])
    path = tmp_path / "snapshots" / run / "manifest.json"
    path.write_bytes(path.read_bytes().replace(b'"schema_version": 2', b'"schema_version": 1'))
    with pytest.raises(
        SnapshotError, match=r"schema version 1, .* new `state` folder .* or remove"
    ) as refused:
        read_manifest(path.parent)
    assert str(path.parent) in str(refused.value)


def test_a_history_of_the_first_schema_stops_collection_and_analysis(tmp_path: Path) -> None:
    analyzed(tmp_path, 1, [account()])
    check_history(tmp_path / "history")
    (tmp_path / "history" / "version.json").unlink()
    with pytest.raises(SnapshotError, match=r"history has schema version 1, .* new `state` folder"):
        analyzed(tmp_path, 2, [account()])
    mark_history(tmp_path / "history")
    analyzed(tmp_path, 2, [account()])


def test_a_newer_history_asks_for_an_upgrade(tmp_path: Path) -> None:
    analyzed(tmp_path, 1, [account()])
    (tmp_path / "history" / "version.json").write_text('{"schema_version": 99}')
    with pytest.raises(SnapshotError, match="upgrade sprawlscan"):
        check_history(tmp_path / "history")
    assert SCHEMA_VERSION < 99


def test_a_state_without_history_is_new(tmp_path: Path) -> None:
    check_history(tmp_path / "history")


RULE = """
title: A role of the tests
severity: low
category: stale
why: It is here. That is enough.
fix: Remove it. Then look again.
needs: [identities/{kind}]
subject: identities
{was}query: SELECT id AS subject, 'is here' AS detail FROM identities WHERE kind = '{kind}'
examples:
  - given: {{identities: [{{id: a, kind: {kind}}}, {{id: unknown}}]}}
    finds: [a]
"""


def write_rule(folder: Path, name: str, kind: str = "iam-role", was: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    for path in folder.glob("*.yaml"):
        path.unlink()
    (folder / f"{name}.yaml").write_text(RULE.format(kind=kind, was=f"was: [{was}]\n" if was else ""))
    return folder


def seen_by(state: Path, night: int, rule: str) -> list[tuple[Any, ...]]:
    return rows(
        state,
        night,
        f"SELECT id, subject, status, first_seen FROM findings WHERE rule = '{rule}' ORDER BY id",
    )


def test_findings_of_a_renamed_rule_keep_their_id_and_their_first_night(tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    night = [account(), role("a"), listed("identities")]
    analyzed(tmp_path, 1, night, custom_rules=write_rule(folder, "first-name"))
    (first,) = seen_by(tmp_path, 1, "first-name")
    assert first[2] == "new"
    analyzed(tmp_path, 2, night, custom_rules=write_rule(folder, "second-name", was="first-name"))
    assert seen_by(tmp_path, 2, "second-name") == [(*first[:2], "open", first[3])]
    analyzed(tmp_path, 3, night, custom_rules=write_rule(folder, "third-name", was="first-name, second-name"))
    assert seen_by(tmp_path, 3, "third-name") == [(*first[:2], "open", first[3])]
    assert rows(tmp_path, 3, "SELECT count(*) FROM findings WHERE rule IN ('first-name', 'second-name')") == [
        (0,)
    ]
    gone = [account(), listed("identities")]
    analyzed(tmp_path, 4, gone, custom_rules=folder)
    assert [row[2] for row in seen_by(tmp_path, 4, "third-name")] == ["resolved"]


def test_a_rule_that_only_looks_like_an_earlier_one_begins_anew(tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    night = [account(), role("a"), listed("identities")]
    analyzed(tmp_path, 1, night, custom_rules=write_rule(folder, "first-name"))
    analyzed(tmp_path, 2, night, custom_rules=write_rule(folder, "second-name"))
    assert [row[2] for row in seen_by(tmp_path, 2, "second-name")] == ["new"]
    assert [row[2] for row in seen_by(tmp_path, 2, "first-name")] == ["unobserved"]


@pytest.mark.parametrize(
    ("was", "problem"),
    [
        ("trust-open", "the id `trust-open` belongs to the rule `trust-open`"),
        ("second-name", "the id `second-name` belongs to the rule `second-name`"),
        ("Not An Id", "is no rule id"),
    ],
)
def test_an_earlier_id_belongs_to_one_rule(tmp_path: Path, was: str, problem: str) -> None:
    with pytest.raises(RuleError, match=problem):
        load_rules(write_rule(tmp_path / "rules", "second-name", was=was))


def test_two_rules_cannot_claim_one_earlier_id(tmp_path: Path) -> None:
    folder = write_rule(tmp_path / "rules", "second-name", was="first-name")
    text = (folder / "second-name.yaml").read_text()
    (folder / "third-name.yaml").write_text(text)
    with pytest.raises(RuleError, match="the id `first-name` belongs to the rule `second-name`"):
        load_rules(folder)


def test_what_names_a_rule_by_an_earlier_id_is_reported_the_new_one_and_exceptions_still_hold(
    tmp_path: Path,
) -> None:
    rules = load_rules(write_rule(tmp_path / "rules", "second-name", was="first-name"))
    with pytest.raises(RuleError, match="the rule `first-name` is called `second-name` now"):
        choose(rules, {}, ["first-name"])
    exceptions = tmp_path / "exceptions.yaml"
    exceptions.write_text(
        "exceptions:\n"
        "  - {rule: first-name, subject: aws:iam-role:a, owner: o, approver: p, reason: false-positive,\n"
        "     explanation: e, approved: 2026-11-20, expires: 2026-11-25}\n"
    )
    night = [account(), role("a"), listed("identities")]
    summary = analyzed(tmp_path, 1, night, custom_rules=tmp_path / "rules", exceptions=exceptions)
    assert [row[2] for row in seen_by(tmp_path, 1, "second-name")] == ["excepted"]
    assert summary.exceptions == {"expiring": 1}


def test_a_renamed_kind_is_the_same_listing_the_same_member_and_the_same_finding(
    tmp_path: Path, rename: Callable[[], None]
) -> None:
    folder = write_rule(tmp_path / "rules", "some-rule", kind="iam-rolle")

    def night(kind: str, *names: str) -> list[Any]:
        roles = [msgspec.structs.replace(role(name), kind=kind) for name in names]
        return [account(), *roles, listed("identities", kind=kind)]

    analyzed(tmp_path, 1, night("iam-rolle", "a", "b"), custom_rules=folder)
    assert [row[2] for row in seen_by(tmp_path, 1, "some-rule")] == ["new", "new"]
    rename()
    write_rule(folder, "some-rule", kind="iam-role")
    analyzed(tmp_path, 2, night("iam-role", "a"), custom_rules=folder)
    found = {row[1]: row[2] for row in seen_by(tmp_path, 2, "some-rule")}
    assert found == {"aws:iam-role:a": "open", "aws:iam-role:b": "resolved"}
    members = (
        "SELECT id, kind, removed_at IS NOT NULL FROM population WHERE \"table\" = 'identities' ORDER BY id"
    )
    assert rows(tmp_path, 2, members) == [
        ("aws:iam-role:a", "iam-role", False),
        ("aws:iam-role:b", "iam-role", True),
    ]
