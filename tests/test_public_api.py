"""What users import: `sprawlscan`, in a notebook or a script, and ``python -m sprawlscan``."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from textwrap import dedent
from typing import TYPE_CHECKING

import pandas as pd
import pytest

import sprawlscan
from scanner import __version__
from scanner.findings import RESULT_TABLES
from scanner.records import TABLES
from scanner.snapshot import run_id_of
from sprawlscan import Frames, SnapshotError, open_night, runs
from tests.synthetic_night import AS_OF, write_night

if TYPE_CHECKING:
    from pathlib import Path

EARLIER = AS_OF - timedelta(days=1)


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


def test_an_unknown_table_and_an_unknown_run_are_reported(state: Path, tmp_path: Path) -> None:
    with Frames(state) as night, pytest.raises(AttributeError, match="there are: accounts"):
        _ = night.identites
    with pytest.raises(SnapshotError, match="20200101T000000Z"):
        Frames(state, "20200101T000000Z")
    with pytest.raises(SnapshotError, match="analyzed run"):
        Frames(tmp_path / "nowhere")


def test_runs_are_listed_oldest_first_and_the_newest_is_opened(tmp_path: Path) -> None:
    state = tmp_path / "state"
    write_night(state, count=20, as_of=EARLIER, first=True)
    run_id = write_night(state, count=20)
    assert runs(state) == [run_id_of(EARLIER), run_id]
    with open_night(state) as night:
        assert night.run_id == run_id
        assert night.previous_run_id == run_id_of(EARLIER)
    with open_night(state, run_id_of(EARLIER)) as night:
        assert night.as_of == EARLIER
        assert night.previous_run_id is None
    assert runs(state / "nowhere") == []


def test_a_script_reads_rows_without_pandas(state: Path) -> None:
    code = f"""
        import sys
        from sprawlscan import open_night
        with open_night({str(state)!r}) as night:
            counted = sum(1 for _ in night.dicts("SELECT id FROM findings"))
            assert counted == night.one("SELECT count(*) FROM findings") > 0
        assert "pandas" not in sys.modules
    """
    assert _python(state, "-c", dedent(code)) == ""


def test_everything_that_is_named_is_there_and_nothing_else(state: Path) -> None:
    assert dir(sprawlscan) == sprawlscan.__all__
    assert all(getattr(sprawlscan, name) is not None for name in sprawlscan.__all__)
    with pytest.raises(AttributeError, match="frame"):
        _ = sprawlscan.frame  # type: ignore[attr-defined]


def test_a_folder_with_reports_of_the_users_own_does_no_harm(state: Path) -> None:
    (state / "reports.py").write_text("raise RuntimeError('not this one')")
    code = (
        f"from sprawlscan import Frames\nwith Frames({str(state)!r}) as night: print(len(night.findings) > 0)"
    )
    assert _python(state, "-c", code) == "True\n"


def test_the_module_is_the_command_line_and_loads_no_database_to_print_help(tmp_path: Path) -> None:
    assert _python(tmp_path, "-m", "sprawlscan", "--version") == f"{__version__}\n"
    assert "check-config" in _python(tmp_path, "-m", "sprawlscan", "--help")
    loaded = _python(
        tmp_path,
        "-c",
        "import sys, sprawlscan.__main__; print(*{'duckdb', 'pyarrow', 'msgspec'} & {*sys.modules})",
    )
    assert loaded == "\n"


def _python(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
