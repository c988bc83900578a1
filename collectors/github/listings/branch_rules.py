"""Branch protection rules and rulesets.

https://docs.github.com/en/graphql/reference/objects#branchprotectionrule https://docs.github.com/en/rest/repos/rules
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

from collectors.github.facts import branch_rule
from collectors.github.queries import PROTECTIONS
from collectors.github.records import control
from scanner.collect.listings import with_coverage

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from collectors.github.facts import BranchRule, RepositoryFacts
    from collectors.github.scope import OrganizationScope
    from scanner.records import Control, Enforcement, Record

_RULESET: dict[str, Enforcement] = {
    "active": "enforced",
    "evaluate": "audited",
    "disabled": "absent",
}
_GATES = frozenset(("pull_request", "update", "merge_queue", "required_status_checks", "required_deployments", "lock_branch", "workflows"))  # fmt: skip
"""Rules that a change to a branch must satisfy. Only some of them need a second person: `Control.approvals`."""
_LOCKS = frozenset(("update", "lock_branch"))
"""Rules under which nobody but the bypass list can change a branch.

https://docs.github.com/en/repositories/configuring-branches-and-merges-in-your-repository/managing-rulesets/available-rules-for-rulesets#restrict-updates
"""


def protections(scope: OrganizationScope, repository: RepositoryFacts) -> Iterator[Record]:
    """Yield a repository's branch protection rules."""
    if repository.more_protections:
        yield from with_coverage(
            _all_protections(scope, repository),
            scope.of(repository).request(
                "controls",
                "POST /graphql repository.branchProtectionRules",
                kind="branch-protection",
                needs="administration: read",
            ),
            fills=("controls/protected-branch",),
        )
        return
    # Without administrator rights, GitHub returns an empty list, which does not mean that there are no rules.
    hidden = not repository.protections and not scope.zero_is_reliable(repository)
    yield from scope.part(
        repository,
        None if hidden else repository.protections,
        partial(_protection, repository, _in_force(repository, repository.protections or ())),
        table="controls",
        kind="branch-protection",
        fills=("controls/protected-branch",),
        field="branchProtectionRules",
        needs="administration: read",
    )


def protection_ids(repository: RepositoryFacts) -> dict[str, str]:
    """Return the GraphQL id of each branch protection rule, by `Control.id`."""
    rules = repository.protections or ()
    in_force = _in_force(repository, rules)
    return {
        _protection(repository, in_force, rule).id: str(rule["id"])
        for rule in rules
        if rule.get("id") and rule.get("pattern")
    }


def _all_protections(scope: OrganizationScope, repository: RepositoryFacts) -> Generator[Record, None, None]:
    """Yield the rules of a repository that has more of them than a page of repositories returns."""
    names = {"org": scope.login, "name": repository.name}
    rules = list(scope.client.graphql.connection(PROTECTIONS, names, at="repository/branchProtectionRules"))
    in_force = _in_force(repository, rules)
    yield from (_protection(repository, in_force, rule) for rule in rules)


def rulesets(scope: OrganizationScope, repository: RepositoryFacts) -> Iterator[Record]:
    """Yield a repository's rulesets, including those of its organization and enterprise."""
    rules = repository.rules
    if rules is None and repository.branch is not None and (repository.rulesets or repository.more_rulesets):
        rules = yield from with_coverage(
            _rules_in_force(scope, repository, repository.branch),
            scope.of(repository).request(
                "controls",
                "GET /repos/{owner}/{repo}/rules/branches/{branch}",
                kind="ruleset",
                needs="metadata: read",
            ),
        )
    convert = partial(_ruleset, repository.account_id, str(repository.number), rules=rules)
    if repository.more_rulesets:
        yield from scope.of(repository).listing(
            "/repos/{owner}/{repo}/rulesets",
            lambda rule: (convert(rule),),
            table="controls",
            kind="ruleset",
            needs="metadata: read",
            parameters={"includes_parents": "true"},
            salt=str(sorted((rules or {}).items())),
        )
    else:
        yield from scope.part(
            repository,
            repository.rulesets,
            convert,
            table="controls",
            kind="ruleset",
            field="rulesets",
            needs="metadata: read",
        )


def _rules_in_force(
    scope: OrganizationScope, repository: RepositoryFacts, branch: str
) -> Generator[Record, None, dict[int, list[BranchRule]]]:
    """Yield no record. Return the rules in force on a branch, by ruleset.

    https://docs.github.com/en/rest/repos/rules#get-rules-for-a-branch
    """
    yield from ()
    found: dict[int, list[BranchRule]] = {}
    path = scope.of(repository).path("/repos/{owner}/{repo}/rules/branches/{branch}", branch=branch)
    for item in scope.client.items(path):
        rule = branch_rule(str(item["type"]), item.get("parameters") or {})
        found.setdefault(int(item["ruleset_id"]), []).append(rule)
    return found


