"""What each project has, by GraphQL, a hundred projects a query: so that REST is asked only where there can be something.

GraphQL shows an empty list, and no error, to who may not see a full one. So a list is believed only of a project that
the token administers, by ``userPermissions`` of the same answer, and only where the feature behind it is switched on.
What this does not tell is None: REST is asked, and its refusal becomes the Gap.

Not asked here: environments and pipeline schedules themselves, which GraphQL resolves for one project a request; deploy
keys, deploy tokens, access tokens, webhooks and protected environments, of which it has no list; the values of
variables. https://docs.gitlab.com/api/graphql/reference/ (type ``Project``)
"""

from __future__ import annotations

import hashlib
from collections import Counter
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import msgspec

from collectors.gitlab.client import QueryError
from collectors.gitlab.listings.batches import Batches, rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from collectors.gitlab.client import Client
    from collectors.gitlab.listings.projects import Project

_RIGHTS = "userPermissions { adminProject }"
_RULES = """branches: branchRules(first: 50) { nodes { id name branchProtection { allowForcePush %s
    pushAccessLevels { nodes { accessLevel accessLevelDescription deployKey { id } %s } }
    mergeAccessLevels { nodes { accessLevel accessLevelDescription %s } } } } pageInfo { hasNextPage } }"""
_PEOPLE = "user { id } group { id }"
_QUERIES: tuple[dict[str, str], ...] = (
    {
        "variables": """ciVariables(first: 100) {
            nodes { id key environmentScope protected masked } pageInfo { hasNextPage } }""",
        "members": """projectMembers(relations: [DIRECT], first: 100) {
            nodes { id updatedAt } pageInfo { hasNextPage } }""",
        "schedules": "pipelineScheduleStatusCounts { total }",
        "integrations": "services(active: true, first: 50) { nodes { active } pageInfo { hasNextPage } }",
    },
    {
        "triggers": """pipelineTriggers(first: 50) {
            nodes { id description lastUsed expiresAt owner { id username name state } } pageInfo { hasNextPage } }""",
        "agents": """clusterAgents(first: 20) { nodes { id name createdAt
            tokens(status: ACTIVE, first: 20) { nodes { id name createdAt lastUsedAt } pageInfo { hasNextPage } } }
            pageInfo { hasNextPage } }""",
        "job tokens": "ciCdSettings { inboundJobTokenScopeEnabled }",
        "allowlists": """ciJobTokenScope { inboundAllowlistCount groupsAllowlistCount
            inboundAllowlist(first: 100) { nodes { id } pageInfo { hasNextPage } }
            groupsAllowlist(first: 100) { nodes { id webUrl } pageInfo { hasNextPage } } }""",
    },
    {
        "branches": _RULES % ("codeOwnerApprovalRequired", _PEOPLE, _PEOPLE),
        "approvals": """approvals: branchRules(first: 50) {
            nodes { id name approvalRules { nodes { approvalsRequired type } pageInfo { hasNextPage } } }
            pageInfo { hasNextPage } }""",
    },
    {"files": "repository { blobs(paths: $paths) { nodes { path oid rawSize } } }"},
)
"""What is asked at once, part by part; a part is left to REST where this GitLab lacks one of its fields."""
_PLAIN = _RULES % ("", "", "")
"""GitLab Community Edition lacks the fields of what it does not offer: rules for single people and code owners."""
_ROLES = {
    0: {"No one"},
    30: {"Developers + Maintainers"},
    40: {"Maintainers"},
    60: {"Instance admins", "Administrators", "Administrator"},
}
"""How an access level is described that is nobody's in particular. Any other words are the name of someone withheld."""
_PATHS = 5
"""So many different definition files are asked for at once; others are read by REST."""


class File(msgspec.Struct, frozen=True, kw_only=True):
    """One file of the default branch, by the id of its content."""

    path: str
    oid: str
    size: int
    """Bytes."""


class Structure(msgspec.Struct, frozen=True, kw_only=True):
    """What GraphQL tells of one project, in its own fields; None: REST must be asked."""

    variables: list[dict[str, Any]] | None = None
    members: list[dict[str, Any]] | None = None
    """The direct ones. The bots of project access tokens are among them, so that where there are none, there is no such
    token: https://docs.gitlab.com/user/project/settings/project_access_tokens/#bot-users-for-projects"""
    schedules: int | None = None
    integrations: list[dict[str, Any]] | None = None
    triggers: list[dict[str, Any]] | None = None
    agents: list[dict[str, Any]] | None = None
    limited: bool | None = None
    """Whether only listed projects' job tokens are let in."""
    projects_let_in: list[dict[str, Any]] | None = None
    groups_let_in: list[dict[str, Any]] | None = None
    branches: list[dict[str, Any]] | None = None
    approvals: int | None = None
    """The most approvals that a rule demands before a merge into the default branch."""
    files: dict[str, File] | None = None
    """Of the paths that were asked for, those that are there."""
    paths: frozenset[str] = frozenset()
    """Which paths were asked for."""
    digest: str = ""
    """Changes when something changes that REST must be asked about again."""


