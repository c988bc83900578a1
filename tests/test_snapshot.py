"""What is sealed stays, what is damaged is noticed, and what goes in comes out."""

from __future__ import annotations

import math
import os
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

import msgspec
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.findings import RESULT_TABLES
from scanner.parquet import arrow_schema, read_table, sql_columns, write_table
from scanner.records import TABLES, Account, Gap, Identity, Test, Trust
from scanner.snapshot import (
    RunInfo,
    SnapshotError,
    begin,
    finished_targets,
    is_sealed,
    latest_unsealed,
    list_sealed,
    prune,
    read_manifest,
    seal,
    verify,
)
from scanner.tables import Tables
from scanner.target_writer import TargetWriter
from tests.sealed_night import FINGERPRINT

if TYPE_CHECKING:
    from pathlib import Path

NIGHT = datetime(2026, 11, 23, 2, tzinfo=UTC)
INFO = RunInfo(run_id="20261123T020000Z", as_of=NIGHT, tool_version="0", config_digest="")


def account(name: str, native: str = "1") -> Account:
    return Account(
        id=f"aws:account:{native}",
        provider="aws",
        account_id=f"aws:account:{native}",
        kind="aws-account",
        native_id=native,
        name=name,
    )


def sealed(folder: Any, records: Any, target: Any = "1") -> Any:
    begin(folder, INFO)
    writer = TargetWriter(folder, "aws", target, "aws:account:1", fingerprint=FINGERPRINT)
    for record in records:
        writer.write(record)
    writer.finish(0.1)
    return seal(folder, INFO)


def test_a_sealed_snapshot_verifies_and_counts(tmp_path: Path) -> None:
    manifest = sealed(tmp_path / "a", [account("one"), account("two", "2")])
    assert manifest.rows["accounts"] == 2
    assert verify(tmp_path / "a").rows == manifest.rows


def test_one_flipped_byte_is_noticed_and_the_file_is_named(tmp_path: Path) -> None:
    sealed(tmp_path / "a", [account("one")])
    path = tmp_path / "a" / "accounts" / "aws-1.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(bytes(data))
    with pytest.raises(SnapshotError, match=r"aws-1\.parquet differs from the manifest"):
        verify(tmp_path / "a")


def test_a_missing_file_is_noticed(tmp_path: Path) -> None:
    sealed(tmp_path / "a", [account("one")])
    (tmp_path / "a" / "accounts" / "aws-1.parquet").unlink()
    with pytest.raises(SnapshotError, match="listed in the manifest but missing"):
        verify(tmp_path / "a")


@pytest.mark.parametrize("damage", [b"", b"{", b'{"schema_version": 2}', b"\xff\xfe"])
def test_a_damaged_manifest_is_an_error_and_not_an_empty_snapshot(tmp_path: Path, damage: bytes) -> None:
    sealed(tmp_path / "a", [account("one")])
    (tmp_path / "a" / "manifest.json").write_bytes(damage)
    with pytest.raises(SnapshotError, match="damaged"):
        read_manifest(tmp_path / "a")


def test_a_newer_schema_is_refused_with_advice(tmp_path: Path) -> None:
    sealed(tmp_path / "a", [account("one")])
    path = tmp_path / "a" / "manifest.json"
    path.write_bytes(path.read_bytes().replace(b'"schema_version": 2', b'"schema_version": 99'))
    with pytest.raises(SnapshotError, match="upgrade sprawlscan"):
        read_manifest(tmp_path / "a")


def test_an_unsealed_snapshot_is_not_read(tmp_path: Path) -> None:
    begin(tmp_path / "20261123T020000Z", INFO)
    assert not is_sealed(tmp_path / "20261123T020000Z")
    assert list_sealed(tmp_path) == []
    assert latest_unsealed(tmp_path) == tmp_path / "20261123T020000Z"
    with pytest.raises(SnapshotError, match="--resume"):
        read_manifest(tmp_path / "20261123T020000Z")


def test_sealing_drops_what_an_unfinished_target_left(tmp_path: Path) -> None:
    begin(tmp_path / "a", INFO)
    done = TargetWriter(tmp_path / "a", "aws", "1", "aws:account:1", fingerprint=FINGERPRINT)
    done.write(account("one"))
    done.finish(0)
    half = tmp_path / "a" / "accounts" / "aws-2.parquet"
    half.write_bytes(b"half a file")
    manifest = seal(tmp_path / "a", INFO, ["aws/2"], partial=True)
    assert not half.exists()
    assert manifest.partial
    assert manifest.not_started == ["aws/2"]


