"""Which fields GitLab shows: to administrators or other users, in a list or in a single object.

https://docs.gitlab.com/api/rest/ ; the shapes are those of ``tests/data/gitlab-openapi.yaml``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.gitlab.entities import person
from sandbox.gitlab.instance import ADMIN, MAINTAINER, OWNER

if TYPE_CHECKING:
    from sandbox.gitlab.instance import Instance
    from sandbox.kit.http import Json

ADMIN_ONLY = ("is_admin", "note", "namespace_id", "created_by", "using_license_seat", "is_auditor")
DETAIL = ("shared_with_groups", "prevent_sharing_groups_outside_hierarchy", "runners_token")
"""Fields of a single group that lists omit: https://docs.gitlab.com/api/groups/#retrieve-a-group"""
BASIC_PROJECT = (
    "id description name name_with_namespace path path_with_namespace created_at default_branch tag_list topics "
    "ssh_url_to_repo http_url_to_repo web_url readme_url forks_count avatar_url star_count last_activity_at visibility "
    "namespace"
)
CI_SETTINGS: Json = {
    "ci_default_git_depth": 20,
    "ci_delete_pipelines_in_seconds": None,
    "ci_forward_deployment_enabled": True,
    "ci_forward_deployment_rollback_allowed": True,
    "ci_job_token_scope_enabled": False,
    "ci_separated_caches": True,
    "ci_allow_fork_pipelines_to_run_in_parent_project": True,
    "ci_id_token_sub_claim_components": ["project_path", "ref_type", "ref"],
    "build_git_strategy": "fetch",
    "keep_latest_artifact": True,
    "restrict_user_defined_variables": True,
    "ci_pipeline_variables_minimum_override_role": "developer",
    "runner_token_expiration_interval": None,
    "group_runners_enabled": True,
    "resource_group_default_process_mode": "unordered",
    "auto_cancel_pending_pipelines": "enabled",
    "build_timeout": 3600,
    "auto_devops_enabled": False,
    "auto_devops_deploy_strategy": "continuous",
    "ci_push_repository_for_job_token_allowed": False,
    "protect_merge_request_pipelines": True,
    "ci_display_pipeline_variables": False,
}
"""Fields of a project that only Maintainers see: https://docs.gitlab.com/api/projects/"""
_FEATURES = (
    "issues repository merge_requests forking wiki builds snippets pages analytics container_registry "
    "security_and_compliance releases environments feature_flags infrastructure monitor model_experiments "
    "model_registry package_registry"
)
_SAME: Json = {
    **{f"{feature}_access_level": "private" for feature in _FEATURES.split()},
    "packages_enabled": None,
    "resolve_outdated_diff_discussions": False,
    "repository_object_format": "sha1",
    "issues_enabled": True,
    "merge_requests_enabled": True,
    "wiki_enabled": True,
    "jobs_enabled": True,
    "snippets_enabled": True,
    "container_registry_enabled": True,
    "service_desk_enabled": False,
    "can_create_merge_request_in": True,
    "emails_disabled": False,
    "emails_enabled": True,
    "show_diff_preview_in_email": True,
    "shared_runners_enabled": True,
    "lfs_enabled": True,
    "import_status": "none",
    "description_html": "",
    "public_jobs": False,
    "only_allow_merge_if_pipeline_succeeds": False,
    "allow_merge_on_skipped_pipeline": None,
    "request_access_enabled": False,
    "only_allow_merge_if_all_discussions_are_resolved": False,
    "remove_source_branch_after_merge": True,
    "printing_merge_request_link_enabled": True,
    "merge_method": "merge",
    "squash_option": "default_off",
    "enforce_auth_checks_on_uploads": True,
    "suggestion_commit_message": None,
    "merge_commit_template": None,
    "squash_commit_template": None,
    "mr_default_title_template": None,
    "issue_branch_template": None,
    "warn_about_potentially_unwanted_characters": True,
    "autoclose_referenced_issues": True,
    "max_artifacts_size": None,
}
"""Fields that are the same in all projects of the company."""


def user(held: Json, role: int) -> Json:
    """Return one of the users in a list: users who are not administrators see the fewest fields."""
    return held if role >= ADMIN else person(held)


def oneself(held: Json) -> Json:
    """Return the token's user. ``is_admin`` is true for an administrator even if Admin Mode gives the token ordinary
    rights.
    """
    return held if held["is_admin"] else {key: held[key] for key in held if key not in ADMIN_ONLY}


def group(held: Json, role: int) -> Json:
    """Return a single group; its registration token is visible to Owners."""
    return {key: held[key] for key in held if key != "runners_token" or role >= OWNER}


def listed_group(held: Json) -> Json:
    """Return a group as in lists."""
    return {key: held[key] for key in held if key not in DETAIL}


def basic_group(held: Json) -> Json:
    """Return ``BasicGroupDetails``: the groups of a runner or an allowlist."""
    return {key: held[key] for key in ("id", "web_url", "name")}


def project(held: Json, role: int) -> Json:
    """Return a project; its CI/CD settings and registration token are visible to Maintainers."""
    if role >= MAINTAINER:
        return {**_SAME, **CI_SETTINGS, **held}
    hidden = {"runners_token", *CI_SETTINGS}
    return {**_SAME, **{key: held[key] for key in held if key not in hidden}}


def basic_project(held: Json) -> Json:
    """Return ``BasicProjectDetails``: the projects of a runner or an allowlist."""
    return {key: held[key] for key in BASIC_PROJECT.split()}


def instance_variable(held: Json) -> Json:
    """Return a variable of the instance: never hidden and not limited to an environment."""
    return {key: held[key] for key in held if key not in {"hidden", "environment_scope"}}


def deploy_tokens(held: Instance) -> list[Json]:
    """Return the deploy tokens of all groups and projects."""
    return [row for path, rows in held.lists.items() if path.endswith("/deploy_tokens") for row in rows]


def runner(one: Json) -> Json:
    """Return a runner as in lists: https://docs.gitlab.com/api/runners/"""
    kind, status = one["runnerType"].lower(), one["status"].lower()
    if one["paused"] and status in {"online", "offline"}:
        status = "paused"  # REST's term; GraphQL distinguishes the two.
    shown = {
        "id": int(one["id"].rpartition("/")[2]),
        "description": one["description"],
        "ip_address": None,
        "active": not one["paused"],
        "paused": one["paused"],
        "is_shared": kind == "instance_type",
        "runner_type": kind,
        "name": "gitlab-runner",
        "online": one["status"] == "ONLINE",
        "created_at": one["createdAt"],
        "status": status,
        "job_execution_status": "idle",
    }
    # A runner without a creator registered itself.
    return shown if one["createdBy"] is None else {**shown, "created_by": person(one["createdBy"])}


def single_runner(one: Json, held: Instance) -> Json:
    """Return a single runner, with the fields that lists omit."""
    groups = [] if one["runnerType"] != "GROUP_TYPE" else list(held.groups.values())[:1]
    return {
        **runner(one),
        "tag_list": one["tagList"],
        "run_untagged": one["runUntagged"],
        "locked": one["locked"],
        "maximum_timeout": None,
        "access_level": one["accessLevel"].lower(),
        "version": "19.6.0",
        "revision": "5f9de3b1",
        "platform": "linux",
        "architecture": "amd64",
        "contacted_at": one["contactedAt"],
        "maintenance_note": None,
        "projects": [basic_project(held.projects[number]) for number in one["projects"]],
        "groups": [basic_group(group) for group in groups],
    }
