"""Compares the powers that a pipeline reaches with those of the workload it deploys.

Every deployment needs the powers deploy, change-delivery and read. What else a pipeline reaches and the workload does
not have is the excess. Powers of a pipeline on its own platform, such as its repository, are not compared with the
cloud permissions of a workload.

A comparison is complete only if nothing on either path can hide a power: docs/analysis.md lists what can.
"""

from __future__ import annotations

import itertools
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from scanner.findings import Excess, ExcessStep
from scanner.records import POWERS, Level, Power, level_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from scanner.tables import Tables

DELIVERING: frozenset[Power] = frozenset({"deploy", "change-delivery", "read"})
"""Powers that every deployment needs."""

MAX_CUTS = 8
"""Maximum number of changes proposed for one comparison."""

_ESCALATED = frozenset(("escalation",))
_TRUSTED = _ESCALATED | {"trust", "trust-pattern"}

MAX_NODES = 5_000
"""Maximum number of identities followed from one pipeline. Beyond it the comparison is incomplete."""


class OwnGrant(NamedTuple):
    """What a comparison needs of one grant."""

    powers: frozenset[Power]
    role: str
    resource: str
    fix: str | None


class Escape(NamedTuple):
    """What a comparison needs of an escalation."""

    fix: str | None
    by_trust: bool
    """Whether it ends with the trust of the target."""
    changed: str
    """The identity at which the change is made."""


class Own(NamedTuple):
    """The direct grants of an identity."""

    grants: list[OwnGrant]
    unknown: bool
    escapes: dict[str, Escape]
    """The ways to other identities that no deployment needs, by the id of the identity."""

    def without(self, cuts: Sequence[StepRemoval]) -> list[OwnGrant]:
        """Return the grants that some changes leave. A change with the text of a grant's fix removes that grant, too."""
        return [grant for grant in self.grants if not any(cut.takes(grant) for cut in cuts)]


class Step(NamedTuple):
    """An edge of the graph: its target and its part of a path."""

    target: str
    part: ExcessStep


class StepRemoval(NamedTuple):
    """A change that removes one step of a path: an escalation to ``target``, or a grant of ``source``."""

    at: int
    """The step of the path."""
    changed: str
    """The identity at which the change is made."""
    fix: str
    source: str
    target: str | None
    kinds: frozenset[str]
    """The kinds of edges to the target that it removes."""
    grant: OwnGrant | None

    def removes(self, source: str, step: Step) -> bool:
        """Whether it removes an edge."""
        return source == self.source and step.target == self.target and step.part.kind in self.kinds

    def takes(self, grant: OwnGrant) -> bool:
        """Whether it removes a grant of its source."""
        return grant is self.grant or grant.fix == self.fix


class Graph(NamedTuple):
    """The part of the graph reachable from the compared pipelines and workloads."""

    steps: dict[str, list[Step]]
    """By source; targets in the order of their ids."""
    names: dict[str, str]
    own: dict[str, Own]
    dark: frozenset[str]
    """Identities whose powers may be incomplete: see `_DARK`."""
    unlisted: frozenset[str]
    """Identities whose own grants were never listed."""
    pipelines: dict[str, str]
    """Pipelines, with their providers."""

    def name(self, identity: str) -> str:
        """Return the display name of an identity."""
        return self.names.get(identity, identity)


class _Changes(NamedTuple):
    """Changes in order, and the excess that is left after each."""

    cuts: list[StepRemoval]
    after: list[list[Power]]


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
    FROM asked JOIN identities i ON i.provider = asked.target_provider AND i.kind = asked.target_kind
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


