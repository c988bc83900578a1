"""Who holds or reaches a power, in a place, on a night."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scanner.document import nearest
from scanner.safe_text import NAME, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanner.night import Night
    from scanner.records import Power

_QUERY = """
    WITH holders AS (
        SELECT g.identity_id, g.account_id, 0 AS steps, [g.role || ' on ' || g.resource] AS path
        FROM grants AS g WHERE list_contains(g.powers, $power) AND coalesce(g.expires_at > $as_of, true)
        UNION ALL
        SELECT r.identity_id, r.account_id, r.steps, r.path[2:] AS path FROM reach AS r WHERE r.power = $power AND r.steps > 0
    )
    SELECT i.id, CASE WHEN i.location IS NOT NULL AND i.address IS NOT NULL THEN i.address ELSE i.name END AS name, i.kind, i.surface, i.owner, h.account_id, coalesce(a.name, h.account_id) AS account,
           min(h.steps) AS steps, arg_min(h.path, (h.steps, h.path)) AS path
    FROM holders AS h JOIN identities AS i ON i.id = h.identity_id LEFT JOIN accounts AS a ON a.id = h.account_id
    WHERE $place IS NULL OR h.account_id = $place OR a.name = $place OR a.native_id = $place OR a.address = $place
    GROUP BY ALL ORDER BY account, steps, i.surface, name, i.id
"""


class NoSuchPlaceError(Exception):
    """No account has this name or id."""


def who_can(night: Night, power: Power, place: str | None = None) -> list[dict[str, Any]]:
    """Return the identities that hold or reach a power, with the shortest way, by account.

    ``place`` is the id, native id, address or name of an account. Raises `NoSuchPlaceError`.
    """
    if place is not None:
        known = night.one(
            "SELECT count(*) FROM accounts WHERE $place IN (id, native_id, name, address)", {"place": place}
        )
        if not known:
            names = [
                plain(row[0], NAME) for row in night.rows("SELECT DISTINCT name FROM accounts ORDER BY 1")
            ]
            raise NoSuchPlaceError(f"no account has the name or id {place!r}; {nearest(place, names)}")
    given = {"power": power, "place": place, "as_of": night.as_of.replace(tzinfo=None)}
    return list(night.dicts(_QUERY, given))


def who_can_lines(night: Night, rows: list[dict[str, Any]]) -> Iterator[str]:
    """Yield one line for each identity, and a last line that counts them and says what was not read."""
    place = None
    for row in rows:
        if row["account"] != place:
            place = row["account"]
            yield f"{plain(place, NAME)}:"
        how = "itself" if row["steps"] == 0 else f"in {row['steps']} step{'' if row['steps'] == 1 else 's'}"
        yield (
            f"  {row['surface'] or 'unknown':10}  {plain(row['name'], NAME)} ({row['kind']}; "
            f"{plain(row['owner'] or 'no owner', NAME)})  {how}: {plain(' > '.join(row['path']))}"
        )
    coverage = night.coverage
    missing = coverage.partial + coverage.unread
    least = "at least " if missing else ""
    yield f"{least}{len({row['id'] for row in rows})} identities in {len({row['account_id'] for row in rows})} accounts"
    if missing:
        yield f"{missing} of {missing + coverage.complete} accounts were not read in full, so there can be more"
