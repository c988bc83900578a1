"""GitHub's JSON objects: users, repositories, teams, Apps and others.

Shapes follow https://github.com/github/rest-api-description; the tests validate every answer against it. ``url`` fields
have the sandbox's own host, as clients require; ``html_url`` fields have a host that is the same in every run.
"""

from __future__ import annotations

import base64
from datetime import datetime  # noqa: TC003
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from sandbox.github.access import GitHubToken
    from sandbox.github.organization import (
        Environment,
        GitHubRepository,
        Installation,
        Organization,
        Role,
        Team,
        User,
    )

Json: TypeAlias = dict[str, Any]

PERMISSIONS = {"read": "pull", "write": "push", "triage": "triage", "maintain": "maintain", "admin": "admin"}
"""Role name to its key in a ``permissions`` object."""
LADDER = ("pull", "triage", "push", "maintain", "admin")

_USER_LINKS = {
    "followers_url": "/followers",
    "following_url": "/following{/other_user}",
    "gists_url": "/gists{/gist_id}",
    "starred_url": "/starred{/owner}{/repo}",
    "subscriptions_url": "/subscriptions",
    "organizations_url": "/orgs",
    "repos_url": "/repos",
    "events_url": "/events{/privacy}",
    "received_events_url": "/received_events",
}
_REPOSITORY_LINKS = {
    "archive_url": "/{archive_format}{/ref}",
    "assignees_url": "/assignees{/user}",
    "blobs_url": "/git/blobs{/sha}",
    "branches_url": "/branches{/branch}",
    "collaborators_url": "/collaborators{/collaborator}",
    "comments_url": "/comments{/number}",
    "commits_url": "/commits{/sha}",
    "compare_url": "/compare/{base}...{head}",
    "contents_url": "/contents/{+path}",
    "contributors_url": "/contributors",
    "deployments_url": "/deployments",
    "downloads_url": "/downloads",
    "events_url": "/events",
    "forks_url": "/forks",
    "git_commits_url": "/git/commits{/sha}",
    "git_refs_url": "/git/refs{/sha}",
    "git_tags_url": "/git/tags{/sha}",
    "hooks_url": "/hooks",
    "issue_comment_url": "/issues/comments{/number}",
    "issue_events_url": "/issues/events{/number}",
    "issues_url": "/issues{/number}",
    "keys_url": "/keys{/key_id}",
    "labels_url": "/labels{/name}",
    "languages_url": "/languages",
    "merges_url": "/merges",
    "milestones_url": "/milestones{/number}",
    "notifications_url": "/notifications{?since,all,participating}",
    "pulls_url": "/pulls{/number}",
    "releases_url": "/releases{/id}",
    "stargazers_url": "/stargazers",
    "statuses_url": "/statuses/{sha}",
    "subscribers_url": "/subscribers",
    "subscription_url": "/subscription",
    "tags_url": "/tags",
    "teams_url": "/teams",
    "trees_url": "/git/trees{/sha}",
}


