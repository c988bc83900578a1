"""Repositories by GraphQL: fifty a request, with all that GraphQL tells, and nothing that costs more than it tells.

One page costs four points of the hourly five thousand: nested connections are kept to one level.
https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api
"""

from __future__ import annotations

import hashlib
from datetime import datetime  # noqa: TC003  msgspec reads the annotations at run time
from typing import TYPE_CHECKING, Any

import msgspec
import requests

from collectors.github.failures import GitHubError, QueryError, StatusError
from collectors.github.scope import Scope, time
from scanner.records import record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

PAGE = 50
_PROTECTION = """
            id databaseId pattern isAdminEnforced requiresApprovingReviews requiredApprovingReviewCount
            requiresCodeOwnerReviews requiresStatusChecks restrictsPushes allowsForcePushes allowsDeletions"""
_PARTS = {
    "deployKeys": "deployKeys(first: 1) { totalCount }",
    "environments": "environments(first: 10) { totalCount nodes { name } }",
    "branchProtectionRules": """branchProtectionRules(first: 5) {
          totalCount
          nodes { """
    + _PROTECTION
    + """ }
        }""",
    "rulesets": """rulesets(first: 5) {
          totalCount
          nodes {
            databaseId name target enforcement
            source { ... on Organization { login } ... on Repository { nameWithOwner } ... on Enterprise { slug } }
          }
        }""",
    "collaborators": """collaborators(affiliation: DIRECT, first: 20) {
          totalCount
          edges { permission node { databaseId login } }
        }""",
    "deployments": """deployments(first: 3, orderBy: {field: CREATED_AT, direction: DESC}) {
          nodes { databaseId environment createdAt commitOid ref { name } creator { login } state }
        }""",
    "workflows": 'workflows: object(expression: "HEAD:.github/workflows") { ...Files }',
    "composites": """composites: object(expression: "HEAD:.github/actions") {
          ... on Tree { entries { name oid size type object { ...Files } } }
        }""",
    "action": 'action: object(expression: "HEAD:action.yml") { ...File }',
    "gitlab": 'gitlab: object(expression: "HEAD:.gitlab-ci.yml") { ...File }',
    "azure": 'azure: object(expression: "HEAD:azure-pipelines.yml") { ...File }',
    "bitbucket": 'bitbucket: object(expression: "HEAD:bitbucket-pipelines.yml") { ...File }',
    "cloudbuild": 'cloudbuild: object(expression: "HEAD:cloudbuild.yaml") { ...File }',
    "buildspec": 'buildspec: object(expression: "HEAD:buildspec.yml") { ...File }',
    "jenkins": 'jenkins: object(expression: "HEAD:Jenkinsfile") { ...File }',
    "owners": 'owners: object(expression: "HEAD:.github/CODEOWNERS") { ...File }',
    "rootOwners": 'rootOwners: object(expression: "HEAD:CODEOWNERS") { ...File }',
}
"""What is asked of each repository beside its names: each part can be refused by itself, and is then left out."""


def _document(without: Iterable[str]) -> str:
    parts = {name: part for name, part in _PARTS.items() if name not in without}
    text = " ".join(parts.values())
    fragments = [
        "fragment Files on GitObject { ... on Tree { entries { name oid size type } } }"
        if "...Files" in text
        else "",
        "fragment File on GitObject { ... on Blob { oid byteSize } }" if "...File }" in text else "",
    ]
    return f"""
query Repositories($org: String!, $cursor: String, $size: Int!) {{
  organization(login: $org) {{
    repositories(first: $size, after: $cursor, orderBy: {{field: CREATED_AT, direction: ASC}}) {{
      totalCount
      pageInfo {{ hasNextPage endCursor }}
      nodes {{
        databaseId name nameWithOwner isArchived isFork visibility viewerCanAdminister
        createdAt pushedAt url
        defaultBranchRef {{ name rules(first: 30) {{ totalCount nodes {{ type repositoryRuleset {{ databaseId }} }} }} }}
        {text}
      }}
    }}
  }}
}}
{" ".join(fragments)}
"""


_SINGLE = {
    "action": "action.yml",
    "gitlab": ".gitlab-ci.yml",
    "azure": "azure-pipelines.yml",
    "bitbucket": "bitbucket-pipelines.yml",
    "cloudbuild": "cloudbuild.yaml",
    "buildspec": "buildspec.yml",
    "jenkins": "Jenkinsfile",
}
_OWNERS = {"owners": ".github/CODEOWNERS", "rootOwners": "CODEOWNERS"}
_OBJECTS = frozenset({"workflows", "composites", *_SINGLE, *_OWNERS})


class File(msgspec.Struct, frozen=True, kw_only=True):
    """One file of the default branch, by the id of its content."""

    path: str
    oid: str
    size: int


