"""What one listing of a tenant finds and later ones need."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  msgspec reads the annotations at run time

import msgspec


class EligibleRole(msgspec.Struct, frozen=True, kw_only=True):
    """One assignment that may be activated."""

    name: str
    scope: str
    principal_id: str
    role_definition_id: str
    member_type: str
    """``Direct``, ``Inherited`` or ``Group``."""
    condition: str | None = None
    until: datetime | None = None
    """When the eligibility ends; None if it does not."""


class Containers(msgspec.Struct, kw_only=True):
    """The subscriptions and management groups that the scanner sees."""

    subscriptions: list[str] = []
    """IDs."""
    accounts: list[str] = []
    """`Account.id` of all of them."""
