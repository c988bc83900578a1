"""A `Definition` -> records: the pipeline as an identity, its logins and deployments as links, its problems as controls.

Subjects of GitHub tokens: https://docs.github.com/en/actions/reference/security/oidc#example-subject-claims; custom
templates: https://docs.github.com/en/actions/reference/security/oidc#customizing-the-token-claims. Of GitLab tokens:
https://docs.gitlab.com/ci/secrets/id_token_authentication/. Of Bitbucket:
https://support.atlassian.com/bitbucket-cloud/docs/integrate-pipelines-with-resource-servers-using-oidc/.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Literal

import msgspec

from scanner.records import Control, Identity, Link, Record, Secret, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.ci_files.definition import Definition, Job, Login
    from scanner.records import Stage

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


def identity_id(definition: Definition, context: Context) -> str:
    """Return the `Identity.id` of a definition: by repository id and path; GitLab has one pipeline a project."""
    if context.provider == "github":
        kind = "action" if definition.format == "github-action" else "workflow"
        return record_id("github", kind, f"{context.repository_id or context.repository}:{definition.path}")
    if context.provider == "gitlab":
        return record_id("gitlab", "pipeline", context.repository_id or context.repository)
    return record_id("ci-files", "ci-pipeline", f"{context.repository}:{definition.path}")


def definition_records(definition: Definition, *, context: Context) -> Iterator[Record]:
    """Yield the records of one definition file: first its `Identity`, then `Secret`, `Link` and `Control`.

    Give every definition of a repository the same context. In GitLab, included local files get the id of
    the project's pipeline too: give only the top file here, or merge.
    """
    me = identity_id(definition, context)
    yield _identity(definition, context, me)
    yield from _secrets(definition, context, me)
    yield from _links(definition, context, me)
    yield from _controls(definition, context, me)


def _kind(definition: Definition, context: Context) -> str:
    if context.provider == "github":
        return "github-workflow" if definition.format == "github-workflow" else "github-action"
    return "gitlab-pipeline" if context.provider == "gitlab" else "ci-pipeline"


def _identity(definition: Definition, context: Context, me: str) -> Identity:
    issuer, tokens = _tokens(definition, context)
    subjects = sorted({token["sub"] for token in tokens})
    claims = _shared_claims(tokens)
    environments = sorted({job.environment for job in definition.jobs if job.environment})
    return Identity(
        id=me,
        provider=context.provider,
        account_id=context.account_id,
        surface="automation",
        kind=_kind(definition, context),
        native_id=me.split(":", 2)[2],
        name=definition.name,
        address=context.repository
        if context.provider == "gitlab"
        else f"{context.repository}/{definition.path}",
        enabled=False if context.archived else None,
        environment=environments[0] if len(environments) == 1 and environments != ["*"] else None,
        issuer=issuer if tokens else None,
        subjects=subjects,
        claims=claims,
        dangerous_triggers=definition.dangerous_triggers,
        url=context.url,
        location=f"{definition.path}:{definition.line}",
        triggers=sorted(definition.triggers),
        permissions=_permissions(definition),
        secrets=sorted({reference.name for reference in definition.secrets}),
        variables=sorted({reference.name for reference in definition.variables}),
        environments=environments,
        runner=_runner(definition),
        logins=sorted({f"{login.service}:{login.how}" for login in definition.logins}),
    )


def _runner(definition: Definition) -> str | None:
    """Return the class of runner that matters most: self-hosted, then unknown, then hosted."""
    kinds = {job.runner.kind for job in definition.jobs if job.runner}
    return next((kind for kind in ("self-hosted", "unknown", "hosted") if kind in kinds), None)


def _permissions(definition: Definition) -> list[str]:
    """Return the widest token permission over the jobs, scope by scope."""
    rank = {"none": 0, "read": 1, "write": 2}
    widest: dict[str, str] = {}
    default = False
    for job in definition.jobs:
        given = job.permissions
        if given is None:
            default = default or definition.format == "github-workflow"
            continue
        for scope, level in given.items():
            if rank.get(level, 0) > rank.get(widest.get(scope, "none"), 0):
                widest[scope] = level
    return sorted(f"{scope}:{level}" for scope, level in widest.items()) + (["default"] if default else [])


def _tokens(definition: Definition, context: Context) -> tuple[str | None, list[dict[str, str]]]:
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


def _shared_claims(tokens: list[dict[str, str]]) -> dict[str, str]:
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


def _secrets(definition: Definition, context: Context, me: str) -> Iterator[Record]:
    seen: dict[str, int] = {}
    for found in definition.hard_coded:
        native = me.split(":", 2)[2]
        base = (
            f"{native}:{found.name}"
            if native.endswith(definition.path)
            else f"{native}:{definition.path}:{found.name}"
        )
        seen[base] = seen.get(base, 0) + 1
        unique = base if seen[base] == 1 else f"{base}#{seen[base]}"
        key_id = found.seen.key_id
        yield Secret(
            id=record_id(context.provider, "ci-file", unique),
            provider=context.provider,
            account_id=context.account_id,
            store="ci-file",
            name=found.name,
            holder_id=me,
            readable=True,
            looks_like=found.seen.looks_like,
            length=found.seen.length,
            fingerprint=found.seen.fingerprint,
            credential_id=record_id("aws", "access-key", key_id)
            if key_id and found.seen.looks_like.startswith("aws-")
            else None,
            location=f"{definition.path}:{found.line}",
        )


def _resolved(text: str, context: Context) -> str:
    """Fill in plain variables: ``${{ vars.ROLE }}``, ``$ROLE``."""

    def github(match: re.Match[str]) -> str:
        store, name = match["store"], match["name"]
        values = context.variables if store == "vars" else context.secret_values
        return values.get(name, values.get(name.upper(), match.group()))

    def gitlab(match: re.Match[str]) -> str:
        return context.variables.get(match["name"], match.group())

    text = re.sub(r"\$\{\{\s*(?P<store>vars|secrets)\.(?P<name>\w+)\s*\}\}", github, text)
    return text if "${{" in text else re.sub(r"\$\{?(?P<name>[A-Za-z_]\w*)\}?", gitlab, text)


def _links(definition: Definition, context: Context, me: str) -> Iterator[Record]:
    told: set[tuple[str, str]] = set()

    def link(relation: Literal["uses", "deploys"], target: str, line: int, why: str) -> Iterator[Record]:
        if (relation, target) in told:
            return
        told.add((relation, target))
        yield Link(
            id=record_id(context.provider, "link", _digest(me, relation, target)),
            provider=context.provider,
            account_id=context.account_id,
            source_id=me,
            relation=relation,
            target_id=target,
            evidence=f"{definition.path}:{line}",
            why=why,
        )

    for login in definition.logins:
        if login.how != "oidc":
            continue
        for asked in login.targets:
            target = _login_target(login, _resolved(asked, context))
            if target is not None:
                where = f" in job {login.job}" if login.job else ""
                yield from link("uses", target, login.line, f"signs in to {login.service} as {target}{where}")
    owner = context.repository.split("/", 1)[0]
    for use in definition.uses:
        # A called workflow runs with the caller's token; those of other owners are no identities of this scan.
        if use.kind == "reusable-workflow" and "${{" not in use.name:
            name = use.name
            if name.startswith("./"):
                name = f"{context.repository}/{name.removeprefix('./')}"
            if name.split("/", 1)[0] == owner:
                yield from link("uses", name, use.line, f"calls the workflow {name}")
    for account in definition.service_accounts:
        target = _resolved(account, context).rsplit("/", 1)[-1]
        if "$" not in target:
            yield from link("uses", f"gcp:service-account:{target}", 1, f"runs as {target}")
    for deploy in definition.deploys:
        target = _resolved(deploy.target, context)
        where = f" in job {deploy.job}" if deploy.job else ""
        yield from link("deploys", target, deploy.line, f"deploys {target}{where}")


def _login_target(login: Login, asked: str) -> str | None:
    """Return the address of the identity that a login asks for; None when it could not be resolved."""
    if "$" in asked or "{{" in asked or not asked.strip():
        return None
    asked = asked.strip()
    if login.service == "aws":
        return asked if asked.startswith("arn:") else None
    if login.service == "gcp":
        return f"gcp:service-account:{asked}" if "@" in asked else None
    if login.service == "azure":
        return f"entra:application:{asked}"
    return f"{login.service}:role:{asked}" if login.service == "vault" else None


_STAGES: dict[str, Stage] = {"artipacked": "source", "untrusted-checkout": "source"}


def _controls(definition: Definition, context: Context, me: str) -> Iterator[Record]:
    seen: dict[str, int] = {}
    native = me.split(":", 2)[2]

    def control(kind: str, line: int, detail: str, enforcement: Literal["absent", "documented"]) -> Control:
        # Lines move with every edit: the id is by kind and text, so that a finding keeps its identity.
        base = _digest(native, definition.path, kind, detail)
        seen[base] = seen.get(base, 0) + 1
        return Control(
            id=record_id(context.provider, kind, base if seen[base] == 1 else f"{base}-{seen[base]}"),
            provider=context.provider,
            account_id=context.account_id,
            stage=_STAGES.get(kind, "build"),
            kind=kind,
            name=f"{definition.path}:{line}",
            enforcement=enforcement,
            target=me,
            detail=detail,
        )

    for problem in definition.problems:
        where = f" (job {problem.job})" if problem.job else ""
        detail = f"[{problem.severity}] {problem.detail}{where}. {problem.fix}"
        yield control(problem.code, problem.line, detail, "absent")
    for text in definition.indirect:
        line, _, what = text.removeprefix("line ").partition(": ")
        yield control("unresolved-reference", int(line) if line.isdigit() else 1, what or text, "documented")


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:24]
