"""Members of the organization and what acts for them: members, teams, roles, Apps, tokens, authorized credentials.

https://docs.github.com/en/rest/orgs and /teams.
"""

# ruff: noqa: D103  an answer is documented by GitHub under the template that names it in ROUTES

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.github.org_routes import ORG, named, repository_items
from sandbox.github.route import Answer, Ask, GitHubRoute, Items, need
from sandbox.github.shapes import Json, Site, maybe, node_id, permissions_of, when
from sandbox.kit.http import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.github.organization import (
        Authorization,
        FineGrainedToken,
        GitHubRepository,
        Invitation,
        Role,
        Team,
    )


def installations(ask: Ask) -> Answer:
    rows = ask.organization.installations
    return Items(rows=rows, write=ask.site.installation, wrap="installations")


def _token(site: Site, token: FineGrainedToken, section: str) -> Json:
    row: Json = {
        "id": token.id,
        "owner": site.user(token.owner),
        "repository_selection": token.selection,
        "repositories_url": f"{site.org_url}/{section}/{token.id}/repositories",
        "permissions": {part: dict(held) for part, held in token.permissions.items()},
        "token_id": token.token_id,
        "token_name": token.name,
        "token_expired": token.expired,
        "token_expires_at": maybe(token.expires_at),
        "token_last_used_at": maybe(token.last_used_at),
    }
    if token.pending:
        row |= {"reason": token.reason, "created_at": when(token.granted_at)}
    else:
        row["access_granted_at"] = when(token.granted_at)
    return row


def tokens(section: str, *, pending: bool) -> Callable[[Ask], Answer]:
    """Answer the fine-grained tokens, or the requests for some."""

    def answer(ask: Ask) -> Answer:
        rows = [token for token in ask.organization.tokens if token.pending is pending]
        if "token_id" in ask.query:
            rows = [token for token in rows if str(token.token_id) == ask.query["token_id"]]
        return Items(rows=rows, write=lambda token: _token(ask.site, token, section))

    return answer


def token_repositories(key: str, *, pending: bool) -> Callable[[Ask], Answer]:
    """Answer the repositories that a fine-grained token can access."""

    def answer(ask: Ask) -> Answer:
        for token in ask.organization.tokens:
            if str(token.id) == ask.path[key] and token.pending is pending:
                match token.selection:
                    case "all":
                        return repository_items(ask, ask.organization.repositories)
                    case "none":
                        return repository_items(ask, [])
                    case "subset":
                        return repository_items(ask, named(ask, token.selected))
        raise RefusedError(404, "Not Found")

    return answer


def authorizations(ask: Ask) -> Answer:
    def write(one: Authorization) -> Json:
        row: Json = {
            "login": one.login,
            "credential_id": one.id,
            "credential_type": one.type,
            "credential_authorized_at": when(one.authorized_at),
            "credential_accessed_at": maybe(one.accessed_at),
            "authorized_credential_id": one.id + 500_000,
            "authorized_credential_title": one.title if one.type == "SSH key" else None,
            "authorized_credential_note": None if one.type == "SSH key" else one.title,
            "authorized_credential_expires_at": maybe(one.expires_at),
        }
        if one.type == "SSH key":
            row["fingerprint"] = one.fingerprint or f"SHA256:{one.id}"
        else:
            row |= {"token_last_eight": one.last_eight or f"{one.id:08d}", "scopes": list(one.scopes)}
        return row

    rows = [one for one in ask.organization.authorizations if ask.query.get("login") in {None, one.login}]
    return Items(rows=rows, write=write)


def members(ask: Ask) -> Answer:
    rows = [user for user in ask.organization.users if user.role != "outside"]
    if ask.query.get("role", "all") != "all":
        rows = [user for user in rows if user.role == ask.query["role"]]
    if ask.query.get("filter") == "2fa_disabled":
        if ask.token.kind == "installation" and not ask.token.may("members"):
            raise RefusedError(422, "Only owners can use this filter.")
        rows = [user for user in rows if not user.two_factor]
    return Items(rows=rows, write=lambda user: ask.site.account(user.login, user.id))


def membership(ask: Ask) -> Answer:
    user = ask.site.users.get(ask.path["username"])
    if user is None or user.role == "outside":
        raise RefusedError(404, "Not Found")
    return {
        "url": f"{ask.site.org_url}/memberships/{user.login}",
        "state": "active",
        "role": user.role,
        "organization_url": ask.site.org_url,
        "organization": ask.site.organization_simple(),
        "user": ask.site.user(user.login),
    }


def outside_collaborators(ask: Ask) -> Answer:
    rows = [user for user in ask.organization.users if user.role == "outside"]
    if ask.query.get("filter") == "2fa_disabled":
        rows = [user for user in rows if not user.two_factor]
    return Items(rows=rows, write=lambda user: ask.site.account(user.login, user.id))


def invitations(ask: Ask) -> Answer:
    def write(invitation: Invitation) -> Json:
        return {
            "id": invitation.id,
            "login": invitation.login,
            "email": invitation.email,
            "role": invitation.role,
            "created_at": when(invitation.created_at),
            "failed_at": None,
            "failed_reason": None,
            "inviter": ask.site.user(invitation.inviter),
            "team_count": 0,
            "node_id": node_id("OI", invitation.id),
            "invitation_teams_url": f"{ask.site.org_url}/invitations/{invitation.id}/teams",
            "invitation_source": "member",
        }

    return Items(rows=ask.organization.invitations, write=write)


