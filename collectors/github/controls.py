"""The gates between a commit and a deployment: protections, rulesets, environments, what workflows may use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from collectors.github.failures import GitHubError, explain_unsupported
from scanner.records import Control, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.github.repositories import Organisation
    from collectors.github.scope import Scope
    from collectors.github.structure import Repository
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


def branch_protection(repository: Repository, rule: dict[str, Any]) -> Control:
    """Return one branch protection rule, as GraphQL tells it.

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
    if rule.get("allowsForcePushes"):
        demands.append("force pushes allowed")
    if rule.get("allowsDeletions"):
        demands.append("deletion allowed")
    return control(
        repository.account_id,
        "branch-protection",
        f"{repository.number}/{rule.get('databaseId') or rule['pattern']}",
        stage="source",
        name=str(rule["pattern"]),
        enforcement="enforced",
        target=str(rule["pattern"]),
        detail=", ".join(demands) or "no demands",
        bypass=[] if rule.get("isAdminEnforced") else ["repository administrators"],
    )


def ruleset(account_id: str, owner: str, rule: dict[str, Any]) -> Control:
    """Return one ruleset, by REST or GraphQL. Who may bypass it is shown only to those who may change it.

    https://docs.github.com/en/rest/repos/rules
    """
    source = rule.get("source")
    if isinstance(source, dict):
        source = (
            source.get("login") or source.get("nameWithOwner") or source.get("name") or source.get("slug")
        )
    return control(
        account_id,
        "ruleset",
        f"{owner}/{rule.get('databaseId') or rule.get('id')}",
        stage="source",
        name=str(rule["name"]),
        enforcement=_RULESET.get(str(rule["enforcement"]).lower(), "documented"),
        target=str(rule.get("target") or "branch").lower(),
        detail=f"Defined by {source}." if source else None,
    )


def organisation_rulesets(scope: Scope) -> Iterator[Record]:
    """Yield the organisation's rulesets. GitHub shows this list only to those who may change it."""
    yield from scope.listing(
        "/orgs/{org}/rulesets",
        lambda rule: (ruleset(scope.account_id, f"org/{scope.number}", rule),),
        table="controls",
        kind="ruleset",
        needs="organization_administration: write (GitHub offers no read-only permission for this list)",
    )


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """What the rest of the reading needs to know of an environment."""

    number: str
    name: str
    protected: bool
    custom_branches: bool
    identifiers: dict[str, str] = {}
    """Variables of its own that name something: see `secrets.identifier`."""


def environments(scope: Scope, repository: Repository, found: list[Environment]) -> Iterator[Record]:
    """Yield the guards of a repository's environments; fills ``found``.

    https://docs.github.com/en/rest/deployments/environments
    """

    def environment(item: dict[str, Any]) -> Iterator[Record]:
        number, name = str(item["id"]), str(item["name"])
        policy = item.get("deployment_branch_policy")
        rules: dict[str, dict[str, Any]] = {
            str(rule.get("type")): rule for rule in item.get("protection_rules") or []
        }
        required = rules.get("required_reviewers")
        reviewers = [
            str(reviewer.get("login") or f"{scope.login}/{reviewer.get('slug')}")
            for entry in (required or {}).get("reviewers") or []
            if (reviewer := entry.get("reviewer"))
        ]
        bypass = ["repository administrators"] if item.get("can_admins_bypass", True) else []
        wait = int((rules.get("wait_timer") or {}).get("wait_timer") or 0)
        found.append(
            Environment(
                number=number,
                name=name,
                protected=bool(reviewers or policy),
                custom_branches=bool(policy and policy.get("custom_branch_policies")),
            )
        )
        yield control(
            repository.account_id,
            "environment-approval",
            f"{repository.number}/{number}",
            stage="deploy",
            name=name,
            target=name,
            enforcement="enforced" if reviewers else "absent",
            approvers=reviewers,
            bypass=bypass,
            detail="Whoever starts a deployment may not approve it."
            if required and required.get("prevent_self_review")
            else None,
        )
        if not (policy and policy.get("custom_branch_policies")):
            yield control(
                repository.account_id,
                "environment-branch-policy",
                f"{repository.number}/{number}",
                stage="deploy",
                name=name,
                target=name,
                enforcement="enforced" if policy else "absent",
                detail="Only protected branches deploy." if policy else "Every branch and tag deploys.",
                bypass=bypass if policy else [],
            )
        if wait:
            yield control(
                repository.account_id,
                "environment-wait-timer",
                f"{repository.number}/{number}",
                stage="deploy",
                name=name,
                target=name,
                enforcement="enforced",
                detail=f"A deployment waits {wait} minutes.",
                bypass=bypass,
            )
        for kind, rule in rules.items():
            if kind not in {"required_reviewers", "wait_timer", "branch_policy"}:
                yield control(
                    repository.account_id,
                    "environment-custom-rule",
                    f"{repository.number}/{number}/{rule.get('id')}",
                    stage="deploy",
                    name=name,
                    target=name,
                    enforcement="enforced",
                    detail=f"An App decides: {kind}.",
                    bypass=bypass,
                )

    def read() -> Iterator[Record]:
        path = f"/repos/{scope.login}/{repository.name}/environments"
        for item in scope.client.items(path, inside="environments"):
            yield from environment(item)

    yield from scope.told(
        read(),
        scope.asked(
            "controls",
            "GET /repos/{owner}/{repo}/environments",
            kind="environment-approval",
            needs="actions: read",
            account_id=repository.account_id,
        ),
        loses=("secrets/github-actions", "secrets/github-variable", "controls/environment-branch-policy"),
    )


