"""Groups and the people in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.gitlab import powers
from collectors.gitlab.facts import group_place
from collectors.gitlab.records import TOKEN_BOT, control, members_id, members_identity, user
from scanner.collect.listings import with_coverage
from scanner.collect.scope import utc_time
from scanner.records import Account, Grant, Link, level_of, record_id

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from collectors.gitlab.facts import GitLabPlace
    from collectors.gitlab.scope import GitLabScope
    from scanner.records import Breadth, Record


def account(group: dict[str, Any]) -> Account:
    """Return a group as an account: https://docs.gitlab.com/api/groups/"""
    place = group_place(group)
    parent = group.get("parent_id")
    return Account(
        id=place.account_id,
        provider="gitlab",
        account_id=place.account_id,
        kind="gitlab-group",
        native_id=place.number,
        name=str(group["name"]),
        address=place.address,
        parent_id=record_id("gitlab", "group", str(parent)) if parent else None,
        active=None
        if group.get("archived") is None
        else not group["archived"] and group.get("marked_for_deletion_on") is None,
        created_at=utc_time(group.get("created_at")),
        visibility=group.get("visibility"),
        url=group.get("web_url"),
    )


def subgroups(scope: GitLabScope, loses: Sequence[str]) -> Generator[Record, None, list[dict[str, Any]]]:
    """Yield all groups below a top-level group as accounts, and return them, parents first.

    ``loses`` are the tables that are incomplete if the list is.
    """
    found: list[dict[str, Any]] = []

    def convert(group: dict[str, Any]) -> Iterator[Record]:
        yield account(group)
        found.append(group)

    yield from scope.listing(
        "/groups/:id/descendant_groups",
        convert,
        table="accounts",
        kind="gitlab-group",
        needs="a member of the group",
        loses=loses,
    )
    return sorted(found, key=lambda group: (str(group["full_path"]).count("/"), str(group["full_path"])))


def top_level(group: dict[str, Any]) -> Iterator[Record]:
    """Yield a top-level group, and the controls among its settings."""
    yield account(group)
    place = group_place(group)
    demanded = group.get("require_two_factor_authentication")
    if demanded is not None:
        yield control(
            place,
            "two-factor-requirement",
            place.number,
            stage="source",
            name="two-factor authentication",
            enforcement="enforced" if demanded else "absent",
            target=place.account_id,
            detail="Two-factor authentication is required for members.",
        )


def membership(scope: GitLabScope, group: dict[str, Any]) -> Iterator[Record]:
    """Yield the identity that represents a group's members, and the grants of invited groups. Only the request for a
    single group returns the invited groups; no list does: https://docs.gitlab.com/api/groups/
    """
    place = group_place(group)

    def read() -> Iterator[Record]:
        yield members_identity(scope, place.number, place.address)
        whole = group
        if "shared_with_groups" not in group:
            whole = scope.client.one(scope.at(place).path("/groups/:id"), {"with_projects": "false"})
        yield from shares(scope, place, whole, "group")

    yield from with_coverage(
        read(),
        scope.at(place).request(
            "grants", "GET /groups/:id", kind="invited-group", needs="a member of the group"
        ),
        fills=["identities/gitlab-group"],
    )


def shares(
    scope: GitLabScope, place: GitLabPlace, item: dict[str, Any], breadth: Breadth
) -> Iterator[Record]:
    """Yield what invited groups may do in a group or project.

    https://docs.gitlab.com/user/project/members/sharing_projects_groups/
    """
    for share in item.get("shared_with_groups") or []:
        number, level = share["group_id"], int(share["group_access_level"])
        identity = members_id(number)
        yield members_identity(
            scope, number, str(share.get("group_full_path") or share.get("group_name") or number)
        )
        can = powers.of_role(level)
        yield Grant(
            id=record_id("gitlab", "grant", f"share/{place.kind}/{place.number}/{number}"),
            provider="gitlab",
            account_id=place.account_id,
            identity_id=identity,
            role=powers.ROLES.get(level, str(level)),
            resource=f"{place.address}/*" if place.kind == "group" else place.address,
            breadth=breadth,
            powers=can,
            level=level_of(can),
            # GitLab does not show what a custom role adds to the base role of an invitation.
            confidence="low" if share.get("member_role_id") else "high",
            via=f"invited {place.kind}",
            expires_at=utc_time(share.get("expires_at")),
        )


def _member(scope: GitLabScope, place: GitLabPlace) -> Callable[[dict[str, Any]], Iterator[Record]]:
    breadth: Breadth = "resource"
    if place.kind == "group":
        breadth = "organization" if place.number == scope.place.number else "group"

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        identity = user(scope, item)
        if not scope.instance_lists_users:
            yield identity
        if place.kind == "group":
            yield Link(
                id=record_id("gitlab", "link", f"member/{place.number}/{item['id']}"),
                provider="gitlab",
                account_id=place.account_id,
                source_id=identity.id,
                relation="member_of",
                target_id=members_id(place.number),
                evidence=f"GET /groups/{place.number}/members",
                expires_at=utc_time(item.get("expires_at")),
            )
        if identity.kind == "gitlab-bot" and TOKEN_BOT.fullmatch(identity.name):
            return  # The bot of a token acts only through it: the grant is the token's.
        level = int(item["access_level"])
        role = item.get("member_role") or {}
        can = powers.of_custom_role(level, role)
        yield Grant(
            id=record_id("gitlab", "grant", f"member/{place.kind}/{place.number}/{item['id']}"),
            provider="gitlab",
            account_id=place.account_id,
            identity_id=identity.id,
            role=str(role.get("name") or powers.ROLES.get(level, level)),
            resource=f"{place.address}/*" if place.kind == "group" else place.address,
            breadth=breadth,
            powers=can,
            level=level_of(can) if can or level == 0 else "unknown",
            # Older versions name a custom role, but not what it adds to its base role.
            confidence="low" if role and not any(isinstance(has, bool) for has in role.values()) else "high",
            via=f"member of the {place.kind}",
            granted_at=utc_time(item.get("created_at")),
            expires_at=utc_time(item.get("expires_at")),
        )

    return convert


def members(
    scope: GitLabScope, place: GitLabPlace, rows: Iterable[dict[str, Any]] | None = None
) -> Iterator[Record]:
    """Yield the direct members of a group or project. https://docs.gitlab.com/api/group_members/"""
    fills = ["grants/member", "identities/gitlab-bot", "identities/gitlab-service-account"]
    yield from scope.at(place).listing(
        f"/{place.kind}s/:id/members",
        _member(scope, place),
        table="identities",
        kind="gitlab-user",
        needs="a member of the group" if place.kind == "group" else "a member of the project",
        fills=[*fills, "links/member_of"] if place.kind == "group" else fills,
        rows=rows,
    )
