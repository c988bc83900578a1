"""The rows that profiles for GRC tools write: findings, identities and grants, with those that a run did not observe.

Such a tool takes a file for the whole state, and a missing row for something that is gone. What is not resolved and not
removed therefore has a row, and ``observed`` is false if the run could not list it. Its name and kind are as last seen; what
is not kept of earlier runs, such as an owner, is empty, which is unknown and not removed.
"""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING

from scanner.safe_text import FORMULA, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

FINDINGS = """
    SELECT *, status NOT IN ('unobserved', 'error') AS observed FROM findings
"""
"""Every finding, also those that were resolved, in the order of the analysis: a sort would hold all of them in memory."""

_NAMED = "LEFT JOIN (SELECT id AS scope, name AS account_name FROM accounts) AS a ON a.scope = r.account_id"

IDENTITIES = f"""
    SELECT r.*, a.account_name FROM (
        SELECT *, true AS observed FROM identities UNION ALL BY NAME
        SELECT id, provider, account_id, surface, kind, name, native_id, false AS observed FROM population
        WHERE "table" = 'identities' AND removed_at IS NULL AND id NOT IN (SELECT id FROM identities)
    ) AS r {_NAMED} ORDER BY r.id
"""
"""Identities that exist, as far as known."""

_WORST = "arg_min(level, list_position(['admin', 'escalation', 'write', 'unknown', 'read'], level))"

ENTITLEMENTS = f"""
    SELECT i.id, i.name, i.native_id, i.provider, i.surface, i.kind, i.owner, i.enabled, i.account_id, i.account_name,
           i.observed, g.scope, g.role, g.level, g.observed AS grant_observed
    FROM ({IDENTITIES}) AS i LEFT JOIN (
        SELECT identity_id, account_id AS scope, role, {_WORST} AS level, bool_or(observed) AS observed FROM (
            SELECT identity_id, account_id, role, level, true AS observed FROM grants UNION ALL BY NAME
            SELECT identity_id, account_id, name AS role, false AS observed FROM population
            WHERE "table" = 'grants' AND removed_at IS NULL AND id NOT IN (SELECT id FROM grants)
        ) GROUP BY identity_id, account_id, role
    ) AS g ON g.identity_id = i.id
    ORDER BY i.id, g.scope, g.role
"""
"""Identities with each of their roles, once for each; one row without a role for those that have none."""

ACCOUNTS = """
    SELECT coalesce(a.id, t.account_id) AS id, coalesce(a.name, t.name, t.target) AS name,
           coalesce(a.kind, t.kind) AS kind, coalesce(a.provider, t.provider) AS provider, a.parent_id, a.owner,
           a.environment, t.state, t.reason, t.needs, a.id IS NOT NULL AS observed
    FROM accounts AS a FULL JOIN (
        SELECT account_id, min(provider) AS provider, min(name) AS name, min(kind) AS kind, min(target) AS target,
               arg_max(state, place) AS state, arg_max(reason, place) AS reason, arg_max(needs, place) AS needs
        FROM (SELECT *, CASE state WHEN 'unread' THEN 3 WHEN 'partial' THEN 2 WHEN 'not-requested' THEN 1 ELSE 0 END
              AS place FROM target_coverage) GROUP BY 1
    ) AS t ON t.account_id = a.id
    ORDER BY 1
"""
"""Accounts, also those that were not read, each with its coverage: the worst of the targets that read it."""


def csv_parts(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[bytes]:
    """Yield the lines of a CSV file as RFC 4180 has them: UTF-8, comma, CRLF.

    Booleans are ``true`` and ``false``, None is an empty cell, times are UTC as ``2026-11-23 02:00:00``. A cell that a
    spreadsheet would compute, or an import would take for a command (``NULL``), gets an apostrophe.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow([_cell(value) for value in row])
        if out.tell() > 1 << 16:
            yield _taken(out)
    yield _taken(out)


def _taken(out: io.StringIO) -> bytes:
    data = out.getvalue().encode()
    out.seek(0)
    out.truncate()
    return data


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if hasattr(value, "strftime"):
        return str(value.strftime("%Y-%m-%d %H:%M:%S"))
    text = plain(str(value), 4000)
    return f"'{text}" if text == "NULL" or re.match(FORMULA, text) else text
