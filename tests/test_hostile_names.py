"""Names that command a terminal, forge a line or compute in a sheet, from the snapshot to what people read."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from reports.csv import Config, write
from scanner.analyze.explain import explain
from scanner.command.summary import diff_lines
from scanner.night import open_night
from scanner.safe_text import plain_lines
from tests.sealed_night import account, analyzed, everything, key, role, run_of

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = "=cmd|\x1b[2J\x1b]0;owned\x07</script>\u202eevil\nChange:  nothing to do\r" + "A" * 10_000


def hostile_nights(tmp_path: Path) -> None:
    night = [account(name=HOSTILE), role(HOSTILE, owner=HOSTILE, tags={"team": HOSTILE}), *everything()]
    analyzed(tmp_path, 1, [*night, key(HOSTILE[:200], identity_id=f"aws:iam-role:{HOSTILE}")])
    analyzed(tmp_path, 2, [account(name=HOSTILE), *everything()])


def test_no_name_commands_the_terminal_or_forges_a_line(tmp_path: Path) -> None:
    hostile_nights(tmp_path)
    with open_night(tmp_path, run_of(1)) as night:
        [finding] = [row[0] for row in night.rows("SELECT id FROM findings")]
    explained = explain(tmp_path, run_of(1), finding).splitlines()
    told = [*explained, *diff_lines(tmp_path, run_of(1), run_of(2))]
    assert all(line.isprintable() and len(line) < 2000 for line in told)
    assert sum(line.startswith("Change: ") for line in explained) == 1
    assert any("‹U+001B›[2J" in line for line in told)
    assert plain_lines("one\x1b[31m\ntwo") == "one‹U+001B›[31m\ntwo"


def test_no_cell_computes_or_breaks_its_row(tmp_path: Path) -> None:
    hostile_nights(tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    with open_night(tmp_path, run_of(1)) as night:
        written = [path for path in write(night, out, Config()) if path.suffix == ".csv"]
    cells = []
    for path in written:
        with path.open(encoding="utf-8", newline="") as text:
            rows = list(csv.reader(text))
        assert {len(row) for row in rows} == {len(rows[0])}
        cells += [cell for row in rows for cell in row]
    assert any("cmd|" in cell for cell in cells)
    assert not [cell for cell in cells if cell.lstrip().startswith(("=", "+", "-", "@")) or "\n" in cell]


def test_what_failed_or_is_excepted_is_not_reported_as_gone(tmp_path: Path) -> None:
    analyzed(tmp_path, 1, [account(), role("deploy"), key("A"), *everything()])
    analyzed(tmp_path, 2, [account(), role("deploy")])
    lines = diff_lines(tmp_path, run_of(1), run_of(2))
    assert not [line for line in lines if line.startswith("- ")]
    assert [line for line in lines if line.startswith("~ ") and "could not be checked" in line]
    assert lines[-1].endswith("1 could not be checked in " + run_of(2))
