"""Runs rules: one locked-down SELECT for each rule, with its hits in one Parquet file.

Checked before a query runs: it is exactly one SELECT, it does not use the clock, randomness or files, and it returns the
mandatory columns. The connection itself rejects the rest, see `scanner.tables.Tables`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import duckdb

from scanner.analyze.rule import COLUMNS
from scanner.document import nearest
from scanner.findings import SEVERITIES

if TYPE_CHECKING:
    from pathlib import Path

    from scanner.analyze.rule import Rule
    from scanner.tables import Tables

_IMPURE = re.compile(
    r"\b(current_date|current_timestamp|current_time|localtime|localtimestamp)\b"
    r"|\b(now|today|age|get_current_timestamp|get_current_time|transaction_timestamp|random|setseed|uuid|uuidv4"
    r"|uuidv7|gen_random_uuid|nextval|currval|read_\w+|glob|sniff_csv|parquet_\w+|query|query_table|getvariable"
    r"|getenv|current_setting|duckdb_\w+|pragma_\w+|which_secret|txid_current|write_log)\s*\(",
    re.IGNORECASE,
)
_NOT_CODE = re.compile(
    r""""(?P<name>(?:[^"]|"")*)"|\b[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|\$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|\Z)|--[^\n]*|/\*.*?(?:\*/|\Z)""",
    re.DOTALL,
)
"""Strings and comments, and names in quotes, which are code: ``"now"()`` calls a function."""

_DEFAULTS = dict.fromkeys(COLUMNS[2:], "NULL::VARCHAR")


class RuleQueryError(Exception):
    """A rule's query is rejected or returns an invalid result. The message says what to change."""

    def __init__(self, message: str, *, duplicate: bool = False) -> None:
        super().__init__(message)
        self.duplicate = duplicate
        """True if a subject was returned twice, which would make ids collide."""


