"""Determines which listings are complete, and therefore what the absence of findings proves.

A rule needs tables, or kinds of a table: in the account of its subject, there or in a parent account, in all accounts,
or somewhere (then one of several kinds must have been listed at all). In each account the state of a rule is

- evaluated: everything it needs was listed completely;
- incomplete: something was not; its findings are valid, but their absence proves nothing;
- not-evaluated: an input, a table or one of several kinds of it, was not listed at all;
- error: the rule failed.

A rule has no state in an account where a table that it needs is not requested, or a kind that it needs and that is requested
elsewhere of that provider. What the absence of a finding proves is defined in docs/architecture.md, "What counts as
observed".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanner.analyze.exceptions import EXCEPTIONS_ACCOUNT
from scanner.records import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scanner.analyze.rule import Rule
    from scanner.tables import Tables

COMPLETE = """
    (
        EXISTS (FROM coverage AS c WHERE c.account_id = an_account AND c."table" = a_table
                AND (c.kind IS NULL OR a_kind IS NULL OR c.kind = a_kind))
        AND NOT EXISTS (FROM gaps AS g WHERE g.account_id = an_account AND g."table" IN (a_table, '*')
                AND (g.kind IS NULL OR a_kind IS NULL OR g.kind = a_kind)))
"""
"""``complete(account_id, 'credentials', 'access-key')``: listed there tonight without a gap. For rules about absence."""

_NAMES = ", ".join(f"'{name}'" for name in TABLES)

_LISTED = f"""
    WITH given AS (
        SELECT account_id, provider, "table", kind, false AS gap, NULL AS what FROM coverage
        UNION ALL
        SELECT account_id, provider, "table", kind, true,
               call || coalesce(' in ' || region, '') || ': ' || reason
               || coalesce(' (needs ' || needs || ')', '')
        FROM gaps WHERE "table" <> '*'
        UNION ALL
        SELECT account_id, provider, unnest([{_NAMES}]), NULL, true,
               call || coalesce(' in ' || region, '') || ': ' || reason
               || coalesce(' (needs ' || needs || ')', '')
        FROM gaps WHERE "table" = '*'
    )
    SELECT account_id, min(provider) AS provider, "table", kind, bool_or(NOT gap) AS covered, bool_or(gap) AS gapped,
           min(what) AS what, count(*) FILTER (gap) AS gaps
    FROM given GROUP BY account_id, "table", kind
"""

_ACCOUNTS_ABOVE = """
    WITH RECURSIVE up AS (
        SELECT id AS account_id, parent_id AS ancestor FROM accounts WHERE parent_id IS NOT NULL
        UNION
        SELECT up.account_id, a.parent_id FROM up JOIN accounts AS a ON a.id = up.ancestor
        WHERE a.parent_id IS NOT NULL
    )
    SELECT account_id, ancestor FROM up WHERE ancestor <> account_id
