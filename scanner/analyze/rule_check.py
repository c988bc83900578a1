"""Lints a rule and runs its examples on real tables, with the query run as in a scan."""

from __future__ import annotations

import re
import tempfile
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from scanner.analyze.completeness import define_complete
from scanner.analyze.hits import RuleQueryError, arguments, columns, parameters, write_hits
from scanner.analyze.rule import ABOUT_THE_RUN, ANALYSIS_NEEDS, Example, parse_need
from scanner.analyze.rule_absence import absent_tables
from scanner.analyze.rule_files import with_params
from scanner.analyze.rule_kinds import named_kinds, syntax_tree
from scanner.analyze.weaknesses import READS, define_weak_identities
from scanner.document import nearest
from scanner.findings import RESULT_TABLES, SEVERITIES
from scanner.parquet import write_table
from scanner.plugins import declared_kinds
from scanner.records import TABLES
from scanner.tables import Tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanner.analyze.rule import Rule

AS_OF = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
"""The time of every example."""

READABLE: dict[str, type[msgspec.Struct]] = {
    **TABLES,
    **{name: RESULT_TABLES[name] for name in (*ANALYSIS_NEEDS, *ABOUT_THE_RUN)},
}
"""The tables that a rule may read."""
_RELATIVE = re.compile(r"\A([+-])(\d+)([dh])\Z")


class ExampleError(Exception):
    """An example contains an invalid row."""


def check_rule(rule: Rule) -> list[str]:
    """Return the problems of a rule: conventions first, then its examples."""
    with _empty_tables() as (tables, folder):
        try:
            used = parameters(rule)
            columns(tables, rule.query, arguments(rule, AS_OF, used))
        except RuleQueryError as exc:
            return [str(exc)]
        problems = _lint(rule, used)
        seen: set[str] = set()
        for number, example in enumerate(rule.examples):
            label = f"example {number + 1}" + (f" ({example.name})" if example.name else "")
            try:
                problems += [f"{label}: {what}" for what in _run(rule, example, tables, folder, seen)]
            except (ExampleError, RuleQueryError) as exc:
                problems.append(f"{label}: {exc}")
    return problems + _lint_examples(rule)


def _lint(rule: Rule, used: set[str]) -> list[str]:
    problems = []
    if len(rule.title) > 80:
        problems.append(f"title has {len(rule.title)} characters; at most 80")
    for name, text in (("why", rule.why), ("fix", rule.fix)):
        sentences = len(re.findall(r"[.?!](?=\s|$)", text))
        if not 2 <= sentences <= 4:
            problems.append(f"{name} has {sentences} sentence{'s' * (sentences != 1)}; write two or three")
    problems += [
        f"parameter `{name}` is used neither in the query nor in the title"
        for name in rule.params
        if name not in used and f"{{{name}}}" not in rule.template
    ]
    needed = {need.table for need in rule.inputs if not need.everywhere} | {
        text for text in rule.needs if text in ABOUT_THE_RUN
    }
    if rule.subject not in needed:
        problems.append(f"needs does not name `{rule.subject}`, the table of the subject")
    answered = {need.table for text in rule.needs for need in parse_need(text)}
    problems += [
        f"the query reads `{table}`, which needs does not name: without it the rule's silence would prove nothing"
        for table in sorted(_tables_read(rule.query))
        if not {*(ANALYSIS_NEEDS.get(table, (table,)))} <= answered and f"{table} excluding" not in rule.needs
    ]
    return problems + _lint_absence(rule) + _lint_kinds(rule)


def _lint_absence(rule: Rule) -> list[str]:
    """Return the tables in which the query looks for what is not there, and whose failed listing would look the same."""
    if rule.absence is False:
        return []
    guarded = set(_COMPLETE.findall(rule.query))
    absent = absent_tables(rule.query) - guarded
    if rule.absence is None:
        return [
            f"the query finds subjects by what `{table}` lacks, and a listing that failed lacks everything: declare `absence: true`, "
            "or `absence: false` if a missing row cannot add a finding"
            for table in sorted(absent)
        ]
    needed = {need.table for need in rule.inputs if not need.everywhere}
    return [
        f"the query finds subjects by what `{table}` lacks: name it in needs without `everywhere`, or ask `complete(...)`"
        for table in sorted(absent - needed)
    ]