def plain_utc(moment: datetime) -> datetime:
    """Return a time as used in SQL: UTC without a time zone."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def arguments(rule: Rule, as_of: datetime, used: set[str]) -> dict[str, Any]:
    """Return the values of the ``$parameters`` that a query uses."""
    given: dict[str, Any] = {"as_of": plain_utc(as_of), **rule.params}
    return {name: value for name, value in given.items() if name in used}


def parameters(rule: Rule) -> set[str]:
    """Return the names of the ``$parameters`` of a query. Raises `RuleQueryError` unless it is a single pure SELECT."""
    used = set(_named_parameters(rule.query))
    unknown = sorted(used - {"as_of", *rule.params})
    if unknown:
        raise RuleQueryError(
            f"${unknown[0]} is not a parameter; {nearest(unknown[0], ['as_of', *rule.params])}"
        )
    return used


@cache
def _named_parameters(query: str) -> frozenset[str]:
    """Return the parameters of a query. A process that analyzes many nights parses it once."""
    try:
        statements = duckdb.extract_statements(query)
    except duckdb.Error as exc:
        raise RuleQueryError(f"query does not parse: {_first_line(exc)}") from None
    if len(statements) != 1 or statements[0].type.name != "SELECT":
        raise RuleQueryError("query must be exactly one SELECT")
    impure = _IMPURE.search(_NOT_CODE.sub(lambda found: found["name"] or " ", query))
    if impure is not None:
        word = impure.group(0).rstrip("( ")
        raise RuleQueryError(f"query must not use `{word}`: use $as_of, the tables and the parameters only")
    return frozenset(statements[0].named_parameters)


def columns(tables: Tables, query: str, arguments: dict[str, Any]) -> dict[str, str]:
    """Return the columns of a query and their types. Raises `RuleQueryError` if a mandatory one is missing."""
    try:
        described = list(tables.rows(f"DESCRIBE {query}", arguments))
    except duckdb.InterruptException:
        raise
    except duckdb.Error as exc:
        raise RuleQueryError(f"query is refused: {_first_line(exc)}") from None
    names = {row[0]: str(row[1]) for row in described}
    if len(names) < len(described):
        raise RuleQueryError("query gives two columns of one name")
    missing = [name for name in COLUMNS[:2] if name not in names]
    if missing:
        raise RuleQueryError(f"query gives no column `{missing[0]}`")
    return names


def write_hits(tables: Tables, rule: Rule, as_of: datetime, path: Path) -> int:
    """Run a rule and write its hits, by subject; return their number. Raises `RuleQueryError`: a broken rule never passes."""
    given = arguments(rule, as_of, parameters(rule))
    return _write(tables, rule, rule.query, given, path)


def write_few_hits(tables: Tables, rule: Rule, as_of: datetime, path: Path) -> int:
    """Like `write_hits`, but write no file without hits, which is much faster for small nights. The rows are kept in
    the table ``found_<rule>`` while they are written.
    """
    given = arguments(rule, as_of, parameters(rule))
    found = f"found_{rule.id}"
    try:
        tables.table_of(found, rule.query, given)
    except duckdb.InterruptException:
        raise
    except duckdb.Error as exc:
        raise RuleQueryError(f"query failed: {_first_line(exc)}") from None
    rows = 0 if found in tables.empty else _write(tables, rule, f'SELECT * FROM "{found}"', {}, path)
    tables.drop(found)
    return rows


def _write(tables: Tables, rule: Rule, source: str, given: dict[str, Any], path: Path) -> int:
    names = columns(tables, source, given)
    chosen = {**_DEFAULTS, **{name: f'"{name}"::VARCHAR' for name in names if name in COLUMNS}}
    evidence = ", ".join(
        f"{{'key': {_text(name)}, 'value': {_as_text(name, kind)}}}"
        for name, kind in names.items()
        if name not in COLUMNS
    )
    severities = ", ".join(_text(name) for name in SEVERITIES)
    taken = ", ".join(
        f"{sql} AS {name}" for name, sql in chosen.items() if name not in ("severity", "detail")
    )
    query = f"""
        SELECT {_text(rule.id)} AS rule, {taken},
               coalesce({chosen["detail"]}, {_text(rule.title)}) AS detail,
               CASE WHEN {chosen["severity"]} IN ({severities}) THEN {chosen["severity"]}
                    ELSE {_text(rule.severity)} END AS severity,
               {_evidence(evidence)} AS evidence
        FROM ({source}
        ) ORDER BY subject
    """
    try:
        rows = tables.copy(query, path, given)
        wrong = list(tables.rows(_WRONG.format(file=_text(str(path))))) if rows else []
    except duckdb.InterruptException:
        raise
    except duckdb.Error as exc:
        raise RuleQueryError(f"query failed: {_first_line(exc)}") from None
    for subject, times in wrong:
        path.unlink()
        if subject is None:
            raise RuleQueryError("query gives a subject that is NULL")
        raise RuleQueryError(f"query gives the subject {subject} {times} times", duplicate=True)
    return rows


_WRONG = """
    SELECT subject, count(*) FROM read_parquet({file}) GROUP BY subject
    HAVING count(*) > 1 OR subject IS NULL ORDER BY subject LIMIT 1
"""


def _as_text(name: str, kind: str) -> str:
    """Return the SQL for a column as text, with times in ISO 8601 and lists joined."""
    column = '"' + name.replace('"', '""') + '"'
    if kind.startswith("TIMESTAMP"):
        return f"strftime({column}, '%Y-%m-%dT%H:%M:%SZ')"
    if kind == "VARCHAR[]":
        return f"nullif(array_to_string({column}, ', '), '')"
    return f"{column}::VARCHAR"


def _evidence(pairs: str) -> str:
    if not pairs:
        return "MAP {}::MAP(VARCHAR, VARCHAR)"
    return f"map_from_entries(list_filter([{pairs}], lambda pair: pair.value IS NOT NULL))"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _first_line(exc: duckdb.Error) -> str:
    return str(exc).split("\n", maxsplit=1)[0][:300]
