"""The graph that pipelines and workloads are compared on: who can become whom, what each holds, and what may be hidden."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from scanner.findings import ExcessStep
from scanner.records import POWERS, Power

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scanner.tables import Tables


ESCALATED = frozenset(("escalation",))

TRUSTED = ESCALATED | {"trust", "trust-pattern"}

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


class Closure(NamedTuple):
    """What an identity holds and can reach."""

    powers: list[Power]
    way: dict[Power, list[ExcessStep]]
    before: dict[str, str]
    """By identity: the previous identity on its path."""
    holder: dict[Power, str]
    unknown: bool
    nodes: frozenset[str]


def read_graph(tables: Tables, night: dict[str, Any]) -> Graph:
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


def closure_of(start: str, graph: Graph, provider: str, cuts: Sequence[StepRemoval] = ()) -> Closure:
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


def path_to(power: Power, closure: Closure, graph: Graph) -> list[ExcessStep]:
    """Return the way to a power, with its grant as the last step."""
    grant = next(grant for grant in graph.own[closure.holder[power]].grants if power in grant.powers)
    last = ExcessStep(
        what=f"has {power} on {grant.resource} through {grant.role}",
        name=grant.resource,
        via=grant.role,
        power=power,
    )
    return [*closure.way[power], last]
