"""A credential keeps the id under which the base knew it, on a night that could not read its native id, and afterwards.

The id of an access key is its own key id. A night that may not list the keys of a user knows them from a report only, by
user and creation time (`Credential.substitute_id`). Under two ids, one key would be a new and a resolved finding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanner.parquet import sql_columns
from scanner.records import Credential, Secret

if TYPE_CHECKING:
    from pathlib import Path

    from scanner.tables import Tables

_KEPT = """
    WITH pairs AS (
        SELECT t.id, t.substitute_id, b.id AS kept
        FROM (FROM credentials WHERE substitute_id IS NOT NULL) AS t JOIN credentials_before AS b ON b.id = t.substitute_id
        UNION
        SELECT t.id, t.id, b.id
        FROM (FROM credentials_before WHERE substitute_id IS NOT NULL) AS b JOIN credentials AS t ON t.id = b.substitute_id
    )
    SELECT id, any_value(substitute_id) AS substitute_id, any_value(kept) AS kept FROM pairs
    WHERE id <> kept AND kept NOT IN (SELECT id FROM credentials)
      AND id NOT IN (SELECT id FROM credentials_before WHERE removed_at IS NULL)
    -- Two of one user that were made in the same second cannot be told apart.
    GROUP BY id HAVING count(*) = 1
    QUALIFY count(*) OVER (PARTITION BY any_value(kept)) = 1
"""


def keep_ids(tables: Tables, records: Path) -> None:
    """Replace ``credentials``, and ``secrets`` that are copies of them, where an id is kept.

    Reads ``credentials_before``. ``records`` is the folder of resolved records.
    """
    if "credentials" in tables.empty or "credentials_before" in tables.empty:
        return
    tables.table_of("kept_ids", _KEPT)
    if "kept_ids" in tables.empty:
        return
    kept = {
        "id": "coalesce(k.kept, r.id) AS id",
        "substitute_id": "coalesce(k.substitute_id, r.substitute_id) AS substitute_id",
    }
    columns = ", ".join(kept.get(name, f'r."{name}"') for name in sql_columns(Credential))
    query = f"SELECT {columns} FROM credentials AS r LEFT JOIN kept_ids AS k ON k.id = r.id ORDER BY 1"
    tables.copy(query, records / "credentials.parquet")
    tables.view("credentials", Credential, [records / "credentials.parquet"], replace=True)
    if "secrets" in tables.empty:
        return
    kept = {"credential_id": "coalesce(k.kept, r.credential_id) AS credential_id"}
    columns = ", ".join(kept.get(name, f'r."{name}"') for name in sql_columns(Secret))
    query = (
        f"SELECT {columns} FROM secrets AS r LEFT JOIN kept_ids AS k ON k.id = r.credential_id ORDER BY r.id"
    )
    tables.copy(query, records / "secrets.parquet")
    tables.view("secrets", Secret, [records / "secrets.parquet"], replace=True)
