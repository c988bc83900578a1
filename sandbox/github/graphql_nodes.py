"""The organization as GraphQL nodes: every node is a mapping from field to value, or to a function that returns it.

Fields and their nullability: https://docs.github.com/en/graphql/reference/objects. A field that the token may not read
raises an error of type ``FORBIDDEN``; GraphQL then nulls the nearest nullable field above it, so that GitHub returns
data and errors together.
"""

from __future__ import annotations

import base64
from bisect import bisect_left
from typing import TYPE_CHECKING, Any, TypeAlias

from graphql import GraphQLError

from sandbox.github.organization import blob_sha, head, tree
from sandbox.github.repo_routes import strongest_role, with_access
from sandbox.github.ruleset_shapes import applies, covers
from sandbox.github.shapes import node_id, when

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graphql import GraphQLResolveInfo

    from sandbox.github.access import GitHubToken
    from sandbox.github.organization import (
        Environment,
        GitHubDeployment,
        GitHubRepository,
        Protection,
        Reviewer,
        Ruleset,
        Team,
        User,
    )
    from sandbox.github.shapes import Site
    from sandbox.kit.limits import RateWindow

Node: TypeAlias = dict[str, Any]
Field: TypeAlias = "Callable[..., Any]"
Info: TypeAlias = "GraphQLResolveInfo[Any]"

TEXT_LIMIT = 512_000
"""GitHub truncates the text of a blob at this size and sets ``isTruncated``."""


def refused(kind: str, message: str) -> GraphQLError:
    """Return an error with GitHub's ``type``."""
    return GraphQLError(message, extensions={"type": kind})


def _after(cursor: str | None) -> int:
    if not cursor:
        return 0
    try:
        return int(base64.b64decode(cursor).decode().removeprefix("cursor:v2:"))
    except ValueError:
        raise refused(
            "INVALID_CURSOR_ARGUMENTS", f"`{cursor}` does not appear to be a valid cursor."
        ) from None


def _cursor(position: int) -> str:
    return base64.b64encode(b"cursor:v2:%d" % position).decode()


def connection(
    rows: Sequence[Any],
    write: Callable[[Any], Any],
    edge: Callable[[Any], Node] | None = None,
) -> Field:
    """Return the resolver of a connection over ``rows``; only the requested page is built."""

    def resolve(_info: Info, **asked: Any) -> Node:
        total = len(rows)
        first, last = asked.get("first"), asked.get("last")
        start, end = _after(asked.get("after")), total
        if asked.get("before"):
            end = min(end, _after(asked["before"]) - 1)
        if first is not None:
            end = min(end, start + first)
        elif last is not None:
            start = max(start, end - last)
        page = [(start + offset, row) for offset, row in enumerate(rows[start:end])]
        nodes = [write(row) for _, row in page]
        return {
            "totalCount": total,
            "nodes": nodes,
            "edges": [
                {"cursor": _cursor(position + 1), "node": node, **(edge(row) if edge else {})}
                for (position, row), node in zip(page, nodes, strict=True)
            ],
            "pageInfo": {
                "endCursor": _cursor(end) if page else None,
                "hasNextPage": end < total,
                "hasPreviousPage": start > 0,
                "startCursor": _cursor(start + 1) if page else None,
            },
        }

    return resolve