def test_coverage_counts_gaps_against_it(tmp_path: Path) -> None:
    gap = Gap(
        id="g",
        provider="aws",
        account_id="a",
        collector="aws",
        target="1",
        table="grants",
        call="x",
        reason="denied",
        detail="no",
    )
    assert sealed(tmp_path / "a", [gap]).coverage == 0.0


def test_targets_that_differ_only_in_odd_characters_do_not_share_a_file(tmp_path: Path) -> None:
    begin(tmp_path / "a", INFO)
    for target in ("x/y", "x y", "../../etc/passwd"):
        writer = TargetWriter(tmp_path / "a", "aws", target, "a", fingerprint=FINGERPRINT)
        writer.write(account(target))
        writer.finish(0)
    assert len(list((tmp_path / "a" / "accounts").iterdir())) == 3
    assert len(finished_targets(tmp_path / "a")) == 3
    assert not (tmp_path / "etc").exists()


def test_files_are_private(tmp_path: Path) -> None:
    sealed(tmp_path / "a", [account("one")])
    for path in (tmp_path / "a").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_times_of_any_zone_are_stored_as_utc(tmp_path: Path) -> None:
    tokyo = datetime(2026, 1, 1, 9, tzinfo=timezone(timedelta(hours=9)))
    identity = Identity(
        id="i",
        provider="aws",
        account_id="a",
        surface="human",
        kind="iam-user",
        native_id="1",
        name="n",
        created_at=tokyo,
    )
    write_table(tmp_path / "t.parquet", Identity, [identity])
    assert pq.read_table(tmp_path / "t.parquet")["created_at"][0].as_py() == datetime(2026, 1, 1, 0)


