"""Ids and records that several listings build in the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanner.records import Control, record_id

if TYPE_CHECKING:
    from scanner.records import Enforcement, Stage


def user_id(number: object) -> str:
    """Return a user's `Identity.id`."""
    return record_id("github", "user", str(number))


def organization_id(number: object) -> str:
    """Return an organization's `Account.id`."""
    return record_id("github", "org", str(number))


def repository_id(number: object) -> str:
    """Return a repository's `Account.id`."""
    return record_id("github", "repo", str(number))


def control(
    account_id: str,
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
    bypass: list[str] | None = None,
    public: bool | None = None,
    shared_id: str | None = None,
) -> Control:
    """Return a control of an account."""
    return Control(
        id=record_id("github", kind, native_id),
        provider="github",
        account_id=account_id,
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
        bypass=bypass or [],
        public=public,
        shared_id=shared_id,
    )