def when(moment: datetime) -> str:
    """Write a time as GitHub does: ``2026-11-22T02:00:00Z``."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def maybe(moment: datetime | None) -> str | None:
    """Write a time, or ``null``."""
    return None if moment is None else when(moment)


def node_id(kind: str, number: int | str) -> str:
    """Return a global node id: the same for an object in REST and GraphQL."""
    return f"{kind}_{base64.urlsafe_b64encode(str(number).encode()).decode().rstrip('=')}"


def permissions_of(role: str) -> dict[str, bool]:
    """Return the ``permissions`` object of a role."""
    held = LADDER.index(PERMISSIONS.get(role, "pull"))
    return {word: index <= held for index, word in enumerate(LADDER)}


def _status(on: bool) -> dict[str, str]:
    return {"status": "enabled" if on else "disabled"}


class Site:
    """Writes the organization's objects as JSON, with the URLs of one server."""

    def __init__(self, organization: Organization, api: str, web: str) -> None:
        self.organization = organization
        self.api = api
        self.web = web
        self.users = {user.login: user for user in organization.users}
        self.teams = {team.slug: team for team in organization.teams}
        self.org_url = f"{api}/orgs/{organization.login}"

    def repository_url(self, repository: GitHubRepository) -> str:
        return f"{self.api}/repos/{self.organization.login}/{repository.name}"

    def account(self, login: str, number: int, kind: str = "User") -> Json:
        """Write a simple user: a person, a bot or the organization itself."""
        url = f"{self.api}/users/{login}"
        return {
            "login": login,
            "id": number,
            "node_id": node_id({"Organization": "O", "Bot": "BOT"}.get(kind, "U"), number),
            "avatar_url": f"{self.web}/avatars/u/{number}?v=4",
            "gravatar_id": "",
            "url": url,
            "html_url": f"{self.web}/{login}",
            **{name: url + path for name, path in _USER_LINKS.items()},
            "type": kind,
            "user_view_type": "public",
            "site_admin": False,
        }

    def user(self, login: str) -> Json:
        """Write a user by login; a login ending in ``[bot]`` is an App's."""
        if login.endswith("[bot]"):
            return self.account(login, 41898282, "Bot")
        known = self.users.get(login)
        return self.account(login, known.id if known else 10137)

    def owner(self) -> Json:
        return self.account(self.organization.login, self.organization.id, "Organization")

    def organization_simple(self) -> Json:
        return {
            "login": self.organization.login,
            "id": self.organization.id,
            "node_id": node_id("O", self.organization.id),
            "url": self.org_url,
            "repos_url": f"{self.org_url}/repos",
            "events_url": f"{self.org_url}/events",
            "hooks_url": f"{self.org_url}/hooks",
            "issues_url": f"{self.org_url}/issues",
            "members_url": f"{self.org_url}/members{{/member}}",
            "public_members_url": f"{self.org_url}/public_members{{/member}}",
            "avatar_url": f"{self.web}/avatars/u/{self.organization.id}?v=4",
            "description": f"{self.organization.name}, a simulated company",
        }

    def organization_full(self) -> Json:
        organization = self.organization
        repositories = organization.repositories
        return {
            **self.organization_simple(),
            "name": organization.name,
            "is_verified": True,
            "has_organization_projects": True,
            "has_repository_projects": True,
            "public_repos": 0,
            "public_gists": 0,
            "followers": 0,
            "following": 0,
            "html_url": f"{self.web}/{organization.login}",
            "type": "Organization",
            "total_private_repos": len(repositories),
            "owned_private_repos": len(repositories),
            "default_repository_permission": organization.default_repository_permission,
            "members_can_create_repositories": organization.members_can_create_repositories,
            "two_factor_requirement_enabled": organization.two_factor_required,
            "members_can_fork_private_repositories": False,
            "web_commit_signoff_required": False,
            "deploy_keys_enabled_for_repositories": organization.deploy_keys_enabled,
            "created_at": when(organization.created_at),
            "updated_at": when(organization.updated_at),
            "archived_at": None,
            "plan": {
                "name": "enterprise",
                "space": 976562499,
                "private_repos": 999999,
                "filled_seats": len(organization.users),
                "seats": 50,
            },
        }

    def repository_simple(self, repository: GitHubRepository) -> Json:
        """Write the fields that every repository object has."""
        url = self.repository_url(repository)
        full_name = f"{self.organization.login}/{repository.name}"
        return {
            "id": repository.id,
            "node_id": node_id("R", repository.id),
            "name": repository.name,
            "full_name": full_name,
            "owner": self.owner(),
            "private": repository.private,
            "html_url": f"{self.web}/{full_name}",
            "description": repository.description,
            "fork": repository.fork,
            "url": url,
            **{name: url + path for name, path in _REPOSITORY_LINKS.items()},
        }

    def repository(self, repository: GitHubRepository, role: str = "admin") -> Json:
        """Write a repository as lists do."""
        full_name = f"{self.organization.login}/{repository.name}"
        host = self.web.removeprefix("https://")
        return {
            **self.repository_simple(repository),
            "git_url": f"git://{host}/{full_name}.git",
            "ssh_url": f"git@{host}:{full_name}.git",
            "clone_url": f"{self.web}/{full_name}.git",
            "svn_url": f"{self.web}/{full_name}",
            "mirror_url": None,
            "homepage": None,
            "language": repository.language,
            "license": None,
            "forks": 0,
            "forks_count": 0,
            "stargazers_count": 0,
            "watchers": 0,
            "watchers_count": 0,
            "size": sum(map(len, repository.files.values())) // 1024,
            "default_branch": repository.default_branch,
            "open_issues": 0,
            "open_issues_count": 0,
            "is_template": False,
            "topics": list(repository.topics),
            "has_issues": True,
            "has_projects": False,
            "has_wiki": False,
            "has_pages": False,
            "has_downloads": True,
            "has_discussions": False,
            "archived": repository.archived,
            "disabled": False,
            "visibility": repository.visibility,
            "pushed_at": when(repository.pushed_at),
            "created_at": when(repository.created_at),
            "updated_at": when(repository.pushed_at),
            "permissions": permissions_of(role),
            "allow_forking": False,
            "web_commit_signoff_required": False,
            "custom_properties": dict(repository.properties),
            "security_and_analysis": {
                "dependabot_security_updates": {"status": "enabled"},
                "secret_scanning": _status(repository.secret_scanning),
                "secret_scanning_push_protection": _status(repository.push_protection),
            },
        }

    def repository_full(self, repository: GitHubRepository, role: str = "admin") -> Json:
        return {
            **self.repository(repository, role),
            "allow_auto_merge": False,
            "allow_merge_commit": True,
            "allow_rebase_merge": True,
            "allow_squash_merge": True,
            "delete_branch_on_merge": True,
            "network_count": 0,
            "subscribers_count": 1,
            "organization": self.owner(),
        }

    def team(self, team: Team, permission: str = "read") -> Json:
        parent = self.teams.get(team.parent) if team.parent else None
        return {
            **self.team_simple(team, permission),
            "permissions": permissions_of(permission),
            "parent": self.team_simple(parent) if parent else None,
        }

    def team_simple(self, team: Team, permission: str = "read") -> Json:
        return {
            "id": team.id,
            "node_id": node_id("T", team.id),
            "name": team.slug,
            "slug": team.slug,
            "description": None,
            "privacy": "closed",
            "notification_setting": "notifications_enabled",
            "permission": PERMISSIONS.get(permission, permission),
            "url": f"{self.api}/organizations/{self.organization.id}/team/{team.id}",
            "html_url": f"{self.web}/orgs/{self.organization.login}/teams/{team.slug}",
            "members_url": f"{self.api}/organizations/{self.organization.id}/team/{team.id}/members{{/member}}",
            "repositories_url": f"{self.api}/organizations/{self.organization.id}/team/{team.id}/repos",
            "type": "organization",
            "organization_id": self.organization.id,
        }

    def app(self, slug: str) -> Json:
        """Write an App by slug, without fields that only its owner may see."""
        known = next((one for one in self.organization.installations if one.slug == slug), None)
        number = known.app_id if known else 15368
        return {
            "id": number,
            "slug": slug,
            "node_id": node_id("A", number),
            "client_id": known.client_id if known else "Iv1.actions",
            "owner": self.owner(),
            "name": slug.replace("-", " ").title(),
            "description": None,
            "external_url": f"{self.web}/apps/{slug}",
            "html_url": f"{self.web}/apps/{slug}",
            "created_at": "2018-07-30T09:30:17Z",
            "updated_at": "2025-12-10T19:04:12Z",
            "permissions": {"metadata": "read", "contents": "read"},
            "events": ["push"],
        }

    def installation(self, installation: Installation) -> Json:
        number = installation.id
        web = f"{self.web}/organizations/{self.organization.login}/settings/installations/{number}"
        return {
            "id": number,
            "account": self.user(installation.user) if installation.user else self.owner(),
            "repository_selection": installation.repository_selection,
            "access_tokens_url": f"{self.api}/app/installations/{number}/access_tokens",
            "repositories_url": f"{self.api}/installation/repositories",
            "html_url": web,
            "app_id": installation.app_id,
            "client_id": installation.client_id,
            "app_slug": installation.slug,
            "target_id": self.organization.id,
            "target_type": "User" if installation.user else "Organization",
            "permissions": dict(installation.permissions),
            "events": list(installation.events),
            "created_at": when(installation.created_at),
            "updated_at": when(installation.updated_at),
            "single_file_name": None,
            "has_multiple_single_files": False,
            "single_file_paths": [],
            "suspended_by": self.user(installation.suspended_by) if installation.suspended_by else None,
            "suspended_at": maybe(installation.suspended_at),
        }

    def environment(self, repository: GitHubRepository, environment: Environment) -> Json:
        """Write an environment with its protection rules."""
        rules: list[Json] = []
        if environment.wait_minutes:
            rules.append(
                {
                    "id": environment.id * 10 + 1,
                    "node_id": node_id("GA", environment.id * 10 + 1),
                    "type": "wait_timer",
                    "wait_timer": environment.wait_minutes,
                }
            )
        if environment.reviewers:
            rules.append(
                {
                    "id": environment.id * 10 + 2,
                    "node_id": node_id("GA", environment.id * 10 + 2),
                    "type": "required_reviewers",
                    "prevent_self_review": environment.prevent_self_review,
                    "reviewers": [
                        {
                            "type": reviewer.type,
                            "reviewer": self.user(reviewer.name)
                            if reviewer.type == "User"
                            else self.team(self.teams[reviewer.name]),
                        }
                        for reviewer in environment.reviewers
                    ],
                }
            )
        if environment.branches != "any":
            rules.append(
                {
                    "id": environment.id * 10 + 3,
                    "node_id": node_id("GA", environment.id * 10 + 3),
                    "type": "branch_policy",
                }
            )
        full_name = f"{self.organization.login}/{repository.name}"
        return {
            "id": environment.id,
            "node_id": node_id("EN", environment.id),
            "name": environment.name,
            "url": f"{self.repository_url(repository)}/environments/{environment.name}",
            "html_url": f"{self.web}/{full_name}/deployments/activity_log?environments_filter={environment.name}",
            "created_at": when(environment.created_at),
            "updated_at": when(environment.updated_at),
            "can_admins_bypass": environment.can_admins_bypass,
            "protection_rules": rules,
            "deployment_branch_policy": None
            if environment.branches == "any"
            else {
                "protected_branches": environment.branches == "protected",
                "custom_branch_policies": environment.branches == "custom",
            },
        }

    def role(self, role: Role) -> Json:
        """Write an organization role or a custom repository role."""
        return {
            "id": role.id,
            "name": role.name,
            "description": None,
            "base_role": role.base,
            "permissions": list(role.permissions),
            "organization": self.owner(),
            "created_at": when(role.created_at),
            "updated_at": when(role.created_at),
        }

    def person(self, user: User, token: GitHubToken) -> Json:
        """Write a public user; the private half only for the token's own user."""
        return {
            **self.account(user.login, user.id),
            "name": user.name,
            "company": None,
            "blog": "",
            "location": None,
            "email": None,
            "hireable": None,
            "bio": None,
            "twitter_username": None,
            "public_repos": 0,
            "public_gists": 0,
            "followers": 0,
            "following": 0,
            "created_at": when(user.created_at),
            "updated_at": when(user.created_at),
            **(
                {
                    "private_gists": 0,
                    "total_private_repos": 0,
                    "owned_private_repos": 0,
                    "disk_usage": 0,
                    "collaborators": 0,
                    "two_factor_authentication": user.two_factor,
                }
                if token.login == user.login
                else {}
            ),
        }
