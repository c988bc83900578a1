"""Records that several listings create: controls, users, access tokens, variables, and their ids."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from collectors.gitlab import powers
from collectors.gitlab.file_variables import in_file
from scanner.collect.scope import utc_time
from scanner.records import Control, Credential, Grant, Identity, Secret, level_of, record_id
from scanner.secrets.detectors import inspect

if TYPE_CHECKING:
    from collectors.gitlab.facts import GitLabPlace
    from collectors.gitlab.scope import GitLabScope
    from scanner.records import Enforcement, Power, Stage

TOKEN_BOT = re.compile(r"(?:project|group)_\d+_bot(?:_[0-9a-f]+)?\d*")
"""User names of the bots of access tokens, which users cannot choose.

https://docs.gitlab.com/user/project/settings/project_access_tokens/#bot-users-for-projects
"""
_INTERNAL = re.compile(
    r"(?:ghost|GitLabDuo|(?:GitLab-)?(?:admin|alert|automation|duo-code-review|llm|migration|security|suggested-reviewers"
    r"|support|visual-review)-bot)\d{0,6}"
    r"|gitlab_security_policy_(?:project|group)_\d{1,20}_bot_\w{1,40}"
    r"|[\w.-]{1,80}_placeholder_(?:user_)?\d{1,20}|import_user_namespace_\d{1,20}",
    re.IGNORECASE,
)
"""User names of GitLab's own users, to whom nobody can sign in; with a number, where the name was taken.

https://docs.gitlab.com/administration/internal_users/
"""
_SERVICE = re.compile(r"service_account(?:_group_\d+|_project_\d+)?_\w+")
"""Default user names of service accounts: https://docs.gitlab.com/user/profile/service_accounts/"""
_NAMES = re.compile(
    r"ROLE|ACCOUNT|REGION|CLUSTER|SERVICE|FUNCTION|LAMBDA|NAMESPACE|PROJECT|APP|CLIENT_ID", re.IGNORECASE
)
_IDENTIFIER = re.compile(
    r"arn:aws[\w-]*:[\w-]+:[\w-]*:\d{0,12}:[\w+=,.@/:-]{1,200}|\d{12}|[A-Za-z0-9][A-Za-z0-9_./@-]{0,80}"
)


def control(
    place: GitLabPlace,
    kind: str,
    native_id: str,
    *,
    stage: Stage,
    name: str,
    enforcement: Enforcement,
    target: str | None = None,
    detail: str | None = None,
    approvers: list[str] | None = None,
    approvals: int | None = None,
    approvals_end: bool | None = None,
    restricted: bool | None = None,
    tier: str | None = None,
    bypass: list[str] | None = None,
) -> Control:
    """Return a control of an account."""
    return Control(
        id=record_id("gitlab", kind, native_id),
        provider="gitlab",
        account_id=place.account_id,
        stage=stage,
        kind=kind,
        name=name,
        enforcement=enforcement,
        target=target,
        detail=detail,
        approvers=approvers or [],
        approvals=approvals,
        approvals_end=approvals_end,
        restricted=restricted,
        tier=tier,
        bypass=bypass or [],
    )


def members_id(number: object) -> str:
    """Return the identity that represents all members of a group."""
    return record_id("gitlab", "group-members", str(number))


def members_identity(scope: GitLabScope, number: object, path: str) -> Identity:
    """Return the identity that represents all members of a group."""
    return Identity(
        id=members_id(number),
        provider="gitlab",
        account_id=scope.place.account_id,
        surface="human",
        kind="gitlab-group",
        native_id=str(number),
        name=path,
        address=path,
    )


def user_id(number: object) -> str:
    """Return the id of a user. People, service accounts and bots share one range of numbers."""
    return record_id("gitlab", "user", str(number))


def user(scope: GitLabScope, item: dict[str, Any], kind: str | None = None) -> Identity:
    """Return a user as an identity: a person, a service account or the bot of an access token."""
    name = str(item.get("username") or item["id"])
    if kind is None:
        machine = TOKEN_BOT.fullmatch(name) or _INTERNAL.fullmatch(name) or item.get("bot")
        kind = (
            "gitlab-service-account"
            if _SERVICE.fullmatch(name)
            else "gitlab-bot"
            if machine
            else "gitlab-user"
        )
    state = item.get("state")
    # In a row of a member, these fields describe the membership, not the user.
    whole = "last_activity_on" in item
    creator = (item.get("created_by") or {}).get("username") if whole and kind != "gitlab-user" else None
    return Identity(
        id=user_id(item["id"]),
        provider="gitlab",
        account_id=scope.place.account_id,
        surface="human" if kind == "gitlab-user" else "automation",
        kind=kind,
        native_id=str(item["id"]),
        name=name,
        address=name,
        enabled=None if state is None else state == "active" and not item.get("locked"),
        created_at=utc_time(item.get("created_at")) if whole else None,
        last_used_at=utc_time(item.get("last_activity_on")),
        owner=creator,
        owner_source="creator" if creator else None,
        mfa=item.get("two_factor_enabled") if kind == "gitlab-user" else None,
        managed_by="provider" if kind == "gitlab-bot" and _INTERNAL.fullmatch(name) else None,
        url=item.get("web_url"),
        tags={"state": str(state)} if state else {},
    )


