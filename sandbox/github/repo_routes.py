"""A repository's settings: https://docs.github.com/en/rest/repos, /actions, /deploy-keys, /webhooks."""

# ruff: noqa: D103  an answer is documented by GitHub under the template that names it in ROUTES

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.github.org_routes import hook_json, runner_json
from sandbox.github.route import Answer, Ask, GitHubRoute, Items, need
from sandbox.github.shapes import LADDER, PERMISSIONS, Json, Site, maybe, node_id, permissions_of, when
from sandbox.kit.http import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.github.organization import (
        Alert,
        DeployKey,
        Environment,
        GitHubRepository,
        GitHubSecret,
        Hook,
        Variable,
    )


def _secret(secret: GitHubSecret) -> Json:
    return {
        "name": secret.name,
        "created_at": when(secret.created_at),
        "updated_at": when(secret.updated_at),
    }


def _variable(variable: Variable) -> Json:
    return {
        "name": variable.name,
        "value": variable.value,
        "created_at": when(variable.created_at),
        "updated_at": when(variable.updated_at),
    }


def repository(ask: Ask) -> Answer:
    return ask.site.repository_full(ask.repository)


def secrets(store: str) -> Callable[[Ask], Answer]:
    """Answer the repository's own secrets of one store."""

    def answer(ask: Ask) -> Answer:
        rows = [secret for secret in ask.repository.secrets if secret.store == store]
        return Items(rows=rows, write=_secret, wrap="secrets")

    return answer


def _given(one: GitHubSecret | Variable, to: GitHubRepository) -> bool:
    match one.visibility:
        case "all":
            return True
        case "private":
            return to.private
        case "selected":
            return to.name in one.selected


def organization_secrets(store: str) -> Callable[[Ask], Answer]:
    """Answer the organization's secrets that this repository gets."""

    def answer(ask: Ask) -> Answer:
        rows = [one for one in ask.organization.secrets if one.store == store and _given(one, ask.repository)]
        return Items(rows=rows, write=_secret, wrap="secrets")

    return answer


def variables(store: str) -> Callable[[Ask], Answer]:
    """Answer the repository's own variables, values in clear."""

    def answer(ask: Ask) -> Answer:
        rows = [variable for variable in ask.repository.variables if variable.store == store]
        return Items(rows=rows, write=_variable, wrap="variables", largest=30, usual=10)

    return answer


def organization_variables(store: str) -> Callable[[Ask], Answer]:
    """Answer the organization's variables that this repository gets."""

    def answer(ask: Ask) -> Answer:
        rows = [
            one for one in ask.organization.variables if one.store == store and _given(one, ask.repository)
        ]
        return Items(rows=rows, write=_variable, wrap="variables", largest=30, usual=10)

    return answer


def environments(ask: Ask) -> Answer:
    def write(environment: Environment) -> Json:
        return ask.site.environment(ask.repository, environment)

    return Items(rows=ask.repository.environments, write=write, wrap="environments")


def environment(ask: Ask) -> Answer:
    return ask.site.environment(ask.repository, ask.environment)


def environment_secrets(ask: Ask) -> Answer:
    return Items(rows=ask.environment.secrets, write=_secret, wrap="secrets")


def environment_variables(ask: Ask) -> Answer:
    return Items(rows=ask.environment.variables, write=_variable, wrap="variables", largest=30, usual=10)


def branch_policies(ask: Ask) -> Answer:
    found = ask.environment
    if found.branches != "custom":
        raise RefusedError(404, "Not Found")
    rows = [
        {
            "id": found.id * 100 + index,
            "node_id": node_id("GAP", found.id * 100 + index),
            "name": pattern,
            "type": "branch",
        }
        for index, pattern in enumerate(found.patterns)
    ]
    return Items(rows=rows, write=lambda row: row, wrap="branch_policies")


def protection_rules(ask: Ask) -> Answer:
    found = ask.environment
    rules: list[Json] = []
    if found.gate_app:
        app = ask.site.app(found.gate_app)
        rules.append(
            {
                "id": found.id * 10 + 4,
                "node_id": node_id("DPR", found.id * 10 + 4),
                "enabled": True,
                "app": {
                    "id": app["id"],
                    "node_id": app["node_id"],
                    "slug": app["slug"],
                    "integration_url": f"{ask.site.api}/apps/{app['slug']}",
                },
            }
        )
    return {"total_count": len(rules), "custom_deployment_protection_rules": rules}


