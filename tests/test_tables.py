"""The locked-down DuckDB: every name has one definition, and rows are stored unchanged."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scanner.parquet import write_table
from scanner.records import Link
from scanner.tables import DefinedTwiceError, Tables

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[Tables]:
    made = Tables([tmp_path])
    yield made
    made.close()


def link(name: str) -> Link:
    return Link(id=name, provider="x", account_id="a", source_id="s", relation="uses", target_id="t")


def test_a_name_is_defined_once_whatever_it_names(tables: Tables, tmp_path: Path) -> None:
    tables.view("links", Link, [])
    tables.table_of("counted", "SELECT 1 AS one")
    tables.macro("twice", "n", "(2 * n)")
    with pytest.raises(DefinedTwiceError, match="links"):
        tables.view("links", Link, [])
    with pytest.raises(DefinedTwiceError, match="links"):
        tables.table_of("links", "SELECT 1")
    with pytest.raises(DefinedTwiceError, match="counted"):
        tables.view_of("counted", "SELECT 1")
    with pytest.raises(DefinedTwiceError, match="twice"):
        tables.macro("twice", "n", "(3 * n)")
    assert tables.one("SELECT twice(one) FROM counted") == 2


def test_a_name_that_was_dropped_stays_taken(tables: Tables) -> None:
    tables.table_of("counted", "SELECT 1")
    tables.drop("counted", "never-defined")
    with pytest.raises(DefinedTwiceError, match="counted"):
        tables.table_of("counted", "SELECT 2")


def test_a_view_for_later_opens_its_files_when_a_query_names_it(tables: Tables, tmp_path: Path) -> None:
    path = tmp_path / "links.parquet"
    write_table(path, Link, [link("one")])
    tables.view_later("links", Link, [path])
    tables.view_later("unasked", Link, [path])
    tables.view_later("without_files", Link, [])
    with pytest.raises(DefinedTwiceError, match="links"):
        tables.table_of("links", "SELECT 1")
    with pytest.raises(DefinedTwiceError, match="links"):
        tables.view_later("links", Link, [path])
    made = "SELECT table_name FROM information_schema.tables ORDER BY 1"
    assert list(tables.rows(made)) == [("without_files",)]
    assert tables.one("SELECT id FROM Links") == "one"
    tables.view_of("ids", 'SELECT id FROM "links"')
    assert list(tables.rows("FROM ids")) == [("one",)]
    assert not tables.is_empty("unasked")
    assert tables.is_empty("without_files")
    assert list(tables.rows(made)) == [("ids",), ("links",), ("unasked",), ("without_files",)]


def test_a_cursor_sees_the_views_for_later(tables: Tables, tmp_path: Path) -> None:
    path = tmp_path / "links.parquet"
    write_table(path, Link, [])
    tables.view_later("links", Link, [path])
    with tables.cursor() as cursor:
        assert cursor.execute("SELECT count(*) FROM links").fetchall() == [(0,)]
    assert tables.is_empty("links")


def test_few_modules_replace_a_view(tables: Tables, tmp_path: Path) -> None:
    path = tmp_path / "links.parquet"
    write_table(path, Link, [link("one")])
    tables.view("links", Link, [])
    tables.view("links", Link, [path], replace=True)
    assert list(tables.rows("SELECT id FROM links")) == [("one",)]
    callers = {
        file.name
        for file in (ROOT / "scanner").rglob("*.py")
        if any(
            keyword.arg == "replace"
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "view"
            for keyword in node.keywords
        )
    }
    assert callers == {
        "rule_check.py",
        "kept_ids.py",
        "kept_surface.py",
        "secret_credentials.py",
        "sudden_drop.py",
    }


def test_every_definition_goes_through_the_guard() -> None:
    """Else a view could be redefined behind its back."""
    statement = re.compile(r"\b(CREATE|DROP|INSERT)\s+(OR|TABLE|VIEW|MACRO|INTO)\b")
    found = {
        str(file.relative_to(ROOT))
        for file in (ROOT / "scanner").rglob("*.py")
        if statement.search(file.read_text(encoding="utf-8"))
    }
    assert found <= {"scanner/tables.py"}


def test_rows_become_a_table_as_they_are(tables: Tables) -> None:
    columns = {"name": "VARCHAR", "large": "BOOLEAN", "count": "BIGINT"}
    rows = [("a'b", True, 1), (None, None, None), ("", False, -2)]
    tables.table_of_rows("given_rows", columns, rows)
    tables.table_of_rows("no_rows", columns, [])
    assert sorted(tables.rows("FROM given_rows"), key=repr) == sorted(rows, key=repr)
    assert list(tables.rows("FROM no_rows")) == []
    assert [row[1] for row in tables.rows("DESCRIBE no_rows")] == list(columns.values())


def test_a_copy_says_how_many_rows_it_wrote(tables: Tables, tmp_path: Path) -> None:
    assert tables.copy("SELECT range AS n FROM range(7)", tmp_path / "n.parquet") == 7
    assert tables.copy("SELECT 1 AS n WHERE false", tmp_path / "none.parquet") == 0
