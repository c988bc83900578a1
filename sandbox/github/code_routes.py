"""A repository's code and its protection: contents, git objects, branches, rulesets, deployments."""

# ruff: noqa: D103  an answer is documented by GitHub under the template that names it in ROUTES

from __future__ import annotations

import base64
import hashlib
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from sandbox.github.organization import TreeEntry, blob_sha, head, tree
from sandbox.github.route import Answer, Ask, GitHubRoute, Items, need
from sandbox.github.ruleset_shapes import applies, covers, rules_of, ruleset_detail, ruleset_row
from sandbox.github.shapes import Json, node_id, when
from sandbox.kit.http import RefusedError

if TYPE_CHECKING:
    from sandbox.github.organization import GitHubDeployment, Protection, Ruleset


def _web(ask: Ask) -> str:
    return f"{ask.site.web}/{ask.organization.login}/{ask.repository.name}"


def _content(ask: Ask, entry: TreeEntry) -> Json:
    url = ask.site.repository_url(ask.repository)
    branch = ask.repository.default_branch
    kind = "file" if entry.type == "blob" else "dir"
    api = f"{url}/contents/{entry.path}?ref={branch}"
    git = f"{url}/git/{entry.type}s/{entry.sha}"
    html = f"{_web(ask)}/{entry.type}/{branch}/{entry.path}"
    return {
        "type": kind,
        "size": entry.size or 0,
        "name": entry.name,
        "path": entry.path,
        "sha": entry.sha,
        "url": api,
        "git_url": git,
        "html_url": html,
        "download_url": f"{_web(ask)}/raw/{branch}/{entry.path}" if kind == "file" else None,
        "_links": {"self": api, "git": git, "html": html},
    }


def contents(ask: Ask) -> Answer:
    path = ask.path["path"].strip("/")
    files = ask.repository.files
    if not files:
        raise RefusedError(404, "This repository is empty.")
    if path in files:
        text = files[path]
        entry = TreeEntry(
            name=path.rpartition("/")[2],
            path=path,
            type="blob",
            sha=blob_sha(text),
            size=len(text.encode()),
        )
        content = base64.encodebytes(text.encode()).decode()
        return {**_content(ask, entry), "encoding": "base64", "content": content}
    below = tree(files, path)
    if below is None:
        raise RefusedError(404, "Not Found")
    return [_content(ask, entry) for entry in below[1]]


def git_tree(ask: Ask) -> Answer:
    files = ask.repository.files
    if not files:
        raise RefusedError(409, "Git Repository is empty.")
    wanted = ask.path["tree_sha"]
    folders = {""} | {path.rsplit("/", depth)[0] for path in files for depth in range(1, path.count("/") + 1)}
    root = ""
    if wanted not in {"HEAD", ask.repository.default_branch, head(ask.repository)}:
        for folder in folders:
            below = tree(files, folder)
            if below is not None and below[0] == wanted:
                root = folder
                break
        else:
            raise RefusedError(404, "Not Found")
    found = tree(files, root)
    if found is None:
        raise RefusedError(404, "Not Found")
    sha, entries = found
    if "recursive" in ask.query:
        entries = [
            entry
            for folder in sorted(folders)
            if folder == root or folder.startswith(f"{root}/" if root else "")
            for entry in (tree(files, folder) or ("", []))[1]
        ]
        entries.sort(key=lambda entry: entry.path)
    url = ask.site.repository_url(ask.repository)
    skip = len(root) + 1 if root else 0
    return {
        "sha": sha,
        "url": f"{url}/git/trees/{sha}",
        "truncated": False,
        "tree": [
            {
                "path": entry.path[skip:],
                "mode": entry.mode,
                "type": entry.type,
                "sha": entry.sha,
                **({} if entry.size is None else {"size": entry.size}),
                "url": f"{url}/git/{entry.type}s/{entry.sha}",
            }
            for entry in entries
        ],
    }


