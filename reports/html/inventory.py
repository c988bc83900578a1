"""The section of the inventory: record counts by provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from reports.html.queries import Cut, cut

if TYPE_CHECKING:
    from scanner.night import Night


class Inventory(NamedTuple):
    """Record counts by kind."""

    identities: list[dict[str, Any]]
    credentials: Cut


def read_inventory(night: Night) -> Inventory:
    """Return the record counts by provider."""
    surfaces = ", ".join(
        f"count(*) FILTER (WHERE surface = '{name}') AS {name}"
        for name in ("human", "automation", "artifact", "workload")
    )
    identities = night.dicts(
        f"SELECT provider, {surfaces}, count(*) FILTER (WHERE surface IS NULL) AS unknown, count(*) AS total FROM identities GROUP BY provider ORDER BY provider"
    )
    credentials = cut(
        night,
        """
        SELECT provider, kind, count(*) AS total, count(*) FILTER (WHERE lifetime = 'static' AND coalesce(enabled, true)) AS static,
               count(*) FILTER (WHERE never_expires) AS endless, count(*) FILTER (WHERE never_used) AS never,
               count(*) FILTER (WHERE last_used_at IS NULL AND never_used IS NOT true) AS unknown
        FROM credentials GROUP BY provider, kind ORDER BY total DESC, provider, kind
        """,
        40,
    )
    return Inventory(list(identities), credentials)
