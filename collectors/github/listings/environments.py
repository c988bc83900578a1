"""Deployment environments: required reviewers, wait timers, deployment branches.

https://docs.github.com/en/rest/deployments/environments
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.github.facts import EnvironmentFacts
from collectors.github.records import control
from scanner.collect.listings import with_coverage

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from collectors.github.facts import RepositoryFacts
    from collectors.github.scope import OrganizationScope
    from scanner.records import Record

_BRANCH_POLICIES = "/repos/{owner}/{repo}/environments/{environment_name}/deployment-branch-policies"


def environments(
    scope: OrganizationScope, repository: RepositoryFacts
) -> Generator[Record, None, list[EnvironmentFacts]]:
    """Yield the controls of a repository's environments, and return the environments."""
    found = yield from with_coverage(
        _environments(scope, repository),
        scope.of(repository).request(
            "controls",
            "GET /repos/{owner}/{repo}/environments",
            kind="environment-approval",
            needs="actions: read",
        ),
        fills=(
            "controls/environment-branch-policy",
            "controls/environment-wait-timer",
            "controls/environment-custom-rule",
        ),
        loses=("secrets/github-actions", "secrets/github-variable"),
    )
    return found or []


def _environments(
    scope: OrganizationScope, repository: RepositoryFacts
) -> Generator[Record, None, list[EnvironmentFacts]]:
    if repository.environments == 0:
        return []  # GraphQL counted none
    found = []
    path = scope.of(repository).path("/repos/{owner}/{repo}/environments")
    for item in scope.client.items(path, at="environments"):
        environment = yield from _environment(scope, repository, item)
        found.append(environment)
    return found


def _environment(
    scope: OrganizationScope, repository: RepositoryFacts, item: dict[str, Any]
) -> Generator[Record, None, EnvironmentFacts]:
    number, name = str(item["id"]), str(item["name"])
    policy = item.get("deployment_branch_policy")
    custom_branches = bool(policy and policy.get("custom_branch_policies"))
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
        detail="The person who starts a deployment cannot approve it."
        if required and required.get("prevent_self_review")
        else None,
    )
    if not custom_branches:
        yield control(
            repository.account_id,
            "environment-branch-policy",
            f"{repository.number}/{number}",
            stage="deploy",
            name=name,
            target=name,
            enforcement="enforced" if policy else "absent",
            detail="Only protected branches can deploy." if policy else "Every branch and tag can deploy.",
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
                detail=f"A deployment protection rule of an App applies: {kind}.",
                bypass=bypass,
            )
    return EnvironmentFacts(
        number=number, name=name, protected=bool(reviewers or policy), custom_branches=custom_branches
    )


def branch_policies(
    scope: OrganizationScope, repository: RepositoryFacts, environment: EnvironmentFacts
) -> Iterator[Record]:
    """Yield the branches and tags that may deploy to an environment with a custom branch policy."""
    yield from with_coverage(
        _branch_policies(scope, repository, environment),
        scope.of(repository).request(
            "controls",
            f"GET {_BRANCH_POLICIES}",
            item=environment.number,
            kind="environment-branch-policy",
            needs="actions: read",
        ),
    )


def _branch_policies(
    scope: OrganizationScope, repository: RepositoryFacts, environment: EnvironmentFacts
) -> Generator[Record, None, None]:
    path = scope.of(repository).path(_BRANCH_POLICIES, environment_name=environment.name)
    policies = sorted(
        (str(item.get("type") or "branch"), str(item["name"]))
        for item in scope.client.items(path, at="branch_policies")
    )
    every = any(pattern in {"*", "**", "**/*"} for _, pattern in policies)
    words = ", ".join(f"{kind} {pattern}" for kind, pattern in policies)
    yield control(
        repository.account_id,
        "environment-branch-policy",
        f"{repository.number}/{environment.number}",
        stage="deploy",
        name=environment.name,
        target=environment.name,
        enforcement="absent" if every else "enforced",
        detail=f"Only these can deploy: {words}." if words else "No branch can deploy.",
    )