def git_blob(ask: Ask) -> Answer:
    for text in ask.repository.files.values():
        sha = blob_sha(text)
        if sha == ask.path["file_sha"]:
            return {
                "sha": sha,
                "node_id": node_id("B", sha),
                "size": len(text.encode()),
                "url": f"{ask.site.repository_url(ask.repository)}/git/blobs/{sha}",
                "encoding": "base64",
                "content": base64.encodebytes(text.encode()).decode(),
            }
    raise RefusedError(404, "Not Found")


def workflow_paths(ask: Ask) -> list[str]:
    """Return the paths of the repository's workflows, in order."""
    return sorted(
        path
        for path in ask.repository.files
        if path.startswith(".github/workflows/") and path.endswith((".yml", ".yaml"))
    )


def workflow_name(ask: Ask, path: str) -> str:
    """Return the ``name:`` of a workflow, or its path, as GitHub does."""
    for line in ask.repository.files[path].splitlines():
        if line.startswith("name:"):
            return line.removeprefix("name:").strip().strip("\"'")
    return path


def workflows(ask: Ask) -> Answer:
    url = ask.site.repository_url(ask.repository)
    paths = workflow_paths(ask)

    def write(path: str) -> Json:
        number = ask.repository.id * 100 + paths.index(path)
        return {
            "id": number,
            "node_id": node_id("W", number),
            "name": workflow_name(ask, path),
            "path": path,
            "state": "disabled_manually" if path in ask.repository.disabled_workflows else "active",
            "created_at": when(ask.repository.created_at),
            "updated_at": when(ask.repository.pushed_at),
            "url": f"{url}/actions/workflows/{number}",
            "html_url": f"{_web(ask)}/blob/{ask.repository.default_branch}/{path}",
            "badge_url": f"{_web(ask)}/workflows/badge.svg",
        }

    return Items(rows=paths, write=write, wrap="workflows")


def guarded(ask: Ask, branch: str) -> bool:
    """Return whether GitHub calls a branch protected: classic protection or an active ruleset."""
    return _protection(ask, branch) is not None or any(
        one.enforcement == "active" and covers(one, ask.repository, branch) for one in _rulesets(ask)
    )


def _branch(ask: Ask) -> Json:
    name = ask.repository.default_branch
    sha = head(ask.repository)
    url = ask.site.repository_url(ask.repository)
    row: Json = {
        "name": name,
        "commit": {"sha": sha, "url": f"{url}/commits/{sha}"},
        "protected": guarded(ask, name),
        "protection": {"enabled": _protection(ask, name) is not None},
        "protection_url": f"{url}/branches/{name}/protection",
    }
    return row


def branches(ask: Ask) -> Answer:
    rows = [_branch(ask)] if ask.repository.files else []
    if "protected" in ask.query:
        rows = [row for row in rows if row["protected"] is ask.flag("protected")]
    return Items(rows=rows, write=lambda row: row)


def branch(ask: Ask) -> Answer:
    if ask.path["branch"] != ask.repository.default_branch:
        raise RefusedError(404, "Branch not found")
    row = _branch(ask)
    sha = row["commit"]["sha"]
    url = ask.site.repository_url(ask.repository)
    below = tree(ask.repository.files)
    person = {
        "name": "Lantern Pay",
        "email": "noreply@lanternpay.example",
        "date": when(ask.repository.pushed_at),
    }
    tree_sha = below[0] if below else hashlib.sha1(b"tree 0\0", usedforsecurity=False).hexdigest()
    return {
        **row,
        "commit": {
            "sha": sha,
            "node_id": node_id("C", sha),
            "url": f"{url}/commits/{sha}",
            "html_url": f"{_web(ask)}/commit/{sha}",
            "comments_url": f"{url}/commits/{sha}/comments",
            "commit": {
                "url": f"{url}/git/commits/{sha}",
                "author": person,
                "committer": person,
                "message": "Release",
                "comment_count": 0,
                "tree": {"sha": tree_sha, "url": f"{url}/git/trees/{tree_sha}"},
            },
            "author": {},
            "committer": {},
            "parents": [],
        },
        "_links": {"self": f"{url}/branches/{row['name']}", "html": f"{_web(ask)}/tree/{row['name']}"},
    }


