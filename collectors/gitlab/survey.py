"""What each project has, by GraphQL, a hundred projects per query, so that REST is used only where there can be
something to read. GraphQL returns an empty list, not an error, to users who may not read the full one. So a list is
trusted only for a project that the token administers, by ``userPermissions`` of the same answer, and only if the
feature behind it is enabled. Otherwise the field is None: REST is asked, and its refusal becomes the Gap.

Not read here: environments and pipeline schedules themselves, which GraphQL resolves for one project per request;
deploy keys, deploy tokens, access tokens, webhooks and protected environments, for which it has no list; values of
variables. https://docs.gitlab.com/api/graphql/reference/ (type ``Project``)
"""

from __future__ import annotations

import hashlib
from collections import Counter
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import msgspec

from collectors.gitlab.facts import ProjectFile, ProjectStructure, number_of
from scanner.collect.failures import SourceError
from scanner.collect.graphql import PartsQuery, nodes_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from collectors.gitlab.facts import ProjectFacts
    from scanner.collect.graphql import GraphqlClient

PAGE = 100
"""The most projects that one query may ask for: https://docs.gitlab.com/api/graphql/#limits"""
_SMALLEST = 12
"""If GitLab fails even for this few projects, each is read by REST."""
_GIVEN_UP = 8
"""After this many failures in a row, which is a whole page, GraphQL is not used again."""
_RIGHTS = "userPermissions { adminProject }"
_RULES = """branches: branchRules(first: 50) { nodes { id name branchProtection { allowForcePush %s
    pushAccessLevels { nodes { accessLevel accessLevelDescription deployKey { id } %s } }
    mergeAccessLevels { nodes { accessLevel accessLevelDescription %s } } } } pageInfo { hasNextPage } }"""
_PEOPLE = "user { id } group { id }"
_PARTS: tuple[dict[str, tuple[str, ...]], ...] = (
    {
        "variables": (
            """ciVariables(first: 100) {
            nodes { id key environmentScope protected masked } pageInfo { hasNextPage } }""",
        ),
        "members": (
            """projectMembers(relations: [DIRECT], first: 100) {
            nodes { id updatedAt } pageInfo { hasNextPage } }""",
        ),
        "schedules": ("pipelineScheduleStatusCounts { total }",),
        "integrations": ("services(active: true, first: 50) { nodes { active } pageInfo { hasNextPage } }",),
    },
    {
        "triggers": (
            """pipelineTriggers(first: 50) {
            nodes { id description lastUsed expiresAt owner { id username name state } } pageInfo { hasNextPage } }""",
        ),
        "agents": (
            """clusterAgents(first: 20) { nodes { id name createdAt createdByUser { username }
            tokens(status: ACTIVE, first: 20) {
                nodes { id name createdAt lastUsedAt createdByUser { username } } pageInfo { hasNextPage } } }
            pageInfo { hasNextPage } }""",
        ),
        "job tokens": ("ciCdSettings { inboundJobTokenScopeEnabled }",),
        "allowlists": (
            """ciJobTokenScope { inboundAllowlistCount groupsAllowlistCount
            inboundAllowlist(first: 100) { nodes { id } pageInfo { hasNextPage } }
            groupsAllowlist(first: 100) { nodes { id webUrl } pageInfo { hasNextPage } } }""",
        ),
    },
    {
        # GitLab Community Edition lacks the fields of paid features: rules for single users, and code owners.
        "branches": (_RULES % ("codeOwnerApprovalRequired", _PEOPLE, _PEOPLE), _RULES % ("", "", "")),
        "approvals": (
            """approvals: branchRules(first: 50) {
            nodes { id name approvalRules { nodes { approvalsRequired type } pageInfo { hasNextPage } } }
            pageInfo { hasNextPage } }""",
        ),
    },
    {"files": ("repository { blobs(paths: $paths) { nodes { path oid rawSize } } }",)},
)
"""The parts of the query; a part is left to REST if this GitLab lacks one of its fields."""
_TEXTS = {"texts": ("repository { blobs(paths: $paths) { nodes { path oid rawTextBlob } } }",)}
_ROLES = {
    0: {"No one"},
    30: {"Developers + Maintainers"},
    40: {"Maintainers"},
    60: {"Instance admins", "Administrators", "Administrator"},
}
"""Descriptions of access levels that are roles. Any other description is the name of a user or group that is
withheld."""
_PATHS = 5
"""The most different definition paths that one query asks for; others are read by REST."""


