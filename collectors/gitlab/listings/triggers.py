"""Trigger tokens of projects, with which anyone can start a pipeline. https://docs.gitlab.com/ci/triggers/"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.gitlab.facts import number_of
from scanner.collect.listings import with_coverage
from scanner.collect.scope import utc_time
from scanner.records import Credential, Grant, Identity, level_of, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.gitlab.facts import GitLabPlace, ProjectFacts
    from collectors.gitlab.scope import GitLabScope
    from scanner.records import Record


def triggers(
    scope: GitLabScope, project: ProjectFacts, known: list[dict[str, Any]] | None
) -> Iterator[Record]:
    """Yield a project's trigger tokens, from the GraphQL rows ``known``, which lack the token itself, or by REST. REST
    returns the whole token to its creator; it is dropped unread.
    """
    place = project.place

    def read() -> Iterator[Record]:
        if known is not None:
            for node in known:
                yield from _trigger(place, _as_rest(node))
        else:
            for row in scope.client.items(scope.at(place).path("/projects/:id/triggers")):
                yield from _trigger(place, row)

    yield from with_coverage(
        read(),
        scope.at(place).request(
            "credentials",
            "POST /api/graphql project.pipelineTriggers",
            kind="trigger-token",
            needs="Maintainer of the project",
        ),
        fills=("identities/gitlab-trigger", "grants/trigger-token"),
    )


def _as_rest(node: dict[str, Any]) -> dict[str, Any]:
    """Return a trigger in REST's format: https://docs.gitlab.com/api/graphql/reference/#pipelinetrigger"""
    owner = node.get("owner")
    return {
        "id": number_of(node),
        "description": node.get("description"),
        "last_used": node.get("lastUsed"),
        "expires_at": node.get("expiresAt"),
        "owner": {**owner, "id": number_of(owner)} if owner else None,
    }


def _trigger(place: GitLabPlace, item: dict[str, Any]) -> Iterator[Record]:
    number, expires = str(item["id"]), item.get("expires_at")
    owner = item.get("owner") or {}
    identity = record_id("gitlab", "trigger", number)
    name = str(item.get("description") or f"trigger {number}")
    yield Identity(
        id=identity,
        provider="gitlab",
        account_id=place.account_id,
        surface="automation",
        kind="gitlab-trigger",
        native_id=number,
        name=name,
        address=f"{place.address} trigger {number}",
        owner=owner.get("username"),
        owner_source="creator" if owner.get("username") else None,
    )
    yield Credential(
        id=record_id("gitlab", "trigger-token", number),
        provider="gitlab",
        account_id=place.account_id,
        identity_id=identity,
        kind="trigger-token",
        native_id=number,
        name=name,
        lifetime="expiring" if expires else "static",
        # REST tells when it was made, GraphQL does not: read from either, a token is the same.
        created_at=None,
        last_used_at=utc_time(item.get("last_used")),
        never_used="last_used" in item and item.get("last_used") is None,
        expires_at=utc_time(expires),
        # Versions without this field have trigger tokens that never expire.
        never_expires=expires is None,
        scopes=["trigger pipelines"],
        owner=owner.get("username"),
        location=place.address,
    )
    yield Grant(
        id=record_id("gitlab", "grant", f"trigger/{number}"),
        provider="gitlab",
        account_id=place.account_id,
        identity_id=identity,
        role="pipeline trigger",
        resource=place.address,
        breadth="resource",
        powers=["deploy"],
        level=level_of(["deploy"]),
        via="token",
        why="Starts a pipeline on any branch as its owner, with variables chosen by the caller.",
        expires_at=utc_time(expires),
    )
