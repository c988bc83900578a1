"""The organization's endpoints: https://docs.github.com/en/rest/orgs and the organization half of Actions."""

# ruff: noqa: D103  an answer is documented by GitHub under the template that names it in ROUTES

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from sandbox.github.route import Answer, Ask, GitHubRoute, Items, need
from sandbox.github.ruleset_shapes import ruleset_detail, ruleset_row
from sandbox.github.shapes import Json, maybe, when
from sandbox.kit.http import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sandbox.github.organization import (
        AuditEvent,
        GitHubRepository,
        GitHubSecret,
        Hook,
        HostedRunner,
        Runner,
        RunnerGroup,
        Variable,
    )


def named(ask: Ask, names: Sequence[str]) -> list[GitHubRepository]:
    """Return the repositories of those names, in the order of the organization's list."""
    found = [ask.organization.repositories.named(name) for name in names]
    return sorted((one for one in found if one), key=lambda one: one.id)


def repository_items(ask: Ask, rows: Sequence[GitHubRepository], wrap: str | None = None) -> Items:
    return Items(rows=rows, write=ask.site.repository, wrap=wrap)


def secrets(store: str) -> Callable[[Ask], Answer]:
    """Answer the organization's secrets of one store."""

    def answer(ask: Ask) -> Answer:
        base = f"{ask.site.org_url}/{store}/secrets"

        def write(secret: GitHubSecret) -> Json:
            row: Json = {
                "name": secret.name,
                "created_at": when(secret.created_at),
                "updated_at": when(secret.updated_at),
                "visibility": secret.visibility,
            }
            if secret.visibility == "selected":
                row["selected_repositories_url"] = f"{base}/{secret.name}/repositories"
            return row

        rows = [secret for secret in ask.organization.secrets if secret.store == store]
        return Items(rows=rows, write=write, wrap="secrets")

    return answer


def secret_repositories(store: str) -> Callable[[Ask], Answer]:
    """Answer the repositories that were given an organization secret by name."""

    def answer(ask: Ask) -> Answer:
        for secret in ask.organization.secrets:
            if secret.store == store and secret.name == ask.path["secret_name"]:
                if secret.visibility != "selected":
                    raise RefusedError(409, "Conflict")
                return repository_items(ask, named(ask, secret.selected), "repositories")
        raise RefusedError(404, "Not Found")

    return answer


def variables(store: str) -> Callable[[Ask], Answer]:
    """Answer the organization's variables, values in clear, at most 30 a page."""

    def answer(ask: Ask) -> Answer:
        base = f"{ask.site.org_url}/{store}/variables"

        def write(variable: Variable) -> Json:
            row: Json = {
                "name": variable.name,
                "value": variable.value,
                "created_at": when(variable.created_at),
                "updated_at": when(variable.updated_at),
                "visibility": variable.visibility,
            }
            if variable.visibility == "selected":
                row["selected_repositories_url"] = f"{base}/{variable.name}/repositories"
            return row

        rows = [variable for variable in ask.organization.variables if variable.store == store]
        return Items(rows=rows, write=write, wrap="variables", largest=30, usual=10)

    return answer


def variable_repositories(store: str) -> Callable[[Ask], Answer]:
    """Answer the repositories that were given an organization variable by name."""

    def answer(ask: Ask) -> Answer:
        for variable in ask.organization.variables:
            if variable.store == store and variable.name == ask.path["name"]:
                if variable.visibility != "selected":
                    raise RefusedError(409, "Conflict")
                return repository_items(ask, named(ask, variable.selected), "repositories")
        raise RefusedError(404, "Not Found")

    return answer


def organization(ask: Ask) -> Answer:
    shown = ask.site.organization_full()
    token = ask.token
    if not (token.has_scope({"admin:org"}) or token.may("organization_administration")):
        # What only owners see: https://docs.github.com/en/rest/orgs/orgs#get-an-organization
        for name in ("total_private_repos", "owned_private_repos", "plan", "default_repository_permission"):
            shown.pop(name)
    return shown


def repositories(ask: Ask) -> Answer:
    rows: Sequence[GitHubRepository] = ask.organization.repositories
    match ask.query.get("type", "all"):
        case "public" | "private" | "internal" as kind:
            rows = [one for one in rows if one.visibility == kind]
        case "forks":
            rows = [one for one in rows if one.fork]
        case "sources":
            rows = [one for one in rows if not one.fork]
    if ask.token.repositories is not None:
        rows = [one for one in rows if ask.token.sees(one.name)]
    elif ask.token.kind == "classic" and not ask.token.has_scope({"repo"}):
        rows = [one for one in rows if not one.private]
    return repository_items(ask, rows)


