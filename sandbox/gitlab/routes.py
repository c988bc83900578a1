"""The read endpoints of GitLab's REST API in the sandbox, and the role that each requires.

https://docs.gitlab.com/api/rest/ https://docs.gitlab.com/user/permissions/
"""

from __future__ import annotations

import msgspec

from sandbox.gitlab.instance import ADMIN, DEVELOPER, GUEST, MAINTAINER, OWNER, REPORTER
from sandbox.kit.routes import RouteTable


class GitLabRoute(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint."""

    template: str
    role: int
    """The lowest role that may read it."""
    one: bool = False
    """Whether it returns an object, not a list."""
    keyset: bool = False
    """Whether it supports keyset pagination."""


def _lists(role: int, *templates: str) -> tuple[GitLabRoute, ...]:
    return tuple(GitLabRoute(template=template, role=role) for template in templates)


def _objects(role: int, *templates: str) -> tuple[GitLabRoute, ...]:
    return tuple(GitLabRoute(template=template, role=role, one=True) for template in templates)


ROUTES: tuple[GitLabRoute, ...] = (
    *_objects(0, "/user", "/version", "/users/:id"),
    GitLabRoute(template="/users", role=0, keyset=True),
    GitLabRoute(template="/projects", role=0, keyset=True),
    GitLabRoute(template="/groups", role=0, keyset=True),
    *_lists(
        ADMIN,
        "/personal_access_tokens",
        "/admin/ci/variables",
        "/users/:id/impersonation_tokens",
        "/hooks",
        "/applications",
        "/service_accounts",
        "/deploy_keys",
        "/deploy_tokens",
        "/runners/all",
    ),
    *_objects(GUEST, "/groups/:id", "/groups/:id/members/all/:user_id", "/projects/:id"),
    *_lists(GUEST, "/groups/:id/members", "/groups/:id/projects", "/groups/:id/descendant_groups"),
    *_lists(
        OWNER,
        "/groups/:id/access_tokens",
        "/groups/:id/hooks",
        "/groups/:id/service_accounts",
        "/groups/:id/service_accounts/:user_id/personal_access_tokens",
        "/groups/:id/ssh_certificates",
        "/groups/:id/variables",
    ),
    *_lists(
        MAINTAINER, "/groups/:id/deploy_tokens", "/groups/:id/protected_environments", "/groups/:id/runners"
    ),
    *_lists(GUEST, "/projects/:id/members"),
    *_lists(
        MAINTAINER,
        "/projects/:id/access_tokens",
        "/projects/:id/deploy_keys",
        "/projects/:id/deploy_tokens",
        "/projects/:id/hooks",
        "/projects/:id/integrations",
        "/projects/:id/job_token_scope/allowlist",
        "/projects/:id/job_token_scope/groups_allowlist",
        "/projects/:id/protected_environments",
        "/projects/:id/runners",
        "/projects/:id/triggers",
        "/projects/:id/variables",
    ),
    *_objects(MAINTAINER, "/projects/:id/job_token_scope", "/runners/:id"),
    *_lists(
        DEVELOPER,
        "/projects/:id/approval_rules",
        "/projects/:id/cluster_agents",
        "/projects/:id/cluster_agents/:agent_id/tokens",
        "/projects/:id/pipeline_schedules",
        "/projects/:id/protected_branches",
    ),
    *_objects(
        DEVELOPER,
        "/projects/:id/approvals",
        "/projects/:id/cluster_agents/:agent_id/tokens/:token_id",
        "/projects/:id/pipeline_schedules/:schedule_id",
        "/projects/:id/repository/files/:file_path/raw",
        "/projects/:id/ci/lint",
    ),
    *_lists(REPORTER, "/projects/:id/deployments", "/projects/:id/environments"),
)

_TABLE = RouteTable(("GET", route.template, route) for route in ROUTES)


def route_of(path: str) -> tuple[GitLabRoute, dict[str, str]] | None:
    """Return the route of a path and the values of its parameters, still percent-encoded."""
    return _TABLE.find("GET", path)
