"""What one listing finds out and another needs to know: about a group, a project, its files.

Facts are not records: they are not written to the snapshot. Listings return them, and the plan hands them on.
"""

from __future__ import annotations

from typing import Any

import msgspec

from scanner.records import record_id


class GitLabPlace(msgspec.Struct, frozen=True, kw_only=True):
    """A group, a project or the instance: what a listing hangs on."""

    kind: str
    """``group``, ``project`` or ``instance``."""
    number: str
    """Its immutable id."""
    address: str
    """Its full path."""
    account_id: str


class ProjectFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a project before its own listings are read."""

    place: GitLabPlace
    branch: str | None
    """The default branch."""
    namespace: str | None
    """The id of the group that it is in."""
    visibility: str | None
    archived: bool
    empty: bool
    """Whether its repository has no commit."""
    builds: bool
    """Whether CI/CD is switched on."""
    code: bool
    """Whether its repository is switched on."""
    infrastructure: bool
    """Whether its agents for Kubernetes are switched on."""
    ci_path: str
    """Where its definition stands: a path in its repository, ``path@other/project``, or a URL."""
    claims: list[str]
    """Parts of the subject of its ID tokens."""
    pushes: bool
    """Whether its job token may push to its repository."""
    auto_devops: bool
    settings: bool
    """Whether its CI/CD settings were shown, on which the three above depend: Maintainers see them."""
    url: str | None
    activity: str | None
    """When something last happened in it."""
    shares: list[dict[str, Any]]

    @property
    def elsewhere(self) -> bool:
        """Whether its definition stands outside its repository."""
        return "@" in self.ci_path or self.ci_path.startswith(("http://", "https://"))


class ProjectFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of the default branch, by the id of its content."""

    path: str
    oid: str
    size: int
    """Bytes."""


class ProjectStructure(msgspec.Struct, frozen=True, kw_only=True):
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
    files: dict[str, ProjectFile] | None = None
    """Of the paths that were asked for, those that are there."""
    paths: frozenset[str] = frozenset()
    """Which paths were asked for."""
    digest: str = ""
    """Changes when something changes that REST must be asked about again."""


def group_place(group: dict[str, Any]) -> GitLabPlace:
    """Return where a group's listings hang."""
    number = str(group["id"])
    return GitLabPlace(
        kind="group",
        number=number,
        address=str(group["full_path"]),
        account_id=record_id("gitlab", "group", number),
    )


def project_facts(item: dict[str, Any]) -> ProjectFacts:
    """Return a project: https://docs.gitlab.com/api/projects/"""
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
        builds=item.get("builds_access_level", "enabled") != "disabled",
        code=item.get("repository_access_level", "enabled") != "disabled",
        infrastructure=item.get("infrastructure_access_level", "enabled") != "disabled",
        ci_path=str(item.get("ci_config_path") or ".gitlab-ci.yml"),
        claims=[str(part) for part in item.get("ci_id_token_sub_claim_components") or []],
        pushes=bool(item.get("ci_push_repository_for_job_token_allowed")),
        auto_devops=bool(item.get("auto_devops_enabled")),
        settings="auto_devops_enabled" in item,
        url=item.get("web_url"),
        activity=item.get("last_activity_at"),
        shares=list(item.get("shared_with_groups") or []),
    )


def number_of(node: dict[str, Any]) -> str:
    """Return the number at the end of a GraphQL node's global id: ``gid://gitlab/Project/9001``."""
    return str(node.get("id")).rpartition("/")[2]
