"""Compares the powers that a pipeline reaches with those of the workload it deploys.

Every deployment needs the powers deploy, change-delivery and read. What else a pipeline reaches and the workload does
not have is the excess. Powers of a pipeline on its own platform, such as its repository, are not compared with the
cloud permissions of a workload.

A comparison is complete only if nothing on either path can hide a power: no gap in an account on the path, no role
missing from the inventory, and no stored key of unknown identity.
"""

from __future__ import annotations

import itertools
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from scanner.findings import Excess, ExcessStep
from scanner.records import POWERS, Level, Power, level_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanner.tables import Tables

DELIVERING: frozenset[Power] = frozenset({"deploy", "change-delivery", "read"})
"""Powers that every deployment needs."""

MAX_NODES = 5_000
"""Maximum number of identities followed from one pipeline. Beyond it the comparison is incomplete."""


class Own(NamedTuple):
    """The direct grants of an identity."""

    powers: frozenset[Power]
    unknown: bool
    role: dict[Power, str]
    resource: dict[Power, str]
    fixes: dict[Power, list[str | None]]
    """The fix for each grant of a power."""
    escapes: dict[str, str | None]
    """The fix for each escalation to another identity, by the id of that identity."""


class Step(NamedTuple):
    """An edge of the graph: its target and its part of a path."""

    target: str
    part: ExcessStep


class Graph(NamedTuple):
    """The part of the graph reachable from the compared pipelines and workloads."""

    steps: dict[str, list[Step]]
    """By source; targets in the order of their ids."""
    names: dict[str, str]
    own: dict[str, Own]
    dark: frozenset[str]
    """Identities whose powers may be incomplete: see `_DARK`."""

    def name(self, identity: str) -> str:
        """Return the display name of an identity."""
        return self.names.get(identity, identity)


class Closure(NamedTuple):
    """What an identity holds and can reach."""

    powers: list[Power]
    way: dict[Power, list[ExcessStep]]
    before: dict[str, str]
    """By identity: the previous identity on its path."""
    holder: dict[Power, str]
    unknown: bool
    nodes: frozenset[str]


# What a called pipeline deploys, its callers deploy with their own permissions.
DELIVERING_LINKS = """
    WITH RECURSIVE told AS (
        SELECT source_id AS pipeline, target_id AS target FROM links WHERE relation = 'deploys'
        UNION
        SELECT u.source_id, t.target FROM told AS t JOIN links AS u ON u.relation = 'uses' AND u.target_id = t.pipeline
        JOIN identities AS called ON called.id = t.pipeline AND list_contains(called.triggers, 'workflow_call')
        JOIN identities AS caller ON caller.id = u.source_id AND caller.surface = 'automation'
    )
    SELECT t.pipeline, t.target FROM told AS t LEFT JOIN identities AS p ON p.id = t.pipeline
    WHERE coalesce(p.enabled, true)
      AND NOT (coalesce(p.triggers = ['workflow_call'], false)
               AND EXISTS (FROM links AS u WHERE u.relation = 'uses' AND u.target_id = t.pipeline))
"""
"""Which pipeline deploys what."""

# Definition files often name a workload without its account. Such links end at ``provider:kind-name:NAME``.
DEPLOYED_NAMES = """
    WITH asked AS (
        SELECT DISTINCT target AS target_id,
               regexp_extract(target, '^([^:]+):([^:]+)-name:(.+)$', ['provider', 'kind', 'name']) AS part
        FROM delivering WHERE regexp_matches(target, '^[^:]+:[^:]+-name:.+$')
    )
    SELECT asked.target_id, i.id, i.account_id
    FROM asked JOIN identities i ON i.provider = asked.part.provider AND i.kind = asked.part.kind
         AND (i.name = asked.part.name OR ends_with(i.address, '/' || asked.part.name)
              OR ends_with(i.address, ':' || asked.part.name))
"""
"""The workloads that a deployed name can refer to."""

