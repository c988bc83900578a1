"""The gates between a commit and the default branch: protected branches and approvals."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import msgspec

from collectors.gitlab.access_levels import PREMIUM, allowed
from collectors.gitlab.facts import number_of
from collectors.gitlab.records import control
from scanner.collect.failures import unsupported_on
from scanner.collect.listings import with_coverage

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from collectors.gitlab.facts import GitLabPlace, ProjectFacts
    from collectors.gitlab.scope import GitLabScope
    from scanner.records import Control, Record


def protected_branches(
    scope: GitLabScope,
    project: ProjectFacts,
    known: list[dict[str, Any]] | None,
    approvals: RequiredApprovals | None,
) -> Iterator[Record]:
    """Yield a project's protected branches, from the GraphQL rows ``known`` or by REST. ``approvals`` are those that a merge
    request needs; None if unknown.

    https://docs.gitlab.com/api/protected_branches/ https://docs.gitlab.com/api/graphql/reference/#branchrule

    Where several rules match a branch, the most permissive of them decides who may push and merge, and code owners must
    approve if any rule says so: https://docs.gitlab.com/user/project/repository/branches/protected/ . A default branch to which
    every Developer may push counts as unprotected.
    """
    place = project.place

    def read() -> Iterator[Record]:
        call = scope.at(place).path("/projects/:id/protected_branches")
        rules = (
            [_branch_as_rest(rule) for rule in known] if known is not None else list(scope.client.items(call))
        )
        matching = _matching(project, rules)
        for rule in rules:
            default = rule in matching
            # Rules of other branches, and all rules if the default branch is unknown, are judged for themselves.
            together = matching if default and project.branch is not None else [rule]
            yield _protection(
                place, rule, _Access.of(together), approvals if default else None, default=default
            )

    yield from with_coverage(
        read(),
        scope.at(place).request(
            "controls",
            "GET /projects/:id/protected_branches",
            kind="branch-protection",
            needs="Developer of the project",
        ),
        # GitLab has no rulesets: this list is all branch protection there is.
        fills=("controls/protected-branch", "controls/ruleset"),
    )


def _matching(project: ProjectFacts, rules: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rules of the default branch; all of them if it is not known."""
    branch = project.branch
    return [rule for rule in rules if branch is None or fnmatchcase(branch, str(rule["name"]))]


class RequiredApprovals(msgspec.Struct, frozen=True, kw_only=True):
    """What a merge request into the default branch needs."""

    others: int | None
    """How many people other than its author must approve; None if it is not known whether the author may."""
    end: bool | None
    """Whether a push ends the approvals given so far."""


class _Access(msgspec.Struct, frozen=True, kw_only=True):
    """Who may push to a branch and merge into it, by all rules that match it."""

    push: list[str]
    merge: list[str]

    @classmethod
    def of(cls, rules: Sequence[dict[str, Any]]) -> _Access:
        return cls(
            push=_union(rules, "push_access_levels"),
            merge=_union(rules, "merge_access_levels"),
        )


def _union(rules: Sequence[dict[str, Any]], key: str) -> list[str]:
    who = dict.fromkeys(name for rule in rules for name in allowed(rule.get(key) or []))
    return [name for name in who if name != "no one"]


def _protection(
    place: GitLabPlace,
    rule: dict[str, Any],
    access: _Access,
    approvals: RequiredApprovals | None,
    *,
    default: bool,
) -> Control:
    name = str(rule["name"])
    open_to_all = "Developer" in access.push
    demands = [
        f"push: {', '.join(access.push) or 'no one'}",
        f"merge: {', '.join(access.merge) or 'no one'}",
    ]
    if rule.get("allow_force_push"):
        demands.append("force push allowed")
    if rule.get("code_owner_approval_required"):
        demands.append("approval by code owners")
    required = None if approvals is None else approvals.others
    # Whoever may push needs no merge request, and so no approval.
    others = 0 if access.push else required
    return control(
        place,
        "branch-protection" if default else "protected-branch",
        f"{place.number}/{rule['id']}",
        stage="source",
        name=name,
        enforcement="absent" if open_to_all else "enforced",
        target=name,
        detail=", ".join(demands),
        approvals=others,
        approvals_end=None if approvals is None or not others else approvals.end,
        restricted="Developer" not in access.push and (bool(access.push) or "Developer" not in access.merge),
        bypass=[
            who for who in access.push if who.startswith(("user ", "group ", "deploy key ", "custom role "))
        ],
    )


