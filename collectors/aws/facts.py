"""Facts about an account that one listing finds and another needs."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from scanner.records import Identity, Link, Policy, Record, Secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ServiceDates = dict[str, datetime | None]
"""Service namespace -> last use, None for never in the tracking window."""


class ListedPrincipals(msgspec.Struct, frozen=True, kw_only=True):
    """The users, groups and roles of an account, and their policies."""

    identities: list[Identity]
    memberships: list[Link]
    policies: list[Policy]
    profile_roles: dict[str, str]
    """ARN of an instance profile -> ARN of its role."""
    ids: dict[str, str]
    """ARN -> id."""

    def users(self) -> dict[str, Identity]:
        """Return user name -> identity."""
        return {one.name: one for one in self.identities if one.kind == "iam-user"}


class KeySightings:
    """Where access keys were seen outside IAM: their ids in readable values, and the servers that store a user's
    keys.
    """

    def __init__(self) -> None:
        self.key_ids: set[str] = set()
        self.servers: dict[str, set[str]] = {}
        """Id or ARN of a user -> names of servers that store its keys on disk."""
        self._instances: dict[str, str] = {}

    def watching(self, records: Iterable[Record]) -> Iterator[Record]:
        """Yield records, and note the access keys in them."""
        for record in records:
            match record:
                case Secret(readable=True, credential_id=str(credential)):
                    self.key_ids.add(credential.rpartition(":")[2])
                case Identity(kind="codedeploy-on-premises-instance"):
                    self._instances[record.id] = record.name
                case Link(relation="runs_as") if record.source_id in self._instances:
                    self.servers.setdefault(record.target_id, set()).add(self._instances[record.source_id])
                case _:
                    pass
            yield record