def organization_rulesets(scope: OrganizationScope) -> Iterator[Record]:
    """Yield the organization's rulesets. GitHub shows this list only to those who may change it
    ("organization_administration: write"), which a read-only tool should not have:
    https://docs.github.com/en/rest/orgs/rules
    """
    yield from scope.listing(
        "/orgs/{org}/rulesets",
        lambda rule: (_ruleset(scope.account_id, f"org/{scope.number}", rule),),
        table="controls",
        kind="ruleset",
    )


def _protection(repository: RepositoryFacts, in_force: str | None, rule: dict[str, Any]) -> Control:
    """Return one branch protection rule: ``protected-branch`` if it does not protect the default branch."""
    demands = []
    approvals = 0 if not rule.get("requiresApprovingReviews") else rule.get("requiredApprovingReviewCount")
    if rule.get("lockBranch"):
        demands.append("no changes (locked)")
        approvals = None
    if rule.get("requiresApprovingReviews"):
        demands.append(
            f"{approvals} approving review(s)" if approvals else "a pull request without approvals"
        )
    if rule.get("requiresCodeOwnerReviews"):
        demands.append("review by code owners")
    if rule.get("requiresStatusChecks"):
        demands.append("status checks")
    if rule.get("restrictsPushes"):
        demands.append("restricted pushes")
    gate = bool(demands) and _number(rule) == in_force
    if rule.get("allowsForcePushes"):
        demands.append("force pushes allowed")
    if rule.get("allowsDeletions"):
        demands.append("deletion allowed")
    ends = rule.get("dismissesStaleReviews") or rule.get("requireLastPushApproval")
    return control(
        repository.account_id,
        "branch-protection" if gate else "protected-branch",
        f"{repository.number}/{_number(rule)}",
        stage="source",
        name=str(rule["pattern"]),
        enforcement="enforced",
        target=str(rule["pattern"]),
        detail=", ".join(demands) or "no demands",
        approvals=approvals,
        approvals_end=bool(ends) if approvals else None,
        restricted=bool(rule.get("restrictsPushes") or rule.get("lockBranch")),
        bypass=[] if rule.get("isAdminEnforced") else ["repository administrators"],
    )


def _number(rule: dict[str, Any]) -> str:
    return str(rule.get("databaseId") or rule["pattern"])


def _in_force(repository: RepositoryFacts, rules: Sequence[dict[str, Any]]) -> str | None:
    """Return the number of the one rule that GitHub applies to the default branch: the rule with its exact name, otherwise
    the oldest whose pattern matches. If the branch is not known, the first rule that could be it.

    https://docs.github.com/en/repositories/configuring-branches-and-merges-in-your-repository/managing-protected-branches/managing-a-branch-protection-rule
    """
    branch = repository.branch
    matching = [rule for rule in rules if branch is None or _covers(str(rule["pattern"]), branch)]
    first = min(
        matching,
        key=lambda rule: (str(rule["pattern"]) != branch, int(rule.get("databaseId") or 0)),
        default=None,
    )
    return None if first is None else _number(first)


def _covers(pattern: str, branch: str) -> bool:
    """Return whether a branch protection's pattern matches a branch: a single ``*`` does not match a slash.

    https://docs.github.com/en/repositories/configuring-branches-and-merges-in-your-repository/managing-protected-branches/managing-a-branch-protection-rule
    """
    parts = (
        ".*" if part == "**" else "[^/]*" if part == "*" else "[^/]" if part == "?" else re.escape(part)
        for part in re.split(r"(\*\*|\*|\?)", pattern.replace("**/", "**"))
    )
    return re.fullmatch("".join(parts), branch) is not None


def _ruleset(
    account_id: str, owner: str, rule: dict[str, Any], rules: dict[int, list[BranchRule]] | None = None
) -> Control:
    """Return one ruleset, from REST or GraphQL. Its bypass list is shown only to those who may change it. ``rules`` are
    the active rules on the default branch, by ruleset. The target of a ruleset that does not protect that branch is
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
    approvals = ends = restricted = None
    if target == "branch" and enforcement == "enforced" and rules is not None:
        demands = rules.get(int(number or 0), [])
        if not _GATES & {one.type for one in demands}:
            target = "branch-other"
        restricted = bool(_LOCKS & {one.type for one in demands})
        reviews = [one for one in demands if one.type == "pull_request"]
        approvals = None if restricted else max((one.approvals or 0 for one in reviews), default=0)
        ends = any(one.approvals_end for one in reviews) if approvals else None
        words = ", ".join(_words(one) for one in demands) or "nothing"
        detail = f"{detail or ''} On the default branch it requires {words}.".strip()
    return control(
        account_id,
        "ruleset",
        f"{owner}/{number}",
        stage="source",
        name=str(rule["name"]),
        enforcement=enforcement,
        target=target,
        detail=detail,
        approvals=approvals,
        approvals_end=ends,
        restricted=restricted,
        shared_id=None if number is None else str(number),
    )


def _words(rule: BranchRule) -> str:
    if rule.type == "pull_request":
        return f"pull request with {rule.approvals} approving review(s)"
    return rule.type.replace("_", " ")
