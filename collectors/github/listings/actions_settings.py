"""Settings of GitHub Actions, of the organization and of each repository.

https://docs.github.com/en/rest/actions/permissions
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from collectors.github.facts import WorkflowRules
from collectors.github.records import control
from scanner.collect.failures import unsupported_on

if TYPE_CHECKING:
    from collections.abc import Generator

    from collectors.github.facts import RepositoryFacts
    from collectors.github.scope import OrganizationScope
    from scanner.records import Record


def organization_actions(scope: OrganizationScope) -> Generator[Record, None, WorkflowRules]:
    """Yield the organization's workflow settings as controls, and return them."""
    native_id = f"org/{scope.number}"
    needs = "organization_administration: read"
    token = yield from scope.object(
        "/orgs/{org}/actions/permissions/workflow",
        partial(_workflow_defaults, scope.account_id, native_id),
        table="controls",
        kind="workflow-token-default",
        needs=needs,
        fills=("controls/workflow-approval",),
    )
    allowed = yield from scope.object(
        "/orgs/{org}/actions/permissions",
        partial(_allowed_actions, scope.account_id, native_id),
        table="controls",
        kind="allowed-actions",
        needs=needs,
        fills=("controls/action-sha-pinning", "controls/actions-disabled"),
    )
    if allowed == "selected":
        yield from scope.object(
            "/orgs/{org}/actions/permissions/selected-actions",
            partial(_selected_actions, scope.account_id, native_id),
            table="controls",
            kind="selected-actions",
            needs=needs,
        )
    yield from scope.object(
        "/orgs/{org}/actions/permissions/fork-pr-contributor-approval",
        partial(_fork_approval, scope.account_id, native_id),
        table="controls",
        kind="fork-pr-approval",
        needs=needs,
        classify=unsupported_on({404}, "Not available on older GitHub Enterprise Server versions."),
    )
    yield from scope.object(
        "/orgs/{org}/actions/permissions/fork-pr-workflows-private-repos",
        partial(_private_forks, scope.account_id, native_id),
        table="controls",
        kind="fork-pr-approval",
        needs=needs,
        classify=unsupported_on({404}, "Not available on older GitHub Enterprise Server versions."),
    )
    repository_runners = yield from scope.object(
        "/orgs/{org}/actions/permissions/self-hosted-runners",
        partial(_repository_runners, scope),
        table="controls",
        kind="repository-runners",
        needs=needs,
        classify=unsupported_on({404}, "Not available on older GitHub Enterprise Server versions."),
    )
    return WorkflowRules(token=token, allowed=allowed, repository_runners=repository_runners is not False)


def repository_actions(
    scope: OrganizationScope, repository: RepositoryFacts, organization: WorkflowRules
) -> Generator[Record, None, str | None]:
    """Yield a repository's workflow settings as controls. Return the default GITHUB_TOKEN permissions."""
    native_id = str(repository.number)
    needs = "administration: read"
    token = yield from scope.of(repository).object(
        "/repos/{owner}/{repo}/actions/permissions/workflow",
        partial(_workflow_defaults, repository.account_id, native_id),
        table="controls",
        kind="workflow-token-default",
        needs=needs,
        fills=("controls/workflow-approval",),
    )
    allowed = yield from scope.of(repository).object(
        "/repos/{owner}/{repo}/actions/permissions",
        partial(_allowed_actions, repository.account_id, native_id),
        table="controls",
        kind="allowed-actions",
        needs=needs,
        fills=("controls/action-sha-pinning", "controls/actions-disabled"),
    )
    if allowed == "selected" and organization.allowed != "selected":
        # The repository's own setting; the organization's is read once.
        yield from scope.of(repository).object(
            "/repos/{owner}/{repo}/actions/permissions/selected-actions",
            partial(_selected_actions, repository.account_id, native_id),
            table="controls",
            kind="selected-actions",
            needs=needs,
        )
    if repository.visibility == "public":
        yield from scope.of(repository).object(
            "/repos/{owner}/{repo}/actions/permissions/fork-pr-contributor-approval",
            partial(_fork_approval, repository.account_id, native_id),
            table="controls",
            kind="fork-pr-approval",
            needs=needs,
            classify=unsupported_on({404}, "Not available on older GitHub Enterprise Server versions."),
        )
    return token


def _workflow_defaults(account_id: str, native_id: str, body: dict[str, Any]) -> Generator[Record, None, str]:
    """Yield the default permissions of a workflow's token. Return ``read`` or ``write``.

    https://docs.github.com/en/rest/actions/permissions#get-default-workflow-permissions-for-an-organization
    """
    default = str(body["default_workflow_permissions"])
    yield control(
        account_id,
        "workflow-token-default",
        native_id,
        stage="build",
        name="default GITHUB_TOKEN permissions",
        enforcement="enforced" if default == "read" else "absent",
        target=account_id,
        detail=f"GITHUB_TOKEN has {default} access unless the workflow sets permissions.",
    )
    yield control(
        account_id,
        "workflow-approval",
        native_id,
        stage="source",
        name="workflows cannot approve pull requests",
        enforcement="absent" if body.get("can_approve_pull_request_reviews") else "enforced",
        target=account_id,
    )
    return default


