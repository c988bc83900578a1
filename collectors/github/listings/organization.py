"""The organization itself, and the controls among its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.github.records import control, organization_id
from scanner.collect.scope import utc_time
from scanner.records import Account

if TYPE_CHECKING:
    from collections.abc import Generator

    from collectors.github.scope import OrganizationScope
    from scanner.records import Control, Record


def organization(scope: OrganizationScope, org: dict[str, Any]) -> Generator[Record, None, None]:
    """Yield the organization, and the controls among its settings. A setting that GitHub does not return yields
    nothing.
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

    yield _account(org)
    two_factor = org.get("two_factor_requirement_enabled")
    if two_factor is not None:
        yield guard(
            "two-factor-requirement",
            on=two_factor,
            detail="Two-factor authentication is required for members.",
        )
    base = org.get("default_repository_permission")
    if base is not None:
        yield guard(
            "base-permission",
            on=base in {"none", "read"},
            detail=f"Every member has {base} on every repository.",
        )
    if org.get("members_can_change_repo_visibility") is not None:
        yield guard(
            "visibility-change",
            on=not org["members_can_change_repo_visibility"],
            detail="Only owners can change a repository's visibility.",
        )
    if org.get("members_can_invite_outside_collaborators") is not None:
        yield guard(
            "outside-collaborator-invitation",
            on=not org["members_can_invite_outside_collaborators"],
            detail="Only owners can invite outside collaborators.",
        )


def _account(org: dict[str, Any]) -> Account:
    return Account(
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
