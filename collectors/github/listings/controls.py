"""The gates between a commit and a deployment: protections, rulesets, environments, what workflows may use."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from collectors.github.failures import GitHubError, explain_unsupported
from scanner.records import Control, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.github.listings.settings import Organization
    from collectors.github.listings.structure import Repository
    from collectors.github.scope import Scope
    from scanner.records import Enforcement, Record, Stage

_RULESET: dict[str, Enforcement] = {
    "active": "enforced",
    "evaluate": "audited",
    "disabled": "absent",
}


def control(
    account_id: str,
    kind: str,
    native_id: str,
    *,
    stage: Stage,
    name: str,
    enforcement: Enforcement,
    target: str | None = None,
    detail: str | None = None,
    approvers: list[str] | None = None,
    bypass: list[str] | None = None,
) -> Control:
    """Return a control of an account."""
    return Control(
        id=record_id("github", kind, native_id),
        provider="github",
        account_id=account_id,
        stage=stage,
        kind=kind,
        name=name,
        enforcement=enforcement,
        target=target,
        detail=detail,
        approvers=approvers or [],
        bypass=bypass or [],
    )


_GATES = frozenset(("pull_request", "update", "merge_queue", "required_status_checks", "required_deployments", "lock_branch", "workflows"))  # fmt: skip
"""Rules that keep whoever may push from changing a branch alone."""


def _covers(pattern: str, branch: str) -> bool:
    """Whether a branch protection's pattern names a branch: a single ``*`` does not reach over a slash.

    https://docs.github.com/en/repositories/configuring-branches-and-merges-in-your-repository/managing-protected-branches/managing-a-branch-protection-rule
    """
    parts = (
        ".*" if part == "**" else "[^/]*" if part == "*" else "[^/]" if part == "?" else re.escape(part)
        for part in re.split(r"(\*\*|\*|\?)", pattern.replace("**/", "**"))
    )
    return re.fullmatch("".join(parts), branch) is not None


def branch_protection(repository: Repository, rule: dict[str, Any]) -> Control:
    """Return one branch protection rule, as GraphQL tells it: ``protected-branch`` where it is no gate to the default one.

    https://docs.github.com/en/graphql/reference/objects#branchprotectionrule
    """
    demands = []
    if rule.get("requiresApprovingReviews"):
        demands.append(f"{rule.get('requiredApprovingReviewCount') or 1} approving review(s)")
    if rule.get("requiresCodeOwnerReviews"):
        demands.append("review by code owners")
    if rule.get("requiresStatusChecks"):
        demands.append("status checks")
    if rule.get("restrictsPushes"):
        demands.append("restricted pushes")
    gate = bool(demands) and (repository.branch is None or _covers(str(rule["pattern"]), repository.branch))
    if rule.get("allowsForcePushes"):
        demands.append("force pushes allowed")
    if rule.get("allowsDeletions"):
        demands.append("deletion allowed")
    return control(
        repository.account_id,
        "branch-protection" if gate else "protected-branch",
        f"{repository.number}/{rule.get('databaseId') or rule['pattern']}",
        stage="source",
        name=str(rule["pattern"]),
        enforcement="enforced",
        target=str(rule["pattern"]),
        detail=", ".join(demands) or "no demands",
        bypass=[] if rule.get("isAdminEnforced") else ["repository administrators"],
    )


def ruleset(
    account_id: str, owner: str, rule: dict[str, Any], rules: dict[int, list[str]] | None = None
) -> Control:
    """Return one ruleset, by REST or GraphQL. Who may bypass it is shown only to those who may change it.

    ``rules`` are those in force on the default branch, by ruleset. The target of one that is no gate to that branch is
    ``branch-other``. https://docs.github.com/en/rest/repos/rules
    """
    source = rule.get("source")
    if isinstance(source, dict):
        source = (
            source.get("login") or source.get("nameWithOwner") or source.get("name") or source.get("slug")
        )
    target = str(rule.get("target") or "branch").lower()
    enforcement = _RULESET.get(str(rule["enforcement"]).lower(), "documented")
    number = rule.get("databaseId") or rule.get("id")
    detail = f"Defined by {source}." if source else None
    if target == "branch" and enforcement == "enforced" and rules is not None:
        demands = rules.get(int(number or 0), [])
        if not _GATES & set(demands):
            target = "branch-other"
        words = ", ".join(demands).replace("_", " ") or "nothing"
        detail = f"{detail or ''} On the default branch it demands {words}.".strip()
    return control(
        account_id,
        "ruleset",
        f"{owner}/{number}",
        stage="source",
        name=str(rule["name"]),
        enforcement=enforcement,
        target=target,
        detail=detail,
    )


def organization_rulesets(scope: Scope) -> Iterator[Record]:
    """Yield the organization's rulesets. GitHub shows this list only to those who may change it."""
    yield from scope.listing(
        "/orgs/{org}/rulesets",
        lambda rule: (ruleset(scope.account_id, f"org/{scope.number}", rule),),
        table="controls",
        kind="ruleset",
        needs="organization_administration: write (GitHub offers no read-only permission for this list)",
    )


