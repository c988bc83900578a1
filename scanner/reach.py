"""Who can reach what: the shortest path from every identity to each power that matters.

A path runs over `Edge` rows (trusts that a token passes, links, escalations) to an identity's own grant.
For each power the walk goes backwards from all its holders at once, so that the work grows with the edges and
not with the pairs: twenty thousand pipelines behind one open role cost twenty thousand steps.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from scanner.delivery import compare
from scanner.edges import find_edges
from scanner.findings import Edge, Excess, Reach
from scanner.records import POWERS, Power, level_of
from scanner.snapshot import write_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from pathlib import Path

    from scanner.night import Tables

FAR_POWERS: tuple[Power, ...] = (
    "admin",
    "grant-access",
    "become-other",
    "read-secrets",
    "change-delivery",
    "deploy",
    "change-data",
    "read-data",
)
"""Powers worth a path. Plain reading is left out: nearly everything can."""

NEAR_LEVELS = ("admin", "escalation")
"""An identity's own grant is listed as reach of 0 steps at these levels, and for reading secrets."""

MAX_STEPS = 8
"""Longer paths are real but nobody acts on them; the shortest one is what a reviewer reads."""


class Holding(NamedTuple):
    """The grant by which an identity holds a power itself."""

    grant_id: str
    account_id: str
    role: str
    resource: str


class Graph:
    """Edges by source and by target, and the names of the identities on them."""

    def __init__(self, edges: Iterable[Edge], names: dict[str, str]) -> None:
        self.outgoing: dict[str, list[Edge]] = {}
        self.incoming: dict[str, list[Edge]] = {}
        for edge in edges:
            self.outgoing.setdefault(edge.source_id, []).append(edge)
            self.incoming.setdefault(edge.target_id, []).append(edge)
        self.names = names

    def name(self, identity: str) -> str:
        """Return what people call an identity."""
        return self.names.get(identity, identity)

    def nodes(self) -> set[str]:
        """Return every identity that an edge touches."""
        return self.outgoing.keys() | self.incoming.keys()

    def steps(self, edges: list[Edge], holding: Holding | None, power: Power) -> list[str]:
        """Write a path for a reader: one part a step, the power last."""
        parts = [self.name(edges[0].source_id)] if edges else []
        for edge in edges:
            how = f" ({edge.why})" if edge.why else ""
            parts.append(f"{_VERBS.get(edge.kind, edge.kind)} {self.name(edge.target_id)}{how}")
        if holding is not None:
            parts.append(f"has {power} on {holding.resource} through {holding.role}")
        return parts


_VERBS = {
    "trust": "can sign in as",
    "trust-pattern": "can sign in, from some runs, as",
    "uses": "uses",
    "holds-key": "holds a key of",
    "runs_as": "runs as",
    "member_of": "is member of",
    "escalation": "can make itself",
}


def _nearest(graph: Graph, holders: dict[str, Holding]) -> Iterator[tuple[str, list[Edge], Holding]]:
    """Yield every identity that reaches a holder by one or more edges, with the shortest way.

    Ties go to the smaller id, so that the same night gives the same paths.
    """
    towards: dict[str, Edge] = {}
    distance = dict.fromkeys(sorted(holder for holder in holders if holder in graph.incoming), 0)
    queue = deque(distance)
    while queue:
        node = queue.popleft()
        if distance[node] >= MAX_STEPS:
            continue
        for edge in sorted(graph.incoming.get(node, ()), key=lambda edge: edge.source_id):
            if edge.source_id in distance:
                continue
            distance[edge.source_id] = distance[node] + 1
            towards[edge.source_id] = edge
            queue.append(edge.source_id)
    for start in towards:
        if start in holders:
            continue
        way: list[Edge] = []
        node = start
        while node in towards:
            way.append(towards[node])
            node = towards[node].target_id
        yield start, way, holders[node]


