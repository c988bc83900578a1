"""The OIDC tokens that a pipeline's jobs can present: issuer, subjects and other claims, by trigger and environment.

Subjects of GitHub tokens: https://docs.github.com/en/actions/reference/security/oidc#example-subject-claims; custom
templates: https://docs.github.com/en/actions/reference/security/oidc#customizing-the-token-claims. Of GitLab tokens:
https://docs.gitlab.com/ci/secrets/id_token_authentication/.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.ci_files.definition import Definition, Job

GITHUB_ISSUER = "https://token.actions.githubusercontent.com"
GITLAB_ISSUER = "https://gitlab.com"
_ON_DEFAULT_BRANCH = frozenset((
    "schedule", "workflow_run", "issues", "issue_comment", "repository_dispatch", "discussion", "discussion_comment", "fork", "watch", "star", "gollum", "label", "milestone", "public", "page_build", "status", "check_run", "check_suite", "branch_protection_rule", "member", "project", "project_card", "registry_package", "deployment_status", "delete",
))  # fmt: skip
_ON_PULL_REQUEST = frozenset(("pull_request", "pull_request_review", "pull_request_review_comment"))


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller knows of the repository in which a definition stands."""

    provider: Literal["github", "gitlab", "ci-files"]
    account_id: str
    """The repository's `Account.id`."""
    repository: str
    """Full name: ``lanternpay/payments-api``, ``lantern/risk-engine``."""
    repository_id: str | None = None
    """The provider's immutable id; None for a local checkout."""
    owner_id: str | None = None
    """The immutable id of the owner (GitHub) or of the namespace (GitLab)."""
    default_branch: str | None = None
    """``main``; None when unknown."""
    visibility: str | None = None
    """``public``, ``internal`` or ``private``."""
    issuer: str | None = None
    """Issuer of the platform's tokens; None for the platform's public service. GHES: ``https://HOST/_services/token``."""
    immutable_subject: bool = False
    """True when subjects are ``repo:OWNER@ID/REPO@ID:...``."""
    claim_keys: list[str] | None = None
    """``include_claim_keys`` of a customised subject template; None for the default one."""
    variables: dict[str, str] = {}
    """Values of plain, unsecret variables: used to resolve role ARNs and names of workloads; never written down
    otherwise."""
    secret_values: dict[str, str] = {}
    """Names of secrets whose value is known to be an identifier; as for `variables`."""
    archived: bool | None = None
    """True when the repository is archived, so that nothing runs."""
    url: str | None = None
    """Where a person looks at the file."""


def tokens(definition: Definition, context: Context) -> tuple[str | None, list[dict[str, str]]]:
    """Return the issuer, and the claims of every kind of token that the jobs can present, ``sub`` included."""
    if definition.format == "github-workflow" and "/" in context.repository:
        return context.issuer or GITHUB_ISSUER, list(_github_tokens(definition, context))
    if definition.format == "gitlab-ci" and "/" in context.repository:
        return context.issuer or GITLAB_ISSUER, list(_gitlab_tokens(definition, context))
    return None, []