def _lint_kinds(rule: Rule) -> list[str]:
    """Return the kinds that no collector declares, and the weaknesses that the query reads but ``needs`` omits."""
    declared = declared_kinds()
    named = named_kinds(rule.query)
    problems = [
        f"needs names `{need.table}/{need.kind}`, which no collector yields; {nearest(need.kind, declared.of(need.table))}"
        for need in rule.inputs
        if need.kind is not None and need.kind not in declared.of(need.table)
    ]
    for tables, kind in sorted(named, key=lambda pair: pair[1]):
        known = {one for table in tables for one in declared.of(table)}
        if kind not in known:
            where = " and ".join(sorted(tables))
            problems.append(
                f"the query names `{kind}`, a kind of {where} that no collector yields; {nearest(kind, known)}"
            )
    needed = {need.kind for need in rule.inputs if need.table == "weaknesses"}
    problems += [
        f"the query reads `weaknesses/{kind}`, which needs does not name"
        for kind in sorted(kind for tables, kind in named if tables == {"weaknesses"})
        if needed and None not in needed and kind not in needed
    ]
    return problems


_COMPLETE = re.compile(r"\bcomplete\([^']*'([a-z_]+)'")


def _tables_read(query: str) -> set[str]:
    """Return the tables that determine which rows a query finds, not those that only describe or grade them.

    The right side of a LEFT JOIN and the outermost SELECT list do not remove rows. A table checked by ``complete`` does.
    """
    found = set(_COMPLETE.findall(query))
    for statement in syntax_tree(query):
        outermost = {key: value for key, value in statement["node"].items() if key != "select_list"}
        found |= _base_tables(outermost)
    return (found & {*TABLES, *ANALYSIS_NEEDS}) - {"coverage", "gaps"}


def _base_tables(node: Any) -> set[str]:
    if isinstance(node, list):
        return {name for item in node for name in _base_tables(item)}
    if not isinstance(node, dict):
        return set()
    if node.get("type") == "BASE_TABLE":
        return {node["table_name"]}
    if node.get("type") == "TABLE_FUNCTION" and node["function"]["function_name"] == "weak_identities":
        return set(READS)
    skipped = "right" if node.get("join_type") == "LEFT" else None
    return {name for key, value in node.items() if key != skipped for name in _base_tables(value)}


def _lint_examples(rule: Rule) -> list[str]:
    found = {subject for example in rule.examples for subject in example.finds}
    given = {
        str(row.get("id", "")) for example in rule.examples for row in example.given.get(rule.subject, [])
    }
    every = [row for example in rule.examples for rows in example.given.values() for row in rows]
    problems = []
    if not any("unknown" in str(row.get("id", "")) for row in every):
        problems.append("no example shows what is unknown: name a row `unknown` or `unknown-...`")
    if not found:
        problems.append("no example finds anything")
    if not given - found:
        problems.append(f"no example gives a row of {rule.subject} that is not found")
    return problems


def _run(rule: Rule, example: Example, tables: Tables, folder: Path, seen: set[str]) -> list[str]:
    chosen = with_params(rule, example.params)
    for name, record in READABLE.items():
        rows = [
            example_row(name, record, number, row) for number, row in enumerate(example.given.get(name, []))
        ]
        path = folder / f"{name}.parquet"
        path.unlink(missing_ok=True)
        if rows:
            write_table(path, record, rows)
        if rows or name in seen:
            tables.view(name, record, [path] if rows else [], replace=True)
        (seen.add if rows else seen.discard)(name)
    hits = _hits(chosen, tables, folder, AS_OF)
    problems = []
    if set(hits) != set(example.finds):
        problems.append(f"finds {sorted(hits)}, not {sorted(example.finds)}")
    if len(example.finds) != len(set(example.finds)):
        problems.append("names a subject twice")
    known = {row.get("id") for row in example.given.get(rule.subject, [])}
    problems += [
        f"subject {subject} is not an id of the {rule.subject} given"
        for subject in hits
        if subject not in known
    ]
    for subject, severity in example.severity.items():
        if subject in hits and hits[subject]["severity"] != severity:
            problems.append(f"{subject} has severity {hits[subject]['severity']}, not {severity}")
    for subject, hit in hits.items():
        if not hit["given_detail"]:
            problems.append(f"{subject}: detail is NULL; guard what may be unknown with coalesce")
        if hit["given_severity"] not in (None, *SEVERITIES):
            problems.append(f"{subject}: `{hit['given_severity']}` is not a severity")
        if hit["confidence"] not in (None, "high", "low"):
            problems.append(f"{subject}: confidence must be high or low, not `{hit['confidence']}`")
    later = _hits(chosen, tables, folder, AS_OF + timedelta(days=1))
    problems += [
        f"{subject}: evidence changes every night; use the time, not the age"
        for subject, hit in hits.items()
        if subject in later and later[subject]["evidence"] != hit["evidence"]
    ]
    return problems