def token_grant(
    place: GitLabPlace,
    native_id: str,
    identity_id: str,
    role: str,
    can: list[Power],
    *,
    scopes: list[str],
    expires: Any,
    certain: bool = True,
) -> Grant:
    """Return the grant of a token or key in the place that issued it. ``certain``: whether its role is known."""
    return Grant(
        id=record_id("gitlab", "grant", native_id),
        provider="gitlab",
        account_id=place.account_id,
        identity_id=identity_id,
        role=role,
        resource="*"
        if place.kind == "instance"
        else f"{place.address}/*"
        if place.kind == "group"
        else place.address,
        breadth="resource" if place.kind == "project" else "organization",
        powers=can,
        level=level_of(can),
        confidence="high" if certain else "low",
        via="token",
        actions=sorted(scopes)[:10],
        expires_at=utc_time(expires),
    )


def access_token(place: GitLabPlace, item: dict[str, Any], kind: str) -> Credential:
    """Return an access token of a person, a project, a group or a service account.

    https://docs.gitlab.com/api/personal_access_tokens/ : ``last_used_at`` is null if it was never used. A fine-grained
    token has the single scope ``granular``, and permissions, which not every list returns; `Credential.scopes` has
    both.
    """
    number, expires = str(item["id"]), item.get("expires_at")
    scopes = {str(scope) for scope in item.get("scopes") or []}
    if item.get("granular"):
        scopes |= {powers.GRANULAR}
        scopes |= {str(one) for given in item.get("granular_scopes") or [] for one in given["permissions"]}
    return Credential(
        id=record_id("gitlab", kind, number),
        provider="gitlab",
        account_id=place.account_id,
        identity_id=user_id(item["user_id"]),
        kind=kind,
        native_id=number,
        name=str(item["name"]),
        lifetime="expiring" if expires else "static",
        enabled=bool(item["active"]) and not item.get("revoked"),
        created_at=utc_time(item.get("created_at")),
        last_used_at=utc_time(item.get("last_used_at")),
        never_used="last_used_at" in item and item.get("last_used_at") is None,
        expires_at=utc_time(expires),
        never_expires="expires_at" in item and expires is None,
        read_only=powers.read_only(scopes),
        scopes=sorted(scopes),
        location=place.address,
    )


def variable(
    scope: GitLabScope,
    item: dict[str, Any],
    place: GitLabPlace,
    *,
    holder: str | None = None,
    schedule: str | None = None,
) -> list[Secret] | str | None:
    """Return a variable as a secret, if its value or name looks like one or if it is masked or hidden. If its value is
    only an identifier (a role, a region, a workload), return that value: pipelines use ``--role-arn "$DEPLOY_ROLE"``,
    and without it the role is unknown. Otherwise return None. A file that assigns secrets is returned as these secrets.
    """
    name, value = str(item["key"]), item.get("value")
    seen = inspect(name, value, scope.run.fingerprint) if isinstance(value, str) else None
    is_file = item.get("variable_type") == "file" and isinstance(value, str)
    masked, hidden = bool(item.get("masked")), bool(item.get("hidden")) or value is None
    where = str(item.get("environment_scope") or "*")
    if seen is None and not masked and not hidden and not is_file:
        named = value.strip() if isinstance(value, str) and _IDENTIFIER.fullmatch(value.strip()) else ""
        return named if named and (named.startswith("arn:") or _NAMES.search(name)) else None
    key_id = seen.key_id if seen is not None else None
    store = "gitlab-variable" if schedule is None else "gitlab-schedule-variable"
    part = f"{place.kind}/{place.number}" if schedule is None else f"schedule/{schedule}"
    whole = Secret(
        id=record_id("gitlab", store, f"{part}/{name}" if where == "*" else f"{part}/{name}@{where}"),
        provider="gitlab",
        account_id=place.account_id,
        store=store,
        name=name,
        holder_id=holder,
        environment=None if where == "*" else where,
        readable=not hidden,
        masked=masked,
        protected=bool(item["protected"]) if "protected" in item else None,
        visibility={"project": "repository", "group": "all", "instance": "all"}[place.kind],
        looks_like=seen.looks_like if seen is not None else None,
        recognized_by=seen.recognized_by if seen is not None else None,
        length=seen.length if seen is not None else None,
        fingerprint=seen.fingerprint if seen is not None else None,
        credential_id=record_id("aws", "access-key", key_id)
        if key_id and key_id.startswith(("AKIA", "ASIA"))
        else None,
        rotation_enabled=False,
        location=place.address if schedule is None else f"{place.address} schedule {schedule}",
        tags={"hidden": "true"} if hidden else {},
    )
    parts = in_file(value, whole, scope.run.fingerprint) if is_file and isinstance(value, str) else []
    return parts or ([whole] if seen is not None or masked or hidden else None)
