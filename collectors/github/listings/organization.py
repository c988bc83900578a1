"""The organization itself: its settings, its people, its teams, its roles."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from collectors.github import powers
from collectors.github.failures import explain_unsupported
from collectors.github.scope import Scope, time
from scanner.records import Account, Control, Credential, Grant, Identity, level_of, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanner.records import Record

_MACHINE = re.compile(
    r"(?:^|[-_])(?:bot|robot|ci|cd|cicd|svc|service|automation|machine|deploy|deployer|release|jenkins|build|builder"
    r"|runner|sync|mirror)(?:[-_\d]|$)",
    re.IGNORECASE,
)
"""Login names that people do not choose for themselves. GitHub does not mark machine users."""


def account(org: dict[str, Any]) -> Account:
    """Return the organization as an account."""
    return Account(
        id=record_id("github", "org", str(org["id"])),
        provider="github",
        account_id=record_id("github", "org", str(org["id"])),
        kind="github-organization",
        native_id=str(org["id"]),
        name=org["login"],
        address=org["login"],
        active=org.get("archived_at") is None,
        created_at=time(org.get("created_at")),
        url=org.get("html_url"),
        tags={"plan": str(org["plan"]["name"])} if org.get("plan") else {},
    )


def settings(scope: Scope, org: dict[str, Any]) -> Iterator[Record]:
    """Yield the guards among the organization's settings. A setting that is not shown gives nothing."""

    def control(kind: str, *, on: bool, detail: str) -> Control:
        return Control(
            id=record_id("github", kind, str(scope.number)),
            provider="github",
            account_id=scope.account_id,
            stage="source",
            kind=kind,
            name=kind.replace("-", " "),
            enforcement="enforced" if on else "absent",
            target=scope.account_id,
            detail=detail,
        )

    two_factor = org.get("two_factor_requirement_enabled")
    if two_factor is not None:
        yield control(
            "two-factor-requirement", on=two_factor, detail="Members must sign in with a second factor."
        )
    base = org.get("default_repository_permission")
    if base is not None:
        yield control(
            "base-permission",
            on=base in {"none", "read"},
            detail=f"Every member has {base} on every repository.",
        )
    if org.get("members_can_change_repo_visibility") is not None:
        yield control(
            "visibility-change",
            on=not org["members_can_change_repo_visibility"],
            detail="Only owners change a repository's visibility.",
        )
    if org.get("members_can_invite_outside_collaborators") is not None:
        yield control(
            "outside-collaborator-invitation",
            on=not org["members_can_invite_outside_collaborators"],
            detail="Only owners invite outside collaborators.",
        )


def user_id(number: object) -> str:
    """Return a user's `Identity.id`."""
    return record_id("github", "user", str(number))


def _user(
    scope: Scope, user: dict[str, Any], *, membership: str, mfa: bool | None, enabled: bool | None = True
) -> Identity:
    machine = user.get("type") == "Bot" or bool(_MACHINE.search(user["login"]))
    return Identity(
        id=user_id(user["id"]),
        provider="github",
        account_id=scope.account_id,
        surface="automation" if machine else "human",
        kind="github-machine-user" if machine else "github-user",
        native_id=str(user["id"]),
        name=user["login"],
        address=user["login"],
        enabled=enabled,
        mfa=mfa,
        url=user.get("html_url"),
        tags={"membership": membership} | ({"machine": "by its login"} if machine else {}),
    )


def _without_mfa(scope: Scope) -> set[int] | None:
    """Return the ids of members without a second factor; None where the token may not see that.

    Only organization owners may use the filter:
    https://docs.github.com/en/rest/orgs/members#list-organization-members
    """
    return {
        user["id"] for user in scope.client.items(f"/orgs/{scope.login}/members", {"filter": "2fa_disabled"})
    }