COMPARED = """
    SELECT DISTINCT id FROM (SELECT pipeline AS id FROM delivering UNION ALL
                             SELECT target FROM delivering UNION ALL
                             SELECT id FROM deployed_names)
"""
"""The pipelines and what they deploy."""

_NEAR = """
    WITH RECURSIVE walked AS (
        SELECT node FROM nodes WHERE id IN (SELECT id FROM compared)
        UNION
        SELECT s.target FROM walked AS w JOIN steps AS s ON s.source = w.node
    )
    SELECT n.id, n.node, n.name FROM walked AS w JOIN nodes AS n ON n.node = w.node
"""


def _graph(tables: Tables) -> Graph:
    """Read the part of the graph reachable from the compared identities, usually a small one."""
    steps: dict[str, list[Step]] = {}
    query = """
        SELECT a.id, b.id, s.what, s.because FROM steps AS s JOIN near AS a ON a.node = s.source JOIN near AS b ON b.node = s.target
        ORDER BY s.step
    """
    for source, target, what, because in tables.rows(query):
        steps.setdefault(source, []).append(Step(target, ExcessStep(what=what, because=because)))
    dark = frozenset(row[0] for row in tables.rows(_DARK))
    return Graph(steps, dict(tables.rows("SELECT id, name FROM near")), _own(tables), dark)


_DARK = """
    WITH around AS (SELECT id FROM near UNION SELECT id FROM compared)
    SELECT i.id FROM gaps AS g JOIN identities AS i ON i.account_id = g.account_id JOIN around AS a ON a.id = i.id
    WHERE g."table" = '*' OR g."table" IN ('grants', 'trusts', 'links') AND coalesce(g.kind, '') NOT IN
                                              ('last-accessed', 'fine-grained-pat', 'resource-policy')
       OR g."table" = 'identities' AND (g.kind IS NULL OR g.kind IN (i.kind, 'iam-role'))
    UNION
    SELECT l.source_id FROM links AS l JOIN around AS a ON a.id = l.source_id
    WHERE l.relation IN ('uses', 'runs_as') AND l.target_id NOT IN (SELECT id FROM identities)
    UNION
    SELECT i.id FROM identities AS i JOIN around AS a ON a.id = i.id
    WHERE list_has_any(i.logins, (SELECT list(DISTINCT coalesce(w.provider, split_part(d.target, ':', 1)) || ':static')
                                  FROM delivering AS d LEFT JOIN identities AS w ON w.id = d.target))
      AND NOT EXISTS (FROM edges AS e WHERE e.source_id = i.id AND e.kind = 'holds-key')
    UNION
    SELECT i.id FROM identities AS i JOIN around AS a ON a.id = i.id
    WHERE i.triggers = ['workflow_call']
      AND NOT EXISTS (FROM links AS u WHERE u.relation = 'uses' AND u.target_id = i.id)
"""
"""Identities whose powers may be incomplete: those in an account with a gap, those that use a role missing from the
inventory, those with a static sign-in to the workload's cloud by an unknown key, and pipelines with unknown callers."""


_ESCAPES = """
    SELECT source_id, target_id, fix FROM links
    WHERE relation = 'can_become' AND source_id IN (SELECT id FROM near) ORDER BY id
"""


def _own(tables: Tables) -> dict[str, Own]:
    query = """
        SELECT identity_id, bool_or(level = 'unknown' OR confidence = 'low'),
               list({'powers': powers, 'role': role, 'resource': resource, 'fix': fix} ORDER BY id)
        FROM grants WHERE identity_id IN (SELECT id FROM near UNION ALL SELECT id FROM compared) GROUP BY identity_id
    """
    escapes: dict[str, dict[str, str | None]] = {}
    for source, target, fix in tables.rows(_ESCAPES):
        escapes.setdefault(source, {}).setdefault(target, fix)
    found: dict[str, Own] = {}
    for identity, unknown, grants in tables.rows(query):
        role: dict[Power, str] = {}
        resource: dict[Power, str] = {}
        fixes: dict[Power, list[str | None]] = {}
        for grant in grants:
            for power in grant["powers"]:
                role.setdefault(power, grant["role"])
                resource.setdefault(power, grant["resource"])
                fixes.setdefault(power, []).append(grant["fix"])
        found[identity] = Own(
            frozenset(role), bool(unknown), role, resource, fixes, escapes.get(identity, {})
        )
    return found