class Repository(msgspec.Struct, frozen=True, kw_only=True):
    """One repository, as GraphQL tells it. None in a field means that it could not be seen."""

    number: int
    name: str
    full_name: str
    archived: bool
    fork: bool
    visibility: str
    administered: bool
    """Whether the viewer administers it, so that a count of zero keys is a fact."""
    created_at: datetime | None
    pushed_at: datetime | None
    url: str | None
    branch: str | None
    keys: int | None
    environments: int | None
    protections: list[dict[str, Any]] | None
    more_protections: bool
    rulesets: list[dict[str, Any]] | None
    more_rulesets: bool
    rules: dict[int, list[str]] | None
    """By ruleset, what the active ones demand on the default branch: ``pull_request``. None when not all is shown."""
    collaborators: list[dict[str, Any]] | None
    more_collaborators: bool
    deployments: list[dict[str, Any]] | None
    files: list[File] | None
    owners: File | None
    digest: str
    """Changes when something changes that REST must be asked about again."""

    @property
    def account_id(self) -> str:
        """The repository's `Account.id`."""
        return record_id("github", "repo", str(self.number))

    @property
    def workflows(self) -> bool:
        """Whether it has, or may have, workflows."""
        return self.files is None or any(file.path.startswith(".github/workflows/") for file in self.files)


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Some repositories, and how many there are of which nothing could be seen."""

    repositories: list[Repository]
    forbidden: list[str]
    """What GitHub said of each repository that it did not show."""
    total: int


def pages(scope: Scope) -> Generator[Page, None, None]:
    """Yield the organization's repositories page by page. Raises `GitHubError` and what ``requests`` raises.

    A page that GitHub cannot make in its ten seconds (502, 504, an error without data) is asked for again, smaller.
    """
    cursor: str | None = None
    seen: set[str] = set()
    size = PAGE
    left_out: dict[str, str] = {} if scope.settings.deployments else {"deployments": "not asked for"}
    while True:
        try:
            connection, missing = _page(scope, cursor, size, left_out)
            nodes = list(connection.get("nodes") or [])
            without: dict[str, str] = {}
            while fresh := {
                name: words for name, words in _refused(nodes, missing).items() if name not in without
            }:
                # A part that may not be null takes its whole repository with it: ask again without it.
                without |= fresh
                again, missing_again = _page(scope, cursor, size, left_out | without)
                found = list(again.get("nodes") or [])
                hidden = [index for index, node in enumerate(nodes) if node is None]
                for index in hidden:
                    nodes[index] = found[index] if index < len(found) else None
                    missing[index] = without | missing_again.get(index, {})
                if len(hidden) == len(nodes):
                    left_out |= without
        except (StatusError, QueryError, requests.ConnectionError, requests.Timeout) as exc:
            if size == 1 or (isinstance(exc, GitHubError) and exc.reason != "unreachable"):
                raise
            size = max(1, size // 4)
            continue
        repositories, forbidden = [], []
        for index, node in enumerate(nodes):
            words = left_out | missing.get(index, {})
            if node is None:
                forbidden.append("; ".join(sorted(set(missing.get(index, {}).values()))) or "not shown")
            else:
                repositories.append(_repository(node, words))
        yield Page(
            repositories=repositories, forbidden=forbidden, total=int(connection.get("totalCount") or 0)
        )
        info = connection["pageInfo"]
        if not info["hasNextPage"]:
            return
        cursor = str(info["endCursor"])
        if cursor in seen:
            raise GitHubError("malformed", "the repositories' cursor leads back to a page that was read")
        seen.add(cursor)
        size = min(PAGE, size * 2)


def _page(
    scope: Scope, cursor: str | None, size: int, left_out: Iterable[str]
) -> tuple[dict[str, Any], dict[int, dict[str, str]]]:
    """Return one page of the connection, and what GitHub refused of it."""
    answer = scope.client.query(_document(left_out), {"org": scope.login, "cursor": cursor, "size": size})
    organization = answer.data.get("organization")
    if not isinstance(organization, dict) or not isinstance(organization.get("repositories"), dict):
        words = "; ".join(str(error.get("message")) for error in answer.errors[:3])
        types = sorted({str(error["type"]) for error in answer.errors if error.get("type")})
        if answer.errors and not types:
            # What GitHub could not make in time comes without a type: a smaller page may do.
            raise QueryError([], words)
        raise GitHubError("denied", f"the organization's repositories are not shown: {words}")
    return organization["repositories"], _missing(answer.errors)


def _refused(nodes: list[Any], missing: dict[int, dict[str, str]]) -> dict[str, str]:
    """Return the parts for whose sake whole repositories are missing, and GitHub's words."""
    return {
        field: words
        for index, node in enumerate(nodes)
        if node is None
        for field, words in missing.get(index, {}).items()
        if field in _PARTS
    }


def more_protections(scope: Scope, repository: Repository) -> Iterator[dict[str, Any]]:
    """Yield all branch protection rules of a repository that has more than a page of repositories shows."""
    document = f"""
query Protections($org: String!, $name: String!, $cursor: String) {{
  repository(owner: $org, name: $name) {{
    branchProtectionRules(first: 100, after: $cursor) {{
      pageInfo {{ hasNextPage endCursor }}
      nodes {{ {_PROTECTION} }}
    }}
  }}
}}
"""
    cursor: str | None = None
    seen: set[str | None] = set()
    while cursor not in seen:
        seen.add(cursor)
        answer = scope.client.query(document, {"org": scope.login, "name": repository.name, "cursor": cursor})
        connection = (answer.data.get("repository") or {}).get("branchProtectionRules")
        if not isinstance(connection, dict):
            raise GitHubError("denied", f"{repository.full_name}: branchProtectionRules is not shown")
        yield from (rule for rule in connection["nodes"] if rule is not None)
        if not connection["pageInfo"]["hasNextPage"]:
            return
        cursor = str(connection["pageInfo"]["endCursor"])
    raise GitHubError("malformed", "the rules' cursor leads back to a page that was read")