class Survey:
    """Asks GraphQL about one target's projects, and learns what this GitLab can tell. Used by one thread at a time."""

    def __init__(self, client: Client, *, archived: bool) -> None:
        """``archived``: whether archived projects are read in full."""
        self.batches = Batches(client)
        self._archived = archived
        self._queries = [dict(parts) for parts in _QUERIES]

    def of(self, projects: Sequence[Project]) -> dict[str, Structure]:
        """Return what is told of projects, by number; each has an entry."""
        nodes: dict[str, dict[str, Any]] = {project.place.number: {} for project in projects}
        whole = [project for project in projects if self._archived or not project.archived]
        paths = _paths(whole)
        waiting, learned = list(self._queries), []
        while waiting:
            parts = waiting.pop(0)
            asked = projects if "members" in parts else whole
            try:
                told = self.batches.asked(
                    f"{_RIGHTS} {' '.join(parts.values())}",
                    [project.place.number for project in asked],
                    paths if "files" in parts else (),
                )
            except QueryError as exc:
                waiting[:0] = self._fewer(parts, len(asked), exc)
                continue
            learned.append(parts)
            for number, node in told.items():
                nodes.setdefault(number, {}).update(node)
        self._queries = learned
        return {
            project.place.number: read_structure(project, nodes[project.place.number], frozenset(paths))
            for project in projects
        }

    def _fewer(self, parts: dict[str, str], asked: int, exc: QueryError) -> list[dict[str, str]]:
        """Return what to ask instead of a query that this GitLab cannot answer."""
        if len(parts) > 1:
            names = list(parts)
            half = len(names) // 2
            return [{name: parts[name] for name in some} for some in (names[:half], names[half:])]
        if exc.too_much:
            return [parts] if self.batches.halve(asked) else []
        if "branches" in parts and parts["branches"] != _PLAIN:
            return [{"branches": _PLAIN}]
        return []


def _paths(projects: Iterable[Project]) -> list[str]:
    """Return the definition files that most projects have."""
    found = Counter(project.ci_path for project in projects if not project.elsewhere)
    return [path for path, _ in found.most_common(_PATHS)] or [".gitlab-ci.yml"]


def read_structure(project: Project, node: dict[str, Any], paths: frozenset[str]) -> Structure:
    """Return what the fields of one project tell; ``node`` is empty where GraphQL told nothing of it."""
    administered = bool((node.get("userPermissions") or {}).get("adminProject"))

    def told(connection: Any, *, also: bool = True) -> list[dict[str, Any]] | None:
        return rows(connection) if administered and also else None

    jobs = told(node.get("pipelineTriggers"), also=project.builds and project.code)
    branches = told(node.get("branches"), also=project.code)
    scope = node.get("ciJobTokenScope") or {}
    limited = (node.get("ciCdSettings") or {}).get("inboundJobTokenScopeEnabled")
    found = Structure(
        variables=told(node.get("ciVariables")),
        members=told(node.get("projectMembers")),
        schedules=(node.get("pipelineScheduleStatusCounts") or {}).get("total"),
        integrations=told(node.get("services")),
        triggers=jobs,
        agents=_agents(told(node.get("clusterAgents"), also=project.infrastructure)),
        limited=limited if administered else None,
        projects_let_in=_counted(told(scope.get("inboundAllowlist")), scope.get("inboundAllowlistCount")),
        groups_let_in=_counted(told(scope.get("groupsAllowlist")), scope.get("groupsAllowlistCount")),
        branches=_branches(branches),
        approvals=_approvals(told(node.get("approvals"), also=project.code), project.branch),
        files=_files(node),
        paths=paths,
    )
    return msgspec.structs.replace(found, digest=_digest(project, found, administered=administered))


def _counted(shown: list[dict[str, Any]] | None, count: Any) -> list[dict[str, Any]] | None:
    """Return a list unless some of it is withheld: what the token may not read itself is counted, and not shown."""
    return shown if shown is not None and isinstance(count, int) and len(shown) >= count else None


def _agents(agents: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
    if agents is None or any(rows(agent.get("tokens")) is None for agent in agents):
        return None
    return agents


def _branches(rules: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
    """Return the rules that are a protected branch's, if all of them are told whole."""
    if rules is None:
        return None
    protected = [rule for rule in rules if _of_branch(rule)]
    for rule in protected:
        protection = rule.get("branchProtection") or {}
        for side in ("pushAccessLevels", "mergeAccessLevels"):
            levels = rows(protection.get(side))
            if levels is None or not all(_is_told(level) for level in levels):
                return None
    return protected


def _is_told(level: dict[str, Any]) -> bool:
    """Tell whether it is known whose an access level is: somebody's, by id, or a role's."""
    if any(level.get(who) for who in ("user", "group", "deployKey")):
        return True
    number = level.get("accessLevel")
    return isinstance(number, int) and level.get("accessLevelDescription") in _ROLES.get(number, ())


def _approvals(rules: list[dict[str, Any]] | None, branch: str | None) -> int | None:
    """Return the most approvals that every merge into a branch needs.

    A rule of scan findings may hold only where there are some: REST tells which.
    """
    if rules is None:
        return None
    most = 0
    for rule in rules:
        approvals = rows(rule.get("approvalRules"))
        if approvals is None or any(one.get("type") in {None, "REPORT_APPROVER"} for one in approvals):
            return None
        if _of_branch(rule) and branch is not None and not fnmatchcase(branch, str(rule["name"])):
            continue
        most = max([most, *(int(one.get("approvalsRequired") or 0) for one in approvals)])
    return most


def _of_branch(rule: dict[str, Any]) -> bool:
    """Tell a protected branch's rule from those for all branches, or for all protected ones, that stand beside it."""
    return "/Projects::BranchRule/" in str(rule.get("id"))


def _files(node: dict[str, Any]) -> dict[str, File] | None:
    """Return the files that were asked for. Who may not read the code gets null, not an empty list."""
    shown = rows((node.get("repository") or {}).get("blobs"))
    if shown is None or not all(blob.get("path") and blob.get("oid") for blob in shown):
        return None
    return {
        str(blob["path"]): File(
            path=str(blob["path"]), oid=str(blob["oid"]), size=int(blob.get("rawSize") or 0)
        )
        for blob in shown
    }


def _digest(project: Project, found: Structure, *, administered: bool) -> str:
    """Digest what can be seen of a project: of its tokens, keys, webhooks and values, nothing can."""
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
