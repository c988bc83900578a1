"""The Python interface for notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pytest

from reports.dataframes import Frames
from scanner.findings import RESULT_TABLES
from scanner.records import TABLES
from scanner.snapshot import SnapshotError
from tests.synthetic_night import write_night

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def state(tmp_path: Path) -> Path:
    write_night(tmp_path, count=60)
    return tmp_path


def test_every_table_is_a_frame_with_its_columns(state: Path) -> None:
    with Frames(state) as night:
        for name, record in {**TABLES, **RESULT_TABLES}.items():
            frame = getattr(night, name)
            assert isinstance(frame, pd.DataFrame)
            assert list(frame.columns) == list(record.__struct_fields__)


def test_times_are_times_and_unknown_is_not_a_number(state: Path) -> None:
    with Frames(state) as night:
        assert pd.api.types.is_datetime64_any_dtype(night.findings["first_seen"])
        assert night.identities["last_used_at"].isna().any()


def test_sql_takes_parameters(state: Path) -> None:
    with Frames(state) as night:
        frame = night.query("SELECT count(*) AS n FROM findings WHERE severity = $severity", severity="high")
        assert frame["n"][0] == (night.findings["severity"] == "high").sum()


def test_owners_counts_open_findings_and_names_the_missing_owner(state: Path) -> None:
    with Frames(state) as night:
        table = night.owners()
        assert "no owner" in table.index
        still_open = night.findings["status"].isin(["new", "open", "reopened"]).sum()
        assert table.to_numpy().sum() == still_open


def test_sql_cannot_leave_the_state_folder(state: Path) -> None:
    with Frames(state) as night, pytest.raises(Exception, match=r"(?i)permission"):
        night.query("SELECT * FROM read_csv('/etc/passwd')")


def test_an_unknown_table_and_an_unknown_run_are_told(state: Path, tmp_path: Path) -> None:
    with Frames(state) as night, pytest.raises(AttributeError, match="there are: accounts"):
        _ = night.identites
    with pytest.raises(SnapshotError, match="20200101T000000Z"):
        Frames(state, "20200101T000000Z")
    with pytest.raises(SnapshotError, match="analysed run"):
        Frames(tmp_path / "nowhere")
