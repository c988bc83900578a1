"""What a change lets the pipelines of a checkout reach: the powers of a night with the change, less those without it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scanner.checked import ReachChange

if TYPE_CHECKING:
    from scanner.night import Night


_REACHED = """
    SELECT r.identity_id, r.power, r.account_id, coalesce(a.name, r.account_id) AS account, i.name, i.location,
           coalesce(i.dangerous_triggers, []) AS outsiders, r.path, r.steps,
           t.name AS holder
    FROM reach AS r JOIN identities AS i ON i.id = r.identity_id LEFT JOIN identities AS t ON t.id = r.target_id
    LEFT JOIN accounts AS a ON a.id = r.account_id
    WHERE starts_with(i.account_id, 'definitions:') AND r.power <> 'read' AND NOT starts_with(r.account_id, 'definitions:')
    ORDER BY r.power <> 'admin', i.name, r.account_id, r.power
"""


def reach_changes(before: Night | None, after: Night) -> list[ReachChange]:
    """Return what the pipelines of the checkout reach in ``after`` and not in ``before``, administrators first.

    A power that outsiders can now use counts as new. An administrator's other powers are left out. Without ``before``,
    everything that they reach is returned.
    """
    known = {_key(row) for row in before.dicts(_REACHED)} if before is not None else set()
    rows = list(after.dicts(_REACHED))
    administered = {(row["identity_id"], row["account_id"]) for row in rows if row["power"] == "admin"}
    return [
        _change(row)
        for row in rows
        if _key(row) not in known
        and (row["power"] == "admin" or (row["identity_id"], row["account_id"]) not in administered)
    ]


def _key(row: dict[str, Any]) -> tuple[str, str, str, bool]:
    return (row["identity_id"], row["power"], row["account_id"], bool(row["outsiders"]))


def _change(row: dict[str, Any]) -> ReachChange:
    file, _, line = (row["location"] or "").rpartition(":")
    return ReachChange(
        pipeline=row["name"], path=file or None, line=int(line) if file and line.isdigit() else None, power=row["power"],
        account=row["account"], becomes=row["holder"] if row["steps"] else None, steps=row["steps"], way=row["path"], outsiders=row["outsiders"],
    )  # fmt: skip
