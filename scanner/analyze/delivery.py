"""Compares the powers that a pipeline reaches with those of the workload it deploys.

Every deployment needs the powers deploy, change-delivery and read. What else a pipeline reaches and the workload does
not have is the excess. Powers of a pipeline on its own platform, such as its repository, are not compared with the
cloud permissions of a workload.

A comparison is complete only if nothing on either path can hide a power: docs/analysis.md lists what can.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

from scanner.analyze.delivery_graph import (
    ESCALATED,
    TRUSTED,
    Closure,
    Graph,
    StepRemoval,
    closure_of,
    path_to,
    read_graph,
)
from scanner.findings import Excess
from scanner.records import Level, Power, level_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from scanner.tables import Tables


DELIVERING: frozenset[Power] = frozenset({"deploy", "change-delivery", "read"})
"""Powers that every deployment needs."""

MAX_CUTS = 8
"""Maximum number of changes proposed for one comparison."""


class _Changes(NamedTuple):
    """Changes in order, and the excess that is left after each."""

    cuts: list[StepRemoval]
    after: list[list[Power]]


# What a called pipeline deploys, its callers deploy with their own permissions.
DELIVERING_LINKS = """
    WITH RECURSIVE uses AS (
        SELECT source_id, target_id FROM links WHERE relation = 'uses' AND coalesce(expires_at > $as_of, true)
    ), deploys AS (
        (SELECT source_id AS pipeline, target_id AS target FROM links
         WHERE relation = 'deploys' AND coalesce(expires_at > $as_of, true)
         UNION
         SELECT pipeline_id, workload_id FROM deployments WHERE pipeline_id IS NOT NULL AND workload_id IS NOT NULL)
        UNION
        SELECT u.source_id, t.target FROM deploys AS t JOIN uses AS u ON u.target_id = t.pipeline
        JOIN identities AS called ON called.id = t.pipeline AND called.reusable IS NOT NULL
        JOIN identities AS caller ON caller.id = u.source_id AND caller.surface = 'automation'
    )
    SELECT t.pipeline, t.target FROM deploys AS t LEFT JOIN identities AS p ON p.id = t.pipeline
    WHERE coalesce(p.enabled, true)
      AND NOT (coalesce(p.reusable = 'only', false) AND t.pipeline IN (SELECT target_id FROM uses))
"""
"""Which pipeline deploys what."""

# Definition files often name a workload without its account.
DEPLOYED_NAMES = """
    WITH asked AS (
        SELECT DISTINCT target_id, target_provider, target_kind, target_name FROM links
        WHERE relation = 'deploys' AND target_name IS NOT NULL AND coalesce(expires_at > $as_of, true)
    )
    SELECT DISTINCT asked.target_id, i.id, i.account_id
    FROM asked JOIN identities i ON i.provider = asked.target_provider
         AND asked.target_kind IN (i.kind, i.surface)
         AND (i.name = asked.target_name OR ends_with(i.address, '/' || asked.target_name)
              OR ends_with(i.address, ':' || asked.target_name))
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
    SELECT n.id, n.node, n.name, n.short_name, n.identity_kind FROM walked AS w JOIN nodes AS n ON n.node = w.node
"""

_UNCALLED = """
    SELECT id FROM identities WHERE reusable = 'only' AND id IN (SELECT pipeline FROM delivering)
      AND id NOT IN (SELECT target_id FROM links WHERE relation = 'uses' AND coalesce(expires_at > $as_of, true))
"""
"""Pipelines that others must call, and whose callers are unknown."""


class _Comparison(NamedTuple):
    """One pipeline and one workload, while the changes that end the excess are looked for."""

    pipeline: str
    workload: str
    """Its display name."""
    right: Closure
    """What the workload reaches."""
    graph: Graph
    provider: str
    """The provider of the workload."""

    def changes(self, left: Closure) -> _Changes:
        """Return the changes that end the excess: each is made, and then the way to the strongest power left is cut."""
        cuts: list[StepRemoval] = []
        after: list[list[Power]] = []
        excess = _beyond(left, self.right)
        while excess and len(cuts) < MAX_CUTS:
            cuts.append(self._cut(excess[0], left, cuts))
            left = closure_of(self.pipeline, self.graph, self.provider, cuts)
            excess = _beyond(left, self.right)
            after.append(excess)
        return _Changes(cuts, after)

    def _cut(self, power: Power, left: Closure, made: Sequence[StepRemoval]) -> StepRemoval:
        """Return the smallest change that cuts the way to a power.

        That is the first escalation to another identity, which no deployment needs, or else the grant itself.
        """
        graph = self.graph
        chain = [left.holder[power]]
        while chain[0] != self.pipeline:
            chain.insert(0, left.before[chain[0]])
        for at, (source, target) in enumerate(itertools.pairwise(chain)):
            own = graph.own.get(source)
            escape = own.escapes.get(target) if own is not None else None
            if escape is None:
                continue
            kinds = TRUSTED if escape.by_trust else ESCALATED
            if left.way[power][at].kind in kinds:
                fix = escape.fix or f"Remove the permission that lets it become {graph.name(target)}."
                return StepRemoval(at, escape.changed, fix, source, target, kinds, None)
        holder = chain[-1]
        held = graph.own[holder].without([cut for cut in made if cut.source == holder])
        grant = next(grant for grant in held if power in grant.powers)
        fix = grant.fix or f"Replace {grant.role} with only what deploying {self.workload} requires."
        return StepRemoval(len(chain) - 1, holder, fix, holder, None, frozenset(), grant)


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
    """False if only the name matches and the pipeline reaches nothing, and holds no power, in the workload's account; in a
    comparison also if the pipeline or its callers are unknown."""


# An identity may have its powers elsewhere: those of Entra ID are in subscriptions.
_AT_HOME = """
    WITH RECURSIVE placed AS (
        SELECT id, account_id FROM identities WHERE id IN (SELECT id FROM near)
    ), granted AS (
        SELECT DISTINCT identity_id AS id, account_id FROM grants
        WHERE identity_id IN (SELECT id FROM placed) AND coalesce(expires_at > $as_of, true)
    ), below AS (
        SELECT id, account_id, 0 AS levels FROM granted
        UNION ALL
        SELECT b.id, a.id, levels + 1 FROM below AS b JOIN accounts AS a ON a.parent_id = b.account_id WHERE levels < 32
    )
    SELECT id, account_id FROM placed UNION SELECT id, account_id FROM below