def workflow_defaults(account_id: str, native_id: str, body: dict[str, Any]) -> Iterator[Control]:
    """Yield what a workflow's token may do where the workflow does not say.

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
        detail=f"GITHUB_TOKEN has {default} access unless the workflow says otherwise.",
    )
    yield control(
        account_id,
        "workflow-approval",
        native_id,
        stage="source",
        name="workflows may not approve pull requests",
        enforcement="absent" if body.get("can_approve_pull_request_reviews") else "enforced",
        target=account_id,
    )


def allowed_actions(account_id: str, native_id: str, body: dict[str, Any]) -> Iterator[Control]:
    """Yield which third-party actions workflows may run.

    https://docs.github.com/en/rest/actions/permissions
    """
    if body.get("enabled") is False or body.get("enabled_repositories") == "none":
        yield control(
            account_id,
            "actions-disabled",
            native_id,
            stage="build",
            name="GitHub Actions is disabled",
            enforcement="enforced",
            target=account_id,
        )
        return
    allowed = str(body.get("allowed_actions") or "all")
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
            name="actions pinned to a commit",
            enforcement="enforced" if body["sha_pinning_required"] else "absent",
            target=account_id,
        )


def selected_actions(account_id: str, native_id: str, body: dict[str, Any]) -> Iterator[Control]:
    """Yield which actions are among those that workflows may run.

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


def organization_actions(scope: Scope, facts: Organization) -> Iterator[Record]:
    """Yield what holds for workflows in the whole organization; notes the defaults in ``facts``."""

    def default(body: dict[str, Any]) -> Iterator[Control]:
        facts.token = str(body["default_workflow_permissions"])
        yield from workflow_defaults(scope.account_id, f"org/{scope.number}", body)

    def allowed(body: dict[str, Any]) -> Iterator[Control]:
        facts.allowed = str(body.get("allowed_actions") or "all")
        yield from allowed_actions(scope.account_id, f"org/{scope.number}", body)

    def forks(body: dict[str, Any]) -> Iterator[Control]:
        policy = str(body["approval_policy"])
        yield control(
            scope.account_id,
            "fork-pr-approval",
            f"org/{scope.number}",
            stage="build",
            name="approval for workflows of forks",
            enforcement="enforced" if policy == "all_external_contributors" else "audited",
            target=scope.account_id,
            detail=f"Approval is asked for: {policy.replace('_', ' ')}.",
        )

    def runners(body: dict[str, Any]) -> Iterator[Control]:
        enabled = str(body["enabled_repositories"])
        facts.repository_runners = enabled != "none"
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

    needs = "organization_administration: read"
    yield from scope.object(
        "/orgs/{org}/actions/permissions/workflow",
        default,
        table="controls",
        kind="workflow-token-default",
        needs=needs,
    )
    yield from scope.object(
        "/orgs/{org}/actions/permissions", allowed, table="controls", kind="allowed-actions", needs=needs
    )
    if facts.allowed == "selected":
        yield from scope.object(
            "/orgs/{org}/actions/permissions/selected-actions",
            lambda body: selected_actions(scope.account_id, f"org/{scope.number}", body),
            table="controls",
            kind="selected-actions",
            needs=needs,
        )
    yield from scope.object(
        "/orgs/{org}/actions/permissions/fork-pr-contributor-approval",
        forks,
        table="controls",
        kind="fork-pr-approval",
        needs=needs,
        explained=explain_unsupported("Older GitHub Enterprise Servers do not offer this."),
    )
    yield from scope.object(
        "/orgs/{org}/actions/permissions/self-hosted-runners",
        runners,
        table="controls",
        kind="repository-runners",
        needs=needs,
        explained=explain_unsupported("Older GitHub Enterprise Servers do not offer this."),
    )


def secret_scanning(scope: Scope) -> Iterator[Record]:
    """Yield for each repository whether GitHub looks for secrets in it and stops pushes that hold one.

    ``security_and_analysis`` is shown to administrators only: repositories without it are a Gap.
    https://docs.github.com/en/rest/repos/repos#list-organization-repositories
    """

    def settings(item: dict[str, Any], shown: dict[str, Any]) -> Iterator[Record]:
        account_id = record_id("github", "repo", str(item["id"]))
        for key, kind in (
            ("secret_scanning", "secret-scanning"),
            ("secret_scanning_push_protection", "push-protection"),
        ):
            status = (shown.get(key) or {}).get("status")
            if status is not None:
                yield control(
                    account_id,
                    kind,
                    str(item["id"]),
                    stage="source",
                    name=kind.replace("-", " "),
                    enforcement="enforced" if status == "enabled" else "absent",
                    target=account_id,
                )

    def read() -> Iterator[Record]:
        hidden = 0
        for item in scope.client.items(f"/orgs/{scope.login}/repos"):
            shown = item.get("security_and_analysis")
            if not scope.wants(str(item["name"])) or item.get("archived"):
                continue
            if shown is None:
                hidden += 1
            else:
                yield from settings(item, shown)
        if hidden:
            raise GitHubError("denied", f"security settings of {hidden} repositories are not shown")

    yield from scope.told(
        read(),
        scope.asked(
            "controls", "GET /orgs/{org}/repos", kind="secret-scanning", needs="administration: read"
        ),
        fills=("controls/push-protection",),
    )