def value_for(hint: Any) -> Any:
    origin = get_origin(hint)
    if origin is list:
        return st.lists(value_for(get_args(hint)[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return record_of(hint)
    if origin is not None and type(None) in get_args(hint):
        return st.none() | value_for(next(arg for arg in get_args(hint) if arg is not type(None)))
    if origin is not None:
        return st.sampled_from(get_args(hint))
    return {
        str: st.text(max_size=20),
        bool: st.booleans(),
        int: st.integers(-(2**62), 2**62),
        float: st.floats(allow_nan=False, allow_infinity=False),
        datetime: st.datetimes(datetime(1980, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),
    }[hint]


def record_of(cls: Any) -> Any:
    hints = get_type_hints(cls)
    return st.builds(cls, **{name: value_for(hints[name]) for name in cls.__struct_fields__})


def as_stored(value: Any) -> Any:
    """Return a value as Parquet gives it back: times without a zone, structs as dicts."""
    match value:
        case datetime():
            return value.replace(tzinfo=None)
        case msgspec.Struct():
            return {name: as_stored(field) for name, field in msgspec.structs.asdict(value).items()}
        case list():
            return [as_stored(item) for item in value]
        case _:
            return value


@pytest.mark.parametrize("cls", [*TABLES.values(), *RESULT_TABLES.values()], ids=lambda cls: cls.__name__)
@settings(max_examples=15)
@given(data=st.data())
def test_every_record_comes_back_as_it_went_in(
    tmp_path_factory: pytest.TempPathFactory, cls: Any, data: Any
) -> None:
    records = data.draw(st.lists(record_of(cls), max_size=3))
    path = tmp_path_factory.mktemp("t") / "x.parquet"
    write_table(path, cls, records)
    for record, row in zip(records, pq.read_table(path).to_pylist(maps_as_pydicts="lossy"), strict=True):
        for name in cls.__struct_fields__:
            expected = as_stored(getattr(record, name))
            got = row[name]
            assert got == expected or (isinstance(got, float) and math.isclose(got, expected)), name
    assert list(read_table(path, cls)) == records


def test_a_column_that_an_older_file_lacks_is_read_as_unknown(tmp_path: Path) -> None:
    import pyarrow as pa

    account_rows = {"id": ["a"], "provider": ["aws"], "account_id": ["a"], "kind": ["k"], "native_id": ["1"]}
    pq.write_table(pa.table({**account_rows, "name": ["n"], "gone": [1]}), tmp_path / "old.parquet")
    (row,) = read_table(tmp_path / "old.parquet", Account)
    assert (row.id, row.owner, row.tags) == ("a", None, {})


def test_views_have_the_columns_of_the_records_even_over_older_files(tmp_path: Path) -> None:
    import pyarrow as pa

    older = pa.table({"id": ["a"], "provider": ["aws"], "account_id": ["x"]})
    pq.write_table(older, tmp_path / "old.parquet")
    tables = Tables([tmp_path])
    try:
        tables.view("accounts", Account, [tmp_path / "old.parquet"])
        (row,) = tables.dicts("SELECT * FROM accounts")
        assert list(row) == list(sql_columns(Account))
        assert (row["id"], row["owner"], row["active"]) == ("a", None, None)
    finally:
        tables.close()


def test_nested_tests_of_a_trust_can_be_asked_for_in_sql(tmp_path: Path) -> None:
    trust = Trust(
        id="t",
        provider="aws",
        account_id="a",
        identity_id="i",
        kind="oidc",
        issuer="https://x",
        tests=[Test(claim="sub", operator="glob", values=["repo:a/*", "repo:b/*"])],
    )
    write_table(tmp_path / "t.parquet", Trust, [trust])
    tables = Tables([tmp_path])
    try:
        tables.view("trusts", Trust, [tmp_path / "t.parquet"])
        assert tables.one("SELECT len(tests[1].values) FROM trusts") == 2
    finally:
        tables.close()


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "COPY (SELECT 1) TO '/tmp/sprawlscan-escape.csv'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "ATTACH '/tmp/x.db'",
        "SET enable_external_access=true",
        "SELECT * FROM read_parquet('https://example.com/x.parquet')",
        "SELECT * FROM glob('/etc/*')",
    ],
)
def test_sql_cannot_leave_the_given_folders(tmp_path: Path, query: str) -> None:
    tables = Tables([tmp_path])
    try:
        tables.lock()
        with pytest.raises(Exception, match=r"(?i)permission|disabled|locked|not allowed|cannot"):
            list(tables.rows(query))
    finally:
        tables.close()


def runs(tmp_path: Path, *days: datetime) -> Any:
    for day in days:
        folder = tmp_path / day.strftime("%Y%m%dT%H%M%SZ")
        begin(folder, INFO)
        seal(folder, INFO)


def test_prune_keeps_days_months_years_and_what_is_cited(tmp_path: Path) -> None:
    start = datetime(2025, 1, 1, 2, tzinfo=UTC)
    runs(tmp_path, *(start + timedelta(days=number) for number in range(100)))
    gone = {path.name for path in prune(tmp_path, daily=7, monthly=3, yearly=1, cited={"20250105T020000Z"})}
    kept = {path.name[:8] for path in list_sealed(tmp_path)} - {name[:8] for name in gone}
    assert kept == {
        "20250105",
        "20250228",
        "20250331",
        "20250404",
        "20250405",
        "20250406",
        "20250407",
        "20250408",
        "20250409",
        "20250410",
    }


def test_prune_never_takes_the_newest(tmp_path: Path) -> None:
    runs(tmp_path, NIGHT)
    assert prune(tmp_path, daily=1, monthly=0, yearly=0, cited=set()) == []


def test_schema_of_every_class_has_every_field() -> None:
    for cls in (*TABLES.values(), *RESULT_TABLES.values()):
        assert arrow_schema(cls).names == list(cls.__struct_fields__)


def test_every_file_and_every_name_is_on_the_disk_before_the_seal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not flushed can be empty after a power cut, although the manifest names its hash."""
    flushed: list[tuple[int, int]] = []
    flush = os.fsync

    def seen(descriptor: int) -> None:
        found = os.fstat(descriptor)
        flushed.append((found.st_dev, found.st_ino))
        flush(descriptor)

    monkeypatch.setattr("os.fsync", seen)
    folder = tmp_path / "snapshots" / INFO.run_id
    sealed(folder, [account("production"), account("staging", "2")])
    number = {path: (path.stat().st_dev, path.stat().st_ino) for path in [folder, *folder.rglob("*")]}
    end = flushed.index(number[folder / "manifest.json"])
    held = [
        path
        for path in number
        if path.suffix == ".parquet" or (path.is_dir() and any(path.glob("*.parquet")))
    ]
    assert len(held) >= 2
    assert [str(path) for path in held if number[path] not in flushed[:end]] == []
    assert number[folder] in flushed[end:]
