"""The entities of GitLab's REST API, each with the fields that its documentation shows."""

from __future__ import annotations

from datetime import UTC, date, timedelta
from typing import TYPE_CHECKING

from sandbox.estate import FIRST_NIGHT

if TYPE_CHECKING:
    from sandbox.gitlab.instance import Json

WEB = "https://gitlab.com"


def ago(days: float | None) -> str | None:
    """Return the time so many days before the first night, as GitLab writes it; None stays None."""
    if days is None:
        return None
    moment = (FIRST_NIGHT - timedelta(days=days)).astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def day(days: float | None) -> str | None:
    """Return the date so many days after the first night; tokens end on a date."""
    if days is None:
        return None
    return date.isoformat((FIRST_NIGHT + timedelta(days=days)).date())


def person(user: Json) -> Json:
    """Return ``UserBasic``: https://docs.gitlab.com/api/users/"""
    return {key: user[key] for key in ("id", "username", "name", "state", "locked", "avatar_url", "web_url")}


def user(number: int, username: str, name: str, **more: object) -> Json:
    """Return a user as an administrator sees it: https://docs.gitlab.com/api/users/#as-an-administrator"""
    return {
        "id": number,
        "username": username,
        "name": name,
        "state": "active",
        "locked": False,
        "avatar_url": None,
        "web_url": f"{WEB}/{username}",
        "created_at": ago(900),
        "bio": "",
        "bot": False,
        "email": f"{username}@lanternpay.example",
        "public_email": None,
        "last_sign_in_at": ago(2),
        "confirmed_at": ago(900),
        "last_activity_on": day(-2),
        "current_sign_in_at": ago(1),
        "identities": [],
        "can_create_group": False,
        "can_create_project": True,
        "two_factor_enabled": True,
        "external": False,
        "private_profile": False,
        "is_admin": False,
        "namespace_id": 10_000 + number,
        "created_by": None,
        **more,
    }


def member(who: Json, level: int, *, since: float = 400, ends: float | None = None) -> Json:
    """Return a member: https://docs.gitlab.com/api/group_members/"""
    return {
        **person(who),
        "access_level": level,
        "created_at": ago(since),
        "created_by": None,
        "expires_at": day(ends),
        "membership_state": "active",
        "group_saml_identity": None,
        "member_role": None,
    }


def group(number: int, path: str, name: str, *, parent: Json | None = None, **more: object) -> Json:
    """Return a group: https://docs.gitlab.com/api/groups/"""
    return {
        "id": number,
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
        "mentions_disabled": None,
        "default_branch": None,
        "default_branch_protection": 2,
        "lfs_enabled": True,
        "avatar_url": None,
        "web_url": f"{WEB}/groups/{path}",
        "request_access_enabled": False,
        "full_name": name,
        "full_path": path if parent is None else f"{parent['full_path']}/{path}",
        "created_at": ago(1400),
        "parent_id": None if parent is None else parent["id"],
        "organization_id": 1,
        "shared_runners_setting": "enabled",
        "shared_with_groups": [],
        "prevent_sharing_groups_outside_hierarchy": True,
        "membership_lock": False,
        **more,
    }


def project(number: int, path: str, namespace: Json, *, created: float = 800, **more: object) -> Json:
    """Return a project: https://docs.gitlab.com/api/projects/"""
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
        "web_url": f"{WEB}/{full}",
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
        "empty_repo": False,
        "archived": False,
        "marked_for_deletion_on": None,
        "builds_access_level": "private",
        "repository_access_level": "private",
        "environments_access_level": "private",
        "shared_runners_enabled": True,
        "group_runners_enabled": True,
        "ci_config_path": "",
        "ci_id_token_sub_claim_components": ["project_path", "ref_type", "ref"],
        "ci_job_token_scope_enabled": False,
        "ci_push_repository_for_job_token_allowed": False,
        "public_jobs": False,
        "auto_devops_enabled": False,
        "shared_with_groups": [],
        "creator_id": 101,
        **more,
    }


def variable(key: str, value: str | None, **more: object) -> Json:
    """Return a CI/CD variable: https://docs.gitlab.com/api/project_level_variables/"""
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


def deploy_key(number: int, title: str, *, can_push: bool, created: float, ends: float | None = None) -> Json:
    """Return a deploy key: https://docs.gitlab.com/api/deploy_keys/"""
    return {
        "id": number,
        "title": title,
        "key": f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{number:043d} {title}",
        "fingerprint": f"4a:9d:64:15:{number % 100:02d}:3a:e6:07:6e:89:36:b3:3b:03:05:d9",
        "fingerprint_sha256": f"SHA256:Jrs3LD1Ji30xNLtTVf9NDCj7kkBgPBb2pjvTZ3HfI{number:05d}",
        "created_at": ago(created),
        "expires_at": None if ends is None else ago(-ends),
        "can_push": can_push,
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
        "active": ends is None or ends > 0,
        "expires_at": day(ends),
    }


def bound_token(base: Json, level: int, resource_type: str, resource_id: int) -> Json:
    """Return a project or group access token: https://docs.gitlab.com/api/project_access_tokens/"""
    return {**base, "access_level": level, "resource_type": resource_type, "resource_id": resource_id}


def hook(number: int, url: str, place: tuple[str, int], *, verify: bool = True, token: bool = True) -> Json:
    """Return a webhook: https://docs.gitlab.com/api/project_webhooks/"""
    return {
        "id": number,
        "url": url,
        "name": "",
        "description": "",
        f"{place[0]}_id": place[1],
        "push_events": True,
        "push_events_branch_filter": "",
        "branch_filter_strategy": "wildcard",
        "issues_events": False,
        "confidential_issues_events": False,
        "merge_requests_events": True,
        "tag_push_events": True,
        "note_events": False,
        "job_events": False,
        "pipeline_events": True,
        "wiki_page_events": False,
        "deployment_events": True,
        "releases_events": False,
        "resource_access_token_events": False,
        "enable_ssl_verification": verify,
        "alert_status": "executable",
        "disabled_until": None,
        "repository_update_events": False,
        "url_variables": [],
        "custom_webhook_template": "",
        "custom_headers": [],
        "token_present": token,
        "signing_token_present": False,
        "created_at": ago(300),
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


def access(level: int | None, *, user_id: int | None = None, group_id: int | None = None) -> Json:
    """Return an access level of a protected branch or environment."""
    names = {0: "No one", 30: "Developers + Maintainers", 40: "Maintainers", 60: "Administrator"}
    return {
        "id": 1,
        "access_level": level,
        "access_level_description": names.get(level or 0, "Maintainers"),
        "user_id": user_id,
        "group_id": group_id,
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
        "deploy_access_levels": deploy,
        "required_approval_count": 0,
        "approval_rules": rules,
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
        "environment": {key: place[key] for key in ("id", "name", "slug", "external_url")},
        "deployable": None,
        "pending_approval_count": 0,
    }


def schedule(number: int, description: str, owner: Json, project_id: int, *, active: bool = True) -> Json:
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
        "project_id": project_id,
    }


def agent(number: int, name: str, home: Json, *, created: float) -> Json:
    """Return an agent for Kubernetes: https://docs.gitlab.com/api/cluster_agents/"""
    return {
        "id": number,
        "name": name,
        "config_project": {
            key: home[key]
            for key in (
                "id",
                "description",
                "name",
                "name_with_namespace",
                "path",
                "path_with_namespace",
                "created_at",
            )
        },
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
        "owner": {
            "id": f"gid://gitlab/User/{owner['id']}",
            "username": owner["username"],
            "name": owner["name"],
            "state": owner["state"],
        },
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
