"""The entities of GitLab's REST API, each with the fields that its documentation shows."""

from __future__ import annotations

from datetime import UTC, date, timedelta
from typing import TYPE_CHECKING

from sandbox.estate import FIRST_NIGHT

if TYPE_CHECKING:
    from sandbox.kit.http import Json

WEB = "https://gitlab.com"


def ago(days: float | None) -> str | None:
    """Return the time this many days before the first night, in GitLab's format; None stays None."""
    if days is None:
        return None
    moment = (FIRST_NIGHT - timedelta(days=days)).astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def day(days: float | None) -> str | None:
    """Return the date this many days after the first night; tokens expire on a date."""
    if days is None:
        return None
    return date.isoformat((FIRST_NIGHT + timedelta(days=days)).date())


def person(user: Json) -> Json:
    """Return ``UserBasic``: https://docs.gitlab.com/api/users/"""
    shown = ("id", "username", "public_email", "name", "state", "locked", "avatar_url", "web_url")
    return {key: user[key] for key in shown}


def user(number: int, username: str, name: str, **more: object) -> Json:
    """Return a user as an administrator sees it: https://docs.gitlab.com/api/users/#as-an-administrator"""
    return {
        "id": number,
        "username": username,
        "public_email": "",
        "name": name,
        "state": "active",
        "locked": False,
        "avatar_url": None,
        "web_url": f"{WEB}/{username}",
        "created_at": ago(900),
        "bio": "",
        "location": "",
        "linkedin": "",
        "twitter": "",
        "discord": "",
        "website_url": "",
        "github": "",
        "job_title": "",
        "pronouns": None,
        "organization": "",
        "bot": False,
        "work_information": None,
        "local_time": None,
        "last_sign_in_at": ago(2),
        "confirmed_at": ago(900),
        "last_activity_on": day(-2),
        "email": f"{username}@lanternpay.example",
        "theme_id": 1,
        "color_scheme_id": 1,
        "projects_limit": 100,
        "current_sign_in_at": ago(1),
        "identities": [],
        "can_create_group": False,
        "can_create_project": True,
        "two_factor_enabled": True,
        "external": False,
        "private_profile": False,
        "commit_email": f"{username}@lanternpay.example",
        "preferred_language": "en",
        "is_admin": False,
        "note": None,
        "namespace_id": 10_000 + number,
        "created_by": None,
        "using_license_seat": True,
        "is_auditor": False,
        **more,
    }


def member(who: Json, level: int, *, since: float = 400, ends: float | None = None) -> Json:
    """Return a member: https://docs.gitlab.com/api/group_members/"""
    return {
        **person(who),
        "access_level": level,
        "created_at": ago(since),
        "expires_at": day(ends),
        "membership_state": "active",
        "group_saml_identity": None,
        "member_role": None,
    }


def group(number: int, path: str, name: str, *, parent: Json | None = None, **more: object) -> Json:
    """Return a group: https://docs.gitlab.com/api/groups/"""
    return {
        "id": number,
        "web_url": f"{WEB}/groups/{path if parent is None else parent['full_path'] + '/' + path}",
        "name": name,
        "path": path,
        "description": "",
        "visibility": "private",
        "share_with_group_lock": False,
        "require_two_factor_authentication": True,
        "two_factor_grace_period": 48,
        "project_creation_level": "maintainer",
        "auto_devops_enabled": None,
        "subgroup_creation_level": "owner",
        "emails_disabled": False,
        "emails_enabled": True,
        "show_diff_preview_in_email": True,
        "mentions_disabled": None,
        "lfs_enabled": True,
        "archived": False,
        "math_rendering_limits_enabled": True,
        "lock_math_rendering_limits_enabled": False,
        "crm_enabled": False,
        "resource_access_token_notify_inherited": False,
        "lock_resource_access_token_notify_inherited": False,
        "default_branch": None,
        "default_branch_protection": 2,
        "default_branch_protection_defaults": {},
        "avatar_url": None,
        "request_access_enabled": False,
        "full_name": name if parent is None else f"{parent['full_name']} / {name}",
        "full_path": path if parent is None else f"{parent['full_path']}/{path}",
        "created_at": ago(1400),
        "parent_id": None if parent is None else parent["id"],
        "organization_id": 1,
        "shared_runners_setting": "enabled",
        "max_artifacts_size": None,
        "marked_for_deletion_on": None,
        "shared_with_groups": [],
        **more,
    }