def _allowed_actions(account_id: str, native_id: str, body: dict[str, Any]) -> Generator[Record, None, str]:
    """Yield which third-party actions workflows may run. Return ``all``, ``local_only`` or ``selected``.

    https://docs.github.com/en/rest/actions/permissions
    """
    # Which of the two is always sent: https://docs.github.com/en/rest/actions/permissions
    enabled = body["enabled_repositories"] if "enabled_repositories" in body else body["enabled"]
    allowed = str(body.get("allowed_actions") or "all")
    if enabled is False or enabled == "none":
        yield control(
            account_id,
            "actions-disabled",
            native_id,
            stage="build",
            name="GitHub Actions is disabled",
            enforcement="enforced",
            target=account_id,
        )
        return allowed
    yield control(
        account_id,
        "allowed-actions",
        native_id,
        stage="build",
        name="allowed actions",
        enforcement="absent" if allowed == "all" else "enforced",
        target=account_id,
        detail=f"Workflows may run {allowed.replace('_', ' ')} actions.",
    )
    if body.get("sha_pinning_required") is not None:
        yield control(
            account_id,
            "action-sha-pinning",
            native_id,
            stage="build",
            name="actions pinned to a full commit SHA",
            enforcement="enforced" if body["sha_pinning_required"] else "absent",
            target=account_id,
        )
    return allowed


def _selected_actions(account_id: str, native_id: str, body: dict[str, Any]) -> Generator[Record, None, None]:
    """Yield the list of selected actions that workflows may run.

    https://docs.github.com/en/rest/actions/permissions#get-allowed-actions-and-reusable-workflows-for-a-repository
    """
    patterns = [str(pattern) for pattern in body.get("patterns_allowed") or []]
    verified = "yes" if body.get("verified_allowed") else "no"
    yield control(
        account_id,
        "selected-actions",
        native_id,
        stage="build",
        name="selected actions",
        enforcement="absent" if any(pattern in {"*", "*/*"} for pattern in patterns) else "enforced",
        target=account_id,
        detail=f"Verified creators: {verified}; patterns: {', '.join(patterns[:20]) or 'none'}.",
    )


def _fork_approval(account_id: str, native_id: str, body: dict[str, Any]) -> Generator[Record, None, None]:
    """Yield whose pull requests from forks of public repositories wait for an approval.

    https://docs.github.com/en/rest/actions/permissions#get-fork-pr-contributor-approval-permissions-for-an-organization
    """
    policy = str(body["approval_policy"])
    yield control(
        account_id,
        "fork-pr-approval",
        native_id,
        stage="build",
        name="approval of workflow runs from forks",
        enforcement="enforced" if policy == "all_external_contributors" else "audited",
        target="public-forks",
        detail=f"Approval is required for: {policy.replace('_', ' ')}.",
    )


def _private_forks(account_id: str, native_id: str, body: dict[str, Any]) -> Generator[Record, None, None]:
    """Yield what pull requests from forks of private repositories may run, and with what.

    https://docs.github.com/en/rest/actions/permissions#get-private-repo-fork-pr-workflow-settings-for-an-organization
    """
    runs = bool(body["run_workflows_from_fork_pull_requests"])
    approval = bool(body["require_approval_for_fork_pr_workflows"])
    given = [
        words
        for key, words in (
            ("send_write_tokens_to_workflows", "a token that can write"),
            ("send_secrets_and_variables", "secrets"),
        )
        if body[key]
    ]
    if not runs:
        detail = "Workflows do not run for forks of private repositories."
    else:
        detail = (
            "Workflows run for forks of private repositories "
            + ("after an approval" if approval else "without an approval")
            + (f" and get {' and '.join(given)}" if given else "")
            + "."
        )
    yield control(
        account_id,
        "fork-pr-approval",
        f"{native_id}/private",
        stage="build",
        name="approval of workflow runs from private forks",
        enforcement="enforced" if not runs or (approval and not given) else "absent",
        target="private-forks-with-secrets" if runs and given else "private-forks",
        detail=detail,
    )


def _repository_runners(scope: OrganizationScope, body: dict[str, Any]) -> Generator[Record, None, bool]:
    """Yield whether repositories may register runners, and return it."""
    enabled = str(body["enabled_repositories"])
    yield control(
        scope.account_id,
        "repository-runners",
        f"org/{scope.number}",
        stage="build",
        name="runners registered by repositories",
        enforcement="enforced" if enabled == "none" else "absent",
        target=scope.account_id,
        detail=f"Repositories that may register runners: {enabled}.",
    )
    return enabled != "none"
