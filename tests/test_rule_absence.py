"""A rule that finds what is not there says so, and needs what it looks through."""

from __future__ import annotations

import msgspec
import pytest

from scanner.analyze.rule_absence import absent_tables
from scanner.analyze.rule_check import check_rule
from scanner.analyze.rule_files import load_rules

RULE = next(rule for rule in load_rules() if rule.id == "identity-without-owner")


@pytest.mark.parametrize(
    ("query", "tables"),
    [
        ("SELECT id FROM secrets", set()),
        ("SELECT id FROM secrets WHERE EXISTS (FROM trusts)", set()),
        ("SELECT id FROM secrets WHERE NOT EXISTS (FROM trusts)", {"trusts"}),
        ("SELECT id FROM secrets WHERE id NOT IN (SELECT source_id FROM links JOIN grants ON true)", {"links", "grants"}),
        ("SELECT id FROM secrets ANTI JOIN identities USING (id)", {"identities"}),
        ("SELECT s.id FROM secrets AS s LEFT JOIN grants AS g ON g.id = s.id", set()),
        ("SELECT s.id FROM secrets AS s LEFT JOIN grants AS g ON g.id = s.id WHERE g.id IS NULL", {"grants"}),
        ("SELECT s.id FROM secrets AS s LEFT JOIN grants AS g ON g.id = s.id WHERE s.owner IS NULL", set()),
        ("WITH used AS (SELECT source_id AS id FROM links) SELECT id FROM secrets WHERE id NOT IN (FROM used)", {"links"}),
        ("SELECT id FROM identities WHERE NOT EXISTS (FROM edges)", {"trusts", "links"}),
        ("SELECT id FROM identities WHERE NOT EXISTS (FROM gaps)", set()),
    ],
)  # fmt: skip
def test_tables_that_find_by_being_empty(query: str, tables: set[str]) -> None:
    assert absent_tables(query) == tables


@pytest.mark.parametrize(
    ("more", "absence", "needs", "problem"),
    [
        ("", None, ["identities"], None),
        ("AND NOT EXISTS (FROM links AS l WHERE l.source_id = i.id)", None, ["identities", "links"], "declare `absence: true`"),
        ("AND NOT EXISTS (FROM links AS l WHERE l.source_id = i.id)", False, ["identities", "links"], None),
        ("AND NOT EXISTS (FROM links AS l WHERE l.source_id = i.id)", True, ["identities", "links"], None),
        ("AND NOT EXISTS (FROM links AS l WHERE l.source_id = i.id)", True, ["identities", "links everywhere"], "name it in needs without"),
        ("AND complete(i.account_id, 'links', NULL) IS NOT NULL AND NOT EXISTS (FROM links AS l WHERE l.source_id = i.id)",
         None, ["identities", "links"], None),
    ],
)  # fmt: skip
def test_a_rule_of_absence_declares_it(
    more: str, absence: bool | None, needs: list[str], problem: str | None
) -> None:
    rule = msgspec.structs.replace(RULE, query=f"{RULE.query} {more}", absence=absence, needs=needs)
    said = [one for one in check_rule(rule) if "lacks" in one]
    assert said == [] if problem is None else [problem in one for one in said] == [True]
