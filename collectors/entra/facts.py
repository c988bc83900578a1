"""What one listing of a tenant finds and later ones need."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  msgspec reads the annotations at run time

import msgspec


class CredentialFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What other lists know of credentials, by key ID. Empty where it could not be read."""

    used: dict[str, datetime] = {}
    """When it was last used."""
    added_by: dict[str, str] = {}
    """Who added it."""


class SignIns(msgspec.Struct, frozen=True, kw_only=True):
    """When applications and credentials were last used. Empty where it could not be read."""

    applications: dict[str, datetime] = {}
    """By client ID."""
    credentials: dict[str, datetime] = {}
    """By key ID."""


class RegisteredApplications(msgspec.Struct, kw_only=True):
    """The applications registered in the tenant."""

    owners: dict[str, str] = {}
    """Client ID -> name of the first owner."""
    objects: dict[str, str] = {}
    """Object ID -> client ID."""


class ServicePrincipals(msgspec.Struct, kw_only=True):
    """The tenant's service principals."""

    app_ids: dict[str, str] = {}
    """Client ID -> object ID."""
    names: dict[str, str] = {}
    """Object ID -> display name."""
    roles: dict[str, dict[str, str]] = {}
    """Object ID of an API -> ID of each of its app roles -> its value. Only of APIs with roles for applications."""
    many_owners: list[str] = []
    """Object IDs of those whose owners were cut off."""
    disabled: set[str] = set()
    """Client IDs of those that cannot sign in."""
    complete: bool = False
    """Whether the list was read to its end."""