def people(scope: Scope, org: dict[str, Any]) -> Iterator[Record]:
    """Yield owners, members, outside collaborators and invitations; fills ``scope.logins``."""
    lacking: list[set[int]] = []

    def second_factors() -> Iterator[Record]:
        found = _without_mfa(scope)
        if found is not None:
            lacking.append(found)
        yield from ()

    yield from scope.told(
        second_factors(),
        scope.asked(
            "identities",
            "GET /orgs/{org}/members?filter=2fa_disabled",
            kind="github-user-mfa",
            needs="a token of an organization owner",
        ),
        explained=explain_unsupported("Only organization owners see who lacks a second factor."),
    )

    def mfa(user: dict[str, Any]) -> bool | None:
        return user["id"] not in lacking[0] if lacking else None

    base = org.get("default_repository_permission")

    def member(role: str) -> Iterator[Record]:
        for user in scope.client.items(f"/orgs/{scope.login}/members", {"role": role}):
            scope.logins[user["login"]] = user_id(user["id"])
            yield _user(scope, user, membership="owner" if role == "admin" else "member", mfa=mfa(user))
            if role == "admin":
                yield _org_grant(scope, user_id(user["id"]), "organization owner", ["admin", "grant-access"])
            elif base is not None and base != "none":
                yield _org_grant(
                    scope, user_id(user["id"]), f"base permission: {base}", powers.of_role(str(base))
                )

    for role in ("admin", "member"):
        yield from scope.told(
            member(role),
            scope.asked(
                "identities",
                f"GET /orgs/{{org}}/members?role={role}",
                kind="github-user",
                needs="members: read",
            ),
            fills=("grants/github-user",),
        )

    def outside(user: dict[str, Any]) -> Iterator[Record]:
        scope.logins[user["login"]] = user_id(user["id"])
        yield _user(scope, user, membership="outside collaborator", mfa=None)

    def outsiders() -> Iterator[Record]:
        for user in scope.client.items(f"/orgs/{scope.login}/outside_collaborators"):
            yield from outside(user)

    yield from scope.told(
        outsiders(),
        scope.asked(
            "identities",
            "GET /orgs/{org}/outside_collaborators",
            kind="github-user",
            needs="members: read",
        ),
    )

    def invited(invitation: dict[str, Any]) -> Iterator[Record]:
        name = invitation.get("login") or f"invitation {invitation['id']}"
        yield Identity(
            id=record_id("github", "invitation", str(invitation["id"])),
            provider="github",
            account_id=scope.account_id,
            surface="human",
            kind="github-invitation",
            native_id=str(invitation["id"]),
            name=str(name),
            enabled=False,
            created_at=time(invitation.get("created_at")),
            owner=(invitation.get("inviter") or {}).get("login"),
            owner_source="inviter" if invitation.get("inviter") else None,
            tags={"membership": "invited", "role": str(invitation.get("role"))},
        )

    yield from scope.listing(
        "/orgs/{org}/invitations",
        invited,
        table="identities",
        kind="github-invitation",
        needs="members: read",
        explained=explain_unsupported("GitHub Enterprise Server has no invitations."),
    )


def _org_grant(scope: Scope, identity: str, role: str, can: list[Any]) -> Grant:
    return Grant(
        id=record_id("github", "grant", f"{scope.number}/{identity}/{role}"),
        provider="github",
        account_id=scope.account_id,
        identity_id=identity,
        role=role,
        resource=f"{scope.login}/*",
        breadth="organization",
        powers=can,
        level=level_of(can),
        via="organization membership",
    )


def public_keys(scope: Scope) -> Iterator[Record]:
    """Yield the SSH and GPG keys of the people that were listed. They are public; there is one list a person.

    https://docs.github.com/en/rest/users/keys#list-public-keys-for-a-user
    """
    for login, identity in sorted(scope.logins.items()):

        def ssh(item: dict[str, Any], identity: str = identity, login: str = login) -> Iterator[Record]:
            yield Credential(
                id=record_id("github", "user-ssh-key", str(item["id"])),
                provider="github",
                account_id=scope.account_id,
                identity_id=identity,
                kind="ssh-key",
                native_id=str(item["id"]),
                name=f"SSH key {item['id']} of {login}",
                lifetime="static",
                enabled=True,
                created_at=time(item.get("created_at")),
                last_used_at=time(item.get("last_used")),
                never_expires=True,
                owner=login,
            )

        def gpg(item: dict[str, Any], identity: str = identity, login: str = login) -> Iterator[Record]:
            expires = time(item.get("expires_at"))
            yield Credential(
                id=record_id("github", "gpg-key", str(item["id"])),
                provider="github",
                account_id=scope.account_id,
                identity_id=identity,
                kind="gpg-key",
                native_id=str(item["id"]),
                name=f"GPG key {item.get('key_id')} of {login}",
                lifetime="expiring" if expires else "static",
                enabled=not item.get("revoked"),
                created_at=time(item.get("created_at")),
                expires_at=expires,
                never_expires=expires is None,
                owner=login,
            )

        for call, convert, kind in (
            ("/users/{username}/keys", ssh, "ssh-key"),
            ("/users/{username}/gpg_keys", gpg, "gpg-key"),
        ):
            yield from scope.listing(
                call, convert, table="credentials", kind=kind, needs="none", item=login, username=login
            )
