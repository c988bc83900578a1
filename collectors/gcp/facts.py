"""What one listing of an organization finds and later ones need."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  msgspec reads the annotations at run time
from typing import Any

import msgspec

from collectors.gcp.names import folder_id, organization_id, project_id
from scanner.records import Policy  # noqa: TC001


class Hierarchy(msgspec.Struct, kw_only=True):
    """The folders and projects that the scanner sees."""

    projects: dict[str, str] = {}
    """Numbers of the projects that are not being deleted, by project ID."""
    names: dict[str, str] = {}
    """IDs of projects, by number."""
    folders: list[str] = []
    """Numbers."""

    @property
    def accounts(self) -> list[str]:
        """`Account.id` of all of them."""
        return [*map(project_id, self.projects), *map(folder_id, self.folders)]

    def account_of(self, container: str) -> str | None:
        """Return the account of ``projects/1``, ``folders/1`` or ``organizations/1``; None for another name."""
        kind, _, number = container.partition("/")
        match kind:
            case "projects":
                return project_id(self.names.get(number, number))
            case "folders":
                return folder_id(number)
            case "organizations":
                return organization_id(number)
            case _:
                return None


class LastSignIns(msgspec.Struct, kw_only=True):
    """Last sign-ins by account (unique ID or email address) or key (ID)."""

    times: dict[str, datetime] = {}
    days: dict[str, int] = {}
    """Days of the observation period, by account or key."""
    period: dict[str, int] = {}
    """The longest observation period of a project, by its ID, in days."""


class RoleDefinitions(msgspec.Struct, frozen=True, kw_only=True):
    """The roles that can be granted."""

    predefined: dict[str, dict[str, Any]] = {}
    """As the IAM API lists them, by name."""
    custom: list[Policy] = []
