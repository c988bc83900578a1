"""Teams and custom roles: what people may do beside their membership."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.github import powers
from collectors.github.failures import explain_unsupported
from collectors.github.listings.organization import user_id
from scanner.records import Grant, Identity, Link, level_of, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.github.scope import Scope
    from scanner.records import Record


def repository_roles(scope: Scope) -> Iterator[Record]:
    """Fill ``scope.roles`` with the custom repository roles (GitHub Enterprise Cloud). Yields no record."""

    def role(item: dict[str, Any]) -> Iterator[Record]:
        scope.roles[str(item["name"])] = str(item["base_role"])
        yield from ()

    def read() -> Iterator[Record]:
        for item in scope.client.items(f"/orgs/{scope.login}/custom-repository-roles", inside="custom_roles"):
            yield from role(item)

    yield from scope.told(
        read(),
        scope.asked(
            "grants",
            "GET /orgs/{org}/custom-repository-roles",
            kind="github-custom-repository-role",
            needs="organization_custom_roles: read",
        ),
        explained=explain_unsupported("Custom repository roles are a feature of GitHub Enterprise Cloud."),
    )


def teams(scope: Scope) -> Iterator[Record]:
    """Yield teams, who is in them, and what they may do on which repositories."""
    found: list[tuple[str, str]] = []

    def team(item: dict[str, Any]) -> Iterator[Record]:
        found.append((str(item["id"]), item["slug"]))
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

    def all_teams() -> Iterator[Record]:
        for item in scope.client.items(f"/orgs/{scope.login}/teams"):
            yield from team(item)

    yield from scope.told(
        all_teams(),
        scope.asked("identities", "GET /orgs/{org}/teams", kind="github-team", needs="members: read"),
        fills=("links/github-team", "grants/github-team"),
    )

    for number, slug in found:
        identity = record_id("github", "team", number)

        def member(user: dict[str, Any], team_id: str = identity) -> Iterator[Record]:
            yield Link(
                id=record_id("github", "link", f"{user['id']}/member_of/{team_id}"),
                provider="github",
                account_id=scope.account_id,
                source_id=user_id(user["id"]),
                relation="member_of",
                target_id=team_id,
            )

        def repository(item: dict[str, Any], team_id: str = identity) -> Iterator[Record]:
            if not scope.wants(str(item["name"])):
                return
            role = str(item.get("role_name") or "unknown")
            can = powers.of_role(scope.roles.get(role, role))
            yield Grant(
                id=record_id("github", "grant", f"{item['id']}/{team_id}/{role}"),
                provider="github",
                account_id=record_id("github", "repo", str(item["id"])),
                identity_id=team_id,
                role=role,
                resource=item["full_name"],
                breadth="resource",
                powers=can,
                level=level_of(can),
                confidence="high" if can else "low",
            )

        yield from scope.listing(
            "/orgs/{org}/teams/{team_slug}/members",
            member,
            table="links",
            kind="github-team",
            needs="members: read",
            item=number,
            team_slug=slug,
        )
        yield from scope.listing(
            "/orgs/{org}/teams/{team_slug}/repos",
            repository,
            table="grants",
            kind="github-team",
            needs="members: read",
            item=number,
            salt=str(sorted(scope.roles.items())),
            team_slug=slug,
        )


def roles(scope: Scope) -> Iterator[Record]:
    """Yield who holds an organization role beside owner and member (GitHub Enterprise Cloud)."""
    found: list[dict[str, Any]] = []

    def role(item: dict[str, Any]) -> Iterator[Record]:
        found.append(item)
        yield from ()

    def read() -> Iterator[Record]:
        for item in scope.client.items(f"/orgs/{scope.login}/organization-roles", inside="roles"):
            yield from role(item)

    absent = explain_unsupported("Organization roles are a feature of GitHub Enterprise Cloud.")
    yield from scope.told(
        read(),
        scope.asked(
            "grants",
            "GET /orgs/{org}/organization-roles",
            kind="github-organization-role",
            needs="organization_custom_org_roles: read",
        ),
        explained=absent,
    )
    for item in found:
        can = powers.of_organization_role(item)
        for holders in ("users", "teams"):

            def holder(
                entry: dict[str, Any],
                item: dict[str, Any] = item,
                can: list[Any] = can,
                holders: str = holders,
            ) -> Iterator[Record]:
                identity = (
                    user_id(entry["id"])
                    if holders == "users"
                    else record_id("github", "team", str(entry["id"]))
                )
                yield Grant(
                    id=record_id("github", "grant", f"{scope.number}/{identity}/role/{item['id']}"),
                    provider="github",
                    account_id=scope.account_id,
                    identity_id=identity,
                    role=str(item["name"]),
                    resource=f"{scope.login}/*",
                    breadth="organization",
                    powers=can,
                    level=level_of(can),
                    confidence="high" if can else "low",
                    via="organization role",
                    actions=[str(name) for name in (item.get("permissions") or [])][:10],
                )

            yield from scope.listing(
                f"/orgs/{{org}}/organization-roles/{{role_id}}/{holders}",
                holder,
                table="grants",
                kind="github-organization-role",
                needs="organization_custom_org_roles: read",
                explained=absent,
                item=str(item["id"]),
                role_id=str(item["id"]),
            )
