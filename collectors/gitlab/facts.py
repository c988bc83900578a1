"""Facts about a group, a project and its files that one listing finds and another needs. Facts are not records and are
not written to the snapshot. Listings return them, and the plan passes them on.
"""

from __future__ import annotations

from typing import Any

import msgspec

from scanner.records import record_id


class GitLabPlace(msgspec.Struct, frozen=True, kw_only=True):
    """A group, a project or the instance: the object that a listing belongs to."""

    kind: str
    """``group``, ``project`` or ``instance``."""
    number: str
    """Its immutable id."""
    address: str
    """Its full path."""
    account_id: str


class ProjectFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about a project before its own listings are read."""

    place: GitLabPlace
    branch: str | None
    """The default branch."""
    namespace: str | None
    """The id of its group."""
    visibility: str | None
    archived: bool
    empty: bool
    """Whether its repository has no commits."""
    ci_enabled: bool
    """Whether CI/CD is enabled."""
    repository_enabled: bool
    """Whether its repository is enabled."""
    infrastructure_enabled: bool
    """Whether the Infrastructure feature (agents for Kubernetes) is enabled."""
    ci_path: str
    """Where its definition is: a path in its repository, ``path@other/project``, or a URL."""
    claims: list[str]
    """Components of the subject of its ID tokens."""
    pushes: bool
    """Whether its job token may push to its repository."""
    auto_devops: bool
    settings_visible: bool
    """Whether GitLab returned the CI/CD settings, which the three fields above come from. Only Maintainers can read
    them."""
    url: str | None
    activity: str | None
    """When it last had activity."""
    shares: list[dict[str, Any]]

    @property
    def defined_elsewhere(self) -> bool:
        """Whether its definition is outside its repository."""
        return "@" in self.ci_path or self.ci_path.startswith(("http://", "https://"))


class ProjectFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of the default branch, with the id of its content."""

    path: str
    oid: str
    size: int
    """Bytes."""


class ProjectStructure(msgspec.Struct, frozen=True, kw_only=True):
    """What GraphQL returns about one project, in GraphQL's own fields. None means that REST must be asked."""

    variables: list[dict[str, Any]] | None = None
    members: list[dict[str, Any]] | None = None
    """Direct members. The bots of project access tokens are among them: a project without bots has no such token.
    https://docs.gitlab.com/user/project/settings/project_access_tokens/#bot-users-for-projects"""
    schedules: int | None = None
    integrations: list[dict[str, Any]] | None = None
    triggers: list[dict[str, Any]] | None = None
    agents: list[dict[str, Any]] | None = None
    limited: bool | None = None
    """Whether only the job tokens of listed projects are allowed."""
    projects_let_in: list[dict[str, Any]] | None = None
    groups_let_in: list[dict[str, Any]] | None = None
    branches: list[dict[str, Any]] | None = None
    approvals: int | None = None
    """The largest number of approvals that a rule requires before a merge into the default branch."""
    files: dict[str, ProjectFile] | None = None
    """Those of the requested paths that exist."""
    paths: frozenset[str] = frozenset()
    """Which paths were requested."""
    digest: str = ""
    """Changes when the project must be read by REST again."""


def group_place(group: dict[str, Any]) -> GitLabPlace:
    """Return a group as the place that its listings belong to."""
    number = str(group["id"])
    return GitLabPlace(
        kind="group",
        number=number,
        address=str(group["full_path"]),
        account_id=record_id("gitlab", "group", number),
    )


def project_facts(item: dict[str, Any]) -> ProjectFacts:
    """Return the facts of a project: https://docs.gitlab.com/api/projects/"""
    number = str(item["id"])
    return ProjectFacts(
        place=GitLabPlace(
            kind="project",
            number=number,
            address=str(item["path_with_namespace"]),
            account_id=record_id("gitlab", "project", number),
        ),
        branch=item.get("default_branch"),
        namespace=str(item["namespace"]["id"]) if item.get("namespace") else None,
        visibility=item.get("visibility"),
        archived=bool(item.get("archived")),
        empty=bool(item.get("empty_repo")),
        ci_enabled=item.get("builds_access_level", "enabled") != "disabled",
        repository_enabled=item.get("repository_access_level", "enabled") != "disabled",
        infrastructure_enabled=item.get("infrastructure_access_level", "enabled") != "disabled",
        ci_path=str(item.get("ci_config_path") or ".gitlab-ci.yml"),
        claims=[str(part) for part in item.get("ci_id_token_sub_claim_components") or []],
        pushes=bool(item.get("ci_push_repository_for_job_token_allowed")),
        auto_devops=bool(item.get("auto_devops_enabled")),
        settings_visible="auto_devops_enabled" in item,
        url=item.get("web_url"),
        activity=item.get("last_activity_at"),
        shares=list(item.get("shared_with_groups") or []),
    )


def number_of(node: dict[str, Any]) -> str:
    """Return the number at the end of a GraphQL node's global id: ``gid://gitlab/Project/9001``."""
    return str(node.get("id")).rpartition("/")[2]