def deploy_keys(ask: Ask) -> Answer:
    def write(key: DeployKey) -> Json:
        return {
            "id": key.id,
            "key": f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{key.id:043d}",
            "url": f"{ask.site.repository_url(ask.repository)}/keys/{key.id}",
            "title": key.title,
            "verified": key.verified,
            "created_at": when(key.created_at),
            "read_only": key.read_only,
            "added_by": key.added_by,
            "last_used": maybe(key.last_used),
            "enabled": key.enabled,
        }

    return Items(rows=ask.repository.deploy_keys, write=write)


def hooks(ask: Ask) -> Answer:
    url = ask.site.repository_url(ask.repository)

    def write(hook: Hook) -> Json:
        return {
            **hook_json(hook, url),
            "test_url": f"{url}/hooks/{hook.id}/tests",
            "last_response": {
                "code": hook.last_code,
                "status": "unused" if hook.last_code is None else "active",
                "message": None if hook.last_code is None else "OK",
            },
        }

    return Items(rows=ask.repository.hooks, write=write)


def actions_permissions(ask: Ask) -> Answer:
    actions = ask.repository.actions
    return {
        "enabled": actions.enabled,
        "allowed_actions": actions.allowed,
        "selected_actions_url": f"{ask.site.repository_url(ask.repository)}/actions/permissions/selected-actions",
        "sha_pinning_required": actions.sha_pinning,
    }


def workflow_permissions(ask: Ask) -> Answer:
    actions = ask.repository.actions
    return {
        "default_workflow_permissions": actions.token,
        "can_approve_pull_request_reviews": actions.approves_pull_requests,
    }


def selected_actions(ask: Ask) -> Answer:
    actions = ask.repository.actions
    if actions.allowed != "selected":
        raise RefusedError(409, "Allowed actions are not set to selected")
    return {
        "github_owned_allowed": actions.github_owned,
        "verified_allowed": actions.verified,
        "patterns_allowed": list(actions.patterns),
    }


def workflow_access(ask: Ask) -> Answer:
    if not ask.repository.private:
        raise RefusedError(422, "Access policy only applies to internal and private repositories.")
    return {"access_level": ask.repository.actions.access}


def fork_approval(ask: Ask) -> Answer:
    return {"approval_policy": ask.repository.actions.fork_approval}


def oidc_subject(ask: Ask) -> Answer:
    subject = ask.repository.subject
    answer: Json = {"use_default": subject.use_default}
    if subject.claims:
        answer["include_claim_keys"] = list(subject.claims)
    if ask.edition != "ghes":
        owner, name = ask.organization.login, ask.repository.name
        answer["use_immutable_subject"] = subject.immutable if subject.opted_in is None else subject.opted_in
        answer["sub_claim_prefix"] = (
            f"repo:{owner}@{ask.organization.id}/{name}@{ask.repository.id}"
            if subject.immutable
            else f"repo:{owner}/{name}"
        )
    return answer


def runners(ask: Ask) -> Answer:
    return Items(rows=ask.repository.runners, write=runner_json, wrap="runners")


def strongest_role(site: Site, repository: GitHubRepository, login: str) -> str | None:
    """Return the strongest role that a user has on a repository, however it is granted, or None."""
    user = site.users[login]
    organization = site.organization
    if user.role == "admin":
        return "admin"
    roles = [
        team.repositories[repository.name]
        for team in organization.teams
        if login in {*team.members, *team.maintainers} and repository.name in team.repositories
    ]
    if login in repository.collaborators:
        roles.append(repository.collaborators[login])
    if user.role == "member" and organization.default_repository_permission != "none":
        roles.append(organization.default_repository_permission)
    bases = {role.name: role.base for role in organization.repository_roles}
    return max(roles, key=lambda role: LADDER.index(PERMISSIONS[bases.get(role) or role]), default=None)