def hook_json(hook: Hook, url: str) -> Json:
    """Write what a webhook of the organization and one of a repository have in common."""
    config: Json = {
        "url": hook.url,
        "content_type": hook.content_type,
        "insecure_ssl": "1" if hook.insecure_ssl else "0",
    }
    if hook.secret:
        config["secret"] = "********"
    return {
        "type": "Repository" if "/repos/" in url else "Organization",
        "id": hook.id,
        "name": "web",
        "active": hook.active,
        "events": list(hook.events),
        "config": config,
        "created_at": when(hook.created_at),
        "updated_at": when(hook.updated_at),
        "url": f"{url}/hooks/{hook.id}",
        "ping_url": f"{url}/hooks/{hook.id}/pings",
        "deliveries_url": f"{url}/hooks/{hook.id}/deliveries",
    }


def hooks(ask: Ask) -> Answer:
    return Items(rows=ask.organization.hooks, write=lambda hook: hook_json(hook, ask.site.org_url))


def actions_permissions(ask: Ask) -> Answer:
    actions = ask.organization.actions
    return {
        "enabled_repositories": "all" if actions.enabled else "none",
        "allowed_actions": actions.allowed,
        "selected_actions_url": f"{ask.site.org_url}/actions/permissions/selected-actions",
        "sha_pinning_required": actions.sha_pinning,
    }


def enabled_repositories(ask: Ask) -> Answer:
    return repository_items(ask, ask.organization.repositories, "repositories")


def workflow_permissions(ask: Ask) -> Answer:
    actions = ask.organization.actions
    return {
        "default_workflow_permissions": actions.token,
        "can_approve_pull_request_reviews": actions.approves_pull_requests,
    }


def selected_actions(ask: Ask) -> Answer:
    actions = ask.organization.actions
    if actions.allowed != "selected":
        raise RefusedError(409, "Allowed actions are not set to selected")
    return {
        "github_owned_allowed": actions.github_owned,
        "verified_allowed": actions.verified,
        "patterns_allowed": list(actions.patterns),
    }


def self_hosted_policy(ask: Ask) -> Answer:
    return {"enabled_repositories": "all"}


def fork_approval(ask: Ask) -> Answer:
    return {"approval_policy": ask.organization.actions.fork_approval}


def private_forks(ask: Ask) -> Answer:
    held = ask.organization.actions.private_forks
    return {
        "run_workflows_from_fork_pull_requests": "run" in held,
        "send_write_tokens_to_workflows": "write" in held,
        "send_secrets_and_variables": "secrets" in held,
        "require_approval_for_fork_pr_workflows": "approve" in held,
    }


def oidc_subject(ask: Ask) -> Answer:
    subject = ask.organization.subject
    answer: Json = {"include_claim_keys": list(subject.claims)}
    if ask.edition != "ghes":
        answer["use_immutable_subject"] = subject.immutable
    return answer


def oidc_properties(ask: Ask) -> Answer:
    return []


def runner_json(runner: Runner) -> Json:
    """Write a self-hosted runner."""
    return {
        "id": runner.id,
        "runner_group_id": runner.group_id,
        "name": runner.name,
        "os": runner.os,
        "status": runner.status,
        "busy": runner.busy,
        "ephemeral": runner.ephemeral,
        "labels": [
            {
                "id": runner.id * 10 + index,
                "name": label,
                "type": "read-only" if label in {"self-hosted", "linux", "macos", "x64"} else "custom",
            }
            for index, label in enumerate(runner.labels)
        ],
    }


def runners(ask: Ask) -> Answer:
    rows = [runner for group in ask.organization.runner_groups for runner in group.runners]
    return Items(rows=rows, write=runner_json, wrap="runners")


def runner_groups(ask: Ask) -> Answer:
    def write(group: RunnerGroup) -> Json:
        url = f"{ask.site.org_url}/actions/runner-groups/{group.id}"
        row: Json = {
            "id": group.id,
            "name": group.name,
            "visibility": group.visibility,
            "default": group.default,
            "runners_url": f"{url}/runners",
            "inherited": False,
            "allows_public_repositories": group.allows_public_repositories,
            "restricted_to_workflows": group.restricted_to_workflows,
            "selected_workflows": list(group.selected_workflows),
            "workflow_restrictions_read_only": False,
        }
        if group.visibility == "selected":
            row["selected_repositories_url"] = f"{url}/repositories"
        return row

    return Items(rows=ask.organization.runner_groups, write=write, wrap="runner_groups")


