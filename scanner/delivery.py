"""The signature comparison: what a pipeline reaches, and the workload that it delivers does not have.

Delivering needs to deploy and to change what is delivered; reading follows from nearly everything. What is left
of a pipeline's powers after that, and after the powers of the workload itself, is the excess.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from scanner.findings import Edge, Excess
from scanner.records import POWERS, Level, Power, level_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanner.night import Tables
    from scanner.reach import Graph

DELIVERING: frozenset[Power] = frozenset({"deploy", "change-delivery", "read"})
"""What every pipeline needs in order to deliver."""

MAX_NODES = 5_000
"""Identities walked from one pipeline; more than this is said to be incomplete."""


class Own(NamedTuple):
    """What an identity itself is granted."""

    powers: frozenset[Power]
    unknown: bool
    role: dict[Power, str]
    resource: dict[Power, str]


class Closure(NamedTuple):
    """What an identity is granted and can reach."""

    powers: list[Power]
    way: dict[Power, list[Edge]]
    holder: dict[Power, str]
    unknown: bool


def _own(tables: Tables) -> dict[str, Own]:
    query = """
        SELECT identity_id, list(DISTINCT powers), bool_or(level = 'unknown' OR confidence = 'low'),
               list({'powers': powers, 'role': role, 'resource': resource} ORDER BY id)
        FROM grants
        WHERE identity_id IN (SELECT source_id FROM edges UNION ALL SELECT target_id FROM edges
                              UNION ALL SELECT source_id FROM links WHERE relation = 'deploys'
                              UNION ALL SELECT target_id FROM links WHERE relation = 'deploys')
        GROUP BY identity_id
    """
    found: dict[str, Own] = {}
    for identity, sets, unknown, grants in tables.rows(query):
        role: dict[Power, str] = {}
        resource: dict[Power, str] = {}
        for grant in grants:
            for power in grant["powers"]:
                role.setdefault(power, grant["role"])
                resource.setdefault(power, grant["resource"])
        found[identity] = Own(
            frozenset(power for powers in sets for power in powers), bool(unknown), role, resource
        )
    return found


def _closure(start: str, graph: Graph, own: dict[str, Own]) -> Closure:
    """Walk forward from an identity and gather every power on the way, nearest holder first."""
    way: dict[str, list[Edge]] = {start: []}
    powers: dict[Power, list[Edge]] = {}
    holder: dict[Power, str] = {}
    unknown = False
    queue = deque([start])
    while queue:
        node = queue.popleft()
        mine = own.get(node)
        if mine is not None:
            unknown |= mine.unknown
            for power in mine.powers:
                if power not in powers:
                    powers[power] = way[node]
                    holder[power] = node
        if len(way) > MAX_NODES:
            return Closure([power for power in POWERS if power in powers], powers, holder, unknown=True)
        for edge in sorted(graph.outgoing.get(node, ()), key=lambda edge: edge.target_id):
            if edge.target_id not in way:
                way[edge.target_id] = [*way[node], edge]
                queue.append(edge.target_id)
    return Closure([power for power in POWERS if power in powers], powers, holder, unknown)


def _why(pipeline: str, workload: str, excess: list[Power], level: Level, complete: bool) -> str:
    if excess:
        more = ", ".join(excess)
        return f"{pipeline} can {more} where {workload}, which it delivers, cannot: its level is {level}."
    if complete:
        return f"{pipeline} has nothing that {workload} lacks, beside what delivering needs."
    return f"No excess of {pipeline} over {workload} was seen, and part of it could not be read."


def compare(tables: Tables, graph: Graph) -> Iterator[Excess]:
    """Yield one row for each pipeline and workload that it deploys, by pipeline and workload id.

    A workload that is deployed but not known by the scan gives a row without powers, marked incomplete.
    """
    own = _own(tables)
    query = """
        SELECT DISTINCT l.source_id, coalesce(p.name, l.source_id), l.target_id, coalesce(w.name, l.target_id),
               w.id IS NOT NULL,
               exists(SELECT 1 FROM gaps g WHERE g.account_id IN (p.account_id, w.account_id)
                      AND (g.table IN ('*', 'grants', 'trusts', 'links')
                           OR g.table = 'identities' AND (g.kind IS NULL OR g.kind IN (w.kind, 'iam-role'))))
        FROM links l LEFT JOIN identities p ON p.id = l.source_id LEFT JOIN identities w ON w.id = l.target_id
        WHERE l.relation = 'deploys' ORDER BY 1, 3
    """
    reached: dict[str, Closure] = {}
    for pipeline, pipeline_name, workload, workload_name, known, gaps in tables.rows(query):
        for identity in (pipeline, workload):
            if identity not in reached:
                reached[identity] = _closure(identity, graph, own)
        left, right = reached[pipeline], reached[workload]
        allowed = DELIVERING | set(right.powers)
        excess = (
            [power for power in left.powers if power not in allowed] if "admin" not in right.powers else []
        )
        if not known:
            excess = []
        complete = known and not gaps and not left.unknown and not right.unknown
        way: list[str] = []
        if excess:
            holder = left.holder[excess[0]]
            way = graph.steps(left.way[excess[0]], None, excess[0])
            mine = own[holder]
            way.append(f"has {excess[0]} on {mine.resource[excess[0]]} through {mine.role[excess[0]]}")
        yield Excess(
            pipeline_id=pipeline,
            pipeline_name=pipeline_name,
            workload_id=workload,
            workload_name=workload_name,
            pipeline_powers=left.powers,
            workload_powers=right.powers,
            excess=excess,
            pipeline_level=level_of(left.powers),
            workload_level=level_of(right.powers),
            path=way,
            complete=complete,
            why=_why(pipeline_name, workload_name, excess, level_of(left.powers), complete)
            if known
            else f"{workload_name}, which {pipeline_name} deploys, is not in the inventory: it cannot be compared.",
        )
