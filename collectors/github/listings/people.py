"""The users of an organization: owners, members, outside collaborators, invitations.

https://docs.github.com/en/rest/orgs/members
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from collectors.github import powers
from collectors.github.records import user_id
from collectors.github.scope import SETTINGS_NEED
from scanner.collect.failures import unsupported_on
from scanner.collect.listings import with_coverage
from scanner.collect.scope import utc_time
from scanner.records import Grant, Identity, level_of, record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from collectors.github.scope import OrganizationScope
    from scanner.records import Power, Record

_MACHINE = re.compile(
    r"(?:^|[-_])(?:bot|robot|ci|cd|cicd|svc|service|automation|machine|deploy|deployer|release|jenkins|build|builder"
    r"|runner|sync|mirror)(?:[-_\d]|$)",
    re.IGNORECASE,
)
"""Login names typical of machine users, which GitHub does not mark."""


def people(scope: OrganizationScope, base: str | None) -> Generator[Record, None, dict[str, str]]:
    """Yield owners, members, outside collaborators and invitations. Return `Identity.id` by login.

    ``base`` is the base permission of members on all repositories (``read``); None if unknown.
    """
    lacking = yield from with_coverage(
        _without_second_factor(scope),
        scope.request(
            "identities",
            "GET /orgs/{org}/members?filter=2fa_disabled",
            kind="github-user-mfa",
            needs="a token of an organization owner",
        ),
        classify=unsupported_on(
            {404}, "Only organization owners can see who has no two-factor authentication."
        ),
    )
    logins: dict[str, str] = {}
    for role in ("admin", "member"):
        members = yield from with_coverage(
            _members(scope, role, base, lacking),
            scope.request(
                "identities",
                f"GET /orgs/{{org}}/members?role={role}",
                kind="github-user",
                needs="members: read",
            ),
            # What members may do on every repository is a setting that not every token sees.
            fills=("identities/github-machine-user", *(() if base is None else ("grants/github-user",))),
        )
        logins |= members or {}
    if base is None:
        yield scope.unseen(
            "grants",
            "github-user",
            "GET /orgs/{org} (default_repository_permission)",
            "The base permission that members have on every repository is not shown to this token.",
            needs=SETTINGS_NEED,
        )
    outside = yield from with_coverage(
        _outside_collaborators(scope),
        scope.request(
            "identities",
            "GET /orgs/{org}/outside_collaborators",
            kind="github-user",
            needs="members: read",
        ),
        fills=("identities/github-machine-user",),
    )
    yield from scope.listing(
        "/orgs/{org}/invitations",
        lambda invitation: (_invitation(scope, invitation),),
        table="identities",
        kind="github-invitation",
        needs="members: read",
        classify=unsupported_on({404}, "Invitations are not available on GitHub Enterprise Server."),
    )
    return logins | (outside or {})


def _without_second_factor(scope: OrganizationScope) -> Generator[Record, None, frozenset[int]]:
    """Yield no record. Return the ids of members without a second factor.

    Only organization owners may use the filter:
    https://docs.github.com/en/rest/orgs/members#list-organization-members
    """
    yield from ()
    users = scope.client.items(scope.path("/orgs/{org}/members"), {"filter": "2fa_disabled"})
    return frozenset(user["id"] for user in users)


def _members(
    scope: OrganizationScope, role: str, base: str | None, lacking: frozenset[int] | None
) -> Generator[Record, None, dict[str, str]]:
    logins = {}
    for user in scope.client.items(scope.path("/orgs/{org}/members"), {"role": role}):
        logins[str(user["login"])] = identity = user_id(user["id"])
        mfa = None if lacking is None else user["id"] not in lacking
        yield _user(scope, user, membership="owner" if role == "admin" else "member", mfa=mfa)
        if role == "admin":
            yield _grant(scope, identity, "organization owner", ("admin", "grant-access"))
        elif base is not None and base != "none":
            yield _grant(scope, identity, f"base permission: {base}", powers.of_role(base))
    return logins


def _outside_collaborators(scope: OrganizationScope) -> Generator[Record, None, dict[str, str]]:
    logins = {}
    for user in scope.client.items(scope.path("/orgs/{org}/outside_collaborators")):
        logins[str(user["login"])] = user_id(user["id"])
        yield _user(scope, user, membership="outside collaborator", mfa=None)
    return logins


def _user(scope: OrganizationScope, user: dict[str, Any], *, membership: str, mfa: bool | None) -> Identity:
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
        enabled=True,
        mfa=mfa,
        url=user.get("html_url"),
        tags={"membership": membership} | ({"machine": "by its login"} if machine else {}),
    )


def _grant(scope: OrganizationScope, identity: str, role: str, can: Sequence[Power]) -> Grant:
    return Grant(
        id=record_id("github", "grant", f"{scope.number}/{identity}/{role}"),
        provider="github",
        account_id=scope.account_id,
        identity_id=identity,
        role=role,
        resource=f"{scope.login}/*",
        breadth="organization",
        powers=list(can),
        level=level_of(list(can)),
        via="organization membership",
    )


def _invitation(scope: OrganizationScope, invitation: dict[str, Any]) -> Identity:
    name = invitation.get("login") or f"invitation {invitation['id']}"
    return Identity(
        id=record_id("github", "invitation", str(invitation["id"])),
        provider="github",
        account_id=scope.account_id,
        surface="human",
        kind="github-invitation",
        native_id=str(invitation["id"]),
        name=str(name),
        enabled=False,
        created_at=utc_time(invitation.get("created_at")),
        owner=(invitation.get("inviter") or {}).get("login"),
        owner_source="inviter" if invitation.get("inviter") else None,
        tags={"membership": "invited", "role": str(invitation.get("role"))},
    )