"""

_RULE_STATES = """
    WITH seen AS (
        SELECT account_id AS for_account, false AS from_above, * FROM listed
        UNION ALL
        SELECT o.account_id, true, l.* FROM accounts_above AS o JOIN listed AS l ON l.account_id = o.ancestor
    ), by_need AS (
        SELECT n.rule, l.for_account AS account_id, min(l.provider) AS provider, n."table", n.kind,
               bool_and(l.from_above) AS only_above,
               bool_or(l.covered) AS covered, bool_or(l.gapped) AS gapped, min(l.what) AS what
        FROM seen AS l JOIN rule_needs AS n
             ON n."table" = l."table" AND (n.kind IS NULL OR l.kind IS NULL OR n.kind = l.kind)
                AND (n.above OR NOT l.from_above)
        WHERE NOT n.everywhere
        GROUP BY n.rule, l.for_account, n."table", n.kind
    ), expected AS (
        -- Of two kinds of a table, a provider may have one only: the one that some listing of it is named for.
        SELECT rule, provider, count(*) AS needs
        FROM (SELECT DISTINCT n.rule, l.provider, n."table", n.kind FROM rule_needs AS n JOIN listed AS l
                   ON n."table" = l."table" AND (n.kind IS NULL OR n.kind = l.kind)
              WHERE NOT n.everywhere)
        GROUP BY rule, provider
    ), elsewhere AS (
        SELECT n.rule, arg_min(l.what || ', in ' || l.account_id, l.account_id || l.what) AS what,
               count(*) AS places
        FROM listed AS l JOIN rule_needs AS n
             ON n."table" = l."table" AND (n.kind IS NULL OR l.kind IS NULL OR n.kind = l.kind)
        WHERE n.everywhere AND l.gapped GROUP BY n.rule
    ), nowhere AS (
        SELECT n.rule, string_agg(DISTINCT n."table" || coalesce('/' || n.kind, ''), ', ' ORDER BY n."table" || coalesce('/' || n.kind, '')) AS what
        FROM rule_needs AS n LEFT JOIN listed AS l ON l."table" = n."table" AND l.covered
             AND (n.kind IS NULL OR l.kind = n.kind)
        WHERE n.somewhere GROUP BY n.rule HAVING count(l.account_id) = 0
    ), needed AS (
        SELECT rule, count(*) AS tables FROM (SELECT DISTINCT rule, "table" FROM rule_needs WHERE NOT everywhere) GROUP BY rule
    ), by_account AS (
        SELECT rule, account_id, min(provider) AS provider,
               CASE WHEN bool_or(gapped AND NOT covered) THEN 'not-evaluated'
                    WHEN bool_or(gapped) THEN 'incomplete' ELSE 'evaluated' END AS status,
               arg_min("table", "table" || what) FILTER (gapped) AS missing_table,
               arg_min(what, "table" || what) FILTER (gapped) AS reason,
               count(*) AS needs, len(list_distinct(list("table"))) AS tables
        FROM by_need GROUP BY rule, account_id HAVING NOT bool_and(only_above)
    ), here AS (
        SELECT b.* FROM by_account AS b JOIN needed AS n ON n.rule = b.rule AND n.tables = b.tables
             LEFT JOIN expected AS e ON e.rule = b.rule AND e.provider = b.provider
        WHERE b.needs >= coalesce(e.needs, 0)
    )
    SELECT h.rule, h.account_id, h.provider, h.status AS status_here,
           CASE WHEN n.rule IS NOT NULL THEN 'not-evaluated'
                WHEN h.status = 'evaluated' AND e.rule IS NOT NULL THEN 'incomplete' ELSE h.status END AS status,
           coalesce(h.reason, 'nothing was listed of what it looks for elsewhere: ' || n.what, CASE WHEN e.places = 1 THEN 'a listing elsewhere that it needs is missing: '
                             ELSE e.places || ' listings elsewhere that it needs are missing, such as ' END || e.what)
           AS reason, h.missing_table
    FROM here AS h LEFT JOIN elsewhere AS e ON e.rule = h.rule LEFT JOIN nowhere AS n ON n.rule = h.rule
    UNION ALL
    SELECT unnest($about_exceptions::VARCHAR[]), $account, 'sprawlscan', 'evaluated', 'evaluated', NULL, NULL
    UNION ALL
    SELECT rule, account_id, min(provider), 'evaluated', 'evaluated', NULL, NULL
    FROM (SELECT unnest($about_targets::VARCHAR[]) AS rule),
         (SELECT account_id, provider FROM target_coverage UNION ALL SELECT account_id, provider FROM targets_before)
    WHERE account_id NOT IN (SELECT account_id FROM target_coverage WHERE state = 'not-requested')
    GROUP BY ALL
"""
"""exceptions.yaml is read whole or the run ends, and coverage is counted for every target that was not left out: rules about
them are always evaluated."""


def define_complete(tables: Tables) -> None:
    """Define the macro ``complete(account_id, table, kind)``."""
    tables.macro("complete", "an_account, a_table, a_kind", COMPLETE)


_NEED_COLUMNS = {
    "rule": "VARCHAR",
    "table": "VARCHAR",
    "kind": "VARCHAR",
    "everywhere": "BOOLEAN",
    "above": "BOOLEAN",
    "somewhere": "BOOLEAN",
}


def assess(tables: Tables, rules: Iterable[Rule]) -> None:
    """Create the table ``rule_states``: rule, account, status, reason, the incomplete table, and the status by the
    account alone.

    Reads ``target_coverage`` and ``targets_before`` (`scanner.analyze.target_coverage`). Also creates ``listed``
    (listed or not, by account, table and kind), ``rule_needs`` and ``accounts_above`` (each account with its parents).
    """
    rules = list(rules)
    needs = [
        (rule.id, need.table, need.kind, need.everywhere, need.above, need.somewhere)
        for rule in rules
        for need in rule.inputs
    ]
    tables.table_of("listed", _LISTED)
    tables.table_of_rows("rule_needs", _NEED_COLUMNS, needs)
    tables.table_of("accounts_above", _ACCOUNTS_ABOVE)
    about_exceptions = [rule.id for rule in rules if rule.subject == "exceptions"]
    about_targets = [rule.id for rule in rules if rule.subject == "target_coverage"]
    tables.table_of(
        "rule_states",
        _RULE_STATES,
        {
            "about_exceptions": about_exceptions,
            "account": EXCEPTIONS_ACCOUNT,
            "about_targets": about_targets,
        },
    )
