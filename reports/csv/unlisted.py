"""Rows of what this run did not list: removed, not looked at, or only referred to.

An import of the whole state then deletes nothing that was not looked at, and every id is the key of a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scanner.night import Night

TENANTS = "LEFT JOIN tenants p ON p.account_id = r.account_id"


def every_record(table: str, known: str, name: str = "name") -> str:
    """Return a table's records and those that this run did not list, of which only the columns ``known`` are kept.

    ``name`` is the column that shows the id of what has no name. They are removed or were not looked at; or other files only refer to them, so that every reference resolves.
    """
    return f"""(SELECT *, true AS observed FROM {table} UNION ALL BY NAME
        SELECT id, provider, account_id, {known}, false AS observed FROM population
        WHERE "table" = '{table}' AND id NOT IN (SELECT id FROM {table}) UNION ALL BY NAME
        SELECT id, provider, account_id, id AS {name}, false AS observed FROM unlisted_{table}) r {TENANTS}
        LEFT JOIN population m ON m."table" = '{table}' AND m.id = r.id"""


_REFERENCES = {
    "identities": (
        ("findings", "identity_id"),
        ("credentials", "identity_id"),
        ("grants", "identity_id"),
        ("secrets", "holder_id"),
        ("artifacts", "builder_id"),
        ("weaknesses", "subject_id"),
        ("population", "identity_id"),
        ("trusts", "identity_id"),
    ),
    "credentials": (("findings", "credential_id"), ("secrets", "credential_id")),
    "grants": (("findings", "grant_id"),),
    "secrets": (),
}
"""The columns of exported files that refer to a record of a table."""


def _unlisted(table: str) -> str:
    """Return the query for what is referred to and not in a table, neither tonight nor before."""
    none = "SELECT NULL::VARCHAR AS id, NULL::VARCHAR AS provider, NULL::VARCHAR AS account_id"
    given = " UNION ALL ".join(
        [none]
        + [f"SELECT {column}, provider, account_id FROM {source}" for source, column in _REFERENCES[table]]
    )
    return f"""
        SELECT id, min(provider) AS provider, min(account_id) AS account_id FROM ({given})
        WHERE id IS NOT NULL AND id NOT IN (SELECT id FROM {table})
          AND id NOT IN (SELECT id FROM population WHERE "table" = '{table}')
        GROUP BY id
    """


_UNLISTED_ACCOUNTS = """
    WITH named AS (
        SELECT parent_id AS account_id, provider FROM accounts WHERE parent_id IS NOT NULL
        UNION SELECT account_id, provider FROM identities
        UNION SELECT account_id, provider FROM credentials
        UNION SELECT account_id, provider FROM secrets
        UNION SELECT account_id, provider FROM grants
        UNION SELECT account_id, provider FROM controls
        UNION SELECT account_id, provider FROM policies
        UNION SELECT account_id, provider FROM artifacts
        UNION SELECT account_id, provider FROM weaknesses
        UNION SELECT account_id, provider FROM trusts
        UNION SELECT account_id, provider FROM links
        UNION SELECT account_id, provider FROM deployments
        UNION SELECT account_id, provider FROM rollouts
        UNION SELECT account_id, provider FROM rule_results
        UNION SELECT account_id, provider FROM coverage
        UNION SELECT account_id, provider FROM gaps
        UNION SELECT account_id, provider FROM findings
        UNION SELECT account_id, provider FROM population
        UNION SELECT account_id, provider FROM target_coverage
        UNION SELECT parent_id, provider FROM target_coverage WHERE parent_id IS NOT NULL
        UNION SELECT unnest(available_to), provider FROM secrets
    )
    SELECT n.account_id AS id, min(n.provider) AS provider, min(t.name) AS name, min(t.kind) AS kind,
           min(t.parent_id) AS parent_id
    FROM named AS n LEFT JOIN target_coverage AS t ON t.account_id = n.account_id
    WHERE n.account_id NOT IN (SELECT id FROM accounts) GROUP BY 1
"""
"""Accounts that are referred to, but were not read."""


def define_unlisted(night: Night) -> None:
    """Create the small tables of what is referred to and not in the inventory: ``unlisted_accounts`` and others."""
    night.tables.table_of("unlisted_accounts", _UNLISTED_ACCOUNTS)
    for table in _REFERENCES:
        night.tables.table_of(f"unlisted_{table}", _unlisted(table))