def _hits(rule: Rule, tables: Tables, folder: Path, as_of: datetime) -> dict[str, dict[str, Any]]:
    path = folder / "hits.parquet"
    write_hits(tables, rule, as_of, path)
    # The query's own values, before the engine adds defaults.
    given = arguments(rule, as_of, parameters(rule))
    names = columns(tables, rule.query, given)
    severity = "severity::VARCHAR" if "severity" in names else "NULL"
    raw = tables.dicts(
        f"SELECT subject::VARCHAR AS subject, detail::VARCHAR AS given_detail, {severity} AS given_severity "
        f"FROM ({rule.query}\n)",
        given,
    )
    said = {row["subject"]: row for row in raw}
    written = tables.dicts(f"SELECT * FROM read_parquet('{path}')")
    return {row["subject"]: {**row, **said[row["subject"]]} for row in written}


@contextmanager
def _empty_tables() -> Iterator[tuple[Tables, Path]]:
    with tempfile.TemporaryDirectory(prefix="sprawlscan-rule-") as name:
        folder = Path(name).resolve()
        tables = Tables([folder], memory="256MB", threads=1)
        try:
            for table, record in READABLE.items():
                tables.view(table, record, [])
            define_complete(tables)
            define_weak_identities(tables)
            tables.lock()
            yield tables, folder
        finally:
            tables.close()


def example_row(
    table: str, record: type[msgspec.Struct], number: int, given: dict[str, Any]
) -> msgspec.Struct:
    """Return a row of an example as a record. Mandatory text that the row omits gets a made-up value."""
    hints = get_type_hints(record)
    row: dict[str, Any] = {}
    for field in msgspec.structs.fields(record):
        hint = hints[field.name]
        if field.name in given:
            row[field.name] = _value(hint, given[field.name])
        elif field.required:
            row[field.name] = _invented(table, field.name, number, hint)
    try:
        return msgspec.convert(row, type=record)
    except msgspec.ValidationError as exc:
        raise ExampleError(f"{table}[{number}]: {exc}") from None


def _value(hint: Any, given: Any) -> Any:
    if datetime not in (hint, *get_args(hint)) or given is None:
        return given
    if isinstance(given, str) and (match := _RELATIVE.match(given)):
        sign, count, unit = match.groups()
        length = timedelta(days=int(count)) if unit == "d" else timedelta(hours=int(count))
        return AS_OF + length if sign == "+" else AS_OF - length
    if isinstance(given, datetime):
        return given if given.tzinfo else given.replace(tzinfo=UTC)
    if isinstance(given, date):
        return datetime.combine(given, time(), tzinfo=UTC)
    raise ExampleError(f"{given!r} is not a time: write -91d, +12h or 2026-11-23")


def _invented(table: str, name: str, number: int, hint: Any) -> Any:
    if type(None) in get_args(hint):
        hint = get_args(hint)[0]
    if get_origin(hint) is Literal:
        return get_args(hint)[0]
    if hint is datetime:
        return AS_OF
    if hint in (int, float):
        return 0
    if hint is bool:
        return False
    if get_origin(hint) is list:
        return []
    if name == "provider":
        return "example"
    if name == "account_id":
        return "account"
    return f"{table}-{number}" if name == "id" else name