class ProjectSurvey:
    """Asks GraphQL about one target's projects, and learns which fields this GitLab has. Used by one thread at a
    time.
    """

    def __init__(self, client: GraphqlClient, *, archived: bool) -> None:
        """``archived``: whether archived projects are read in full."""
        self._archived = archived
        self._queries = [_query(client, parts) for parts in _PARTS]
        self._texts = _query(client, _TEXTS)
        self._failed = 0

    def structures(self, projects: Sequence[ProjectFacts]) -> dict[str, ProjectStructure]:
        """Return the structures of projects, by number; each project has an entry."""
        nodes: dict[str, dict[str, Any]] = {project.place.number: {} for project in projects}
        whole = [project for project in projects if self._archived or not project.archived]
        paths = _paths(whole)
        for query in self._queries:
            asked = projects if "members" in query.parts else whole
            answered = self._nodes(
                query,
                [project.place.number for project in asked],
                paths if "files" in query.parts else (),
            )
            for number, node in answered.items():
                nodes.setdefault(number, {}).update(node)
        return {
            project.place.number: read_structure(project, nodes[project.place.number], frozenset(paths))
            for project in projects
        }

    def texts(
        self, projects: Sequence[ProjectFacts], paths: Sequence[str]
    ) -> dict[str, list[dict[str, Any]]]:
        """Return each project's files at the given paths, by project number, with their texts: ``path``, ``oid``,
        ``rawTextBlob``.
        """
        answered = self._nodes(self._texts, [project.place.number for project in projects], paths)
        return {
            number: nodes_of((node.get("repository") or {}).get("blobs")) or []
            for number, node in answered.items()
        }

    def _nodes(
        self, query: PartsQuery, numbers: Sequence[str], paths: Sequence[str]
    ) -> dict[str, dict[str, Any]]:
        """Return GraphQL's nodes of projects, by number. A missing project was not returned: REST says why."""
        answered: dict[str, dict[str, Any]] = {}
        left = list(numbers)

        def variables(size: int) -> dict[str, Any]:
            ids = [f"gid://gitlab/Project/{number}" for number in left[:size]]
            return {"ids": ids, "first": len(ids), **({"paths": list(paths)} if paths else {})}

        while left and query.parts and self._failed < _GIVEN_UP:
            try:
                answer = query.ask(variables, available=len(left))
            except SourceError as exc:
                # Refused, throttled, stopped, or no GraphQL at all: asking about fewer projects does not help.
                failing = exc.reason in {"unreachable", "malformed"}
                self._failed = self._failed + 1 if failing else _GIVEN_UP
                left = left[query.size :]
                continue
            nodes = nodes_of(answer.data.get("projects"), whole=False)
            self._failed = self._failed + 1 if nodes is None else 0
            answered |= {number_of(node): node for node in nodes or []}
            left = left[answer.size :]
        return answered


def _query(client: GraphqlClient, parts: Mapping[str, Sequence[str]]) -> PartsQuery:
    def document(selection: str) -> str:
        paths = ", $paths: [String!]!" if "$paths" in selection else ""
        return f"""query Projects($ids: [ID!], $first: Int!{paths}) {{
            projects(ids: $ids, first: $first) {{ nodes {{ id {_RIGHTS} {selection} }} }} }}"""

    return PartsQuery(client, document, parts, largest=PAGE, smallest=_SMALLEST, bare=False)


def _paths(projects: Iterable[ProjectFacts]) -> list[str]:
    """Return the definition paths that most projects use."""
    found = Counter(project.ci_path for project in projects if not project.defined_elsewhere)
    return [path for path, _ in found.most_common(_PATHS)] or [".gitlab-ci.yml"]