class NodeGraph:
    """Writes nodes for one query of one token."""

    def __init__(self, site: Site, token: GitHubToken, window: RateWindow, *, forbidden: bool) -> None:
        self.site = site
        self.org = site.organization
        self.token = token
        self.window = window
        self.forbidden = forbidden
        """Whether the first repository of a list is refused: a fault that a test enabled."""
        self.cost = 1
        self.nodes = 0

    # What a token may see

    def _allow(self, permission: str, resolver: Field) -> Field:
        """Require a fine-grained permission for a field; classic tokens were checked by their scopes."""

        def resolve(info: Info, **asked: Any) -> Any:
            name, _, level = permission.partition(":")
            if self.token.kind != "classic" and not self.token.may(name, level or "read"):
                who = "integration" if self.token.kind == "installation" else "personal access token"
                raise refused("FORBIDDEN", f"Resource not accessible by {who}")
            return resolver(info, **asked)

        return resolve

    def visible(self, repository: GitHubRepository) -> bool:
        """Return whether the repository is visible to the token."""
        if not repository.private:
            return True
        if self.token.kind == "classic":
            return self.token.has_scope({"repo"})
        return self.token.sees(repository.name)

    # Roots

    def root(self) -> Node:
        """Return the query's root."""
        return {
            "id": "Q_query",
            "organization": self._organization,
            "repository": self._repository,
            "viewer": self._viewer,
            "node": lambda _info, id: self._node(id),  # noqa: A006
            "nodes": lambda _info, ids: [self._node(one) for one in ids],
            "rateLimit": lambda _info, **_asked: {
                "cost": self.cost,
                "limit": self.window.limit,
                "nodeCount": self.nodes,
                "remaining": max(0, self.window.remaining - self.cost),
                "used": self.window.used + self.cost,
                "resetAt": self._reset(),
            },
        }

    def _reset(self) -> str:
        from datetime import UTC, datetime

        return when(datetime.fromtimestamp(self.window.reset, UTC))

    def _organization(self, _info: Info, login: str) -> Node:
        if login.lower() != self.org.login:
            raise refused("NOT_FOUND", f"Could not resolve to an Organization with the login of '{login}'.")
        return self.organization()

    def _repository(self, _info: Info, owner: str, name: str, **_asked: Any) -> Node:
        found = self.org.repositories.named(name)
        if owner.lower() != self.org.login or found is None or not self.visible(found):
            raise refused("NOT_FOUND", f"Could not resolve to a Repository with the name '{owner}/{name}'.")
        return self.repository(found)

    def _viewer(self, _info: Info) -> Node:
        if self.token.login is None:
            raise refused("FORBIDDEN", "Resource not accessible by integration")
        return self.user(self.site.users[self.token.login])

    def _node(self, wanted: str) -> Node | GraphQLError:
        if wanted == node_id("O", self.org.id):
            return self.organization()
        if wanted.startswith("R_"):
            for found in self.org.repositories:
                if node_id("R", found.id) == wanted and self.visible(found):
                    return self.repository(found)
        if wanted.startswith("BPR_"):
            rule = self._protection(wanted)
            if rule is not None:
                return rule
        return refused("NOT_FOUND", f"Could not resolve to a node with the global id of '{wanted}'")

    def _protection(self, wanted: str) -> Node | None:
        """Return a branch protection rule by its node id, which holds its repository's number."""
        text = wanted.removeprefix("BPR_")
        try:
            number = int(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).split(b"-")[0])
        except ValueError:
            return None
        repositories = self.org.repositories
        place = bisect_left(repositories, number, key=lambda one: one.id)
        if place == len(repositories) or repositories[place].id != number:
            return None
        found = repositories[place]
        if not self.visible(found) or (
            self.token.kind != "classic" and not self.token.may("administration", "read")
        ):
            return None
        return next(
            (
                self.protection(rule, found)
                for rule in found.protections
                if node_id("BPR", f"{found.id}-{rule.id}") == wanted
            ),
            None,
        )

    # Organization and people

    def organization(self) -> Node:
        """Return the organization."""
        organization = self.org
        web = f"{self.site.web}/{organization.login}"
        members = [user for user in organization.users if user.role != "outside"]
        return {
            "__typename": "Organization",
            "id": node_id("O", organization.id),
            "databaseId": organization.id,
            "login": organization.login,
            "name": organization.name,
            "createdAt": when(organization.created_at),
            "url": web,
            "resourcePath": f"/{organization.login}",
            "viewerCanAdminister": self.token.kind == "classic",
            "viewerIsAMember": self.token.login is not None,
            "repositories": self._repositories,
            "repository": lambda info, name, **_asked: self._repository(info, organization.login, name),
            "membersWithRole": self._allow(
                "members",
                connection(
                    members,
                    self.user,
                    lambda user: {
                        "hasTwoFactorEnabled": user.two_factor,
                        "role": "ADMIN" if user.role == "admin" else "MEMBER",
                    },
                ),
            ),
            "teams": self._allow("members", connection(organization.teams, self.team)),
            "rulesets": self._allow(
                "organization_administration:write",
                connection(organization.rulesets, lambda one: self.ruleset(one, None)),
            ),
        }

    def _repositories(self, info: Info, **asked: Any) -> Node:
        rows: Sequence[GitHubRepository] = self.org.repositories
        tests: list[Callable[[GitHubRepository], bool]] = []
        if self.token.repositories is not None or not self._sees_private():
            tests.append(self.visible)
        if asked.get("isArchived") is not None:
            tests.append(lambda one: one.archived is asked["isArchived"])
        if asked.get("isFork") is not None:
            tests.append(lambda one: one.fork is asked["isFork"])
        if asked.get("visibility") is not None:
            tests.append(lambda one: one.visibility.upper() == asked["visibility"])
        if asked.get("privacy") is not None:
            tests.append(lambda one: one.private is (asked["privacy"] == "PRIVATE"))
        if tests:
            rows = [one for one in rows if all(test(one) for test in tests)]
        if (asked.get("orderBy") or {}).get("direction") == "DESC":
            rows = list(reversed(rows))
        refuse = iter([self.forbidden])

        def write(one: GitHubRepository) -> Node | GraphQLError:
            if next(refuse, False):
                return refused("FORBIDDEN", "Resource not accessible by integration")
            return self.repository(one)

        written: Node = connection(rows, write)(info, **asked)
        return written

    def _sees_private(self) -> bool:
        return self.token.kind != "classic" or self.token.has_scope({"repo"})

    def user(self, user: User) -> Node:
        """Return a person."""
        return {
            "__typename": "User",
            "id": node_id("U", user.id),
            "databaseId": user.id,
            "login": user.login,
            "name": user.name,
            "createdAt": when(user.created_at),
            "url": f"{self.site.web}/{user.login}",
            "resourcePath": f"/{user.login}",
        }

    def actor(self, login: str) -> Node:
        """Return who did something: a person, or an App's bot."""
        known = self.site.users.get(login)
        if known is not None:
            return self.user(known)
        return {
            "__typename": "Bot",
            "id": node_id("BOT", 41898282),
            "databaseId": 41898282,
            "login": login.removesuffix("[bot]"),
            "createdAt": "2018-07-30T09:30:17Z",
            "url": f"{self.site.web}/apps/{login.removesuffix('[bot]')}",
            "resourcePath": f"/apps/{login.removesuffix('[bot]')}",
        }

    def team(self, team: Team) -> Node:
        """Return a team."""
        return {
            "__typename": "Team",
            "id": node_id("T", team.id),
            "databaseId": team.id,
            "name": team.slug,
            "slug": team.slug,
            "combinedSlug": f"{self.org.login}/{team.slug}",
        }

    # Repositories

    def repository(self, one: GitHubRepository) -> Node:
        """Return a repository."""
        full_name = f"{self.org.login}/{one.name}"
        above = [ruleset for ruleset in self.org.rulesets if applies(ruleset, one)]
        return {
            "__typename": "Repository",
            "id": node_id("R", one.id),
            "databaseId": one.id,
            "name": one.name,
            "nameWithOwner": full_name,
            "owner": lambda _info: self.organization(),
            "description": one.description,
            "createdAt": when(one.created_at),
            "pushedAt": when(one.pushed_at),
            "updatedAt": when(one.pushed_at),
            "archivedAt": when(one.pushed_at) if one.archived else None,
            "diskUsage": sum(map(len, one.files.values())) // 1024,
            "forkCount": 0,
            "isArchived": one.archived,
            "isDisabled": False,
            "isEmpty": not one.files,
            "isFork": one.fork,
            "isLocked": False,
            "isPrivate": one.private,
            "isTemplate": False,
            "visibility": one.visibility.upper(),
            "url": f"{self.site.web}/{full_name}",
            "resourcePath": f"/{full_name}",
            "primaryLanguage": {"id": node_id("L", one.language), "name": one.language}
            if one.language
            else None,
            "viewerCanAdminister": self.token.kind == "classic" or self.token.may("administration"),
            "viewerPermission": "ADMIN" if self.token.kind == "classic" else None,
            "defaultBranchRef": lambda _info: self._ref(one, one.default_branch),
            "ref": lambda _info, qualifiedName: self._ref(one, qualifiedName),  # noqa: N803
            "object": self._allow("contents", lambda _info, **asked: self._object(one, **asked)),
            "deployKeys": self._allow(
                "administration",
                connection(
                    one.deploy_keys,
                    lambda key: {
                        "id": node_id("DK", key.id),
                        "title": key.title,
                        "key": f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{key.id:043d}",
                        "createdAt": when(key.created_at),
                        "enabled": key.enabled,
                        "readOnly": key.read_only,
                        "verified": key.verified,
                    },
                ),
            ),
            "environments": self._allow(
                "actions",
                connection(
                    sorted(one.environments, key=lambda environment: environment.name), self.environment
                ),
            ),
            "environment": self._allow(
                "actions",
                lambda _info, name: next(
                    (self.environment(found) for found in one.environments if found.name == name), None
                ),
            ),
            "branchProtectionRules": self._allow(
                "administration", connection(one.protections, lambda rule: self.protection(rule, one))
            ),
            "rulesets": lambda info, **asked: connection(
                [*one.rulesets, *(above if asked.get("includeParents", True) else [])],
                lambda ruleset: self.ruleset(ruleset, one),
            )(info, **asked),
            "ruleset": lambda _info, databaseId, **_asked: next(  # noqa: N803
                (self.ruleset(found, one) for found in (*one.rulesets, *above) if found.id == databaseId),
                None,
            ),
            "collaborators": lambda info, **asked: self._collaborators(one, info, **asked),
            "deployments": self._allow(
                "deployments", lambda info, **asked: self._deployments(one, info, **asked)
            ),
        }

    def _collaborators(self, one: GitHubRepository, info: Info, **asked: Any) -> Node:
        logins = with_access(self.site, one, str(asked.get("affiliation") or "ALL").lower())
        written: Node = connection(
            logins,
            lambda login: self.user(self.site.users[login]),
            lambda login: self._access(one, login),
        )(info, **asked)
        return written

    def _access(self, one: GitHubRepository, login: str) -> Node:
        """Return what a collaborator may do: the base role of a custom one, whose name stands with its source."""
        bases = {role.name: role.base for role in self.org.repository_roles}
        role = strongest_role(self.site, one, login) or "read"
        own = one.collaborators.get(login)
        sources = [] if own is None else [(own, lambda _info: self.repository(one))]
        if self.site.users[login].role == "member":
            sources.append((self.org.default_repository_permission, lambda _info: self.organization()))
        return {
            "permission": str(bases.get(role, role)).upper(),
            "permissionSources": [
                {
                    "permission": {"triage": "READ", "maintain": "WRITE"}.get(base, base.upper()),
                    "roleName": name,
                    "source": source,
                }
                for name, source in sources
                for base in (str(bases.get(name, name)),)
            ],
        }

    def _deployments(self, one: GitHubRepository, info: Info, **asked: Any) -> Node:
        wanted = asked.get("environments")
        rows = [found for found in one.deployments if wanted is None or found.environment in wanted]
        rows.sort(
            key=lambda found: found.created_at,
            reverse=(asked.get("orderBy") or {}).get("direction") == "DESC",
        )
        written: Node = connection(rows, lambda found: self.deployment(one, found))(info, **asked)
        return written

    def deployment(self, owner: GitHubRepository, one: GitHubDeployment) -> Node:
        """Return a deployment."""
        state = {"success": "ACTIVE"}.get(one.state, one.state.upper())
        return {
            "id": node_id("DE", one.id),
            "databaseId": one.id,
            "commitOid": one.sha,
            "createdAt": when(one.created_at),
            "updatedAt": when(one.created_at),
            "creator": lambda _info: self.actor(one.creator),
            "description": None,
            "environment": one.environment,
            "latestEnvironment": one.environment,
            "originalEnvironment": one.environment,
            "ref": lambda _info: self._ref(owner, one.ref),
            "state": state,
            "task": "deploy",
            "latestStatus": {
                "id": node_id("DES", one.id * 10),
                "createdAt": when(one.created_at),
                "updatedAt": when(one.created_at),
                "description": "",
                "environment": one.environment,
                "state": one.state.upper(),
            },
        }

    def environment(self, one: Environment) -> Node:
        """Return an environment; GraphQL knows no dates, branch policies or secrets of it."""
        rules: list[Node] = []
        if one.wait_minutes:
            rules.append({"type": "WAIT_TIMER", "timeout": one.wait_minutes})
        if one.reviewers:
            rules.append({"type": "REQUIRED_REVIEWERS", "preventSelfReview": one.prevent_self_review})
        if one.branches != "any":
            rules.append({"type": "BRANCH_POLICY"})
        for rule in rules:
            reviewers = one.reviewers if rule["type"] == "REQUIRED_REVIEWERS" else ()
            rule |= {
                "databaseId": one.id * 10,
                "timeout": rule.get("timeout", 0),
                "reviewers": connection(reviewers, self.reviewer),
            }
        return {
            "__typename": "Environment",
            "id": node_id("EN", one.id),
            "databaseId": one.id,
            "name": one.name,
            "protectionRules": connection(rules, lambda rule: rule),
        }

    def reviewer(self, one: Reviewer) -> Node:
        """Return who must approve."""
        if one.type == "Team":
            return self.team(self.site.teams[one.name])
        return self.user(self.site.users[one.name])

    def protection(self, one: Protection, repository: GitHubRepository) -> Node:
        """Return a branch protection rule."""
        allowed = [
            *(self.user(self.site.users[login]) for login in one.bypass_users),
            *(
                {"__typename": "App", "id": node_id("A", slug), "name": slug, "slug": slug}
                for slug in one.bypass_apps
            ),
        ]
        return {
            "__typename": "BranchProtectionRule",
            "id": node_id("BPR", f"{repository.id}-{one.id}"),
            "bypassPullRequestAllowances": connection(
                allowed, lambda actor: {"id": node_id("BPRA", f"{one.id}-{actor['id']}"), "actor": actor}
            ),
            "databaseId": one.id,
            "pattern": one.pattern,
            "allowsDeletions": one.allow_deletions,
            "allowsForcePushes": one.allow_force_pushes,
            "blocksCreations": False,
            "dismissesStaleReviews": one.dismiss_stale,
            "isAdminEnforced": one.enforce_admins,
            "lockBranch": False,
            "requireLastPushApproval": False,
            "requiredApprovingReviewCount": one.approvals or None,
            "requiredStatusCheckContexts": list(one.status_checks),
            "requiresApprovingReviews": bool(one.approvals),
            "requiresCodeOwnerReviews": one.code_owners,
            "requiresCommitSignatures": one.signatures,
            "requiresConversationResolution": False,
            "requiresLinearHistory": False,
            "requiresStatusChecks": bool(one.status_checks),
            "requiresStrictStatusChecks": bool(one.status_checks),
            "restrictsPushes": one.push_users is not None,
            "restrictsReviewDismissals": False,
        }

    def ruleset(self, one: Ruleset, repository: GitHubRepository | None) -> Node:
        """Return a ruleset; its bypass actors only for callers who may edit it."""
        own = repository is not None and one in repository.rulesets
        may_write = (
            self.token.has_scope({"repo"} if own else {"admin:org"})
            if self.token.kind == "classic"
            else self.token.may("administration" if own else "organization_administration", "write")
        )
        actors = [
            {
                "id": node_id("RBA", f"{one.id}-{index}"),
                "bypassMode": actor.mode.upper(),
                "deployKey": actor.actor_type == "DeployKey",
                "enterpriseOwner": False,
                "organizationAdmin": actor.actor_type == "OrganizationAdmin",
                "repositoryRoleDatabaseId": actor.actor_id if actor.actor_type == "RepositoryRole" else None,
                "repositoryRoleName": {5: "admin", 4: "write", 2: "maintain"}.get(actor.actor_id or 0)
                if actor.actor_type == "RepositoryRole"
                else None,
                "actor": self._bypass(actor.actor_type, actor.actor_id),
            }
            for index, actor in enumerate(one.bypass)
        ]
        return {
            "id": node_id("RRS", one.id),
            "databaseId": one.id,
            "name": one.name,
            "createdAt": when(one.created_at),
            "updatedAt": when(one.updated_at),
            "enforcement": one.enforcement.upper(),
            "target": one.target.upper(),
            "source": (lambda _info: self.repository(repository))
            if own and repository
            else (lambda _info: self.organization()),
            "conditions": {
                "refName": {"include": list(one.refs), "exclude": []},
                "repositoryName": None
                if own
                else {"include": list(one.repositories), "exclude": [], "protected": False},
            },
            "rules": connection(_rule_types(one), lambda kind: self._ruleset_rule(one, kind, repository)),
            "bypassActors": connection(actors, lambda actor: actor) if may_write else None,
        }

    def _ruleset_rule(self, one: Ruleset, kind: str, repository: GitHubRepository | None) -> Node:
        return {
            "id": node_id("RRU", f"{one.id}-{kind}"),
            "type": kind.upper(),
            "parameters": _parameters(one, kind),
            "repositoryRuleset": lambda _info: self.ruleset(one, repository),
        }

    def _bypass(self, kind: str, number: int | None) -> Node | None:
        if kind == "Team":
            return next((self.team(team) for team in self.org.teams if team.id == number), None)
        if kind == "Integration":
            return next(
                (
                    {
                        "__typename": "App",
                        "id": node_id("A", one.app_id),
                        "databaseId": one.app_id,
                        "name": one.slug,
                        "slug": one.slug,
                    }
                    for one in self.org.installations
                    if one.app_id == number
                ),
                None,
            )
        return None

    # Git

    def _ref(self, one: GitHubRepository, name: str) -> Node | None:
        if name.removeprefix("refs/heads/") != one.default_branch or not one.files:
            return None
        return {
            "id": node_id("REF", f"{one.id}:{one.default_branch}"),
            "name": one.default_branch,
            "prefix": "refs/heads/",
            "rules": connection(self._in_force(one), lambda rule: self._ruleset_rule(rule[0], rule[1], one)),
            "target": lambda _info: self._commit(one),
        }

    def _in_force(self, one: GitHubRepository) -> list[tuple[Ruleset, str]]:
        """Return the rules of active rulesets that apply to the default branch."""
        above = [ruleset for ruleset in self.org.rulesets if applies(ruleset, one)]
        return [
            (ruleset, kind)
            for ruleset in (*one.rulesets, *above)
            if ruleset.enforcement == "active" and covers(ruleset, one, one.default_branch)
            for kind in _rule_types(ruleset)
        ]

    def _commit(self, one: GitHubRepository) -> Node:
        sha = head(one)
        return {
            "__typename": "Commit",
            "id": node_id("C", sha),
            "oid": sha,
            "abbreviatedOid": sha[:7],
            "committedDate": when(one.pushed_at),
            "message": "Release",
            "tree": lambda _info: self._tree(one, ""),
        }

    def _tree(self, one: GitHubRepository, folder: str) -> Node | None:
        below = tree(one.files, folder)
        if below is None:
            return None
        sha, entries = below
        return {
            "__typename": "Tree",
            "id": node_id("T", sha),
            "oid": sha,
            "abbreviatedOid": sha[:7],
            "entries": [
                {
                    "name": entry.name,
                    "path": entry.path,
                    "oid": entry.sha,
                    "mode": int(entry.mode, 8),
                    "size": entry.size or 0,
                    "type": entry.type,
                    "extension": "." + entry.name.rpartition(".")[2] if "." in entry.name else "",
                    "object": self._entry(one, entry.path),
                }
                for entry in entries
            ],
        }

    def _entry(self, one: GitHubRepository, path: str) -> Field:
        def resolve(_info: Info) -> Node | None:
            return _blob(one.files[path]) if path in one.files else self._tree(one, path)

        return resolve

    def _object(
        self, one: GitHubRepository, expression: str | None = None, oid: str | None = None
    ) -> Node | None:
        if not one.files:
            return None
        if oid is None and expression is not None:
            name, colon, path = expression.partition(":")
            if name in {"HEAD", one.default_branch, f"refs/heads/{one.default_branch}", head(one)}:
                if not colon:
                    return self._commit(one)
                path = path.strip("/")
                return _blob(one.files[path]) if path in one.files else self._tree(one, path)
            if colon or len(name) != 40:
                return None
            oid = name
        if oid == head(one):
            return self._commit(one)
        return next((_blob(text) for text in one.files.values() if blob_sha(text) == oid), None)


