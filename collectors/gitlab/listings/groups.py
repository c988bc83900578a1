"""Groups and the people in them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from collectors.gitlab import powers
from collectors.gitlab.listings.controls import control
from collectors.gitlab.scope import Place, Scope, path_of, time
from scanner.records import Account, Grant, Identity, Link, level_of, record_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from scanner.records import Breadth, Record

TOKEN_BOT = re.compile(r"(?:project|group)_\d+_bot(?:_[0-9a-f]+)?\d*")
"""User names of the bots of access tokens, which nobody can choose.

https://docs.gitlab.com/user/project/settings/project_access_tokens/#bot-users-for-projects
"""
_INTERNAL = {"ghost", "support-bot", "alert-bot", "GitLabDuo"}
"""User names of GitLab's own users: https://docs.gitlab.com/administration/internal_users/"""
_SERVICE = re.compile(r"service_account(?:_group_\d+|_project_\d+)?_\w+")
"""User names of service accounts where nobody chose another: https://docs.gitlab.com/user/profile/service_accounts/"""


def group_place(group: dict[str, Any]) -> Place:
    """Return where a group's listings hang."""
    number = str(group["id"])
    return Place(
        kind="group",
        number=number,
        address=str(group["full_path"]),
        account_id=record_id("gitlab", "group", number),
    )


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
        created_at=time(group.get("created_at")),
        visibility=group.get("visibility"),
        url=group.get("web_url"),
    )


def settings(group: dict[str, Any]) -> Iterator[Record]:
    """Yield the guards among a top-level group's settings."""
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


def members_id(number: object) -> str:
    """Return the identity that stands for all members of a group."""
    return record_id("gitlab", "group-members", str(number))


def membership(scope: Scope, group: dict[str, Any]) -> Iterator[Record]:
    """Yield the identity that stands for a group's members, and what groups that are invited may do in it.

    Only a single group shows the groups that are invited, no list of groups: https://docs.gitlab.com/api/groups/
    """
    place = group_place(group)
    yield _members_identity(scope, place.number, place.address)

    def read() -> Iterator[Record]:
        whole = group
        if "shared_with_groups" not in group:
            whole = scope.client.one(path_of("/groups/:id", place), {"with_projects": "false"})
        yield from shares(scope, place, whole, "group")

    yield from scope.told(
        read(),
        scope.asked(
            "grants", "GET /groups/:id", kind="invited-group", needs="a member of the group", place=place
        ),
    )


def _members_identity(scope: Scope, number: object, path: str) -> Identity:
    return Identity(
        id=members_id(number),
        provider="gitlab",
        account_id=scope.place.account_id,
        surface="human",
        kind="gitlab-group",
        native_id=str(number),
        name=path,
        address=path,
    )


def shares(scope: Scope, place: Place, item: dict[str, Any], breadth: Breadth) -> Iterator[Record]:
    """Yield what the groups that were invited to a group or project may do there.

    https://docs.gitlab.com/user/project/members/sharing_projects_groups/
    """
    for share in item.get("shared_with_groups") or []:
        number, level = share["group_id"], int(share["group_access_level"])
        identity = members_id(number)
        yield _members_identity(
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
            # What an invitation with a custom role adds to its base role is not shown.
            confidence="low" if share.get("member_role_id") else "high",
            via=f"invited {place.kind}",
            expires_at=time(share.get("expires_at")),
        )


def user_id(number: object) -> str:
    """Return the id of a user, whatever kind of user it is: people, service accounts and bots share their numbers."""
    return record_id("gitlab", "user", str(number))


def user(scope: Scope, item: dict[str, Any], kind: str | None = None) -> Identity:
    """Return a user as an identity: a person, a service account or the bot of an access token."""
    name = str(item.get("username") or item["id"])
    if kind is None:
        machine = TOKEN_BOT.fullmatch(name) or name in _INTERNAL or item.get("bot")
        kind = (
            "gitlab-service-account"
            if _SERVICE.fullmatch(name)
            else "gitlab-bot"
            if machine
            else "gitlab-user"
        )
    state = item.get("state")
    # The row of a member has times and makers, too, but of the membership.
    whole = "last_activity_on" in item
    creator = (item.get("created_by") or {}).get("username") if whole and kind != "gitlab-user" else None
    return Identity(
        id=user_id(item["id"]),
        provider="gitlab",
        account_id=scope.place.account_id,
        surface="human" if kind == "gitlab-user" else "automation",
        kind=kind,
        native_id=str(item["id"]),
        name=name,
        address=name,
        enabled=None if state is None else state == "active" and not item.get("locked"),
        created_at=time(item.get("created_at")) if whole else None,
        last_used_at=time(item.get("last_activity_on")),
        owner=creator,
        owner_source="creator" if creator else None,
        mfa=item.get("two_factor_enabled") if kind == "gitlab-user" else None,
        managed_by="provider" if name in _INTERNAL else None,
        url=item.get("web_url"),
        tags={"state": str(state)} if state else {},
    )


def _member(scope: Scope, place: Place) -> Callable[[dict[str, Any]], Iterator[Record]]:
    breadth: Breadth = "resource"
    if place.kind == "group":
        breadth = "organization" if place.number == scope.place.number else "group"

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        identity = user(scope, item)
        if not scope.people_elsewhere:
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
            )
        if identity.kind == "gitlab-bot":
            return  # A bot acts by its token alone: its grant is the token's.
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
            # Older GitLabs name a custom role, and not what it adds to its base role.
            confidence="low" if role and not any(isinstance(has, bool) for has in role.values()) else "high",
            via=f"member of the {place.kind}",
            granted_at=time(item.get("created_at")),
            expires_at=time(item.get("expires_at")),
        )

    return convert


def members(scope: Scope, place: Place, rows: Iterable[dict[str, Any]] | None = None) -> Iterator[Record]:
    """Yield the direct members of a group or project. https://docs.gitlab.com/api/group_members/"""
    fills = ["grants/member", "identities/gitlab-bot", "identities/gitlab-service-account"]
    yield from scope.listing(
        f"/{place.kind}s/:id/members",
        _member(scope, place),
        table="identities",
        kind="gitlab-user",
        needs="a member of the group" if place.kind == "group" else "a member of the project",
        place=place,
        fills=[*fills, "links/member_of"] if place.kind == "group" else fills,
        rows=rows,
    )