def read_structure(project: ProjectFacts, node: dict[str, Any], paths: frozenset[str]) -> ProjectStructure:
    """Return a project's structure from its GraphQL node, which is empty if GraphQL did not return the project."""
    administered = bool((node.get("userPermissions") or {}).get("adminProject"))

    def listed(connection: Any, *, when: bool = True) -> list[dict[str, Any]] | None:
        return nodes_of(connection) if administered and when else None

    jobs = listed(node.get("pipelineTriggers"), when=project.ci_enabled and project.repository_enabled)
    branches = listed(node.get("branches"), when=project.repository_enabled)
    scope = node.get("ciJobTokenScope") or {}
    limited = (node.get("ciCdSettings") or {}).get("inboundJobTokenScopeEnabled")
    found = ProjectStructure(
        variables=listed(node.get("ciVariables")),
        members=listed(node.get("projectMembers")),
        schedules=(node.get("pipelineScheduleStatusCounts") or {}).get("total"),
        integrations=listed(node.get("services")),
        triggers=jobs,
        agents=_agents(listed(node.get("clusterAgents"), when=project.infrastructure_enabled)),
        limited=limited if administered else None,
        projects_let_in=_counted(listed(scope.get("inboundAllowlist")), scope.get("inboundAllowlistCount")),
        groups_let_in=_counted(listed(scope.get("groupsAllowlist")), scope.get("groupsAllowlistCount")),
        branches=_branches(branches),
        approvals=_approvals(listed(node.get("approvals"), when=project.repository_enabled), project.branch),
        files=_files(node),
        paths=paths,
    )
    return msgspec.structs.replace(found, digest=_digest(project, found, administered=administered))


def _counted(shown: list[dict[str, Any]] | None, count: Any) -> list[dict[str, Any]] | None:
    """Return a list, or None if part of it is withheld: items that the token may not read are counted but not
    returned.
    """
    return shown if shown is not None and isinstance(count, int) and len(shown) >= count else None


def _agents(agents: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
    if agents is None or any(nodes_of(agent.get("tokens")) is None for agent in agents):
        return None
    return agents


def _branches(rules: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
    """Return the rules of protected branches, or None if any of them is incomplete."""
    if rules is None:
        return None
    protected = [rule for rule in rules if _of_branch(rule)]
    for rule in protected:
        protection = rule.get("branchProtection") or {}
        for side in ("pushAccessLevels", "mergeAccessLevels"):
            levels = nodes_of(protection.get(side))
            if levels is None or not all(_is_identified(level) for level in levels):
                return None
    return protected


def _is_identified(level: dict[str, Any]) -> bool:
    """Return whether an access level names a user or group by id, or a role."""
    if any(level.get(who) for who in ("user", "group", "deployKey")):
        return True
    number = level.get("accessLevel")
    return isinstance(number, int) and level.get("accessLevelDescription") in _ROLES.get(number, ())


def _approvals(rules: list[dict[str, Any]] | None, branch: str | None) -> int | None:
    """Return the largest number of approvals that every merge into a branch needs. A rule about scan findings may apply
    only if there are any: REST returns which.
    """
    if rules is None:
        return None
    most = 0
    for rule in rules:
        approvals = nodes_of(rule.get("approvalRules"))
        if approvals is None or any(one.get("type") in {None, "REPORT_APPROVER"} for one in approvals):
            return None
        if _of_branch(rule) and branch is not None and not fnmatchcase(branch, str(rule["name"])):
            continue
        most = max([most, *(int(one.get("approvalsRequired") or 0) for one in approvals)])
    return most


def _of_branch(rule: dict[str, Any]) -> bool:
    """Return whether a rule is for a protected branch, not one for all branches or all protected branches."""
    return "/Projects::BranchRule/" in str(rule.get("id"))


def _files(node: dict[str, Any]) -> dict[str, ProjectFile] | None:
    """Return the requested files, or None without access to the code: GraphQL then returns null, not an empty list."""
    shown = nodes_of((node.get("repository") or {}).get("blobs"))
    if shown is None or not all(blob.get("path") and blob.get("oid") for blob in shown):
        return None
    return {
        str(blob["path"]): ProjectFile(
            path=str(blob["path"]), oid=str(blob["oid"]), size=int(blob.get("rawSize") or 0)
        )
        for blob in shown
    }


def _digest(project: ProjectFacts, found: ProjectStructure, *, administered: bool) -> str:
    """Return a digest of what is visible in a project. Its tokens, keys, webhooks and values are not."""
    seen = (
        msgspec.structs.replace(project, shares=[]),
        administered,
        found.variables,
        found.members,
        found.schedules,
        found.integrations,
        [trigger.get("id") for trigger in found.triggers or []],
        [agent.get("id") for agent in found.agents or []],
        (found.limited, found.projects_let_in, found.groups_let_in),
        (found.branches, found.approvals),
        sorted(found.files.items()) if found.files is not None else None,
    )
    return hashlib.sha256(msgspec.json.encode(seen)).hexdigest()[:32]
