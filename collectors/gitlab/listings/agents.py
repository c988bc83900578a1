"""Agents for Kubernetes and their tokens. https://docs.gitlab.com/api/cluster_agents/"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.gitlab.facts import number_of
from scanner.collect.failures import SourceError
from scanner.collect.listings import with_coverage
from scanner.collect.scope import utc_time
from scanner.records import Credential, Grant, Identity, level_of, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.gitlab.facts import GitLabPlace, ProjectFacts
    from collectors.gitlab.scope import GitLabScope
    from scanner.records import Power, Record


def agents(scope: GitLabScope, project: ProjectFacts, known: list[dict[str, Any]] | None) -> Iterator[Record]:
    """Yield the agents that a project configures, and their tokens, from the GraphQL rows ``known`` or by REST. What an
    agent may do is decided in its cluster. Who created an agent is its owner: GraphQL names the user, REST has the
    number alone (``created_by_user_id``).
    """
    place = project.place
    names = _UserNames(scope)
    found: list[str] = []
    tokens = {number_of(agent): agent["tokens"]["nodes"] for agent in known or []}

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        number = str(item["id"])
        found.append(number)
        identity = record_id("gitlab", "agent", number)
        creator = names.creator(item)
        yield Identity(
            id=identity,
            provider="gitlab",
            account_id=place.account_id,
            surface="automation",
            kind="gitlab-agent",
            native_id=number,
            name=str(item["name"]),
            address=f"{place.address}:{item['name']}",
            created_at=utc_time(item.get("created_at")),
            owner=creator,
            owner_source="creator" if creator else None,
        )
        can: list[Power] = ["deploy"]
        yield Grant(
            id=record_id("gitlab", "grant", f"agent/{number}"),
            provider="gitlab",
            account_id=place.account_id,
            identity_id=identity,
            role="agent",
            resource=f"cluster of {item['name']}",
            breadth="resource",
            powers=can,
            level=level_of(can),
            # The cluster's own RBAC decides this; it can be cluster-admin.
            confidence="low",
            via="agent for Kubernetes",
        )

    yield from scope.at(place).listing(
        "/projects/:id/cluster_agents",
        convert,
        table="identities",
        kind="gitlab-agent",
        needs="Developer of the project",
        fills=("credentials/agent-token", "grants/gitlab-agent"),
        rows=None
        if known is None
        else (
            {
                "id": number_of(agent),
                "name": agent["name"],
                "created_at": agent.get("createdAt"),
                "created_by": agent.get("createdByUser"),
            }
            for agent in known
        ),
    )
    for number in found:
        yield from with_coverage(
            _tokens(scope, place, number, tokens.get(number), names),
            scope.at(place).request(
                "credentials",
                f"GET /projects/:id/cluster_agents/:agent_id/tokens ({number})",
                kind="agent-token",
                needs="Developer of the project",
            ),
        )


class _UserNames:
    """Names users that a REST answer has by number alone; each is asked once per project."""

    def __init__(self, scope: GitLabScope) -> None:
        self._scope = scope
        self._known: dict[int, str | None] = {}

    def creator(self, item: dict[str, Any]) -> str | None:
        """Return the user name of who created an agent or a token; None if unknown or deleted.

        https://docs.gitlab.com/api/cluster_agents/ https://docs.gitlab.com/api/users/#retrieve-a-user
        """
        if item.get("created_by"):
            return str(item["created_by"]["username"])
        number = item.get("created_by_user_id")
        if number is None:
            return None
        if number not in self._known:
            try:
                self._known[number] = str(self._scope.client.one(f"/users/{int(number)}")["username"])
            except SourceError:
                self._known[number] = None
        return self._known[number]


def _tokens(
    scope: GitLabScope,
    place: GitLabPlace,
    agent: str,
    known: list[dict[str, Any]] | None,
    names: _UserNames,
) -> Iterator[Record]:
    """Yield an agent's active tokens. https://docs.gitlab.com/api/graphql/reference/#clusteragenttoken"""
    for item in _read(scope, place, agent) if known is None else map(_as_rest, known):
        number = str(item["id"])
        yield Credential(
            id=record_id("gitlab", "agent-token", number),
            provider="gitlab",
            account_id=place.account_id,
            identity_id=record_id("gitlab", "agent", agent),
            kind="agent-token",
            native_id=number,
            name=str(item["name"]),
            lifetime="static",
            enabled=item.get("status") == "active",
            created_at=utc_time(item.get("created_at")),
            last_used_at=utc_time(item.get("last_used_at")),
            never_used="last_used_at" in item and item.get("last_used_at") is None,
            # https://docs.gitlab.com/user/clusters/agent/work_with_agent/ : agent tokens do not expire.
            never_expires=True,
            created_by=names.creator(item),
            location=place.address,
        )


def _as_rest(node: dict[str, Any]) -> dict[str, Any]:
    """Return a token in REST's format. Only active ones were requested."""
    return {
        "id": number_of(node),
        "name": node["name"],
        "status": "active",
        "created_at": node.get("createdAt"),
        "last_used_at": node.get("lastUsedAt"),
        "created_by": node.get("createdByUser"),
    }


def _read(scope: GitLabScope, place: GitLabPlace, agent: str) -> Iterator[dict[str, Any]]:
    """Read an agent's tokens. Only the single token tells its last use."""
    base = scope.at(place).path("/projects/:id/cluster_agents/:agent/tokens", agent=agent)
    for row in list(scope.client.items(base)):
        yield scope.client.one(f"{base}/{row['id']}")