def project(number: int, path: str, namespace: Json, *, created: float = 800, **more: object) -> Json:
    """Return a project, but for what `sandbox.gitlab.views` adds: https://docs.gitlab.com/api/projects/"""
    full = f"{namespace['full_path']}/{path}"
    return {
        "id": number,
        "description": "",
        "name": path,
        "name_with_namespace": f"{namespace['full_name']} / {path}",
        "path": path,
        "path_with_namespace": full,
        "created_at": ago(created),
        "default_branch": "main",
        "tag_list": [],
        "topics": [],
        "ssh_url_to_repo": f"git@gitlab.com:{full}.git",
        "http_url_to_repo": f"{WEB}/{full}.git",
        "web_url": f"{WEB}/{full}",
        "readme_url": None,
        "forks_count": 0,
        "avatar_url": None,
        "star_count": 0,
        "last_activity_at": ago(1),
        "visibility": "private",
        "namespace": {
            "id": namespace["id"],
            "name": namespace["name"],
            "path": namespace["path"],
            "kind": "group",
            "full_path": namespace["full_path"],
            "parent_id": namespace["parent_id"],
            "avatar_url": None,
            "web_url": namespace["web_url"],
        },
        "_links": {"self": f"{WEB}/api/v4/projects/{number}"},
        "marked_for_deletion_at": None,
        "marked_for_deletion_on": None,
        "empty_repo": False,
        "archived": False,
        "creator_id": 101,
        "updated_at": ago(1),
        "ci_config_path": "",
        "shared_with_groups": [],
        **more,
    }


def project_identity(held: Json) -> Json:
    """Return ``ProjectIdentity``: the fields of an agent's project that are shown."""
    shown = ("id", "description", "name", "name_with_namespace", "path", "path_with_namespace", "created_at")
    return {key: held[key] for key in shown}


def share(number: int, name: str, path: str, level: int, *, ends: float | None = None) -> Json:
    """Return a group that was invited to a project or group: https://docs.gitlab.com/api/projects/"""
    return {
        "group_id": number,
        "group_name": name,
        "group_full_path": path,
        "group_access_level": level,
        "expires_at": day(ends),
    }


def variable(key: str, value: str | None, **more: object) -> Json:
    """Return a CI/CD variable of a project or group: https://docs.gitlab.com/api/project_level_variables/"""
    return {
        "variable_type": "env_var",
        "key": key,
        "value": value,
        "hidden": value is None,
        "protected": False,
        "masked": value is None,
        "raw": False,
        "environment_scope": "*",
        "description": None,
        **more,
    }


def deploy_token(number: int, name: str, *scopes: str, ends: float | None = None) -> Json:
    """Return a deploy token: https://docs.gitlab.com/api/deploy_tokens/"""
    return {
        "id": number,
        "name": name,
        "username": f"gitlab+deploy-token-{number}",
        "expires_at": None if ends is None else ago(-ends),
        "revoked": False,
        "expired": ends is not None and ends < 0,
        "scopes": list(scopes),
    }


def deploy_key(
    number: int,
    title: str,
    *,
    can_push: bool,
    created: float,
    used: float | None = None,
    ends: float | None = None,
) -> Json:
    """Return a project's deploy key: https://docs.gitlab.com/api/deploy_keys/"""
    return {
        "id": number,
        "title": title,
        "created_at": ago(created),
        "expires_at": None if ends is None else ago(-ends),
        "last_used_at": ago(used),
        "key": f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{number:043d} {title}",
        "usage_type": "auth_and_signing",
        "fingerprint": f"4a:9d:64:15:{number % 100:02d}:3a:e6:07:6e:89:36:b3:3b:03:05:d9",
        "fingerprint_sha256": f"SHA256:Jrs3LD1Ji30xNLtTVf9NDCj7kkBgPBb2pjvTZ3HfI{number:05d}",
        "can_push": can_push,
    }