def branch_policies(scope: Scope, repository: Repository, environment: Environment) -> Iterator[Record]:
    """Yield which branches and tags deploy to an environment that names them."""

    def read() -> Iterator[Record]:
        path = (
            f"/repos/{scope.login}/{repository.name}/environments/{scope.quoted(environment.name)}"
            "/deployment-branch-policies"
        )
        names = sorted(
            f"{item.get('type') or 'branch'} {item['name']}"
            for item in scope.client.items(path, inside="branch_policies")
        )
        yield control(
            repository.account_id,
            "environment-branch-policy",
            f"{repository.number}/{environment.number}",
            stage="deploy",
            name=environment.name,
            target=environment.name,
            enforcement="absent"
            if any(name.split(" ", 1)[1] in {"*", "**", "**/*"} for name in names)
            else "enforced",
            detail=f"Only these deploy: {', '.join(names)}." if names else "No branch may deploy.",
        )

    yield from scope.told(
        read(),
        scope.asked(
            "controls",
            f"GET /repos/{{owner}}/{{repo}}/environments/{{environment_name}}/deployment-branch-policies ({environment.number})",
            kind="environment-branch-policy",
            needs="actions: read",
            account_id=repository.account_id,
        ),
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


def organisation_actions(scope: Scope, facts: Organisation) -> Iterator[Record]:
    """Yield what holds for workflows in the whole organisation; notes the defaults in ``facts``."""
    choices: list[str] = []

    def default(body: dict[str, Any]) -> Iterator[Control]:
        facts.token = str(body["default_workflow_permissions"])
        yield from workflow_defaults(scope.account_id, f"org/{scope.number}", body)

    def allowed(body: dict[str, Any]) -> Iterator[Control]:
        choices.append(str(body.get("allowed_actions") or "all"))
        yield from allowed_actions(scope.account_id, f"org/{scope.number}", body)

    def selected(body: dict[str, Any]) -> Iterator[Control]:
        patterns = [str(pattern) for pattern in body.get("patterns_allowed") or []]
        verified = "yes" if body.get("verified_allowed") else "no"
        yield control(
            scope.account_id,
            "selected-actions",
            f"org/{scope.number}",
            stage="build",
            name="selected actions",
            enforcement="absent" if any(pattern in {"*", "*/*"} for pattern in patterns) else "enforced",
            target=scope.account_id,
            detail=f"Verified creators: {verified}; patterns: {', '.join(patterns[:20]) or 'none'}.",
        )

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
    if choices == ["selected"]:
        yield from scope.object(
            "/orgs/{org}/actions/permissions/selected-actions",
            selected,
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
