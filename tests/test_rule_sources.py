"""A rule about what a night lacks need not run: proven by running it all the same."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from scanner.analyze.completeness import define_complete
from scanner.analyze.hits import write_hits
from scanner.analyze.rule_check import READABLE, example_row
from scanner.analyze.rule_files import load_rules
from scanner.analyze.rule_sources import Source, finds_nothing, present_in, sources_of
from scanner.analyze.steps import AnalyzeSettings, analyze
from scanner.analyze.weaknesses import define_weak_identities
from scanner.kinds import KIND_COLUMN
from scanner.parquet import write_table
from scanner.records import Coverage
from scanner.tables import Tables
from tests.sealed_night import account, denied, everything, key, role, rows, run_of, seal_night

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanner.analyze.rule import Rule

RULES = load_rules()
AS_OF = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


def need(table: str, *kinds: str) -> Source:
    return Source(table, frozenset(kinds))


@pytest.mark.parametrize(
    ("query", "needed"),
    [
        ("SELECT id FROM identities", [need("identities")]),
        ("FROM identities i JOIN grants g ON g.identity_id = i.id", [need("identities"), need("grants")]),
        ("FROM identities i, grants g", [need("identities"), need("grants")]),
        ("FROM identities SEMI JOIN grants USING (id)", [need("identities"), need("grants")]),
        ("FROM (SELECT id FROM grants)", [need("grants")]),
        ("WITH a AS (FROM grants) SELECT id FROM a", [need("grants")]),
        ("SELECT id FROM identities WHERE id IN (SELECT identity_id FROM trusts)", [need("identities"), need("trusts")]),
        ("SELECT id FROM identities WHERE EXISTS (FROM trusts) AND true", [need("identities"), need("trusts")]),
        ("SELECT id, count(*) FROM grants GROUP BY id", [need("grants")]),
        ("SELECT id, count(*) FROM grants GROUP BY ALL", [need("grants")]),
        ("SELECT id FROM identities i WHERE i.kind = 'iam-user'", [need("identities"), need("identities", "iam-user")]),
        ("SELECT id FROM secrets s WHERE s.store IN ('a', 'b')", [need("secrets"), need("secrets", "a", "b")]),
        (
            "SELECT g.id FROM grants g JOIN identities i ON i.id = g.identity_id AND i.kind = 'iam-user'",
            [need("grants"), need("identities"), need("identities", "iam-user")],
        ),
        ("FROM weak_identities(['a', 'b'])", [need("identities"), need("weaknesses", "a", "b")]),
        # What may be empty, and something is found all the same.
        ("FROM identities i LEFT JOIN grants g ON g.identity_id = i.id", [need("identities")]),
        ("FROM grants g RIGHT JOIN identities i ON g.identity_id = i.id", [need("identities")]),
        ("FROM grants g FULL JOIN identities i ON g.identity_id = i.id", []),
        ("FROM identities ANTI JOIN grants USING (id)", [need("identities")]),
        ("SELECT id FROM identities WHERE NOT EXISTS (FROM trusts)", [need("identities")]),
        ("SELECT id FROM identities WHERE id NOT IN (SELECT id FROM trusts)", [need("identities")]),
        ("SELECT id FROM identities WHERE mfa OR EXISTS (FROM trusts)", [need("identities")]),
        ("SELECT (SELECT max(id) FROM trusts) FROM identities", [need("identities")]),
        ("SELECT id FROM identities UNION ALL SELECT id FROM grants", []),
        ("SELECT count(*) FROM grants", []),
        ("SELECT count(*) FROM grants GROUP BY ALL", []),
        ("WITH a AS (SELECT max(id) AS id FROM grants) SELECT id FROM a", []),
        ("SELECT id FROM identities i WHERE i.kind <> 'iam-user'", [need("identities")]),
        ("SELECT id FROM identities i WHERE i.kind = 'a' OR i.kind = 'b'", [need("identities")]),
        ("SELECT id FROM identities i WHERE i.name = 'iam-user'", [need("identities")]),
        ("FROM identities i LEFT JOIN grants g ON g.identity_id = i.id AND i.kind = 'a'", [need("identities")]),
        ("SELECT 1", []),
    ],
)  # fmt: skip
def test_what_a_query_needs(query: str, needed: list[Source]) -> None:
    assert sources_of(query) == set(needed)


@contextmanager
def tables_of(given: dict[str, list[Any]]) -> Iterator[tuple[Tables, Path]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        tables = Tables([folder], threads=1)
        try:
            for table, record in READABLE.items():
                path = folder / f"{table}.parquet"
                if given.get(table):
                    write_table(path, record, given[table])
                tables.view(table, record, [path] if given.get(table) else [])
            define_complete(tables)
            define_weak_identities(tables)
            yield tables, folder
        finally:
            tables.close()


def without(records: dict[str, list[Any]], source: Source) -> dict[str, list[Any]]:
    column = KIND_COLUMN.get(source.table, "")
    kept = [row for row in records[source.table] if source.kinds and getattr(row, column) not in source.kinds]
    return {**records, source.table: kept}


def example_records(rule: Rule) -> dict[str, list[Any]]:
    """Return the rows of the first example of a rule that finds something, as records."""
    example = next(example for example in rule.examples if example.finds)
    return {
        table: [example_row(table, READABLE[table], number, row) for number, row in enumerate(given)]
        for table, given in example.given.items()
    }


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_finds_nothing_without_what_it_needs(rule: Rule) -> None:
    records = example_records(rule)
    with tables_of(records) as (tables, folder):
        assert not finds_nothing(rule, present_in(tables))
        assert write_hits(tables, rule, AS_OF, folder / "hits") > 0
    needed = sources_of(rule.query)
    assert rule.subject in {source.table for source in needed}
    for source in sorted(needed):
        with tables_of(without(records, source)) as (tables, folder):
            assert finds_nothing(rule, present_in(tables)), source
            assert write_hits(tables, rule, AS_OF, folder / "hits") == 0, source


def test_rules_over_an_empty_night_find_nothing_and_are_not_run() -> None:
    with tables_of({}) as (tables, folder):
        present = present_in(tables)
        assert [rule.id for rule in RULES if not finds_nothing(rule, present)] == []
        assert [rule.id for rule in RULES if write_hits(tables, rule, AS_OF, folder / "hits")] == []


def test_a_custom_rule_is_always_run() -> None:
    with tables_of({}) as (tables, _):
        rule = msgspec.structs.replace(RULES[0], custom=True)
        assert not finds_nothing(rule, present_in(tables))


def results(state: Path, night: int) -> dict[str, bytes]:
    """Return what a night's analysis wrote, but for the texts of the rules."""
    folder = state / "analysis" / run_of(night)
    written = {
        str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
    del written["rules.json"]
    return {**written, **{p.name: p.read_bytes() for p in (state / "history").glob(f"{run_of(night)}*")}}


def test_a_night_is_the_same_whether_rules_are_left_out_or_run(tmp_path: Path) -> None:
    """Every rule as a custom one runs; what the night came to, and how each rule fared, is the same."""
    every = [msgspec.structs.replace(rule, custom=True) for rule in RULES]
    first = [*everything(), account(), role("deploy"), key("old"), key("unknown", unused_days=None)]
    second = [
        *(record for record in first if not (isinstance(record, Coverage) and record.table == "credentials")),
        denied("credentials"),
        key("new"),
    ]
    for number, rules in enumerate([RULES, every]):
        state = tmp_path / str(number)
        for night, records in ((1, first), (2, second)):
            seal_night(state, night, records)
            analyze(state, run_of(night), settings=AnalyzeSettings(), rules=rules)
    for night in (1, 2):
        left_out, run = results(tmp_path / "0", night), results(tmp_path / "1", night)
        assert left_out.keys() == run.keys()
        assert [name for name, content in run.items() if left_out[name] != content] == []
    statuses = {row[0] for row in rows(tmp_path / "0", 2, "SELECT status FROM findings")}
    assert {"open", "new"} <= statuses
    assert {row[0] for row in rows(tmp_path / "0", 2, "SELECT status FROM rule_results")} >= {
        "evaluated",
        "not-evaluated",
    }
