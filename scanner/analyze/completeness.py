"""Determines which listings are complete, and therefore what the absence of findings proves.

A rule needs tables, or kinds of a table: in the account of its subject, there or in a parent account, in all accounts,
or somewhere (then one of several kinds must have been listed at all). In each account the state of a rule is

- evaluated: everything it needs was listed completely;
- incomplete: something was not; its findings are valid, but their absence proves nothing;
- not-evaluated: an input was not listed at all;
- error: the rule failed.

A rule has no state in an account where a table it needs is never requested.

A finding that is no longer found is resolved only if its rule's needs are met in its account, and if every listing that
was complete on the night that last found it is complete tonight: removing a region or a service from the
configuration resolves nothing. For needs ``everywhere`` the second condition applies to the listings of all accounts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanner.analyze.exceptions import EXCEPTIONS_ACCOUNT
from scanner.records import TABLES
from scanner.renamed import todays_names
from scanner.tables import read_parquet

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

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
    ), by_table AS (
        SELECT n.rule, l.for_account AS account_id, min(l.provider) AS provider, l."table",
               bool_or(NOT n.everywhere) AS here, bool_and(l.from_above) AS only_above,
               bool_or(l.covered) AS covered, bool_or(l.gapped) AS gapped, min(l.what) AS what
        FROM seen AS l JOIN rule_needs AS n
             ON n."table" = l."table" AND (n.kind IS NULL OR l.kind IS NULL OR n.kind = l.kind)
                AND (n.above OR NOT l.from_above)
        GROUP BY n.rule, l.for_account, l."table"
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
    ), here AS (
        SELECT rule, account_id, min(provider) AS provider,
               CASE WHEN bool_or(gapped AND NOT covered) THEN 'not-evaluated'
                    WHEN bool_or(gapped) THEN 'incomplete' ELSE 'evaluated' END AS status,
               arg_min("table", "table" || what) FILTER (gapped) AS missing_table,
               arg_min(what, "table" || what) FILTER (gapped) AS reason
        FROM by_table WHERE here GROUP BY rule, account_id
        HAVING NOT bool_and(only_above)
               AND count(*) = (SELECT count(*) FROM (SELECT DISTINCT "table" FROM rule_needs AS n
                                                     WHERE n.rule = by_table.rule AND NOT n.everywhere))
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
    GROUP BY ALL
"""
"""exceptions.yaml is read completely or the run ends, and coverage is counted for every target: rules about them are
always evaluated."""

_KEY = """md5(to_json([collector, target, account_id, "table", kind, call, region])::VARCHAR)"""

_LISTINGS = f"""
    SELECT coalesce(now_complete.id, before.id) AS id,
           coalesce(now_complete.account_id, before.account_id) AS account_id,
           coalesce(now_complete."table", before."table") AS "table",
           CASE WHEN now_complete.id IS NULL THEN before.kind ELSE now_complete.kind END AS kind,
           coalesce(now_complete.what, before.what) AS what,
           coalesce(now_complete.collector, before.collector) AS collector,
           coalesce(now_complete.target, before.target) AS target,
           coalesce(now_complete.call, before.call) AS call, coalesce(now_complete.region, before.region) AS region,
           coalesce(before.first_complete, now_complete.last_complete) AS first_complete,
           coalesce(now_complete.last_complete, before.last_complete) AS last_complete
    FROM (SELECT {_KEY} AS id, min(account_id) AS account_id, min("table") AS "table", min(kind) AS kind,
                 min(call || coalesce(' in ' || region, '')) AS what, min(collector) AS collector,
                 min(target) AS target, min(call) AS call, min(region) AS region, $run_id AS last_complete
          FROM coverage WHERE {_KEY} NOT IN (SELECT {_KEY} FROM gaps) GROUP BY 1) AS now_complete
    FULL JOIN listings_before AS before ON before.id = now_complete.id
    ORDER BY id
"""


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


def judge(tables: Tables, rules: Iterable[Rule]) -> None:
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


_LISTING_COLUMNS = (
    "id", "account_id", "table", "kind", "what", "collector", "target", "call", "region", "first_complete",
    "last_complete",
)  # fmt: skip


def remember_listings(tables: Tables, before: Path | None, run_id: str, path: Path) -> None:
    """Write the first and last run in which each listing was complete, and create the view ``listings`` of it.

    ``before`` is the file of the night before, the view ``listings_before``; listings that were complete then and are
    no longer requested stay in it.
    """
    nothing = ", ".join(f'NULL::VARCHAR AS "{name}"' for name in _LISTING_COLUMNS)
    today = todays_names(None, dict.fromkeys(_LISTING_COLUMNS, "VARCHAR"))
    names = ", ".join(f'{sql} AS "{column}"' for column, sql in today.items())
    kept = f"SELECT {nothing} WHERE false" if before is None else f"FROM {read_parquet([before])}"
    # A listing whose kind was renamed is the same listing, under its current name.
    tables.view_of(
        "listings_before",
        f"SELECT * REPLACE ({_KEY} AS id) FROM (SELECT * REPLACE ({names}) FROM ({kept}))" if names else kept,
    )
    tables.copy(_LISTINGS, path, {"run_id": run_id})
    tables.view_of("listings", f"FROM {read_parquet([path])}")