def _missing(errors: list[dict[str, Any]]) -> dict[int, dict[str, str]]:
    """Return for each node of the page which of its fields GitHub refused, and with which words; "" is all of it."""
    found: dict[int, dict[str, str]] = {}
    for error in errors:
        path = error.get("path") or []
        if len(path) >= 4 and path[2] == "nodes" and isinstance(path[3], int):
            field = str(path[4]) if len(path) > 4 else ""
            found.setdefault(path[3], {})[field] = str(error.get("message"))
    return found


def _repository(node: dict[str, Any], missing: dict[str, str]) -> Repository:
    def connection(name: str) -> dict[str, Any] | None:
        value = node.get(name)
        return value if isinstance(value, dict) and name not in missing else None

    def nodes(name: str, key: str = "nodes") -> tuple[list[dict[str, Any]] | None, bool]:
        held = connection(name)
        if held is None:
            return None, False
        items = [item for item in held.get(key) or [] if item is not None]
        return items, int(held.get("totalCount") or 0) > len(items)

    keys, environments = connection("deployKeys"), connection("environments")
    protections, more_protections = nodes("branchProtectionRules")
    rulesets, more_rulesets = nodes("rulesets")
    collaborators, more_collaborators = nodes("collaborators", "edges")
    deployments, _ = nodes("deployments")
    files = None if _OBJECTS & set(missing) else _files(node)
    names = sorted(str(item.get("name")) for item in (environments or {}).get("nodes") or [])
    told = (
        node["nameWithOwner"],
        node.get("isArchived"),
        node.get("visibility"),
        keys and keys.get("totalCount"),
        environments and environments.get("totalCount"),
        names,
        None if files is None else sorted((file.path, file.oid) for file in files),
    )
    return Repository(
        number=int(node["databaseId"]),
        name=str(node["name"]),
        full_name=str(node["nameWithOwner"]),
        archived=bool(node.get("isArchived")),
        fork=bool(node.get("isFork")),
        visibility=str(node.get("visibility") or "private").lower(),
        administered=bool(node.get("viewerCanAdminister")),
        created_at=time(node.get("createdAt")),
        pushed_at=time(node.get("pushedAt")),
        url=node.get("url"),
        branch=(node.get("defaultBranchRef") or {}).get("name"),
        keys=None if keys is None else int(keys["totalCount"]),
        environments=None if environments is None else int(environments["totalCount"]),
        protections=protections,
        more_protections=more_protections,
        rulesets=rulesets,
        more_rulesets=more_rulesets,
        rules=_rules(node.get("defaultBranchRef") or {}),
        collaborators=collaborators,
        more_collaborators=more_collaborators,
        deployments=deployments,
        files=files,
        owners=next(
            (
                File(path=path, oid=blob["oid"], size=int(blob.get("byteSize") or 0))
                for alias, path in _OWNERS.items()
                if (blob := node.get(alias)) and blob.get("oid")
            ),
            None,
        ),
        digest=hashlib.sha256(msgspec.json.encode(told)).hexdigest()[:32],
    )


def _rules(branch: dict[str, Any]) -> dict[int, list[str]] | None:
    shown = branch.get("rules")
    if not isinstance(shown, dict):
        return None
    nodes = [item for item in shown.get("nodes") or [] if item and item.get("repositoryRuleset")]
    if len(nodes) < int(shown.get("totalCount") or 0):
        return None
    found: dict[int, list[str]] = {}
    for item in nodes:
        found.setdefault(int(item["repositoryRuleset"]["databaseId"]), []).append(str(item["type"]).lower())
    return found


def _files(node: dict[str, Any]) -> list[File]:
    """Return the definition files: workflows, composite actions, and the files of other systems."""
    files = [
        File(path=f".github/workflows/{entry['name']}", oid=entry["oid"], size=int(entry.get("size") or 0))
        for entry in (node.get("workflows") or {}).get("entries") or []
        if entry.get("type") == "blob" and str(entry["name"]).endswith((".yml", ".yaml"))
    ]
    for folder in (node.get("composites") or {}).get("entries") or []:
        files += [
            File(
                path=f".github/actions/{folder['name']}/{entry['name']}",
                oid=entry["oid"],
                size=int(entry.get("size") or 0),
            )
            for entry in (folder.get("object") or {}).get("entries") or []
            if entry.get("type") == "blob" and entry["name"] in {"action.yml", "action.yaml"}
        ]
    files += [
        File(path=path, oid=blob["oid"], size=int(blob.get("byteSize") or 0))
        for alias, path in _SINGLE.items()
        if (blob := node.get(alias)) and blob.get("oid")
    ]
    return files