def _graph(tables: Tables, night: dict[str, Any]) -> Graph:
    """Read the part of the graph reachable from the compared identities, usually a small one."""
    steps: dict[str, list[Step]] = {}
    query = """
        SELECT a.id, b.id AS identity_id, s.what, s.because, s.kind, s.via, b.short_name AS name, b.identity_kind
        FROM steps AS s JOIN near AS a ON a.node = s.source JOIN near AS b ON b.node = s.target
        ORDER BY s.step
    """
    for row in tables.dicts(query):
        source = row.pop("id")
        steps.setdefault(source, []).append(Step(row["identity_id"], ExcessStep(**row)))
    return Graph(
        steps,
        dict(tables.rows(_NAMES)),
        _own(tables, night),
        frozenset(row[0] for row in tables.rows(_DARK, night)),
        frozenset(row[0] for row in tables.rows(_UNLISTED)),
        dict(tables.rows(_OF_PLATFORM)),
    )


_NAMES = """
    SELECT target_id, any_value(target_name ORDER BY id) FROM links
    WHERE relation = 'deploys' AND target_name IS NOT NULL AND target_id NOT IN (SELECT id FROM near) GROUP BY target_id
    UNION ALL SELECT id, name FROM near
"""
"""Display names: of identities, and of deployed workloads that are known by name only."""

_HIDING = "'identities', 'credentials', 'secrets', 'grants', 'trusts', 'links'"
"""Tables in which what was not listed could be a power, or a way to one."""

# What is known of an account: gaps there, and of what it inherits from the accounts above it. What runs as an identity of
# another system, as a service connection does, has its stored secret and its sign-in explained.
_ABOVE = """
    WITH RECURSIVE above AS (
        SELECT id AS account_id, parent_id AS ancestor, 1 AS levels FROM accounts WHERE parent_id IS NOT NULL
        UNION ALL
        SELECT above.account_id, a.parent_id, levels + 1 FROM above JOIN accounts AS a ON a.id = above.ancestor
        WHERE a.parent_id IS NOT NULL AND levels < 32
    ), around AS (SELECT id FROM near UNION SELECT id FROM compared),
    hiding AS (SELECT account_id, "table" FROM gaps WHERE coalesce(hides_access, true)),
    elsewhere AS (
        SELECT e.source_id AS id FROM edges AS e JOIN identities AS s ON s.id = e.source_id
               JOIN identities AS t ON t.id = e.target_id
        WHERE e.kind = 'runs_as' AND s.provider <> t.provider
    )
"""

_DARK = f"""
    {_ABOVE}
    SELECT i.id FROM identities AS i JOIN around AS n ON n.id = i.id
    WHERE i.account_id IN (SELECT account_id FROM hiding WHERE "table" IN ('*', {_HIDING}))
       OR i.account_id IN (SELECT above.account_id FROM above JOIN hiding AS g ON g.account_id = above.ancestor
                           WHERE g."table" IN ('*', 'secrets'))
    UNION
    SELECT l.source_id FROM links AS l JOIN around AS a ON a.id = l.source_id
    WHERE l.relation IN ('uses', 'runs_as', 'member_of', 'can_become') AND coalesce(l.expires_at > $as_of, true)
      AND l.target_id NOT IN (SELECT id FROM identities)
    UNION
    SELECT r.identity_id FROM received_secrets AS r JOIN around AS a ON a.id = r.identity_id
         JOIN secrets AS s ON s.id = r.secret_id LEFT JOIN credentials AS c ON c.id = s.credential_id
    WHERE s.credential_id IS NULL
          AND NOT (coalesce(s.readable = false, false) AND s.holder_id IN (SELECT id FROM elsewhere))
       OR s.credential_id IS NOT NULL AND c.id IS NULL
       OR coalesce(c.enabled, true) AND coalesce(c.expires_at > $as_of, true)
          AND c.identity_id NOT IN (SELECT id FROM identities)
    UNION
    SELECT o.id FROM (SELECT i.id, unnest(i.logins) AS login FROM identities AS i JOIN around AS a ON a.id = i.id) AS o
    WHERE ends_with(o.login, ':static')
      AND o.login IN (SELECT provider || ':static' FROM identities
                      UNION SELECT target_provider || ':static' FROM links
                      WHERE relation = 'deploys' AND target_provider IS NOT NULL
                        AND coalesce(expires_at > $as_of, true))
      AND o.id NOT IN (SELECT id FROM elsewhere)
      AND NOT EXISTS (FROM edges AS e JOIN identities AS k ON k.id = e.target_id
                      WHERE e.source_id = o.id AND e.kind = 'holds-key' AND k.provider || ':static' = o.login)
    UNION
    SELECT i.id FROM identities AS i JOIN around AS n ON n.id = i.id
    WHERE i.provider IN (SELECT h.provider FROM grants AS g JOIN identities AS h ON h.id = g.identity_id
                         WHERE g.provider <> h.provider
                           AND g.provider IN (SELECT provider FROM gaps
                                              WHERE coalesce(hides_access, true) AND "table" IN ('grants', '*')))
"""
"""Identities whose powers may be incomplete: something in their account was not read, or in an account of another system that
grants powers to such identities; they lead to an identity that is not in the inventory; or they hold a key of nobody known, or
sign in by one."""

