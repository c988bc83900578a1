"""Administrative units, which limit a directory role to some users, groups and devices.

https://learn.microsoft.com/graph/api/directory-list-administrativeunits
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.entra.records import text
from scanner.collect.listings import with_coverage

if TYPE_CHECKING:
    from collections.abc import Generator

    from collectors.entra.scope import EntraScope
    from scanner.records import Record

CALL = "/v1.0/directory/administrativeUnits"


def administrative_units(scope: EntraScope) -> Generator[Record, None, dict[str, str]]:
    """Return the names of the administrative units by object ID; empty if they could not be read."""

    def read() -> Generator[Record, None, dict[str, str]]:
        found: dict[str, str] = {}
        for item in scope.client.items(CALL, {"$select": "id,displayName", "$top": 999}):
            number = text(item["id"])
            found[number] = item.get("displayName") or number
        yield from ()
        return found

    request = scope.request(
        "grants", f"GET {CALL}", kind="administrative-unit", needs="AdministrativeUnit.Read.All"
    )
    return (yield from with_coverage(read(), request)) or {}