def _closure(start: str, graph: Graph, *, own: bool = True) -> Closure:
    """Follow the graph from an identity and collect every power on the way, nearest holder first.

    ``own`` says whether the identity's direct grants count.
    """
    way: dict[str, list[ExcessStep]] = {start: []}
    powers: dict[Power, list[ExcessStep]] = {}
    holder: dict[Power, str] = {}
    unknown = False
    queue = deque([start])
    before: dict[str, str] = {}
    while queue:
        node = queue.popleft()
        mine = graph.own.get(node) if own or node != start else None
        unknown |= node in graph.dark
        if mine is not None:
            unknown |= mine.unknown
            for power in mine.powers:
                if power not in powers:
                    powers[power] = way[node]
                    holder[power] = node
        if len(way) > MAX_NODES:
            unknown = True
            break
        for step in graph.steps.get(node, ()):
            if step.target not in way:
                way[step.target] = [*way[node], step.part]
                before[step.target] = node
                queue.append(step.target)
    return Closure(
        [power for power in POWERS if power in powers], powers, before, holder, unknown, frozenset(way)
    )


def _fix(pipeline: str, workload: str, power: Power, left: Closure, graph: Graph) -> str:
    """Return the smallest change that cuts the path from a pipeline to a power.

    That is the first escalation to another identity, which no deployment needs, or else the grant itself.
    """
    chain = [left.holder[power]]
    while chain[0] != pipeline:
        chain.insert(0, left.before[chain[0]])
    for source, target in itertools.pairwise(chain):
        own = graph.own.get(source)
        if own is not None and target in own.escapes:
            fix = own.escapes[target] or f"Remove the permission that lets it become {graph.name(target)}."
            return f"{graph.name(source)}: {fix}"
    holder = chain[-1]
    mine = graph.own[holder]
    first, *more = mine.fixes[power]
    fix = first or f"Replace {mine.role[power]} with only what deploying {workload} requires."
    if more:
        fix += f" {len(more)} more of its grants also {'gives' if len(more) == 1 else 'give'} {power}."
    return f"{graph.name(holder)}: {fix}"


def _why(pipeline: str, workload: str, excess: list[Power], level: Level, complete: bool) -> str:
    if excess:
        more = ", ".join(excess)
        return f"{pipeline} deploys {workload} and can reach permissions it does not have: {more}. Its access level is {level}."
    if complete:
        return f"{pipeline} has no permissions beyond those of {workload} and of deployment."
    return f"No excess of {pipeline} over {workload} was found, but some inputs could not be read."


class Delivery(NamedTuple):
    """A pipeline and a workload it deploys. The workload is unknown if its id is None."""

    pipeline: str
    pipeline_name: str
    target: str
    workload: str | None
    sure: bool = True
    """False if only the name matches and the pipeline reaches nothing in the workload's account."""