def service_account(number: int, username: str, name: str) -> Json:
    """Return a service account: https://docs.gitlab.com/api/service_accounts/"""
    return {
        "id": number,
        "username": username,
        "public_email": "",
        "name": name,
        "email": f"{username}@noreply.gitlab.com",
    }


def ssh_certificate(number: int, title: str, *, created: float) -> Json:
    """Return an authority of SSH certificates: https://docs.gitlab.com/api/group_ssh_certificates/"""
    return {
        "id": number,
        "title": title,
        "key": f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{number:043d} {title}",
        "created_at": ago(created),
    }


def access_token(
    number: int, name: str, user_id: int, *scopes: str, created: float, used: float | None, ends: float | None
) -> Json:
    """Return a personal access token: https://docs.gitlab.com/api/personal_access_tokens/"""
    return {
        "id": number,
        "name": name,
        "revoked": False,
        "created_at": ago(created),
        "description": None,
        "scopes": list(scopes),
        "user_id": user_id,
        "last_used_at": ago(used),
        "last_used_ips": [],
        "active": ends is None or ends > 0,
        "granular": False,
        "expires_at": day(ends),
    }


def granular(base: Json, *permissions: str, **where: object) -> Json:
    """Return a fine-grained token: https://docs.gitlab.com/auth/tokens/fine_grained_access_tokens/"""
    scope = {"access": "selected_memberships", "permissions": list(permissions), **where}
    return {**base, "scopes": ["granular"], "granular": True, "granular_scopes": [scope]}


def bound_token(base: Json, level: int, resource_type: str, resource_id: int) -> Json:
    """Return a project or group access token: https://docs.gitlab.com/api/project_access_tokens/"""
    return {**base, "access_level": level, "resource_type": resource_type, "resource_id": resource_id}


_OF_PROJECT = "feature_flag_events resource_deploy_token_events vulnerability_events"
_OF_GROUP = "feature_flag_events subgroup_events member_events vulnerability_events project_events"


def system_hook(
    number: int, url: str, *, verify: bool = True, token: bool = True, signed: bool = False
) -> Json:
    """Return a system hook: https://docs.gitlab.com/api/system_hooks/"""
    return {
        "id": number,
        "url": url,
        "name": "",
        "description": "",
        "created_at": ago(300),
        "push_events": True,
        "tag_push_events": True,
        "merge_requests_events": True,
        "repository_update_events": False,
        "enable_ssl_verification": verify,
        "organization_id": 1,
        "alert_status": "executable",
        "disabled_until": None,
        "url_variables": [],
        "push_events_branch_filter": None,
        "branch_filter_strategy": "wildcard",
        "custom_webhook_template": None,
        "custom_headers": [],
        "token_present": token,
        "signing_token_present": signed,
    }


def hook(number: int, url: str, place: tuple[str, int], *, verify: bool = True, token: bool = True) -> Json:
    """Return a webhook: https://docs.gitlab.com/api/project_webhooks/ https://docs.gitlab.com/api/group_webhooks/"""
    shown = system_hook(number, url, verify=verify, token=token)
    del shown["organization_id"]
    return {
        **shown,
        f"{place[0]}_id": place[1],
        "issues_events": False,
        "confidential_issues_events": False,
        "note_events": False,
        "confidential_note_events": None,
        "pipeline_events": True,
        "wiki_page_events": False,
        "deployment_events": True,
        "job_events": False,
        "releases_events": False,
        "milestone_events": False,
        "emoji_events": False,
        "resource_access_token_events": False,
        **dict.fromkeys((_OF_PROJECT if place[0] == "project" else _OF_GROUP).split(), False),
    }