def teams(ask: Ask) -> Answer:
    return Items(rows=ask.organization.teams, write=ask.site.team)


def _team(ask: Ask) -> Team:
    team = ask.site.teams.get(ask.path["team_slug"])
    if team is None:
        raise RefusedError(404, "Not Found")
    return team


def team_members(ask: Ask) -> Answer:
    team = _team(ask)
    rows = [*team.maintainers, *team.members]
    match ask.query.get("role"):
        case "maintainer":
            rows = list(team.maintainers)
        case "member":
            rows = list(team.members)
    return Items(rows=rows, write=ask.site.user)


def team_repositories(ask: Ask) -> Answer:
    team = _team(ask)

    def write(repository: GitHubRepository) -> Json:
        role = team.repositories[repository.name]
        return {**ask.site.repository(repository, role), "role_name": role}

    return Items(rows=named(ask, tuple(team.repositories)), write=write)


def organization_roles(ask: Ask) -> Answer:
    roles = ask.organization.organization_roles

    def write(role: Role) -> Json:
        return {**ask.site.role(role), "source": "Predefined" if role.predefined else "Organization"}

    return {"total_count": len(roles), "roles": [write(role) for role in roles]}


def _role(ask: Ask) -> Role:
    for role in ask.organization.organization_roles:
        if str(role.id) == ask.path["role_id"]:
            return role
    raise RefusedError(404, "Not Found")


def role_users(ask: Ask) -> Answer:
    def write(login: str) -> Json:
        return {**ask.site.user(login), "assignment": "direct", "inherited_from": []}

    return Items(rows=_role(ask).users, write=write)


def role_teams(ask: Ask) -> Answer:
    def write(slug: str) -> Json:
        team = ask.site.teams[slug]
        return {**ask.site.team(team), "permissions": permissions_of("read"), "assignment": "direct"}

    return Items(rows=_role(ask).teams, write=write)


def custom_roles(ask: Ask) -> Answer:
    roles = ask.organization.repository_roles
    return {"total_count": len(roles), "custom_roles": [ask.site.role(role) for role in roles]}


ROUTES = (
    GitHubRoute(
        template=f"{ORG}/installations",
        answer=installations,
        need=need("organization_administration", "admin:read", "read:org"),
    ),
    GitHubRoute(
        template=f"{ORG}/personal-access-tokens",
        answer=tokens("personal-access-tokens", pending=False),
        need=need("organization_personal_access_tokens", only_apps=True),
    ),
    GitHubRoute(
        template=f"{ORG}/personal-access-tokens/{{pat_id}}/repositories",
        answer=token_repositories("pat_id", pending=False),
        need=need("organization_personal_access_tokens", only_apps=True),
    ),
    GitHubRoute(
        template=f"{ORG}/personal-access-token-requests",
        answer=tokens("personal-access-token-requests", pending=True),
        need=need("organization_personal_access_token_requests", only_apps=True),
    ),
    GitHubRoute(
        template=f"{ORG}/personal-access-token-requests/{{pat_request_id}}/repositories",
        answer=token_repositories("pat_request_id", pending=True),
        need=need("organization_personal_access_token_requests", only_apps=True),
    ),
    GitHubRoute(
        template=f"{ORG}/credential-authorizations",
        answer=authorizations,
        need=need("organization_administration", "read:org"),
        ghes=False,
        enterprise=True,
    ),
    GitHubRoute(template=f"{ORG}/members", answer=members, need=need("members", "read:org")),
    GitHubRoute(
        template=f"{ORG}/memberships/{{username}}", answer=membership, need=need("members", "read:org")
    ),
    GitHubRoute(
        template=f"{ORG}/outside_collaborators",
        answer=outside_collaborators,
        need=need("members", "read:org"),
    ),
    GitHubRoute(
        template=f"{ORG}/invitations", answer=invitations, need=need("members", "admin:org"), ghes=False
    ),
    GitHubRoute(template=f"{ORG}/teams", answer=teams, need=need("members", "read:org")),
    GitHubRoute(
        template=f"{ORG}/teams/{{team_slug}}/members", answer=team_members, need=need("members", "read:org")
    ),
    GitHubRoute(
        template=f"{ORG}/teams/{{team_slug}}/repos",
        answer=team_repositories,
        need=need("members", "read:org"),
    ),
    GitHubRoute(
        template=f"{ORG}/organization-roles",
        answer=organization_roles,
        need=need("organization_custom_org_roles", "admin:org"),
    ),
    GitHubRoute(
        template=f"{ORG}/organization-roles/{{role_id}}/users",
        answer=role_users,
        need=need("organization_custom_org_roles", "admin:org"),
    ),
    GitHubRoute(
        template=f"{ORG}/organization-roles/{{role_id}}/teams",
        answer=role_teams,
        need=need("organization_custom_org_roles", "admin:org"),
    ),
    GitHubRoute(
        template=f"{ORG}/custom-repository-roles",
        answer=custom_roles,
        need=need("organization_custom_roles", "admin:org", "read:org"),
        enterprise=True,
    ),
)