def _group(ask: Ask) -> RunnerGroup:
    for group in ask.organization.runner_groups:
        if str(group.id) == ask.path["runner_group_id"]:
            return group
    raise RefusedError(404, "Not Found")


def group_runners(ask: Ask) -> Answer:
    return Items(rows=_group(ask).runners, write=runner_json, wrap="runners")


def group_repositories(ask: Ask) -> Answer:
    return repository_items(ask, named(ask, _group(ask).selected), "repositories")


def hosted_runners(ask: Ask) -> Answer:
    def write(runner: HostedRunner) -> Json:
        return {
            "id": runner.id,
            "name": runner.name,
            "runner_group_id": runner.group_id,
            "platform": "linux-x64",
            "image_details": {
                "id": "ubuntu-24.04",
                "size_gb": 86,
                "display_name": "Ubuntu 24.04",
                "source": "github",
            },
            "machine_size_details": {"id": "8-core", "cpu_cores": 8, "memory_gb": 32, "storage_gb": 300},
            "status": "Ready",
            "maximum_runners": 10,
            "public_ip_enabled": False,
            "public_ips": [],
            "last_active_on": maybe(runner.last_active_on),
        }

    return Items(rows=ask.organization.hosted_runners, write=write, wrap="runners")


def rulesets(ask: Ask) -> Answer:
    return Items(rows=ask.organization.rulesets, write=lambda one: ruleset_row(ask, one, None))


def ruleset(ask: Ask) -> Answer:
    for one in ask.organization.rulesets:
        if str(one.id) == ask.path["ruleset_id"]:
            return ruleset_detail(ask, one, None)
    raise RefusedError(404, "Not Found")


def attesting_repositories(ask: Ask) -> Answer:
    rows = [one for one in ask.organization.repositories if one.attested]
    return Items(rows=rows, write=lambda one: {"id": one.id, "name": one.name}, cursor=True)


def audit_log(ask: Ask) -> Answer:
    organization = ask.organization

    def write(event: AuditEvent) -> Json:
        at = int(event.at.timestamp() * 1000)
        row: Json = {
            "@timestamp": at,
            "_document_id": event.id,
            "action": event.action,
            "actor": event.actor,
            "actor_id": ask.site.users[event.actor].id if event.actor in ask.site.users else 0,
            "created_at": at,
            "org": organization.login,
            "org_id": organization.id,
            "operation_type": "modify",
        }
        if event.repository:
            row["repo"] = f"{organization.login}/{event.repository}"
        if event.name:
            row["name"] = event.name
        return row

    rows = list(organization.audit_log)
    for word in ask.query.get("phrase", "").split():
        key, _, value = word.partition(":")
        match key:
            case "action":
                rows = [event for event in rows if fnmatchcase(event.action, value)]
            case "actor":
                rows = [event for event in rows if event.actor == value]
            case "repo":
                rows = [event for event in rows if f"{organization.login}/{event.repository}" == value]
            case "created":
                day = value.lstrip("><=")
                rows = [event for event in rows if when(event.at)[: len(day)] >= day]
    if ask.query.get("order") == "asc":
        rows.reverse()
    return Items(rows=rows, write=write, cursor=True)