def integration(number: int, slug: str, title: str, *, active: bool = True, inherited: bool = False) -> Json:
    """Return an integration: https://docs.gitlab.com/api/project_integrations/"""
    return {
        "id": number,
        "title": title,
        "slug": slug,
        "created_at": ago(500),
        "updated_at": ago(100),
        "active": active,
        "commit_events": True,
        "push_events": True,
        "issues_events": False,
        "alert_events": False,
        "incident_events": False,
        "confidential_issues_events": False,
        "merge_requests_events": True,
        "tag_push_events": False,
        "deployment_events": True,
        "note_events": False,
        "confidential_note_events": False,
        "pipeline_events": True,
        "wiki_page_events": False,
        "job_events": False,
        "comment_on_event_enabled": True,
        "inherited": inherited,
        "vulnerability_events": False,
    }


def access(level: int | None, **whose: object) -> Json:
    """Return an access level of a protected branch or environment; ``whose`` names ``user_id``, ``group_id``, ..."""
    names = {0: "No one", 30: "Developers + Maintainers", 40: "Maintainers", 60: "Administrator"}
    return {
        "id": 1,
        "access_level": level,
        "access_level_description": names.get(level or 0, "Maintainers"),
        "user_id": None,
        "group_id": None,
        **whose,
    }


def protected_branch(number: int, name: str, *, push: int, merge: int = 40, **more: object) -> Json:
    """Return a protected branch: https://docs.gitlab.com/api/protected_branches/"""
    return {
        "id": number,
        "name": name,
        "push_access_levels": [{**access(push), "deploy_key_id": None}],
        "merge_access_levels": [access(merge)],
        "unprotect_access_levels": [access(40)],
        "allow_force_push": False,
        "code_owner_approval_required": False,
        "inherited": False,
        **more,
    }


def protected_environment(name: str, deploy: list[Json], rules: list[Json]) -> Json:
    """Return a protected environment: https://docs.gitlab.com/api/protected_environments/"""
    return {
        "name": name,
        "deploy_access_levels": [{**level, "group_inheritance_type": 0} for level in deploy],
        "required_approval_count": 0,
        "approval_rules": rules,
    }


def approval(number: int, required: int, **whose: object) -> Json:
    """Return a rule of who approves deployments: https://docs.gitlab.com/api/protected_environments/"""
    return {
        **access(None, **whose),
        "id": number,
        "required_approvals": required,
        "group_inheritance_type": 0,
    }


def approvals(*, author: bool = False, reset: bool = True) -> Json:
    """Return the approval settings of a project: https://docs.gitlab.com/api/merge_request_approvals/"""
    return {
        "approvals_before_merge": 0,
        "reset_approvals_on_push": reset,
        "selective_code_owner_removals": False,
        "disable_overriding_approvers_per_merge_request": True,
        "merge_requests_author_approval": author,
        "merge_requests_disable_committers_approval": True,
        "require_password_to_approve": False,
        "require_reauthentication_to_approve": False,
    }


def approval_rule(number: int, name: str, required: int, *branches: Json, **more: object) -> Json:
    """Return a rule of who approves merge requests; of all branches, where none is given.

    https://docs.gitlab.com/api/merge_request_approvals/
    """
    return {
        "id": number,
        "name": name,
        "rule_type": "regular",
        "eligible_approvers": [],
        "approvals_required": required,
        "users": [],
        "groups": [],
        "contains_hidden_groups": False,
        "report_type": None,
        "protected_branches": list(branches),
        "applies_to_all_protected_branches": False,
        **more,
    }


def environment(number: int, name: str, *, tier: str) -> Json:
    """Return an environment: https://docs.gitlab.com/api/environments/"""
    return {
        "id": number,
        "name": name,
        "slug": name,
        "description": None,
        "external_url": None,
        "created_at": ago(700),
        "updated_at": ago(1),
        "tier": tier,
        "state": "available",
        "auto_stop_at": None,
        "auto_stop_setting": "always",
        "kubernetes_namespace": None,
        "flux_resource_path": None,
    }