_UNCALLED = """
    SELECT id FROM identities WHERE reusable = 'only' AND id IN (SELECT pipeline FROM delivering)
      AND id NOT IN (SELECT target_id FROM links WHERE relation = 'uses' AND coalesce(expires_at > $as_of, true))
"""
"""Pipelines that others must call, and whose callers are unknown."""

_UNLISTED = f"""
    {_ABOVE}, listed AS (SELECT account_id FROM coverage WHERE "table" = 'grants')
    SELECT i.id FROM identities AS i JOIN around AS n ON n.id = i.id
    WHERE i.account_id NOT IN (FROM listed)
      AND i.account_id NOT IN (SELECT account_id FROM above WHERE ancestor IN (FROM listed))
"""
"""Identities of accounts whose grants nobody listed: that they have none proves nothing."""

_OF_PLATFORM = """
    WITH platforms AS (
        SELECT DISTINCT provider FROM identities WHERE is_pipeline
        EXCEPT SELECT provider FROM identities WHERE surface = 'workload'
    )
    SELECT i.id, i.provider FROM identities AS i
    WHERE (i.is_pipeline OR len(i.logins) > 0 OR i.provider IN (FROM platforms)) AND i.id IN (SELECT id FROM near)
       OR i.id IN (SELECT pipeline FROM delivering)
"""
"""The pipelines, what they sign in by, all that is of a system that runs pipelines and no workloads, and whatever else
delivers, with their providers."""

_ESCAPES = """
    SELECT source_id, target_id, fix, coalesce(by_trust, false), source_id FROM links
    WHERE relation = 'can_become' AND coalesce(expires_at > $as_of, true) AND source_id IN (SELECT id FROM near)
    UNION ALL
    SELECT e.source_id, e.target_id, t.fix, true, e.target_id FROM edges AS e JOIN trusts AS t ON t.id = e.evidence
    WHERE e.kind IN ('trust', 'trust-pattern') AND t.exposure IN ('anyone', 'another-tenant', 'organization')
      AND t.fix IS NOT NULL AND e.source_id IN (SELECT id FROM near)
      AND NOT EXISTS (FROM links AS l WHERE l.relation = 'uses' AND l.source_id = e.source_id AND l.target_id = e.target_id)
    ORDER BY ALL
"""
"""The ways that no deployment needs: escalations, and wide trusts that let in more than those who ask for the identity."""