def with_access(site: Site, repository: GitHubRepository, affiliation: str) -> list[str]:
    """Return the logins of ``outside``, ``direct`` or ``all`` collaborators."""
    match affiliation:
        case "outside":
            return [login for login in repository.collaborators if site.users[login].role == "outside"]
        case "direct":
            return list(repository.collaborators)
        case _:
            return [login for login in site.users if strongest_role(site, repository, login) is not None]


def collaborators(ask: Ask) -> Answer:
    def write(login: str) -> Json:
        role = strongest_role(ask.site, ask.repository, login) or "read"
        return {**ask.site.user(login), "permissions": permissions_of(role), "role_name": role}

    logins = with_access(ask.site, ask.repository, ask.query.get("affiliation", "all"))
    return Items(rows=logins, write=write)


def teams(ask: Ask) -> Answer:
    rows = [team for team in ask.organization.teams if ask.repository.name in team.repositories]
    return Items(rows=rows, write=lambda team: ask.site.team(team, team.repositories[ask.repository.name]))


def invitations(ask: Ask) -> Answer:
    return []


GENERIC = frozenset(
    {"password", "rsa_private_key", "postgres_connection_string", "http_basic_authentication_header"}
)
"""Some of the patterns of no provider.

https://docs.github.com/en/code-security/reference/secret-security/supported-secret-scanning-patterns
"""


def alert_json(ask: Ask, owner: GitHubRepository, alert: Alert) -> Json:
    """Write a secret scanning alert; its secret only if the caller did not ask to hide it."""
    url = ask.site.repository_url(owner)
    row: Json = {
        "number": alert.number,
        "created_at": when(alert.created_at),
        "updated_at": when(alert.created_at),
        "url": f"{url}/secret-scanning/alerts/{alert.number}",
        "html_url": f"{ask.site.web}/{ask.organization.login}/{owner.name}/security/secret-scanning/{alert.number}",
        "locations_url": f"{url}/secret-scanning/alerts/{alert.number}/locations",
        "state": alert.state,
        "resolution": "revoked" if alert.state == "resolved" else None,
        "resolved_at": when(alert.created_at) if alert.state == "resolved" else None,
        "resolved_by": None,
        "resolution_comment": None,
        "secret_type": alert.secret_type,
        "secret_type_display_name": alert.display_name,
        "push_protection_bypassed": alert.push_protection_bypassed,
        "push_protection_bypassed_by": None,
        "push_protection_bypassed_at": None,
        "validity": alert.validity,
        "publicly_leaked": alert.publicly_leaked,
        "multi_repo": alert.multi_repo,
    }
    if not ask.flag("hide_secret"):
        row["secret"] = alert.secret
    return row


def _wanted(ask: Ask, alert: Alert) -> bool:
    """Return whether a list shows an alert: generic patterns only if they are named."""
    types = ask.query.get("secret_type")
    shown = alert.secret_type not in GENERIC if types is None else alert.secret_type in types.split(",")
    return shown and ask.query.get("state") in {None, alert.state}


def secret_alerts(ask: Ask) -> Answer:
    rows = [one for one in ask.repository.alerts if _wanted(ask, one)]
    return Items(rows=rows, write=lambda alert: alert_json(ask, ask.repository, alert))


def organization_secret_alerts(ask: Ask) -> Answer:
    rows = [
        (owner, alert)
        for owner in ask.organization.repositories
        for alert in owner.alerts
        if _wanted(ask, alert)
    ]

    def write(row: tuple[GitHubRepository, Alert]) -> Json:
        owner, alert = row
        return {**alert_json(ask, owner, alert), "repository": ask.site.repository_simple(owner)}

    return Items(rows=rows, write=write)