def deployment(number: int, sha: str, place: Json, who: Json, *, created: float) -> Json:
    """Return a deployment: https://docs.gitlab.com/api/deployments/"""
    return {
        "id": number,
        "iid": number % 100,
        "ref": "main",
        "sha": sha,
        "created_at": ago(created),
        "updated_at": ago(created - 0.01),
        "status": "success",
        "user": person(who),
        "environment": {
            key: place[key] for key in ("id", "name", "slug", "external_url", "created_at", "updated_at")
        },
        "deployable": None,
    }


def schedule(number: int, description: str, owner: Json, *, active: bool = True) -> Json:
    """Return a pipeline schedule: https://docs.gitlab.com/api/pipeline_schedules/"""
    return {
        "id": number,
        "description": description,
        "ref": "refs/heads/main",
        "cron": "0 2 * * *",
        "cron_timezone": "UTC",
        "next_run_at": ago(-1),
        "active": active,
        "created_at": ago(600),
        "updated_at": ago(600),
        "owner": person(owner),
        "inputs": [],
    }


def agent(number: int, name: str, home: Json, *, created: float) -> Json:
    """Return an agent for Kubernetes: https://docs.gitlab.com/api/cluster_agents/"""
    return {
        "id": number,
        "name": name,
        "config_project": project_identity(home),
        "created_at": ago(created),
        "created_by_user_id": 101,
        "is_receptive": False,
    }


def agent_token(number: int, name: str, agent_id: int, *, created: float, used: float | None) -> Json:
    """Return one agent token; a list leaves ``last_used_at`` out: https://docs.gitlab.com/api/cluster_agents/"""
    return {
        "id": number,
        "name": name,
        "description": "",
        "agent_id": agent_id,
        "status": "active",
        "created_at": ago(created),
        "created_by_user_id": 101,
        "last_used_at": ago(used),
    }


def runner(number: int, description: str, kind: str, **more: object) -> Json:
    """Return a runner, by GraphQL: https://docs.gitlab.com/api/graphql/reference/#cirunner"""
    return {
        "id": f"gid://gitlab/Ci::Runner/{number}",
        "description": description,
        "runnerType": kind,
        "runUntagged": False,
        "locked": False,
        "accessLevel": "NOT_PROTECTED",
        "paused": False,
        "status": "ONLINE",
        "contactedAt": ago(0.01),
        "createdAt": ago(500),
        "createdBy": None,
        "tagList": [],
        "projects": [],
        **more,
    }


def trigger(
    number: int,
    description: str,
    owner: Json,
    token: str,
    *,
    created: float,
    used: float | None,
    ends: float | None,
) -> Json:
    """Return a trigger token, with its fields in REST and in GraphQL.

    https://docs.gitlab.com/api/pipeline_triggers/ https://docs.gitlab.com/api/graphql/reference/#pipelinetrigger
    """
    return {
        "rest": {
            "id": number,
            "description": description,
            "created_at": ago(created),
            "last_used": ago(used),
            "token": token,
            "updated_at": ago(created),
            "owner": person(owner),
            "expires_at": None if ends is None else ago(-ends),
        },
        "id": f"gid://gitlab/Ci::Trigger/{number}",
        "description": description,
        "canAccessProject": owner["state"] == "active",
        "hasTokenExposed": False,
        "lastUsed": ago(used),
        "expiresAt": None if ends is None else ago(-ends),
        "owner": owner,
    }


def application(number: int, name: str, *scopes: str, confidential: bool = True) -> Json:
    """Return an OAuth application: https://docs.gitlab.com/api/applications/"""
    return {
        "id": number,
        "application_id": f"5832fc6e14300a0d962240a8144466eef4ee93ef0d218477e55f11cf12fc{number:04d}",
        "application_name": name,
        "callback_url": "https://intranet.lanternpay.example/callback",
        "confidential": confidential,
        "scopes": list(scopes),
    }