def _holdings(tables: Tables, nodes: set[str]) -> dict[Power, dict[str, Holding]]:
    """Return, for each power, the widest grant by which each identity on the graph holds it."""
    query = """
        SELECT identity_id, unnest(powers) AS power,
               arg_min({'grant_id': id, 'account_id': account_id, 'role': role, 'resource': resource},
                       {'breadth': CASE breadth WHEN 'organisation' THEN 0 WHEN 'account' THEN 1
                                   WHEN 'group' THEN 2 ELSE 3 END,
                        'conditional': coalesce(conditional, false), 'id': id}) AS widest
        FROM grants WHERE len(powers) > 0
          AND identity_id IN (SELECT source_id FROM edges UNION ALL SELECT target_id FROM edges)
        GROUP BY 1, 2
    """
    found: dict[Power, dict[str, Holding]] = {power: {} for power in POWERS}
    for identity, power, widest in tables.rows(query):
        if identity in nodes:
            found[power][identity] = Holding(**widest)
    return found


def find_reach(tables: Tables, graph: Graph) -> Iterator[Reach]:
    """Yield the shortest path from each identity to each power that another identity holds."""
    holdings = _holdings(tables, graph.nodes())
    for power in FAR_POWERS:
        holders = holdings[power]
        for start, way, holding in _nearest(graph, holders):
            yield Reach(
                identity_id=start,
                target_id=way[-1].target_id,
                grant_id=holding.grant_id,
                power=power,
                level=level_of([power]),
                account_id=holding.account_id,
                steps=len(way),
                path=graph.steps(way, holding, power),
            )


_WIDEST = """struct_pack(breadth := CASE breadth WHEN 'organisation' THEN 0 WHEN 'account' THEN 1 WHEN 'group' THEN 2
                              ELSE 3 END, conditional := coalesce(conditional, false), id := id)"""

_OWN = f"""
    SELECT identity_id, identity_id AS target_id, arg_min(id, {_WIDEST}) AS grant_id, power,
           CASE WHEN power = 'admin' THEN 'admin'
                WHEN power IN ('grant-access', 'become-other') THEN 'escalation' ELSE 'write' END AS level,
           arg_min(account_id, {_WIDEST}) AS account_id, 0::BIGINT AS steps,
           ['has ' || power || ' on ' || arg_min(resource, {_WIDEST}) || ' through ' || arg_min(role, {_WIDEST})] AS path
    FROM (SELECT *, unnest(powers) AS power FROM grants)
    WHERE level IN ('admin', 'escalation') AND power IN ('admin', 'grant-access', 'become-other')
       OR power = 'read-secrets'
    GROUP BY identity_id, power
"""


def compute(tables: Tables, out: Path, as_of: datetime) -> None:
    """Write edges, reach and excess of a snapshot into an analysis folder, and make views of them.

    ``tables`` has the record views, with the ends of links, grants and trusts resolved to identity ids.
    """
    edges = sorted(
        find_edges(tables, as_of),
        key=lambda edge: (edge.source_id, edge.target_id, edge.kind, edge.evidence or ""),
    )
    write_table(out / "edges.parquet", Edge, edges)
    tables.view("edges", Edge, [out / "edges.parquet"])
    graph = Graph(edges, _names(tables))
    write_table(out / "reach-far.parquet", Reach, find_reach(tables, graph))
    tables.view("reach_far", Reach, [out / "reach-far.parquet"])
    tables.copy(
        f"SELECT * FROM reach_far UNION ALL BY NAME ({_OWN}) ORDER BY identity_id, power, steps, target_id",
        out / "reach.parquet",
    )
    (out / "reach-far.parquet").unlink()
    tables.view("reach", Reach, [out / "reach.parquet"])
    write_table(out / "excess.parquet", Excess, compare(tables, graph))
    tables.view("excess", Excess, [out / "excess.parquet"])


def _names(tables: Tables) -> dict[str, str]:
    """Return what people call the identities on a path. A pipeline's own name says little without its repository."""
    query = """
        SELECT i.id, CASE WHEN i.location IS NOT NULL AND i.address IS NOT NULL THEN i.address
                          WHEN i.kind = 'iam-role' THEN i.name || ' (role)'
                          WHEN i.kind = 'iam-user' THEN i.name || ' (user)' ELSE i.name END
        FROM identities i
        WHERE i.id IN (SELECT source_id FROM edges UNION ALL SELECT target_id FROM edges)
           OR i.id IN (SELECT source_id FROM links WHERE relation = 'deploys') OR i.surface = 'workload'
    """
    return dict(tables.rows(query))


__all__ = ["Graph", "Holding", "compute", "find_reach"]
