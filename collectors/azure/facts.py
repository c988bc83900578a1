"""What one listing of a tenant finds and later ones need."""

from __future__ import annotations

import msgspec


class Containers(msgspec.Struct, kw_only=True):
    """The subscriptions and management groups that the scanner sees."""

    subscriptions: list[str] = []
    """IDs."""
    groups: list[str] = []
    """Names of management groups, which are their IDs."""
    accounts: list[str] = []
    """`Account.id` of all of them."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription or management group of which lists are asked."""

    account: str
    """`Account.id`."""
    path: str
    """``/subscriptions/ID``."""
    template: str
    """``/subscriptions/{subscription}``, as calls name it."""