def _own(tables: Tables, night: dict[str, Any]) -> dict[str, Own]:
    query = """
        SELECT identity_id, bool_or(level = 'unknown' OR confidence = 'low'),
               list({'powers': powers, 'role': role, 'resource': resource, 'fix': fix} ORDER BY id)
        FROM grants WHERE identity_id IN (SELECT id FROM near UNION ALL SELECT id FROM compared)
          AND coalesce(expires_at > $as_of, true)
        GROUP BY identity_id
    """
    escapes: dict[str, dict[str, Escape]] = {}
    for source, target, fix, by_trust, changed in tables.rows(_ESCAPES, night):
        escapes.setdefault(source, {}).setdefault(target, Escape(fix, by_trust, changed))
    found: dict[str, Own] = {}
    for identity, unknown, grants in tables.rows(query, night):
        own = [
            OwnGrant(frozenset(grant["powers"]), grant["role"], grant["resource"], grant["fix"])
            for grant in grants
        ]
        found[identity] = Own(own, bool(unknown), escapes.get(identity, {}))
    return found


def _closure(start: str, graph: Graph, provider: str, cuts: Sequence[StepRemoval] = ()) -> Closure:
    """Follow the graph from an identity and collect every power on the way, nearest holder first.

    ``provider`` is that of the workload. What pipelines of another provider may do on their own platform does not count.
    What ``cuts`` remove is left out.
    """
    way: dict[str, list[ExcessStep]] = {start: []}
    powers: dict[Power, list[ExcessStep]] = {}
    holder: dict[Power, str] = {}
    unknown = False
    queue = deque([start])
    before: dict[str, str] = {}
    while queue:
        node = queue.popleft()
        counts = graph.pipelines.get(node, provider) == provider
        mine = graph.own.get(node) if counts else None
        unknown |= node in graph.dark or (counts and node in graph.unlisted)
        if mine is not None:
            unknown |= mine.unknown
            held = mine.without([cut for cut in cuts if cut.source == node])
            for power in frozenset[Power]().union(*(grant.powers for grant in held)):
                if power not in powers:
                    powers[power] = way[node]
                    holder[power] = node
        if len(way) > MAX_NODES:
            unknown = True
            break
        for step in graph.steps.get(node, ()):
            if step.target not in way and not any(cut.removes(node, step) for cut in cuts):
                way[step.target] = [*way[node], step.part]
                before[step.target] = node
                queue.append(step.target)
    return Closure(
        [power for power in POWERS if power in powers], powers, before, holder, unknown, frozenset(way)
    )


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
            left = _closure(self.pipeline, self.graph, self.provider, cuts)
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
            kinds = _TRUSTED if escape.by_trust else _ESCALATED
            if left.way[power][at].kind in kinds:
                fix = escape.fix or f"Remove the permission that lets it become {graph.name(target)}."
                return StepRemoval(at, escape.changed, fix, source, target, kinds, None)
        holder = chain[-1]
        held = graph.own[holder].without([cut for cut in made if cut.source == holder])
        grant = next(grant for grant in held if power in grant.powers)
        fix = grant.fix or f"Replace {grant.role} with only what deploying {self.workload} requires."
        return StepRemoval(len(chain) - 1, holder, fix, holder, None, frozenset(), grant)


def _path(power: Power, closure: Closure, graph: Graph) -> list[ExcessStep]:
    """Return the way to a power, with its grant as the last step."""
    grant = next(grant for grant in graph.own[closure.holder[power]].grants if power in grant.powers)
    last = ExcessStep(
        what=f"has {power} on {grant.resource} through {grant.role}",
        name=grant.resource,
        via=grant.role,
        power=power,
    )
    return [*closure.way[power], last]


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
            nodes = _closure(pipeline, graph, "").nodes
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
    graph = _graph(tables, night)
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
                reached[identity, home] = _closure(identity, graph, home)
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
        path=_path(excess[0], left, graph) if excess else [],
        fix=_advice(cuts[0], graph) if cuts else None,
        cut=cuts[0].at if cuts else None,
        excess_after_fix=after[0] if after else [],
        more_fixes=[_advice(cut, graph) for cut in cuts[1:]],
        excess_after_fixes=after[-1] if after else [],
        workload_path=_path(right.powers[0], right, graph) if right.powers else [],
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
