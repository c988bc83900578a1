"""A project as a GraphQL node: https://docs.gitlab.com/api/graphql/reference/ (type ``Project``).

Each list is built from REST's. For callers who may not read it, some lists are null, some are errors, and some are
empty, as in GitLab.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from graphql import GraphQLError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sandbox.gitlab.instance import Instance
    from sandbox.kit.http import Json

LARGEST = 100
_REFUSED = "The resource that you are attempting to access does not exist or you don't have permission to perform this action"


def page(rows: list[Json], first: int | None = None, after: str | None = None) -> Json:
    """Return one page of a connection."""
    start = int(base64.b64decode(after)) if after else 0
    size = min(first or LARGEST, LARGEST)
    part = rows[start : start + size]
    more = start + size < len(rows)
    cursor = base64.b64encode(str(start + len(part)).encode()).decode()
    return {"nodes": part, "pageInfo": {"endCursor": cursor, "hasNextPage": more}}


def oid_of(text: str) -> str:
    """Return Git's object id of a file's content."""
    content = text.encode()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def project_node(
    instance: Instance, may: Callable[[str], bool], row: Json, broken: str | None = None
) -> Json:
    """Return a project's fields; lists are functions, called with the arguments of the query.

    ``may`` returns whether the token may read a REST route; ``broken`` is a field that times out.
    """
    number = row["id"]
    base = f"/projects/{number}"

    def listed(path: str) -> list[Json]:
        return list(instance.lists.get(f"{base}/{path}", []))

    def allowed(path: str) -> bool:
        return may(f"/projects/:id/{path}")

    def paged(rows: Iterable[Json], **options: Any) -> Json:
        return page(list(rows), options.get("first"), options.get("after"))

    def refused() -> GraphQLError:
        return GraphQLError(_REFUSED)

    def variables(_info: object, **options: Any) -> Json | None:
        if not allowed("variables"):
            return None
        return paged(
            (
                {
                    "id": f"gid://gitlab/Ci::Variable/{number * 1000 + place}",
                    "key": one["key"],
                    "value": one["value"],
                    "environmentScope": one["environment_scope"],
                    "masked": one["masked"],
                    "protected": one["protected"],
                }
                for place, one in enumerate(listed("variables"))
            ),
            **options,
        )

    def members(_info: object, *, relations: list[str] | None = None, **options: Any) -> Json:
        if not allowed("members"):
            raise refused()
        assert relations == ["DIRECT"]
        return paged(
            (
                {
                    "__typename": "ProjectMember",
                    "id": f"gid://gitlab/ProjectMember/{number}-{one['id']}",
                    "updatedAt": one["created_at"],
                }
                for one in listed("members")
            ),
            **options,
        )

    def schedules(_info: object) -> Json:
        if not allowed("pipeline_schedules"):
            raise refused()
        found = [one["active"] for one in listed("pipeline_schedules")]
        return {"active": sum(found), "inactive": len(found) - sum(found), "total": len(found)}

    def services(_info: object, **options: Any) -> Json | None:
        if not allowed("integrations"):
            return None
        active = [one for one in listed("integrations") if one["active"] or not options.get("active")]
        return paged(
            ({"__typename": "BaseService", "active": one["active"], "type": one["title"]} for one in active),
            **options,
        )

    def triggers(_info: object, **options: Any) -> Json:
        rows = instance.triggers.get(number, []) if allowed("triggers") else []
        return paged(
            ({**one, "token": one["rest"]["token"], "owner": user_node(one["owner"])} for one in rows),
            **options,
        )

    def agents(_info: object, **options: Any) -> Json:
        rows = listed("cluster_agents") if allowed("cluster_agents") else []
        return paged((_agent(instance, base, one, allowed) for one in rows), **options)

    def settings(_info: object) -> Json | None:
        if not allowed("job_token_scope"):
            return None
        return {"inboundJobTokenScopeEnabled": instance.objects[f"{base}/job_token_scope"]["inbound_enabled"]}

    def job_token_scope(_info: object) -> Json:
        if not (allowed("job_token_scope/allowlist") and allowed("job_token_scope/groups_allowlist")):
            raise refused()
        projects, groups = listed("job_token_scope/allowlist"), listed("job_token_scope/groups_allowlist")

        def shown_projects(_info: object, **options: Any) -> Json:
            return paged(
                (
                    {"id": f"gid://gitlab/Project/{one['id']}", "fullPath": one["path_with_namespace"]}
                    for one in projects
                ),
                **options,
            )

        def shown_groups(_info: object, **options: Any) -> Json:
            return paged(
                (
                    {
                        "id": f"gid://gitlab/Group/{one['id']}",
                        "fullPath": one["name"],
                        "webUrl": one["web_url"],
                    }
                    for one in groups
                ),
                **options,
            )

        return {
            "inboundAllowlist": shown_projects,
            "inboundAllowlistCount": len(projects),
            "groupsAllowlist": shown_groups,
            "groupsAllowlistCount": len(groups),
        }

    def branch_rules(_info: object, **options: Any) -> Json:
        rules = listed("approval_rules") if allowed("approval_rules") else []
        branches = listed("protected_branches") if allowed("protected_branches") else []

        def demanded(holds: Callable[[Json], bool]) -> Json:
            found = [one for one in rules if holds(one)]
            return {"approvalRules": lambda _info, **more: paged(_approvals(found), **more)}

        def named(name: str) -> Json:
            return demanded(lambda one: name in {held["name"] for held in one["protected_branches"]})

        protected = (
            _ALL
            | {"name": "All protected branches"}
            | demanded(lambda one: one["applies_to_all_protected_branches"])
        )
        shown = [
            _ALL | demanded(lambda one: not one["protected_branches"]),
            *([protected] if any(one["applies_to_all_protected_branches"] for one in rules) else []),
            *(_branch_rule(one, row) | named(one["name"]) for one in branches),
        ]
        return paged(shown, **options)

    def repository(_info: object) -> Json | None:
        if not allowed("repository/files/:file_path/raw"):
            return None

        def blobs(_info: object, *, paths: list[str], **options: Any) -> Json:
            found = [(path, instance.files.get(f"{number}/{path}")) for path in paths]
            return paged((_blob(path, text) for path, text in found if text is not None), **options)

        return {"blobs": blobs}

    node: Json = {
        "id": f"gid://gitlab/Project/{number}",
        "fullPath": row["path_with_namespace"],
        "userPermissions": {"adminProject": may("adminProject")},
        "branchRules": branch_rules,
        "ciCdSettings": settings,
        "ciJobTokenScope": job_token_scope,
        "ciVariables": variables,
        "clusterAgents": agents,
        "pipelineScheduleStatusCounts": schedules,
        "pipelineTriggers": triggers,
        "projectMembers": members,
        "repository": repository,
        "services": services,
    }
    if broken is not None:

        def too_slow(_info: object, **_options: Any) -> Json:
            raise GraphQLError(f"Timeout on Project.{broken}")

        node[broken] = too_slow
    return node


def user_node(held: Json | None) -> Json | None:
    """Return a user as a GraphQL node."""
    return None if held is None else {**held, "id": f"gid://gitlab/User/{held['id']}"}


_ALL: Json = {
    "id": None,
    "name": "All branches",
    "isDefault": False,
    "isProtected": False,
    "branchProtection": None,
}


def _approvals(rules: Iterable[Json]) -> list[Json]:
    return [
        {"approvalsRequired": one["approvals_required"], "type": one["rule_type"].upper()} for one in rules
    ]


def _agent(instance: Instance, base: str, agent: Json, allowed: Callable[[str], bool]) -> Json:
    path = f"{base}/cluster_agents/{agent['id']}/tokens"

    def tokens(_info: object, *, status: str | None = None, **options: Any) -> Json:
        rows = instance.lists.get(path, []) if allowed("cluster_agents/:agent_id/tokens") else []
        whole = [instance.objects[f"{path}/{one['id']}"] for one in rows]
        return page(
            [
                {
                    "id": f"gid://gitlab/Clusters::AgentToken/{one['id']}",
                    "name": one["name"],
                    "createdAt": one["created_at"],
                    "createdByUser": _creator(instance, one),
                    "lastUsedAt": one["last_used_at"],
                    "status": one["status"].upper(),
                }
                for one in whole
                if status is None or one["status"].upper() == status
            ],
            options.get("first"),
            options.get("after"),
        )

    return {
        "id": f"gid://gitlab/Clusters::Agent/{agent['id']}",
        "name": agent["name"],
        "createdAt": agent["created_at"],
        "createdByUser": _creator(instance, agent),
        "tokens": tokens,
    }


def _creator(instance: Instance, item: Json) -> Json | None:
    user = instance.users.get(item["created_by_user_id"])
    return {"username": user["username"]} if user else None


def _branch_rule(branch: Json, project: Json) -> Json:
    def levels(name: str) -> Callable[..., Json]:
        rows = [_level(one) for one in branch[name]]
        return lambda _info, **options: page(rows, options.get("first"), options.get("after"))

    return {
        "id": f"gid://gitlab/Projects::BranchRule/{branch['id']}",
        "name": branch["name"],
        "isDefault": branch["name"] == project["default_branch"],
        "isProtected": True,
        "branchProtection": {
            "allowForcePush": branch["allow_force_push"],
            "codeOwnerApprovalRequired": branch["code_owner_approval_required"],
            "pushAccessLevels": levels("push_access_levels"),
            "mergeAccessLevels": levels("merge_access_levels"),
        },
    }


def _level(level: Json) -> Json:
    def somebody(kind: str, key: str) -> Json | None:
        return {"id": f"gid://gitlab/{kind}/{level[key]}"} if level.get(key) else None

    return {
        "accessLevel": level["access_level"],
        "accessLevelDescription": level["access_level_description"],
        "user": somebody("User", "user_id"),
        "group": somebody("Group", "group_id"),
        "deployKey": somebody("DeployKey", "deploy_key_id"),
    }


def _blob(path: str, text: str) -> Json:
    return {
        "path": path,
        "oid": oid_of(text),
        # A BigInt is written as a string.
        "rawSize": str(len(text.encode())),
        "rawTextBlob": text,
    }
