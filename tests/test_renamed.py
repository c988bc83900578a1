"""Nights of another schema: too old is refused with what to do, and what was only renamed is read with today's names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from scanner import renamed
from scanner.document import DocumentError
from scanner.findings import Member
from scanner.parquet import sql_columns, write_table
from scanner.records import TABLES, Coverage, Gap, Grant, Identity
from scanner.renamed import read_renamed, renamed_values, todays_names
from scanner.snapshot import SCHEMA_VERSION, SnapshotError, check_history, mark_history, read_manifest
from scanner.tables import Tables
from tests.sealed_night import account, analysed, denied, listed, on, role, seal_night

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES = """
values:
  - {table: identities, column: kind, was: iam-rolle, is: iam-role}
  - {table: identities, column: kind, was: o'clock, is: it's}
  - {table: grants, column: powers, was: delivery, is: change-delivery}
  - {table: gaps, column: reason, was: forbidden, is: denied}
"""


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Renamed values in the place of ours, which may be none."""
    path = tmp_path / "renamed.yaml"
    path.write_text(NAMES)
    monkeypatch.setattr(renamed, "NAMES", path)
    renamed.renamed_values.cache_clear()
    yield
    renamed.renamed_values.cache_clear()


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
    analysed(tmp_path, 1, [account()])
    check_history(tmp_path / "history")
    (tmp_path / "history" / "version.json").unlink()
    with pytest.raises(SnapshotError, match=r"history has schema version 1, .* new `state` folder"):
        analysed(tmp_path, 2, [account()])
    mark_history(tmp_path / "history")
    analysed(tmp_path, 2, [account()])


def test_a_newer_history_asks_for_an_upgrade(tmp_path: Path) -> None:
    analysed(tmp_path, 1, [account()])
    (tmp_path / "history" / "version.json").write_text('{"schema_version": 99}')
    with pytest.raises(SnapshotError, match="upgrade sprawlscan"):
        check_history(tmp_path / "history")
    assert SCHEMA_VERSION < 99


def test_a_state_without_history_is_new(tmp_path: Path) -> None:
    check_history(tmp_path / "history")