def _protection(ask: Ask, name: str) -> Protection | None:
    for one in ask.repository.protections:
        if fnmatchcase(name, one.pattern):
            return one
    return None


def protection(ask: Ask) -> Answer:
    name = ask.path["branch"]
    if name != ask.repository.default_branch:
        raise RefusedError(404, "Branch not found")
    one = _protection(ask, name)
    if one is None:
        raise RefusedError(404, "Branch not protected")
    site = ask.site
    url = f"{site.repository_url(ask.repository)}/branches/{name}/protection"
    reviews = f"{url}/required_pull_request_reviews"
    answer: Json = {
        "url": url,
        "enforce_admins": {"url": f"{url}/enforce_admins", "enabled": one.enforce_admins},
        "required_signatures": {"url": f"{url}/required_signatures", "enabled": one.signatures},
        "required_linear_history": {"enabled": False},
        "allow_force_pushes": {"enabled": one.allow_force_pushes},
        "allow_deletions": {"enabled": one.allow_deletions},
        "block_creations": {"enabled": False},
        "required_conversation_resolution": {"enabled": False},
        "lock_branch": {"enabled": False},
        "allow_fork_syncing": {"enabled": False},
    }
    if one.approvals:
        answer["required_pull_request_reviews"] = {
            "url": reviews,
            "dismiss_stale_reviews": one.dismiss_stale,
            "require_code_owner_reviews": one.code_owners,
            "required_approving_review_count": one.approvals,
            "require_last_push_approval": False,
            "bypass_pull_request_allowances": {
                "users": [site.user(login) for login in one.bypass_users],
                "teams": [],
                "apps": [site.app(slug) for slug in one.bypass_apps],
            },
        }
    if one.status_checks:
        answer["required_status_checks"] = {
            "url": f"{url}/required_status_checks",
            "strict": True,
            "contexts": list(one.status_checks),
            "contexts_url": f"{url}/required_status_checks/contexts",
            "checks": [{"context": name, "app_id": 15368} for name in one.status_checks],
            "enforcement_level": "everyone" if one.enforce_admins else "non_admins",
        }
    if one.push_users is not None:
        answer["restrictions"] = {
            "url": f"{url}/restrictions",
            "users_url": f"{url}/restrictions/users",
            "teams_url": f"{url}/restrictions/teams",
            "apps_url": f"{url}/restrictions/apps",
            "users": [site.user(login) for login in one.push_users],
            "teams": [],
            "apps": [],
        }
    return answer


def _rulesets(ask: Ask) -> list[Ruleset]:
    above = [one for one in ask.organization.rulesets if applies(one, ask.repository)]
    return [*ask.repository.rulesets, *above]


def rulesets(ask: Ask) -> Answer:
    parents = ask.query.get("includes_parents", "true").lower() == "true"
    rows = _rulesets(ask) if parents else list(ask.repository.rulesets)
    return Items(rows=rows, write=lambda one: ruleset_row(ask, one, ask.repository))


def ruleset(ask: Ask) -> Answer:
    for one in _rulesets(ask):
        if str(one.id) == ask.path["ruleset_id"]:
            return ruleset_detail(ask, one, ask.repository)
    raise RefusedError(404, "Not Found")


def branch_rules(ask: Ask) -> Answer:
    rows: list[Json] = []
    for one in _rulesets(ask):
        # rulesets in evaluate mode and disabled ones are never listed here
        if one.enforcement == "active" and covers(one, ask.repository, ask.path["branch"]):
            row = ruleset_row(ask, one, ask.repository)
            rows += [
                {
                    **rule,
                    "ruleset_id": one.id,
                    "ruleset_source": row["source"],
                    "ruleset_source_type": row["source_type"],
                }
                for rule in rules_of(one)
            ]
    return Items(rows=rows, write=lambda rule: rule)


