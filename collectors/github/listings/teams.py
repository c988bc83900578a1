"""Teams, their members, and their roles on repositories.

https://docs.github.com/en/rest/teams/teams
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from collectors.github import powers
from collectors.github.records import repository_id, user_id
from scanner.collect.listings import with_coverage
from scanner.records import Grant, Identity, Link, level_of, record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from collectors.github.scope import OrganizationScope
    from scanner.records import Power, Record


def teams(scope: OrganizationScope, roles: Mapping[str, list[Power]]) -> Iterator[Record]:
    """Yield teams, their members and their grants; ``roles`` are what custom repository roles allow."""
    found = yield from with_coverage(
        _teams(scope),
        scope.request("identities", "GET /orgs/{org}/teams", kind="github-team", needs="members: read"),
        fills=("links/github-team", "grants/github-team"),
    )
    for number, slug in found or ():
        team = record_id("github", "team", number)
        yield from scope.listing(
            "/orgs/{org}/teams/{team_slug}/members",
            partial(_member, scope, team),
            table="links",
            kind="github-team",
            needs="members: read",
            item=number,
            team_slug=slug,
        )
        yield from scope.listing(
            "/orgs/{org}/teams/{team_slug}/repos",
            partial(_grants, scope, team, roles),
            table="grants",
            kind="github-team",
            needs="members: read",
            item=number,
            salt=str(sorted(roles.items())),
            team_slug=slug,
        )


def _teams(scope: OrganizationScope) -> Generator[Record, None, list[tuple[str, str]]]:
    """Yield the teams. Return the id and the slug of each."""
    found = []
    for item in scope.client.items(scope.path("/orgs/{org}/teams")):
        found.append((str(item["id"]), str(item["slug"])))
        yield Identity(
            id=record_id("github", "team", str(item["id"])),
            provider="github",
            account_id=scope.account_id,
            surface="human",
            kind="github-team",
            native_id=str(item["id"]),
            name=item["name"],
            address=f"{scope.login}/{item['slug']}",
            enabled=True,
            url=item.get("html_url"),
            tags={"privacy": str(item.get("privacy"))},
        )
    return found


def _member(scope: OrganizationScope, team: str, user: dict[str, Any]) -> Iterator[Record]:
    yield Link(
        id=record_id("github", "link", f"{user['id']}/member_of/{team}"),
        provider="github",
        account_id=scope.account_id,
        source_id=user_id(user["id"]),
        relation="member_of",
        target_id=team,
    )


def _grants(
    scope: OrganizationScope, team: str, roles: Mapping[str, list[Power]], item: dict[str, Any]
) -> Iterator[Record]:
    if not scope.includes(str(item["name"])):
        return
    role = str(item.get("role_name") or "unknown")
    can = roles.get(role) or powers.of_role(role)
    yield Grant(
        id=record_id("github", "grant", f"{item['id']}/{team}/{role}"),
        provider="github",
        account_id=repository_id(item["id"]),
        identity_id=team,
        role=role,
        resource=item["full_name"],
        breadth="resource",
        powers=can,
        level=level_of(can),
        confidence="high" if can else "low",
    )
