"""Reach: the shortest path from every identity to each power that matters.

A path runs over `Edge` rows (trusts that a token passes, links, escalations) to a live grant of another identity. What an
identity holds itself has a row of its own, and does not hide a path to somebody else's. docs/analysis.md defines both.

For each power the search goes backward from all its holders at once, one step of all paths in one join, so that the cost
grows with the number of edges, not of pairs: twenty thousand pipelines behind one open role cost twenty thousand steps.
Each identity keeps its two nearest holders, since the nearest one of a neighbor may be the holder who asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanner.analyze.delivery import COMPARED, DELIVERING_LINKS, DEPLOYED_NAMES, compare
from scanner.analyze.edges import write_edges
from scanner.findings import Excess, Reach
from scanner.parquet import write_table
from scanner.records import POWERS, Power, level_of

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from scanner.tables import Tables

FAR_POWERS: tuple[Power, ...] = tuple(power for power in POWERS if power != "read")
"""Powers with paths. Plain reading is left out, because nearly every identity has it."""

MAX_STEPS = 64
"""Maximum path length."""

LIVE = "coalesce({}expires_at > $as_of, true)"
"""SQL: a grant or link has not ended."""

_NODES = """
    SELECT i.id, row_number() OVER (ORDER BY i.id) AS node, i.name AS short_name, i.kind AS identity_kind, coalesce(
           -- A pipeline's own name says little without its repository.
           CASE WHEN i.location IS NOT NULL AND i.address IS NOT NULL THEN i.address
                WHEN i.is_pipeline OR i.surface = 'workload' THEN i.name
                ELSE i.name || ' (' || i.kind || ')' END, i.id) AS name
    FROM identities AS i
    WHERE i.id IN (SELECT source_id FROM edges UNION ALL SELECT target_id FROM edges)
       OR i.id IN (SELECT id FROM compared)
"""
"""The identities used in paths and comparisons, by number, with display names."""

_VERBS = {
    "trust": "can sign in as",
    "trust-pattern": "can sign in, from some runs, as",
    "uses": "uses",
    "holds-key": "holds a key of",
    "runs_as": "runs as",
    "member_of": "is a member of",
    "escalation": "can escalate to",
}

_STEPS = f"""
    SELECT row_number() OVER (ORDER BY s.node, t.node, e.kind) AS step, s.node AS source, t.node AS target,
           CASE e.kind {" ".join(f"WHEN '{kind}' THEN '{verb}'" for kind, verb in _VERBS.items())} ELSE e.kind END
           || ' ' || t.name AS what, nullif(e.why, '') AS because, e.kind, e.via, coalesce(e.confidence = 'low', false) AS doubtful,
           what || coalesce(' (' || because || ')', '') AS part
    FROM edges AS e JOIN nodes AS s ON s.id = e.source_id JOIN nodes AS t ON t.id = e.target_id
"""
"""The edges by number, each with its text in a path."""

_WIDEST = """CASE breadth WHEN 'organization' THEN '0' WHEN 'account' THEN '1' WHEN 'group' THEN '2' ELSE '3' END
             || CASE WHEN conditional THEN '1' ELSE '0' END || id"""
"""Sorts the widest grant first; its id follows the first two characters."""

_HOLDINGS = f"""
    SELECT w.power, w.node, g.id AS grant_id, g.account_id, coalesce(g.confidence = 'low', false) AS doubtful,
           'has ' || w.power || ' on ' || g.resource || ' through ' || g.role AS part
    FROM (SELECT power, node, substr(min(widest), 3) AS id
          FROM (SELECT unnest(g.powers) AS power, n.node, {_WIDEST.replace("|| id", "|| g.id")} AS widest
                FROM grants AS g JOIN nodes AS n ON n.id = g.identity_id WHERE {LIVE.format("g.")})
          WHERE power IN ({", ".join(f"'{power}'" for power in FAR_POWERS)})
          GROUP BY power, node) AS w
         JOIN grants AS g ON g.id = w.id
"""
"""The widest direct grant of each power, for each identity on a path."""

_START = """
    SELECT power, node, 0 AS steps, row_number() OVER (PARTITION BY power ORDER BY node) AS place, node AS holder,
           0 AS nth, []::VARCHAR[] AS path, NULL::BIGINT AS last, doubtful
    FROM holdings WHERE node IN (SELECT target FROM steps)
"""

_ASKING = """
    WITH RECURSIVE asking AS (
        SELECT h.power, s.target AS node FROM holdings AS h JOIN steps AS s ON s.source = h.node
        UNION
        SELECT a.power, s.target FROM asking AS a JOIN steps AS s ON s.source = a.node
    )
    SELECT a.power, a.node FROM asking AS a
    WHERE NOT EXISTS (SELECT 1 FROM holdings AS h WHERE h.power = a.power AND h.node = a.node)