def _blob(text: str) -> Node:
    data = text.encode()
    sha = blob_sha(text)
    binary = "\0" in text
    return {
        "__typename": "Blob",
        "id": node_id("B", sha),
        "oid": sha,
        "abbreviatedOid": sha[:7],
        "byteSize": len(data),
        "isBinary": binary,
        "isTruncated": len(data) > TEXT_LIMIT,
        "text": None if binary else data[:TEXT_LIMIT].decode(errors="ignore"),
    }


def _rule_types(one: Ruleset) -> list[str]:
    return [
        *one.rules,
        *(["pull_request"] if one.approvals is not None else []),
        *(["required_status_checks"] if one.status_checks else []),
    ]


def _parameters(one: Ruleset, kind: str) -> Node | None:
    """Return what a rule demands; only these two types are used here."""
    match kind:
        case "pull_request":
            return {
                "__typename": "PullRequestParameters",
                "allowedMergeMethods": ["merge", "squash", "rebase"],
                "dismissStaleReviewsOnPush": one.dismiss_stale,
                "requireCodeOwnerReview": False,
                "requireLastPushApproval": False,
                "requiredApprovingReviewCount": one.approvals or 0,
                "requiredReviewThreadResolution": False,
            }
        case "required_status_checks":
            return {
                "__typename": "RequiredStatusChecksParameters",
                "doNotEnforceOnCreate": False,
                "requiredStatusChecks": [
                    {"context": name, "integrationId": None} for name in one.status_checks
                ],
                "strictRequiredStatusChecksPolicy": True,
            }
        case _:
            return None
