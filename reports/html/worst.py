"""The section of the findings to fix first, and the findings table shown without JavaScript."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reports.html.queries import Cut, cut
from scanner.findings import OPEN

if TYPE_CHECKING:
    from scanner.night import Night

WORST = 10
"""Number of findings shown in detail."""

TABLE = 25
"""Rows of the table shown without JavaScript."""


def read_worst(night: Night) -> Cut:
    """Return the open findings to fix first."""
    query = f"""
        SELECT id, rule, title, severity, status, confidence, provider, account_name, account_id, subject, subject_kind,
               subject_name, owner, owner_source, environment, detail, fix, blast, path, url, first_seen, due_at
        FROM findings WHERE {OPEN} ORDER BY rank DESC, id
    """
    return cut(night, query, TABLE)
