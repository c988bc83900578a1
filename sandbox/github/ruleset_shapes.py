"""Rulesets as GitHub writes them: lists without rules and bypass actors, the detail with them.

``bypass_actors`` appears only for a caller who may write the ruleset
(https://docs.github.com/en/rest/repos/rules).
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from sandbox.github.shapes import Json, node_id, when

if TYPE_CHECKING:
    from sandbox.github.organization import GitHubRepository, Ruleset
    from sandbox.github.route import Ask


def applies(ruleset: Ruleset, repository: GitHubRepository) -> bool:
    """Return whether a ruleset of the organization covers a repository."""
    return any(pattern == "~ALL" or fnmatchcase(repository.name, pattern) for pattern in ruleset.repositories)


def covers(ruleset: Ruleset, repository: GitHubRepository, branch: str) -> bool:
    """Return whether a ruleset covers a branch."""
    if ruleset.target != "branch":
        return False
    return any(
        pattern == "~ALL"
        or (pattern == "~DEFAULT_BRANCH" and branch == repository.default_branch)
        or fnmatchcase(f"refs/heads/{branch}", pattern)
        for pattern in ruleset.refs
    )


def rules_of(ruleset: Ruleset) -> list[Json]:
    """Write out the rules."""
    rules: list[Json] = [{"type": kind} for kind in ruleset.rules]
    if ruleset.approvals is not None:
        rules.append(
            {
                "type": "pull_request",
                "parameters": {
                    "dismiss_stale_reviews_on_push": ruleset.dismiss_stale,
                    "require_code_owner_review": False,
                    "require_last_push_approval": False,
                    "required_approving_review_count": ruleset.approvals,
                    "required_review_thread_resolution": False,
                },
            }
        )
    if ruleset.status_checks:
        rules.append(
            {
                "type": "required_status_checks",
                "parameters": {
                    "do_not_enforce_on_create": False,
                    "required_status_checks": [{"context": name} for name in ruleset.status_checks],
                    "strict_required_status_checks_policy": True,
                },
            }
        )
    return rules


def _links(ask: Ask, ruleset: Ruleset, repository: GitHubRepository | None) -> tuple[str, str]:
    site = ask.site
    if repository is None:
        return (
            f"{site.org_url}/rulesets/{ruleset.id}",
            f"{site.web}/organizations/{ask.organization.login}/settings/rules/{ruleset.id}",
        )
    full_name = f"{ask.organization.login}/{repository.name}"
    return (
        f"{site.repository_url(repository)}/rulesets/{ruleset.id}",
        f"{site.web}/{full_name}/rules/{ruleset.id}",
    )


def ruleset_row(ask: Ask, ruleset: Ruleset, repository: GitHubRepository | None) -> Json:
    """Write a ruleset as lists do: no rules, no conditions, no bypass actors."""
    own = repository is not None and ruleset in repository.rulesets
    api, web = _links(ask, ruleset, repository if own else None)
    return {
        "id": ruleset.id,
        "name": ruleset.name,
        "target": ruleset.target,
        "source_type": "Repository" if own else "Organization",
        "source": f"{ask.organization.login}/{repository.name}"
        if own and repository
        else ask.organization.login,
        "enforcement": ruleset.enforcement,
        "node_id": node_id("RRS", ruleset.id),
        "_links": {"self": {"href": api}, "html": {"href": web}},
        "created_at": when(ruleset.created_at),
        "updated_at": when(ruleset.updated_at),
    }


def ruleset_detail(ask: Ask, ruleset: Ruleset, repository: GitHubRepository | None) -> Json:
    """Write a ruleset in full; the bypass actors only for who may write it."""
    row = ruleset_row(ask, ruleset, repository)
    own = row["source_type"] == "Repository"
    conditions: Json = {"ref_name": {"include": list(ruleset.refs), "exclude": []}}
    if not own:
        conditions["repository_name"] = {
            "include": list(ruleset.repositories),
            "exclude": [],
            "protected": False,
        }
    row |= {"conditions": conditions, "rules": rules_of(ruleset)}
    may_write = (
        ask.token.has_scope({"repo"} if own else {"admin:org"})
        if ask.token.kind == "classic"
        else ask.token.may("administration" if own else "organization_administration", "write")
    )
    if may_write:
        row |= {
            "bypass_actors": [
                {"actor_id": one.actor_id, "actor_type": one.actor_type, "bypass_mode": one.mode}
                for one in ruleset.bypass
            ],
            "current_user_can_bypass": "never",
        }
    return row
