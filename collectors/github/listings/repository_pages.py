"""The repositories of an organization by GraphQL: fifty a request, with all that GraphQL shows of each."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec
import requests

from collectors.github import queries
from collectors.github.facts import DefinitionFile, RepositoryFacts
from collectors.github.failures import GitHubError, QueryError, StatusError
from collectors.github.records import utc_time

if TYPE_CHECKING:
    from collections.abc import Collection, Generator

    from collectors.github.scope import OrganizationScope

PAGE = 50
"""Repositories a request."""
_OBJECTS = frozenset({"workflows", "composites", *queries.DEFINITIONS, *queries.OWNERS})
"""Parts without which it is not known which definitions a repository has."""


class RepositoryPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some repositories, and how many there are of which nothing could be seen."""

    repositories: list[RepositoryFacts]
    forbidden: list[str]
    """What GitHub said of each repository that it did not show."""
    total: int


def pages(scope: OrganizationScope) -> Generator[RepositoryPage, None, None]:
    """Yield the organization's repositories page by page. Raises `GitHubError` and what ``requests`` raises.

    A page that GitHub cannot make in its ten seconds (502, 504, an error without data) is asked for again, smaller.
    """
    cursor: str | None = None
    seen: set[str] = set()
    size = PAGE
    left_out: dict[str, str] = {} if scope.config.deployments else {"deployments": "not requested"}
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
        yield RepositoryPage(
            repositories=repositories, forbidden=forbidden, total=int(connection.get("totalCount") or 0)
        )
        info = connection["pageInfo"]
        if not info["hasNextPage"]:
            return
        cursor = str(info["endCursor"])
        if cursor in seen:
            raise GitHubError("malformed", "the cursor of the repositories points to a page already read")
        seen.add(cursor)
        size = min(PAGE, size * 2)


def _page(
    scope: OrganizationScope, cursor: str | None, size: int, left_out: Collection[str]
) -> tuple[dict[str, Any], dict[int, dict[str, str]]]:
    """Return one page of the connection, and what GitHub refused of it."""
    answer = scope.client.query(
        queries.repositories(left_out), {"org": scope.login, "cursor": cursor, "size": size}
    )
    organization = answer.data.get("organization")
    if not isinstance(organization, dict) or not isinstance(organization.get("repositories"), dict):
        words = "; ".join(str(error.get("message")) for error in answer.errors[:3])
        types = sorted({str(error["type"]) for error in answer.errors if error.get("type")})
        if answer.errors and not types:
            # What GitHub could not make in time comes without a type: a smaller page may do.
            raise QueryError([], words)
        raise GitHubError("denied", f"the organization's repositories are not visible: {words}")
    return organization["repositories"], _missing(answer.errors)


def _refused(nodes: list[Any], missing: dict[int, dict[str, str]]) -> dict[str, str]:
    """Return the parts for whose sake whole repositories are missing, and GitHub's words."""
    return {
        field: words
        for index, node in enumerate(nodes)
        if node is None
        for field, words in missing.get(index, {}).items()
        if field in queries.PARTS
    }


def _missing(errors: list[dict[str, Any]]) -> dict[int, dict[str, str]]:
    """Return for each node of the page which of its fields GitHub refused, and with which words; "" is all of it."""
    found: dict[int, dict[str, str]] = {}
    for error in errors:
        path = error.get("path") or []
        if len(path) >= 4 and path[2] == "nodes" and isinstance(path[3], int):
            field = str(path[4]) if len(path) > 4 else ""
            found.setdefault(path[3], {})[field] = str(error.get("message"))
    return found


def _repository(node: dict[str, Any], missing: dict[str, str]) -> RepositoryFacts:
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
    return RepositoryFacts(
        number=int(node["databaseId"]),
        name=str(node["name"]),
        full_name=str(node["nameWithOwner"]),
        archived=bool(node.get("isArchived")),
        fork=bool(node.get("isFork")),
        visibility=str(node.get("visibility") or "private").lower(),
        administered=bool(node.get("viewerCanAdminister")),
        created_at=utc_time(node.get("createdAt")),
        pushed_at=utc_time(node.get("pushedAt")),
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
                DefinitionFile(path=path, oid=blob["oid"], size=int(blob.get("byteSize") or 0))
                for alias, path in queries.OWNERS.items()
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


def _files(node: dict[str, Any]) -> list[DefinitionFile]:
    """Return the definition files: workflows, composite actions, and the files of other systems."""
    files = [
        DefinitionFile(
            path=f".github/workflows/{entry['name']}", oid=entry["oid"], size=int(entry.get("size") or 0)
        )
        for entry in (node.get("workflows") or {}).get("entries") or []
        if entry.get("type") == "blob" and str(entry["name"]).endswith((".yml", ".yaml"))
    ]
    for folder in (node.get("composites") or {}).get("entries") or []:
        files += [
            DefinitionFile(
                path=f".github/actions/{folder['name']}/{entry['name']}",
                oid=entry["oid"],
                size=int(entry.get("size") or 0),
            )
            for entry in (folder.get("object") or {}).get("entries") or []
            if entry.get("type") == "blob" and entry["name"] in {"action.yml", "action.yaml"}
        ]
    files += [
        DefinitionFile(path=path, oid=blob["oid"], size=int(blob.get("byteSize") or 0))
        for alias, path in queries.DEFINITIONS.items()
        if (blob := node.get(alias)) and blob.get("oid")
    ]
    return files