def _branch_as_rest(rule: dict[str, Any]) -> dict[str, Any]:
    protection = rule["branchProtection"]
    return {
        "id": number_of(rule),
        "name": rule["name"],
        "push_access_levels": [_level_as_rest(level) for level in protection["pushAccessLevels"]["nodes"]],
        "merge_access_levels": [_level_as_rest(level) for level in protection["mergeAccessLevels"]["nodes"]],
        "allow_force_push": protection["allowForcePush"],
        "code_owner_approval_required": protection.get("codeOwnerApprovalRequired"),
    }


def _level_as_rest(level: dict[str, Any]) -> dict[str, Any]:
    return {
        "access_level": level["accessLevel"],
        "user_id": number_of(level["user"]) if level.get("user") else None,
        "group_id": number_of(level["group"]) if level.get("group") else None,
        "deploy_key_id": number_of(level["deployKey"]) if level.get("deployKey") else None,
    }


def approvals(
    scope: GitLabScope, project: ProjectFacts, most: int | None, known: list[dict[str, Any]] | None
) -> Generator[Record, None, RequiredApprovals | None]:
    """Yield whether merge requests into the default branch need an approval. Return what they need; None if unknown.

    https://docs.gitlab.com/api/merge_request_approvals/ : a rule can be limited to some branches or to scan findings;
    such a rule does not count here. ``most`` is the largest number of approvals that a rule requires, if known. Who may give
    them is asked only where it matters: where nobody may push to the branch, by its GraphQL rules ``known``.
    """
    place = project.place
    matching = None if known is None else _matching(project, [_branch_as_rest(rule) for rule in known])
    # Without a rule for the branch, every Developer may push.
    pushed = matching is not None and (matching == [] or bool(_Access.of(matching).push))

    def holds(rule: dict[str, Any]) -> bool:
        if rule.get("rule_type") == "report_approver" and rule.get("report_type") != "any_merge_request":
            return False
        branches = rule.get("protected_branches") or []
        if rule.get("applies_to_all_protected_branches") or not branches or project.branch is None:
            return True
        return any(fnmatchcase(project.branch, str(one["name"])) for one in branches)

    def read() -> Generator[Record, None, RequiredApprovals]:
        required = most or 0
        if most is None:
            rules = scope.client.items(scope.at(place).path("/projects/:id/approval_rules"))
            for item in filter(holds, rules):
                required = max(required, int(item.get("approvals_required") or 0))
        found = RequiredApprovals(others=0, end=None)
        if required and pushed:
            found = RequiredApprovals(others=None, end=None)
        elif required:
            settings = scope.client.one(scope.at(place).path("/projects/:id/approvals"))
            author = bool(settings["merge_requests_author_approval"])
            found = RequiredApprovals(others=required - author, end=bool(settings["reset_approvals_on_push"]))
        yield control(
            place,
            "merge-approval",
            place.number,
            stage="source",
            name="merge request approvals",
            enforcement="absent" if found.others == 0 else "enforced",
            target=place.account_id,
            approvals=found.others,
            approvals_end=found.end if found.others else None,
            detail=f"{required} approval(s) before a merge"
            + (", of which one may be the author's." if found.others not in {None, required} else "."),
        )
        return found

    return (
        yield from with_coverage(
            read(),
            scope.at(place).request(
                "controls",
                "GET /projects/:id/approval_rules",
                kind="merge-approval",
                needs="Developer of the project",
            ),
            classify=unsupported_on({404}, PREMIUM),
        )
    )