def deployments(ask: Ask) -> Answer:
    url = ask.site.repository_url(ask.repository)

    def write(one: GitHubDeployment) -> Json:
        return {
            "id": one.id,
            "node_id": node_id("DE", one.id),
            "url": f"{url}/deployments/{one.id}",
            "sha": one.sha,
            "ref": one.ref,
            "task": "deploy",
            "payload": {},
            "original_environment": one.environment,
            "environment": one.environment,
            "description": None,
            "creator": ask.site.user(one.creator),
            "created_at": when(one.created_at),
            "updated_at": when(one.created_at),
            "statuses_url": f"{url}/deployments/{one.id}/statuses",
            "repository_url": url,
            "transient_environment": False,
            "production_environment": one.environment == "production",
            "performed_via_github_app": ask.site.app("github-actions") if one.by_app else None,
        }

    rows = [
        one for one in ask.repository.deployments if ask.query.get("environment") in {None, one.environment}
    ]
    return Items(rows=sorted(rows, key=lambda one: one.created_at, reverse=True), write=write)


def deployment_statuses(ask: Ask) -> Answer:
    for one in ask.repository.deployments:
        if str(one.id) == ask.path["deployment_id"]:
            break
    else:
        raise RefusedError(404, "Not Found")
    url = f"{ask.site.repository_url(ask.repository)}/deployments/{one.id}"
    row: Json = {
        "id": one.id * 10,
        "node_id": node_id("DES", one.id * 10),
        "url": f"{url}/statuses/{one.id * 10}",
        "state": one.state,
        "creator": ask.site.user(one.creator),
        "description": "",
        "environment": one.environment,
        "target_url": "",
        "log_url": "",
        "environment_url": "",
        "created_at": when(one.created_at),
        "updated_at": when(one.created_at),
        "deployment_url": url,
        "repository_url": ask.site.repository_url(ask.repository),
    }
    return Items(rows=[row], write=lambda status: status)


def attestations(ask: Ask) -> Answer:
    digest = ask.path["subject_digest"]
    if digest not in ask.repository.attested:
        raise RefusedError(404, "Not Found")
    bundle: Json = {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {},
        "dsseEnvelope": {},
    }
    return {"attestations": [{"bundle": bundle, "repository_id": ask.repository.id, "bundle_url": ""}]}


REPO = "/repos/{owner}/{repo}"
ROUTES = (
    GitHubRoute(template=f"{REPO}/contents/{{path}}", answer=contents, need=need("contents", "repo")),
    GitHubRoute(template=f"{REPO}/git/trees/{{tree_sha}}", answer=git_tree, need=need("contents", "repo")),
    GitHubRoute(template=f"{REPO}/git/blobs/{{file_sha}}", answer=git_blob, need=need("contents", "repo")),
    GitHubRoute(template=f"{REPO}/actions/workflows", answer=workflows, need=need("actions", "repo")),
    GitHubRoute(template=f"{REPO}/branches", answer=branches, need=need("contents", "repo")),
    GitHubRoute(template=f"{REPO}/branches/{{branch}}", answer=branch, need=need("contents", "repo")),
    GitHubRoute(
        template=f"{REPO}/branches/{{branch}}/protection",
        answer=protection,
        need=need("administration", "repo"),
    ),
    GitHubRoute(template=f"{REPO}/rulesets", answer=rulesets, need=need("metadata", "repo")),
    GitHubRoute(template=f"{REPO}/rulesets/{{ruleset_id}}", answer=ruleset, need=need("metadata", "repo")),
    GitHubRoute(
        template=f"{REPO}/rules/branches/{{branch}}", answer=branch_rules, need=need("metadata", "repo")
    ),
    GitHubRoute(
        template=f"{REPO}/deployments",
        answer=deployments,
        need=need("deployments", "repo", "repo_deployment"),
    ),
    GitHubRoute(
        template=f"{REPO}/deployments/{{deployment_id}}/statuses",
        answer=deployment_statuses,
        need=need("deployments", "repo", "repo_deployment"),
    ),
    GitHubRoute(
        template=f"{REPO}/attestations/{{subject_digest}}",
        answer=attestations,
        need=need("attestations", "repo"),
        ghes=False,
    ),
)