ORG = "/orgs/{org}"
ROUTES = (
    GitHubRoute(template=ORG, answer=organization, need=need(None, "read:org", "repo", "user")),
    GitHubRoute(template=f"{ORG}/repos", answer=repositories, need=need("metadata")),
    GitHubRoute(
        template=f"{ORG}/actions/secrets",
        answer=secrets("actions"),
        need=need("organization_secrets", "admin:org"),
    ),
    GitHubRoute(
        template=f"{ORG}/actions/secrets/{{secret_name}}/repositories",
        answer=secret_repositories("actions"),
        need=need("organization_secrets", "admin:org"),
    ),
    GitHubRoute(
        template=f"{ORG}/dependabot/secrets",
        answer=secrets("dependabot"),
        need=need("organization_dependabot_secrets", "admin:org"),
    ),
    GitHubRoute(
        template=f"{ORG}/dependabot/secrets/{{secret_name}}/repositories",
        answer=secret_repositories("dependabot"),
        need=need("organization_dependabot_secrets", "admin:org"),
    ),
    GitHubRoute(
        template=f"{ORG}/codespaces/secrets",
        answer=secrets("codespaces"),
        need=need("organization_codespaces_secrets", "admin:org", apps=False),
        ghes=False,
    ),
    GitHubRoute(
        template=f"{ORG}/codespaces/secrets/{{secret_name}}/repositories",
        answer=secret_repositories("codespaces"),
        need=need("organization_codespaces_secrets", "admin:org", apps=False),
        ghes=False,
    ),
    GitHubRoute(
        template=f"{ORG}/agents/secrets",
        answer=secrets("agents"),
        need=need("organization_agent_secrets", "admin:org"),
        ghes=False,
    ),
    GitHubRoute(
        template=f"{ORG}/agents/secrets/{{secret_name}}/repositories",
        answer=secret_repositories("agents"),
        need=need("organization_agent_secrets", "admin:org"),
        ghes=False,
    ),
    GitHubRoute(
        template=f"{ORG}/actions/variables",
        answer=variables("actions"),
        need=need("organization_actions_variables", "admin:org"),
    ),
    GitHubRoute(
        template=f"{ORG}/actions/variables/{{name}}/repositories",
        answer=variable_repositories("actions"),
        need=need("organization_actions_variables", "admin:org"),
    ),
    GitHubRoute(
        template=f"{ORG}/agents/variables",
        answer=variables("agents"),
        need=need("organization_agent_variables", "admin:org"),
        ghes=False,
    ),
    GitHubRoute(
        template=f"{ORG}/agents/variables/{{name}}/repositories",
        answer=variable_repositories("agents"),
        need=need("organization_agent_variables", "admin:org"),
        ghes=False,
    ),
    GitHubRoute(template=f"{ORG}/hooks", answer=hooks, need=need("organization_hooks", "admin:org_hook")),
    GitHubRoute(
        template=f"{ORG}/actions/permissions",
        answer=actions_permissions,
        need=need("organization_administration", "admin:org"),
    ),
    GitHubRoute(
        template=f"{ORG}/actions/permissions/repositories",
        answer=enabled_repositories,
        need=need("organization_administration", "admin:org"),
    ),
    GitHubRoute(
        template=f"{ORG}/actions/permissions/workflow",
        answer=workflow_permissions,
        need=need("organization_administration", "admin:org"),
    ),
    GitHubRoute(
        template=f"{ORG}/actions/permissions/selected-actions",
        answer=selected_actions,
        need=need("organization_administration", "admin:org"),
    ),
    GitHubRoute(
        template=f"{ORG}/actions/permissions/self-hosted-runners",
        answer=self_hosted_policy,
        need=need("organization_administration", "admin:org"),
    ),
    GitHubRoute(
        template=f"{ORG}/actions/permissions/fork-pr-contributor-approval",
        answer=fork_approval,
        need=need("organization_administration", "admin:org"),
    ),
    GitHubRoute(
        template=f"{ORG}/actions/permissions/fork-pr-workflows-private-repos",
        answer=private_forks,
        need=need("organization_administration", "admin:org"),
    ),
    GitHubRoute(
        template=f"{ORG}/actions/oidc/customization/sub",
        answer=oidc_subject,
        need=need("organization_administration", "read:org"),
    ),
    GitHubRoute(
        template=f"{ORG}/actions/oidc/customization/properties/repo",
        answer=oidc_properties,
        need=need("organization_administration", "read:org"),
        ghes=False,
    ),
    GitHubRoute(
        template=f"{ORG}/actions/runners",
        answer=runners,
        need=need("organization_self_hosted_runners", "admin:org"),
    ),
    GitHubRoute(
        template=f"{ORG}/actions/runner-groups",
        answer=runner_groups,
        need=need("organization_self_hosted_runners", "admin:org"),
    ),
    GitHubRoute(
        template=f"{ORG}/actions/runner-groups/{{runner_group_id}}/runners",
        answer=group_runners,
        need=need("organization_self_hosted_runners", "admin:org"),
    ),
    GitHubRoute(
        template=f"{ORG}/actions/runner-groups/{{runner_group_id}}/repositories",
        answer=group_repositories,
        need=need("organization_self_hosted_runners", "admin:org"),
    ),
    GitHubRoute(
        template=f"{ORG}/actions/hosted-runners",
        answer=hosted_runners,
        need=need("organization_administration", "admin:org"),
        ghes=False,
    ),
    GitHubRoute(
        template=f"{ORG}/rulesets",
        answer=rulesets,
        need=need("organization_administration:write", "admin:org"),
    ),
    GitHubRoute(
        template=f"{ORG}/rulesets/{{ruleset_id}}",
        answer=ruleset,
        need=need("organization_administration:write", "admin:org"),
    ),
    GitHubRoute(
        template=f"{ORG}/attestations/repositories",
        answer=attesting_repositories,
        need=need("attestations", "repo", "read:org"),
        ghes=False,
    ),
    GitHubRoute(
        template=f"{ORG}/audit-log",
        answer=audit_log,
        need=need("organization_administration", "read:audit_log"),
        enterprise=True,
    ),
)
