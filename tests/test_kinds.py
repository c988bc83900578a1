"""Kinds: every one that is yielded is declared, every one that is declared is yielded, named rightly, and read."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import msgspec
import pytest

from reports.csv.sheets import SHEETS
from scanner.analyze.rule_check import check_rule
from scanner.analyze.rule_files import load_rules
from scanner.analyze.rule_kinds import named_kinds, reads_every_kind
from scanner.kinds import KIND_COLUMN, declared_by
from scanner.plugins import collector_names, declared_kinds, load_collector
from scanner.records import TABLES
from scanner.snapshot import list_sealed

if TYPE_CHECKING:
    from tests.conftest import Demo

ROOT = Path(__file__).resolve().parents[1]
RULES = {rule.id: rule for rule in load_rules()}
DEBTS = ROOT / "tests" / "data" / "kind_debts.txt"
"""Kinds that nothing reads yet, and kinds that no test yields. The list may only shrink."""


def sources(*patterns: str) -> str:
    return "\n".join(
        path.read_text()
        for pattern in patterns
        for path in sorted(ROOT.glob(pattern))
        if path != Path(__file__)
    )


def quoted(kind: str, text: str) -> bool:
    return re.search(rf"""["'/]{re.escape(kind)}["':/]""", text) is not None


@pytest.mark.parametrize("name", collector_names())
def test_a_collector_declares_the_kinds_of_tables_that_have_kinds(name: str) -> None:
    declared = declared_by(load_collector(name))
    assert declared.kinds
    assert declared.kinds.keys() <= KIND_COLUMN.keys()
    assert declared.parts.keys() <= TABLES.keys()
    for table, parts in declared.parts.items():
        assert not parts & declared.kinds.get(table, frozenset()), table
    for table, harmless in declared.hides_no_access.items():
        assert harmless <= declared.of(table), table


def test_what_the_demo_yields_is_declared(demo: Demo) -> None:
    for name in ("aws", "github", "gitlab"):
        declared = declared_by(load_collector(name))
        for table in TABLES:
            column = "kind" if table in ("coverage", "gaps") else KIND_COLUMN.get(table)
            if column is None:
                continue
            for where, kind in yielded(demo, table, column, name):
                known = declared.of(where) if table in ("coverage", "gaps") else declared.kinds[where]
                assert kind in known, f"{name} yields {where}/{kind}"


def yielded(demo: Demo, table: str, column: str, collector: str) -> set[tuple[str, str]]:
    """Return table and kind of all rows that a collector left in a table of the demo's snapshots."""
    files = [
        str(path)
        for night in list_sealed(demo.folder / "snapshots")
        for path in (night / table).glob(f"{collector}-*.parquet")
    ]
    if not files:
        return set()
    where = '"table"' if table in ("coverage", "gaps") else f"'{table}'"
    query = f"SELECT DISTINCT {where}, {column} FROM read_parquet($files) WHERE {column} IS NOT NULL"
    return set(duckdb.execute(query, {"files": files}).fetchall())


def named(kind: str, text: str) -> bool:
    return re.search(rf"""(?<![\w-]){re.escape(kind)}(?![\w-])""", text) is not None


@pytest.mark.parametrize("name", collector_names())
def test_what_is_declared_is_yielded_in_the_demo_or_expected_by_a_test(name: str, demo: Demo) -> None:
    module = name.replace("-", "_")
    expected = sources(f"tests/test_{module}*.py", f"tests/data/{module}*.txt")
    if name == "definitions":
        expected += sources("tests/test_labeled_workflows.py", "tests/data/labeled_workflows/*.yaml")
    declared = declared_by(load_collector(name)).kinds
    if name != "definitions":  # what definitions yield is tested with them
        of_definitions = load_collector("definitions").KINDS
        declared = {
            table: kinds - of_definitions.get(table, frozenset()) for table, kinds in declared.items()
        }
    untested = {
        f"{name} {table}/{kind}"
        for table, kinds in declared.items()
        for kind in kinds
        if not named(kind, expected) and (table, kind) not in yielded(demo, table, KIND_COLUMN[table], name)
    }
    debts = {line for line in listed("untested") if line.startswith(f"{name} ")}
    assert sorted(untested - debts) == [], "neither the demo nor a test of this collector yields these kinds"
    assert sorted(debts - untested) == [], (
        "these are yielded now, or declared no more: take them off the list"
    )


def listed(word: str) -> list[str]:
    """Return the debts of one sort."""
    lines = [line for line in DEBTS.read_text().splitlines() if line and not line.startswith("#")]
    assert lines == sorted(set(lines)), "sorted, and each once"
    return [line.removeprefix(f"{word} ") for line in lines if line.startswith(f"{word} ")]


def test_codes_of_weaknesses_are_declared_and_no_others() -> None:
    found = {"unresolved-reference"}
    for path in sorted((ROOT / "collectors" / "definitions").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                found |= set(_codes(node))
    assert found == load_collector("definitions").KINDS["weaknesses"]


def _codes(call: ast.Call) -> list[str]:
    match call:
        case ast.Call(func=ast.Name(id="Problem")):
            values: list[Any] = [keyword.value for keyword in call.keywords if keyword.arg == "code"]
        case ast.Call(func=ast.Attribute(attr="problem")):
            values = call.args[:1]
        case _:
            values = []
    constants = [node for value in values for node in ast.walk(value) if isinstance(node, ast.Constant)]
    return [node.value for node in constants if isinstance(node.value, str)]


@pytest.mark.parametrize(
    ("rule", "changes", "problem"),
    [
        (
            "credential-old",
            {"needs": ["credentials/acess-key"]},
            "needs names `credentials/acess-key`, which no collector yields; did you mean `access-key`?",
        ),
        (
            "deploy-key-write",
            {"query": ("'deploy-key'", "'deploy-kee'")},
            "the query names `deploy-kee`, a kind of credentials that no collector yields; did you mean `deploy-key`?",
        ),
        (
            "secrets-inherit",
            {"query": ("['secrets-inherit']", "['secrets-inherit', 'archived-uses']")},
            "the query reads `weaknesses/archived-uses`, which needs does not name",
        ),
        (
            "branch-unprotected",
            {"query": ("'branch-protection')", "'branch-protections')")},
            "`branch-protections`, a kind of controls that no collector yields; did you mean `branch-protection`?",
        ),
    ],
)
def test_a_kind_that_nobody_yields_is_refused_with_the_nearest_name(
    rule: str, changes: dict[str, Any], problem: str
) -> None:
    given = RULES[rule]
    if "query" in changes:
        before, after = changes["query"]
        changes = {"query": given.query.replace(before, after, 1)}
    found = check_rule(msgspec.structs.replace(given, **changes))
    assert any(one.endswith(problem) for one in found), found


def read_kinds() -> dict[str, set[str]]:
    """Return the kinds that a rule, the analysis or a report reads, by table.

    A table whose every row stands in an inventory, or that a rule judges whatever the kind, is read whole. Accounts
    are: every row of every report names its account.
    """
    declared = declared_kinds()
    code = sources("scanner/analyze/*.py", "reports/**/*.py", "templates/**/*.j2")
    whole = {"accounts", *(sheet.name for sheet in SHEETS)}
    whole |= {rule.subject for rule in RULES.values() if reads_every_kind(rule)}
    found = {table: set(kinds) if table in whole else set() for table, kinds in declared.kinds.items()}
    for rule in RULES.values():
        for tables, kind in named_kinds(rule.query):
            for table in tables:
                found.setdefault(table, set()).add(kind)
    for table, kinds in declared.kinds.items():
        found[table] |= {kind for kind in kinds if quoted(kind, code)}
    return found


def test_every_kind_is_read_or_stands_in_the_list_of_debts() -> None:
    debts = listed("unread")
    read = read_kinds()
    unread = {
        f"{table}/{kind}"
        for table, kinds in declared_kinds().kinds.items()
        for kind in kinds
        if kind not in read[table]
    }
    assert sorted(unread - set(debts)) == [], "no rule, metric or page reads these kinds"
    assert sorted(set(debts) - unread) == [], (
        "these are read now, or not yielded any more: take them off the list"
    )