def _deliveries(tables: Tables, reached: dict[str, Closure], graph: Graph) -> Iterator[Delivery]:
    """Yield what each pipeline deploys. A name found in several accounts means those the pipeline can sign in to."""
    named: dict[str, list[tuple[str, str]]] = {}
    for target, identity, account in tables.rows("FROM deployed_names ORDER BY ALL"):
        named.setdefault(target, []).append((identity, account))
    accounts = dict(
        tables.rows(
            "SELECT id, account_id FROM identities "
            "WHERE id IN (SELECT n.id FROM near AS n JOIN steps AS s ON s.target = n.node)"
        )
    )
    query = """
        SELECT DISTINCT d.pipeline, coalesce(p.name, d.pipeline), d.target, w.id
        FROM delivering d LEFT JOIN identities p ON p.id = d.pipeline LEFT JOIN identities w ON w.id = d.target
        ORDER BY 1, 3
    """
    for pipeline, name, target, workload in tables.rows(query):
        if workload is not None:
            yield Delivery(pipeline, name, target, workload)
            continue
        candidates: list[tuple[str | None, str]] = list(named.get(target, []))
        if candidates and pipeline not in reached:
            reached[pipeline] = _closure(pipeline, graph)
        homes = {accounts.get(node) for node in reached[pipeline].nodes} if candidates else set()
        near = [pair for pair in candidates if pair[1] in homes]
        if len(candidates) > 1:
            candidates = near
        for identity, _ in candidates or [(None, "")]:
            yield Delivery(pipeline, name, target, identity, identity is None or bool(near))


def compare(tables: Tables) -> Iterator[Excess]:
    """Yield one row for each pipeline and each workload it deploys, by pipeline and workload id.

    A deployed workload that is not in the inventory gives a row without powers, marked incomplete.
    ``tables`` has the tables of both queries above, and the nodes and steps of `scanner.analyze.reach`.
    """
    tables.table_of("near", _NEAR)
    graph = _graph(tables)
    reached: dict[str, Closure] = {}
    deliveries = sorted(
        set(_deliveries(tables, reached, graph)),
        key=lambda one: (one.pipeline, one.target, one.workload or ""),
    )
    provider = dict(tables.rows("SELECT id, provider FROM identities WHERE id IN (SELECT id FROM compared)"))
    abroad: dict[str, Closure] = {}
    seen: set[tuple[str, str]] = set()
    for delivery in deliveries:
        workload = delivery.workload or delivery.target
        if (delivery.pipeline, workload) in seen:
            continue
        seen.add((delivery.pipeline, workload))
        own = provider.get(delivery.pipeline) == provider.get(workload)
        kept = reached if own else abroad
        if delivery.pipeline not in kept:
            kept[delivery.pipeline] = _closure(delivery.pipeline, graph, own=own)
        if workload not in reached:
            reached[workload] = _closure(workload, graph)
        yield _compared(delivery, kept[delivery.pipeline], reached[workload], graph)


def _compared(delivery: Delivery, left: Closure, right: Closure, graph: Graph) -> Excess:
    known = delivery.workload is not None
    workload = delivery.workload or delivery.target
    allowed = DELIVERING | set(right.powers)
    excess = (
        [power for power in left.powers if power not in allowed]
        if known and "admin" not in right.powers
        else []
    )
    complete = known and delivery.sure and not left.unknown and not right.unknown
    way: list[ExcessStep] = []
    fix: str | None = None
    name = graph.name(workload) if known else delivery.target
    if excess:
        holder = left.holder[excess[0]]
        mine = graph.own[holder]
        last = f"has {excess[0]} on {mine.resource[excess[0]]} through {mine.role[excess[0]]}"
        way = [*left.way[excess[0]], ExcessStep(what=last)]
        fix = _fix(delivery.pipeline, name, excess[0], left, graph)
    return Excess(
        pipeline_id=delivery.pipeline,
        pipeline_name=graph.name(delivery.pipeline),
        workload_id=workload,
        workload_name=name,
        pipeline_powers=left.powers,
        workload_powers=right.powers,
        excess=excess,
        pipeline_level=level_of(left.powers),
        workload_level=level_of(right.powers),
        path=way,
        fix=fix,
        complete=complete,
        why=_why(graph.name(delivery.pipeline), name, excess, level_of(left.powers), complete)
        if known
        else f"{name}, deployed by {graph.name(delivery.pipeline)}, is not in the inventory and cannot be compared.",
    )
