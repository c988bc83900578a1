"""What an identity is, person or automation, is kept from an earlier night when tonight could not tell.

A collector often learns it from a second answer: AWS says in the credential report whether a user has a password.
While that answer is missing, the collector gives no surface, or leaves a `Gap` for identities of that kind, and what the
base knew stands.
Who is seen for the first time stays unknown: a refused report turns nobody into automation, with findings to match.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanner.parquet import sql_columns
from scanner.records import Identity

if TYPE_CHECKING:
    from pathlib import Path

    from scanner.tables import Tables

_UNKNOWN = """
    SELECT i.id, b.surface FROM identities AS i JOIN identities_before AS b ON b.id = i.id
    WHERE i.surface IS NULL AND b.surface IS NOT NULL
"""


_DOUBTED = """
    SELECT i.id, b.surface FROM identities AS i JOIN identities_before AS b ON b.id = i.id
    WHERE b.surface <> i.surface AND EXISTS (
        FROM gaps AS g WHERE g.account_id = i.account_id AND g."table" IN ('identities', '*')
        AND (g.kind IS NULL OR g.kind = i.kind))
"""


def keep_surfaces(tables: Tables, records: Path) -> None:
    """Replace ``identities`` where a surface is kept. ``records`` is the folder of resolved records.

    Reads ``identities_before`` and ``gaps``.
    """
    if "identities_before" in tables.empty:
        return
    tables.table_of(
        "kept_surfaces", _UNKNOWN if "gaps" in tables.empty else f"{_UNKNOWN} UNION ALL {_DOUBTED}"
    )
    if "kept_surfaces" in tables.empty:
        return
    columns = ", ".join(
        f'coalesce(k.surface, i.surface) AS "{name}"' if name == "surface" else f'i."{name}"'
        for name in sql_columns(Identity)
    )
    path = records / "identities.parquet"
    tables.copy(
        f"SELECT {columns} FROM identities AS i LEFT JOIN kept_surfaces AS k ON k.id = i.id ORDER BY i.id",
        path,
    )
    tables.view("identities", Identity, [path], replace=True)