REPO = "/repos/{owner}/{repo}"
ENVIRONMENT = f"{REPO}/environments/{{environment_name}}"
ROUTES = (
    GitHubRoute(template=REPO, answer=repository, need=need("metadata", "repo", "public_repo")),
    GitHubRoute(template=f"{REPO}/actions/secrets", answer=secrets("actions"), need=need("secrets", "repo")),
    GitHubRoute(
        template=f"{REPO}/actions/organization-secrets",
        answer=organization_secrets("actions"),
        need=need("secrets", "repo"),
    ),
    GitHubRoute(
        template=f"{REPO}/dependabot/secrets",
        answer=secrets("dependabot"),
        need=need("dependabot_secrets", "repo"),
    ),
    GitHubRoute(
        template=f"{REPO}/codespaces/secrets",
        answer=secrets("codespaces"),
        need=need("codespaces_secrets", "repo"),
        ghes=False,
    ),
    GitHubRoute(
        template=f"{REPO}/agents/secrets",
        answer=secrets("agents"),
        need=need("agent_secrets", "repo"),
        ghes=False,
    ),
    GitHubRoute(
        template=f"{REPO}/agents/organization-secrets",
        answer=organization_secrets("agents"),
        need=need("agent_secrets", "repo"),
        ghes=False,
    ),
    GitHubRoute(
        template=f"{REPO}/actions/variables",
        answer=variables("actions"),
        need=need("actions_variables", "repo"),
    ),
    GitHubRoute(
        template=f"{REPO}/actions/organization-variables",
        answer=organization_variables("actions"),
        need=need("actions_variables", "repo"),
    ),
    GitHubRoute(
        template=f"{REPO}/agents/variables",
        answer=variables("agents"),
        need=need("agent_variables", "repo"),
        ghes=False,
    ),
    GitHubRoute(
        template=f"{REPO}/agents/organization-variables",
        answer=organization_variables("agents"),
        need=need("agent_variables", "repo"),
        ghes=False,
    ),
    GitHubRoute(template=f"{REPO}/environments", answer=environments, need=need("actions", "repo")),
    GitHubRoute(template=ENVIRONMENT, answer=environment, need=need("actions", "repo")),
    GitHubRoute(
        template=f"{ENVIRONMENT}/secrets", answer=environment_secrets, need=need("environments", "repo")
    ),
    GitHubRoute(
        template=f"{ENVIRONMENT}/variables",
        answer=environment_variables,
        need=need("environments", "repo"),
    ),
    GitHubRoute(
        template=f"{ENVIRONMENT}/deployment-branch-policies",
        answer=branch_policies,
        need=need("actions", "repo"),
    ),
    GitHubRoute(
        template=f"{ENVIRONMENT}/deployment_protection_rules",
        answer=protection_rules,
        need=need("actions", "repo"),
    ),
    GitHubRoute(template=f"{REPO}/keys", answer=deploy_keys, need=need("administration", "repo")),
    GitHubRoute(
        template=f"{REPO}/hooks",
        answer=hooks,
        need=need("repository_hooks", "repo", "admin:repo_hook", "read:repo_hook"),
    ),
    GitHubRoute(
        template=f"{REPO}/actions/permissions",
        answer=actions_permissions,
        need=need("administration", "repo"),
    ),
    GitHubRoute(
        template=f"{REPO}/actions/permissions/workflow",
        answer=workflow_permissions,
        need=need("administration", "repo"),
    ),
    GitHubRoute(
        template=f"{REPO}/actions/permissions/selected-actions",
        answer=selected_actions,
        need=need("administration", "repo"),
    ),
    GitHubRoute(
        template=f"{REPO}/actions/permissions/access",
        answer=workflow_access,
        need=need("administration", "repo"),
    ),
    GitHubRoute(
        template=f"{REPO}/actions/permissions/fork-pr-contributor-approval",
        answer=fork_approval,
        need=need("administration", "repo"),
    ),
    GitHubRoute(
        template=f"{REPO}/actions/oidc/customization/sub", answer=oidc_subject, need=need("actions", "repo")
    ),
    GitHubRoute(template=f"{REPO}/actions/runners", answer=runners, need=need("administration", "repo")),
    GitHubRoute(template=f"{REPO}/collaborators", answer=collaborators, need=need("metadata", "repo")),
    GitHubRoute(template=f"{REPO}/teams", answer=teams, need=need("administration", "repo")),
    GitHubRoute(template=f"{REPO}/invitations", answer=invitations, need=need("administration", "repo")),
    GitHubRoute(
        template=f"{REPO}/secret-scanning/alerts",
        answer=secret_alerts,
        need=need("secret_scanning_alerts", "repo", "security_events"),
    ),
    GitHubRoute(
        template="/orgs/{org}/secret-scanning/alerts",
        answer=organization_secret_alerts,
        need=need("secret_scanning_alerts", "repo", "security_events"),
    ),
)