def _github_tokens(definition: Definition, context: Context) -> Iterator[dict[str, str]]:
    owner, _, name = context.repository.partition("/")
    repo = f"repo:{context.repository}"
    if context.immutable_subject:
        repo = f"repo:{owner}@{context.owner_id or '*'}/{name}@{context.repository_id or '*'}"
    seen: set[tuple[str, str, str]] = set()
    for job in definition.jobs:
        if job.identity_token is False:
            continue
        for event, refs in definition.triggers.items():
            if event == "workflow_call":
                continue
            for ref in _github_refs(event, refs, context):
                audience = _audience(definition, job)
                where = job.environment.replace(":", "%3A") if job.environment else None
                if where:
                    place = f"environment:{where}"
                else:
                    place = "pull_request" if ref == "pull_request" else f"ref:{ref}"
                key = (place, ref, event)
                if key in seen:
                    continue
                seen.add(key)
                real_ref = "refs/pull/*/merge" if ref == "pull_request" else ref
                called = job.calls if job.calls and not job.calls.startswith("./") else None
                local = job.calls.removeprefix("./") if job.calls and called is None else definition.path
                claims = {
                    "repository": context.repository,
                    "repository_owner": owner,
                    "workflow": definition.name,
                    "workflow_ref": f"{context.repository}/{definition.path}@{real_ref}",
                    "job_workflow_ref": called or f"{context.repository}/{local}@{real_ref}",
                    "ref": real_ref,
                    "ref_type": "tag" if real_ref.startswith("refs/tags/") else "branch",
                    "event_name": event,
                    "aud": audience,
                }
                if called and "@" in called and not re.search(r"@[0-9a-f]{40}$", called):
                    # A tag or branch comes out in full; which of the two cannot be seen here.
                    claims["job_workflow_ref"] = called.replace("@", "@refs/*/", 1)
                if context.repository_id:
                    claims["repository_id"] = context.repository_id
                if context.owner_id:
                    claims["repository_owner_id"] = context.owner_id
                if context.visibility:
                    claims["repository_visibility"] = context.visibility
                if where:
                    claims["environment"] = job.environment or ""
                claims["sub"] = f"{repo}:{place}"
                if context.claim_keys is not None:
                    claims["sub"] = _custom_subject(context.claim_keys, claims, repo, place)
                yield claims


def _custom_subject(keys: list[str], claims: dict[str, str], repo: str, place: str) -> str:
    """Return the subject of a customised template: ``key:value`` for each key, in order."""
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
    if event in _ON_PULL_REQUEST:
        return ["pull_request"]
    if event == "pull_request_target":
        # It runs on the base branch; which subject its token carries differs by account: both are possible.
        return ["pull_request", *(refs or ["refs/heads/*"])]
    if event == "release":
        return ["refs/tags/*"]
    if event == "merge_group":
        return ["refs/heads/gh-readonly-queue/*"]
    if event in _ON_DEFAULT_BRANCH:
        return [default]
    return ["refs/heads/*", "refs/tags/*"]


def _audience(definition: Definition, job: Job) -> str:
    found = {
        login.audience
        for login in definition.logins
        if login.how == "oidc" and login.job == job.name and login.audience and "${{" not in login.audience
    }
    # Any step of a job with the permission may ask for any audience; the logins say which it asks for.
    return found.pop() if len(found) == 1 else "*"


def _gitlab_tokens(definition: Definition, context: Context) -> Iterator[dict[str, str]]:
    namespace, _, _ = context.repository.rpartition("/")
    for job in definition.jobs:
        if not job.identity_token:
            continue
        for ref in job.refs or ["refs/heads/*", "refs/tags/*"]:
            name = ref.removeprefix("refs/heads/").removeprefix("refs/tags/")
            if name == "$CI_DEFAULT_BRANCH":
                name = context.default_branch or "*"
            kind = "tag" if ref.startswith("refs/tags/") else "branch"
            claims = {
                "sub": f"project_path:{context.repository}:ref_type:{kind}:ref:{name}",
                "project_path": context.repository,
                "namespace_path": namespace,
                "ref": name,
                "ref_type": kind,
                "aud": _audience(definition, job),
            }
            if context.repository_id:
                claims["project_id"] = context.repository_id
            if context.owner_id:
                claims["namespace_id"] = context.owner_id
            if job.environment:
                claims["environment"] = job.environment
            yield claims


def shared_claims(tokens: list[dict[str, str]]) -> dict[str, str]:
    """Return the claims that every token has; where their values differ, a ``*`` stands for the rest."""
    if not tokens:
        return {}
    shared = {}
    for key in tokens[0]:
        values = {token.get(key) for token in tokens}
        if key != "sub" and None not in values:
            shared[key] = _covering([token[key] for token in tokens])
    return shared


def _covering(values: list[str]) -> str:
    """Return the value, or the shortest pattern ``prefix*`` that covers them all."""
    if len(set(values)) == 1:
        return values[0]
    first, last = min(values), max(values)
    same = next((at for at, sign in enumerate(first) if at >= len(last) or last[at] != sign), len(first))
    prefix = first[:same]
    return prefix if prefix.endswith("*") else f"{prefix}*"