"""
"""Identities through which a holder of a power could reach another holder: these keep two holders."""

_ONE_STEP_BACK = """
    WITH found AS (
        SELECT f.power, s.source, f.holder, min(f.place * 1_000_000_000 + s.step) AS best
        FROM reached AS f JOIN steps AS s ON s.target = f.node
        WHERE f.steps = $far AND s.source <> f.holder
          AND (f.nth = 0 OR NOT EXISTS (SELECT 1 FROM holdings AS h WHERE h.power = f.power AND h.node = f.node))
          AND NOT EXISTS (SELECT 1 FROM reached AS r
                          WHERE r.power = f.power AND r.node = s.source AND r.holder = f.holder)
        GROUP BY f.power, s.source, f.holder
    ), before AS (
        SELECT power, node, count(*) AS n FROM reached WHERE nth > 0 GROUP BY power, node
    ), numbered AS (
        SELECT found.*, coalesce(b.n, 0) + row_number() OVER (PARTITION BY found.power, found.source ORDER BY best) AS nth
        FROM found LEFT JOIN before AS b ON b.power = found.power AND b.node = found.source
    )
    SELECT n.power, n.source, $far + 1,
           row_number() OVER (PARTITION BY n.power ORDER BY f.place, n.source, n.holder), n.holder, n.nth,
           list_prepend(s.part, f.path), coalesce(f.last, n.source), s.doubtful OR f.doubtful
    FROM numbered AS n
         JOIN reached AS f ON f.power = n.power AND f.steps = $far AND f.place = n.best // 1_000_000_000
         JOIN steps AS s ON s.step = n.best % 1_000_000_000
    WHERE n.nth = 1 OR n.nth = 2 AND EXISTS (SELECT 1 FROM asking AS a WHERE a.power = n.power AND a.node = n.source)
"""
"""Ties are broken by the smaller id, so that the same snapshot gives the same paths. ``nth`` is 1 for the nearest holder
other than the identity itself, 2 for the next one, and 0 for a holder's own grant. A shortest path to a holder passes
through no other holder."""

_FAR = f"""
    SELECT n.id AS identity_id, t.id AS target_id, h.grant_id, r.power,
           CASE r.power {" ".join(f"WHEN '{power}' THEN '{level_of([power])}'" for power in FAR_POWERS)} END AS level,
           h.account_id, r.steps::BIGINT AS steps, list_append(list_prepend(n.name, r.path), h.part) AS path,
           l.id AS last_id, CASE WHEN r.doubtful THEN 'low' ELSE 'high' END AS confidence
    FROM reached AS r JOIN nodes AS n ON n.node = r.node JOIN nodes AS t ON t.node = r.holder
         JOIN nodes AS l ON l.node = r.last
         JOIN holdings AS h ON h.power = r.power AND h.node = r.holder
    WHERE r.nth = 1
"""

OWN_POWERS: tuple[Power, ...] = ("admin", "grant-access", "become-other", "read-secrets")
"""Powers that have a row of 0 steps where an identity holds them itself. The grants table has the others."""
_OWN_POWERS = ", ".join(f"'{power}'" for power in OWN_POWERS)

_OWN = f"""
    SELECT g.identity_id, g.identity_id AS target_id, g.id AS grant_id, w.power,
           CASE w.power {" ".join(f"WHEN '{power}' THEN '{level_of([power])}'" for power in OWN_POWERS)} END AS level,
           g.account_id, 0::BIGINT AS steps,
           ['has ' || w.power || ' on ' || g.resource || ' through ' || g.role] AS path, NULL::VARCHAR AS last_id,
           coalesce(g.confidence, 'high') AS confidence
    FROM (SELECT identity_id, power, substr(min(widest), 3) AS id
          FROM (SELECT identity_id, unnest(powers) AS power, {_WIDEST} AS widest FROM grants
                WHERE list_has_any(powers, [{_OWN_POWERS}]) AND {LIVE.format("")})
          WHERE power IN ({_OWN_POWERS}) AND identity_id IN (SELECT id FROM identities)
          GROUP BY identity_id, power) AS w
         JOIN grants AS g ON g.id = w.id
"""


def compute(tables: Tables, out: Path, as_of: datetime) -> None:
    """Write the edges, reach and excess of a snapshot into an analysis folder, and create views of them.

    ``tables`` has the record views, with the ends of links, grants and trusts resolved to identity ids.
    """
    write_edges(tables, as_of, out / "edges.parquet")
    night = {"as_of": as_of.replace(tzinfo=None)}
    if {"edges", "grants", "links", "deployments"} <= tables.empty:
        for name, record in (("reach", Reach), ("excess", Excess)):
            write_table(out / f"{name}.parquet", record, [])
            tables.view(name, record, [])
        tables.drop("received_secrets")
        return
    for name, query in {
        "delivering": DELIVERING_LINKS,
        "deployed_names": DEPLOYED_NAMES,
        "compared": COMPARED,
        "nodes": _NODES,
        "steps": _STEPS,
        "holdings": _HOLDINGS,
        "asking": _ASKING,
        "reached": _START,
    }.items():
        tables.table_of(name, query, night)
    for far in range(MAX_STEPS):
        if not tables.append("reached", _ONE_STEP_BACK, {"far": far}):
            break
    tables.copy(
        f"({_FAR} UNION ALL {_OWN}) ORDER BY identity_id, power, steps, target_id",
        out / "reach.parquet",
        night,
    )
    tables.drop("reached", "asking", "holdings")
    tables.view("reach", Reach, [out / "reach.parquet"])
    write_table(out / "excess.parquet", Excess, compare(tables, as_of))
    tables.drop("received_secrets", "near", "steps", "nodes", "compared", "deployed_names", "delivering")
    tables.view("excess", Excess, [out / "excess.parquet"])


__all__ = ["compute"]
