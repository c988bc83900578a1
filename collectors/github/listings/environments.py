"""Deployment environments: who must approve, how long to wait, which branches deploy.

https://docs.github.com/en/rest/deployments/environments
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from collectors.github.listings.controls import control

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.github.listings.structure import Repository
    from collectors.github.scope import Scope
    from scanner.records import Record


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """What the rest of the reading needs to know of an environment."""

    number: str
    name: str
    protected: bool
    custom_branches: bool
    identifiers: dict[str, str] = {}
    """Variables of its own that name something: see `secrets.identifier`."""


def guards(scope: Scope, repository: Repository, found: list[Environment]) -> Iterator[Record]:
    """Yield the guards of a repository's environments; fills ``found``. Nothing is asked when GraphQL counted none.

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
        if repository.environments == 0:
            return
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
