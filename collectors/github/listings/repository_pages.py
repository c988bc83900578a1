"""The repositories of an organization by GraphQL, fifty per request, with everything that GraphQL returns about
each.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from collectors.github import queries
from collectors.github.facts import BranchRule, DefinitionFile, RepositoryFacts, branch_rule
from scanner.collect.failures import SourceError
from scanner.collect.graphql import PartsQuery
from scanner.collect.scope import utc_time

if TYPE_CHECKING:
    from collections.abc import Collection, Generator

    from collectors.github.scope import OrganizationScope

_Missing: TypeAlias = dict[str, str]
"""The fields of a repository that GitHub refused, with its message; "" is the whole repository."""
PAGE = 50
"""Repositories per request."""
_OBJECTS = frozenset({"workflows", "composites", *queries.DEFINITIONS, *queries.UNREAD, *queries.OWNERS})
"""Parts that list the definitions of a repository."""


class RepositoryPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of repositories, and the number of repositories that could not be read at all."""

    repositories: list[RepositoryFacts]
    forbidden: list[str]
    """GitHub's message for each repository that it refused."""
    total: int


def pages(scope: OrganizationScope) -> Generator[RepositoryPage, None, None]:
    """Yield the organization's repositories page by page. Raises `SourceError`.

    A page that exceeds GitHub's limit of ten seconds is requested again in a smaller size. A part that a server lacks,
    or refuses for the whole organization, is left out from then on.
    """
    query = PartsQuery(scope.client.graphql, queries.repositories, queries.PARTS, largest=PAGE)
    if not scope.config.deployments:
        query.leave_out("deployments", "not requested")
    cursor: str | None = None
    seen: set[str] = set()
    while True:
        connection, nodes, missing = _page(scope, query, cursor)
        repositories, forbidden = [], []
        for node, words in zip(nodes, missing, strict=True):
            if node is None:
                forbidden.append("; ".join(sorted(set(words.values()))) or "not shown")
            else:
                repositories.append(_repository(node, query.left_out | words))
        yield RepositoryPage(
            repositories=repositories, forbidden=forbidden, total=int(connection["totalCount"])
        )
        info = connection["pageInfo"]
        if not info["hasNextPage"]:
            return
        cursor = str(info["endCursor"])
        if cursor in seen:
            raise SourceError("malformed", "the cursor of the repositories points to a page already read")
        seen.add(cursor)


def _page(
    scope: OrganizationScope, query: PartsQuery, cursor: str | None
) -> tuple[dict[str, Any], list[dict[str, Any] | None], list[_Missing]]:
    """Return one page of the connection, its repositories, and the fields that GitHub refused for each."""
    connection, nodes, missing = _request(scope, query, cursor, ())
    without: _Missing = {}
    while fresh := _refused(nodes, missing) - without.keys():
        # A refused part that cannot be null makes its whole repository null: ask again without that part.
        hidden = [index for index, node in enumerate(nodes) if node is None]
        words = {name: text for index in hidden for name, text in missing[index].items()}
        without |= {name: words[name] for name in fresh}
        again, found, still_missing = _request(scope, query, cursor, without)
        if len(found) < len(nodes):
            connection, nodes, missing = again, nodes[: len(found)], missing[: len(found)]
        for index, node in enumerate(nodes):
            if node is None:
                nodes[index], missing[index] = found[index], without | still_missing[index]
        if len(hidden) == len(nodes):
            for name, text in without.items():
                query.leave_out(name, text)
    return connection, nodes, missing


def _request(
    scope: OrganizationScope, query: PartsQuery, cursor: str | None, without: Collection[str]
) -> tuple[dict[str, Any], list[dict[str, Any] | None], list[_Missing]]:
    answer = query.ask(lambda size: {"org": scope.login, "cursor": cursor, "size": size}, without=without)
    organization = answer.data.get("organization")
    if not isinstance(organization, dict) or not isinstance(organization.get("repositories"), dict):
        words = "; ".join(error.message for error in answer.errors[:3])
        raise SourceError("denied", f"the organization's repositories are not visible: {words}")
    connection: dict[str, Any] = organization["repositories"]
    nodes = list(connection["nodes"])
    missing: list[_Missing] = [{} for _ in nodes]
    for error in answer.errors:
        match error.path:
            case [_, _, "nodes", int(index), *field] if index < len(nodes):
                missing[index][str(field[0]) if field else ""] = error.message
            case _:
                pass
    return connection, nodes, missing


def _refused(nodes: list[dict[str, Any] | None], missing: list[_Missing]) -> set[str]:
    """Return the parts whose refusal made whole repositories null."""
    return {
        field
        for node, words in zip(nodes, missing, strict=True)
        if node is None
        for field in words
        if field in queries.PARTS
    }


def _repository(node: dict[str, Any], missing: dict[str, str]) -> RepositoryFacts:
    def connection(name: str) -> dict[str, Any] | None:
        value = node.get(name)
        return value if isinstance(value, dict) and name not in missing else None

    def nodes(name: str, key: str = "nodes") -> tuple[list[dict[str, Any]] | None, bool]:
        held = connection(name)
        if held is None:
            return None, False
        items = [item for item in held[key] if item is not None]
        return items, len(items) < max(int(held.get("totalCount") or 0), len(held[key]))

    keys, environments = connection("deployKeys"), connection("environments")
    protections, more_protections = nodes("branchProtectionRules")
    rulesets, more_rulesets = nodes("rulesets")
    collaborators, more_collaborators = nodes("collaborators", "edges")
    deployments, _ = nodes("deployments")
    files = None if _OBJECTS & set(missing) else _files(node)
    names = sorted(str(item["name"]) for item in environments["nodes"]) if environments else []
    visible = (
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
        unread=tuple(
            path for alias, path in queries.UNREAD.items() if (blob := node.get(alias)) and blob.get("oid")
        ),
        owners=next(
            (
                DefinitionFile(path=path, oid=blob["oid"], size=int(blob.get("byteSize") or 0))
                for alias, path in queries.OWNERS.items()
                if (blob := node.get(alias)) and blob.get("oid")
            ),
            None,
        ),
        withheld=missing,
        digest=hashlib.sha256(msgspec.json.encode(visible)).hexdigest()[:32],
    )


def _rules(branch: dict[str, Any]) -> dict[int, list[BranchRule]] | None:
    shown = branch.get("rules")
    if not isinstance(shown, dict):
        return None
    nodes = [item for item in shown.get("nodes") or [] if item and item.get("repositoryRuleset")]
    if len(nodes) < int(shown.get("totalCount") or 0):
        return None
    found: dict[int, list[BranchRule]] = {}
    for item in nodes:
        kind, parameters = str(item["type"]).lower(), item.get("parameters")
        if not parameters and kind == "pull_request":
            return None
        rule = branch_rule(kind, {_snake(name): value for name, value in (parameters or {}).items()})
        found.setdefault(int(item["repositoryRuleset"]["databaseId"]), []).append(rule)
    return found


def _snake(name: str) -> str:
    """Return a GraphQL name as REST spells it: ``requireLastPushApproval`` as ``require_last_push_approval``."""
    return "".join(f"_{one.lower()}" if one.isupper() else one for one in name)


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
