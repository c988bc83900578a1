"""The organization itself, and the controls among its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.github.records import control, organization_id
from scanner.collect.failures import SourceError
from scanner.collect.scope import utc_time
from scanner.records import Account

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.github.scope import OrganizationScope
    from scanner.records import Control


_MEMBERS_CAN = (
    (
        "members_can_change_repo_visibility",
        "visibility-change",
        "Only owners can change a repository's visibility.",
        "Members can change the visibility of repositories that they administer.",
    ),
    (
        "members_can_invite_outside_collaborators",
        "outside-collaborator-invitation",
        "Only owners can invite outside collaborators.",
        "Members can invite outside collaborators.",
    ),
    (
        "members_can_create_public_repositories",
        "public-repository-creation",
        "Members cannot create public repositories.",
        "Members can create public repositories.",
    ),
    (
        "members_can_fork_private_repositories",
        "private-fork-creation",
        "Members cannot fork private repositories.",
        "Members can fork private repositories.",
    ),
    (
        "deploy_keys_enabled_for_repositories",
        "deploy-key-creation",
        "Repositories cannot have deploy keys.",
        "Repositories can have deploy keys.",
    ),
)
"""Keys of the organization, shown to its owners only: https://docs.github.com/en/rest/orgs/orgs#get-an-organization"""
SETTINGS = ("base-permission", *(kind for _, kind, _, _ in _MEMBERS_CAN))
"""The kinds of controls besides two-factor-requirement."""


def organization(org: dict[str, Any]) -> Iterator[Account]:
    """Yield the organization."""
    yield Account(
        id=organization_id(org["id"]),
        provider="github",
        account_id=organization_id(org["id"]),
        kind="github-organization",
        native_id=str(org["id"]),
        name=org["login"],
        address=org["login"],
        active=org.get("archived_at") is None,
        created_at=utc_time(org.get("created_at")),
        url=org.get("html_url"),
        tags={"plan": str(org["plan"]["name"])} if org.get("plan") else {},
    )


def settings(scope: OrganizationScope, org: dict[str, Any]) -> Iterator[Control]:
    """Yield the controls among the organization's settings. Raises `SourceError` at the end if GitHub does not
    show the settings: only owners see them.
    """

    def guard(kind: str, *, on: bool, detail: str) -> Control:
        return control(
            scope.account_id,
            kind,
            str(scope.number),
            stage="source",
            name=kind.replace("-", " "),
            enforcement="enforced" if on else "absent",
            target=scope.account_id,
            detail=detail,
        )

    two_factor = org.get("two_factor_requirement_enabled")
    if two_factor is not None:
        yield guard(
            "two-factor-requirement",
            on=two_factor,
            detail=f"Two-factor authentication is {'' if two_factor else 'not '}required for members.",
        )
    base = org.get("default_repository_permission")
    if base is not None:
        yield guard(
            "base-permission",
            on=base in {"none", "read"},
            detail=f"Every member has {base} on every repository.",
        )
    for key, kind, only_owners, members in _MEMBERS_CAN:
        if org.get(key) is not None:
            yield guard(kind, on=not org[key], detail=members if org[key] else only_owners)
    if two_factor is None or base is None:
        raise SourceError("denied", "the organization's settings are shown to its owners only")
