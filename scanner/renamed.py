"""Names that have changed between schema versions: rows of older nights are read with current names. The names are
data, in ``renamed.yaml``. They are applied whenever Parquet files are read as a SQL table, so that rules and reports
need not handle them.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from scanner.document import DocumentError, read_document
from scanner.kinds import KIND_COLUMN
from scanner.parquet import sql_columns
from scanner.records import TABLES

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMES = Path(__file__).with_name("renamed.yaml")

KIND_OF_TABLE = {("table", "kind"), ("subject_table", "subject_kind")}
"""Pairs of columns: the first names a table, the second a kind of its records."""


class RenamedValue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One renamed value of a column."""

    table: str
    column: str
    was: str
    is_: str = msgspec.field(name="is")


class _RenamedFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    values: list[RenamedValue]


@cache
def renamed_values() -> tuple[RenamedValue, ...]:
    """Return the renamed values of ``renamed.yaml``."""
    return read_renamed(NAMES)


def read_renamed(path: Path) -> tuple[RenamedValue, ...]:
    """Return the renamed values of a file. Raises `DocumentError` for a value of a column that does not exist or is not
    text.
    """
    document = read_document(path)
    found = document.convert(document.value, _RenamedFile).values
    problems = [
        document.problem(("values", number), f"{one.table}.{one.column} is no column of text")
        for number, one in enumerate(found)
        if one.table not in TABLES
        or sql_columns(TABLES[one.table]).get(one.column) not in {"VARCHAR", "VARCHAR[]"}
    ]
    if problems:
        raise DocumentError(problems)
    return tuple(found)


def todays_names(table: str | None, columns: Mapping[str, str]) -> dict[str, str]:
    """Return the SQL expressions of columns with renamed values, by column; usually none. ``table`` is the record table
    of the rows, None for other tables; ``columns`` are the rows' SQL types by name.
    """
    given = renamed_values()
    found: dict[str, str] = {}
    for column, kind in columns.items():
        cases = [
            f"WHEN {{0}} = {_text(one.was)} THEN {_text(one.is_)}"
            for one in given
            if one.table == table and one.column == column
        ]
        for of_table, of_kind in sorted(KIND_OF_TABLE):
            if column == of_kind and of_table in columns:
                cases += [
                    f'WHEN "{of_table}" = {_text(one.table)} AND {{0}} = {_text(one.was)} THEN {_text(one.is_)}'
                    for one in given
                    if KIND_COLUMN.get(one.table) == one.column
                ]
        if cases:
            value = "CASE " + " ".join(cases) + " ELSE {0} END"
            found[column] = (
                f'list_transform("{column}", lambda name: {value.format("name")})'
                if kind == "VARCHAR[]"
                else value.format(f'"{column}"')
            )
    return found


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