"""
"""In which accounts an identity is, or has powers."""


def _deliveries(tables: Tables, graph: Graph, night: dict[str, Any]) -> Iterator[Delivery]:
    """Yield what each pipeline deploys. A name found in several accounts means those the pipeline can sign in to."""
    named: dict[str, list[tuple[str, str]]] = {}
    for target, identity, account in tables.rows("FROM deployed_names ORDER BY ALL"):
        named.setdefault(target, []).append((identity, account))
    accounts: dict[str, set[str]] = {}
    for identity, account in tables.rows(_AT_HOME, night):
        accounts.setdefault(identity, set()).add(account)
    homes: dict[str, set[str]] = {}
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
        if candidates and pipeline not in homes:
            nodes = closure_of(pipeline, graph, "").nodes
            homes[pipeline] = {account for node in nodes for account in accounts.get(node, ())}
        near = [pair for pair in candidates if pair[1] in homes[pipeline]]
        if len(candidates) > 1:
            candidates = near
        for identity, _ in candidates or [(None, "")]:
            yield Delivery(pipeline, name, target, identity, identity is None or bool(near))


def compare(tables: Tables, as_of: datetime) -> Iterator[Excess]:
    """Yield one row for each pipeline and each workload it deploys, by pipeline id.

    A deployed workload that is not in the inventory gives a row without its powers, marked incomplete.
    ``tables`` has the tables of both queries above, and the nodes and steps of `scanner.analyze.reach`.
    """
    tables.table_of("near", _NEAR)
    night = {"as_of": as_of.replace(tzinfo=None)}
    graph = read_graph(tables, night)
    # Of several names for one workload, one that is certain comes first.
    deliveries = sorted(
        set(_deliveries(tables, graph, night)),
        key=lambda one: (one.pipeline, not one.sure, one.target, one.workload or ""),
    )
    provider = dict(tables.rows("SELECT id, provider FROM identities WHERE id IN (SELECT id FROM compared)"))
    uncalled = {row[0] for row in tables.rows(_UNCALLED, night)}
    reached: dict[tuple[str, str], Closure] = {}
    seen: set[tuple[str, str]] = set()
    for delivery in deliveries:
        workload = delivery.workload or delivery.target
        if (delivery.pipeline, workload) in seen:
            continue
        seen.add((delivery.pipeline, workload))
        # Nothing is of the provider of an unknown workload.
        home = provider.get(workload, "")
        for identity in (delivery.pipeline, workload):
            if (identity, home) not in reached:
                reached[identity, home] = closure_of(identity, graph, home)
        left, right = reached[delivery.pipeline, home], reached[workload, home]
        sure = delivery.sure and delivery.pipeline in provider and delivery.pipeline not in uncalled
        yield _compared(delivery._replace(sure=sure), left, right, graph, home)


def _compared(delivery: Delivery, left: Closure, right: Closure, graph: Graph, home: str) -> Excess:
    known = delivery.workload is not None
    workload = delivery.workload or delivery.target
    excess = _beyond(left, right) if known else []
    complete = known and delivery.sure and not left.unknown and not right.unknown
    name = graph.name(workload)
    cuts, after = (
        _Comparison(delivery.pipeline, name, right, graph, home).changes(left) if excess else _Changes([], [])
    )
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
        path=path_to(excess[0], left, graph) if excess else [],
        fix=_advice(cuts[0], graph) if cuts else None,
        cut=cuts[0].at if cuts else None,
        excess_after_fix=after[0] if after else [],
        more_fixes=[_advice(cut, graph) for cut in cuts[1:]],
        excess_after_fixes=after[-1] if after else [],
        workload_path=path_to(right.powers[0], right, graph) if right.powers else [],
        complete=complete,
        why=_why(graph.name(delivery.pipeline), name, excess, level_of(left.powers), complete)
        if known
        else f"{name}, deployed by {graph.name(delivery.pipeline)}, is not in the inventory and cannot be compared.",
    )


def _advice(cut: StepRemoval, graph: Graph) -> str:
    return f"{graph.name(cut.changed)}: {cut.fix}"


def _beyond(left: Closure, right: Closure) -> list[Power]:
    """Return the powers of a pipeline that its workload lacks and that no deployment needs."""
    if "admin" in right.powers:
        return []
    allowed = DELIVERING | set(right.powers)
    return [power for power in left.powers if power not in allowed]
