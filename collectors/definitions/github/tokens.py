"""The OIDC tokens of GitHub workflows.

Subjects: https://docs.github.com/en/actions/reference/security/oidc#example-subject-claims; custom templates:
https://docs.github.com/en/actions/reference/security/oidc#customizing-the-token-claims.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.definitions.context import Context
    from collectors.definitions.definition import Definition, Job

_ON_DEFAULT_BRANCH = frozenset((
    "schedule", "workflow_run", "issues", "issue_comment", "repository_dispatch", "discussion", "discussion_comment", "fork", "watch", "star", "gollum", "label", "milestone", "public", "page_build", "status", "check_run", "check_suite", "branch_protection_rule", "member", "project", "project_card", "delete", "image_version",
))  # fmt: skip
_ON_REVIEW = frozenset(("pull_request_review", "pull_request_review_comment"))
_FULL = re.compile(r"@(?:refs/|[0-9a-f]{40}$)")


class _Ran(NamedTuple):
    """One job that runs: of the workflow itself or of a workflow that it calls."""

    environment: str | None
    workflow: str
    """The path of the job's workflow file, or ``uses:`` for one in another repository."""


def _runs(job: Job, path: str) -> Iterator[_Ran]:
    """Yield the jobs that run for a job. A token has the called job's environment, and the caller's repository.

    https://docs.github.com/en/actions/how-tos/secure-your-work/security-harden-deployments/oidc-with-reusable-workflows
    """
    if job.identity_token is False or job.followed:
        return  # the jobs of a called workflow that was read are in the list themselves
    if job.calls is None:
        holder = job.workflow or path
        yield _Ran(job.environment, holder)
        if job.environment == "*":
            # A computed name can be empty; the job then has no environment.
            yield _Ran(None, holder)
        return
    # The called file is unknown: its jobs may name any environment, or none.
    called = job.calls.removeprefix("./")
    yield _Ran(None, called)
    yield _Ran("*", called)


def github_tokens(definition: Definition, context: Context) -> Iterator[dict[str, str]]:
    """Yield the claims of every kind of token that the jobs of a workflow can present."""
    found: dict[tuple[str, str, str, str], dict[str, str]] = {}
    for job in definition.jobs:
        audience = definition.audience(job)
        for ran in dict.fromkeys(_runs(job, definition.path)):
            for event, refs in definition.triggers.items():
                if event == "workflow_call":
                    continue
                for ref in _github_refs(event, refs, context):
                    claims = _github_claims(definition, context, ran, ref)
                    key = (claims["environment"], ref, claims["job_workflow_ref"], audience)
                    known = found.setdefault(key, claims | {"aud": audience, "event_name": event})
                    if known["event_name"] != event:
                        known["event_name"] = "*"
    for (_, ref, _, _), claims in found.items():
        where = claims["environment"].replace(":", "%3A")
        place = (
            f"environment:{where}" if where else ("pull_request" if ref == "pull_request" else f"ref:{ref}")
        )
        for repo in _repo_claims(context):
            for keys in (context.claim_keys, *([context.maybe_keys] if context.maybe_keys else [])):
                subject = f"{repo}:{place}"
                if keys is not None:
                    if "environment" in keys and not where:
                        # GitHub issues no token to a job without an environment if the template requires one.
                        continue
                    subject = _custom_subject(keys, claims, repo, place)
                yield {"sub": subject, **claims}


def _repo_claims(context: Context) -> list[str]:
    """Return the possible prefixes of a subject: with names, with names and ids, or both if unknown."""
    owner, _, name = context.repository.partition("/")
    names = f"repo:{context.repository}"
    ids = f"repo:{owner}@{context.owner_id or '*'}/{name}@{context.repository_id or '*'}"
    return {True: [ids], False: [names], None: [names, ids]}[context.immutable_subject]


def _github_claims(definition: Definition, context: Context, ran: _Ran, ref: str) -> dict[str, str]:
    """Return the claims of one token, without those of its subject."""
    real_ref = "refs/pull/*/merge" if ref == "pull_request" else ref
    holder = ran.workflow
    if "@" not in holder:
        holder = f"{context.repository}/{holder}@{real_ref}"
    elif not _FULL.search(holder):
        # The ref is a full tag or branch ref; which of the two is unknown here.
        holder = holder.replace("@", "@refs/*/", 1)
    claims = {
        "repository": context.repository,
        "repository_owner": context.repository.partition("/")[0],
        "workflow": definition.name,
        "workflow_ref": f"{context.repository}/{definition.path}@{real_ref}",
        "job_workflow_ref": holder,
        "ref": real_ref,
        "ref_type": "tag" if real_ref.startswith("refs/tags/") else "branch",
        "environment": ran.environment or "",
    }
    if context.repository_id:
        claims["repository_id"] = context.repository_id
    if context.owner_id:
        claims["repository_owner_id"] = context.owner_id
    if context.visibility:
        claims["repository_visibility"] = context.visibility
    return claims


def _custom_subject(keys: list[str], claims: dict[str, str], repo: str, place: str) -> str:
    """Return the subject of a customized template: ``key:value`` for each key, in order."""
    parts = []
    for key in keys:
        if key == "repo":
            parts.append(repo)
        elif key == "context":
            parts.append(place)
        else:
            parts.append(f"{key}:{claims.get(key, '*').replace(':', '%3A')}")
    return ":".join(parts)


def _github_refs(event: str, refs: list[str], context: Context) -> list[str]:
    default = f"refs/heads/{context.default_branch}" if context.default_branch else "refs/heads/*"
    if event == "push":
        return refs or ["refs/heads/*", "refs/tags/*"]
    if event == "pull_request":
        return ["pull_request"]
    if event in _ON_REVIEW:
        # Events about a pull request that have its ref: whether the subject names the pull request or the ref is not
        # documented.
        return ["pull_request", "refs/pull/*/merge"]
    if event == "pull_request_target":
        # Runs on the default branch (on older servers, the base branch). Its subject may name the pull request.
        older = (refs or ["refs/heads/*"]) if (context.issuer or "").endswith("/_services/token") else []
        return list(dict.fromkeys(["pull_request", default, *older]))
    if event == "release":
        return ["refs/tags/*"]
    if event == "merge_group":
        return ["refs/heads/gh-readonly-queue/*"]
    if event in _ON_DEFAULT_BRANCH:
        return [default]
    return ["refs/heads/*", "refs/tags/*"]
