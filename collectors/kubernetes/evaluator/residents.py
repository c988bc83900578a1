"""The service accounts of a cluster, and which of them pods run as."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.kubernetes.evaluator.ways import is_platform_subject
from scanner.records import Credential, Identity, Link, record_id

if TYPE_CHECKING:
    from scanner.records import Record

CLOUD_TAGS = ("aws_role", "azure_client", "google_account")
"""Tags of a service account that name an identity of a cloud."""


class Residents:
    """Service accounts by namespace and name, users and groups by name."""

    def __init__(self, account_id: str) -> None:
        self.account_id = account_id
        self.by_namespace: dict[str, list[str]] = {}
        self.names: dict[str, tuple[str, str]] = {}
        """Namespace and name by id."""
        self.running: set[str] = set()
        self.holding: set[str] = set()
        """Those that have a token stored as a Secret."""
        self.cloud: set[str] = set()
        """Those that name an identity of a cloud."""
        self.subjects: dict[str, Identity] = {}
        """Users and groups by id."""
        self.platform: set[str] = set()
        """Ids of what is the platform's own."""

    def add(self, record: Record) -> None:
        """Take note of a record."""
        match record:
            case Identity(kind="service-account"):
                namespace, _, name = record.name.partition("/")
                self.names[record.id] = (namespace, name)
                self.by_namespace.setdefault(namespace, []).append(record.id)
                if any(record.tags.get(tag) for tag in CLOUD_TAGS):
                    self.cloud.add(record.id)
                if record.managed_by == "provider":
                    self.platform.add(record.id)
            case Identity(kind="kubernetes-user" | "kubernetes-group"):
                self.subjects[record.id] = record
                kind = "User" if record.kind == "kubernetes-user" else "Group"
                if is_platform_subject(kind, record.name):
                    self.platform.add(record.id)
            case Credential(kind="service-account-token"):
                self.holding.add(record.identity_id)
            case Link(relation="runs_as"):
                self.running.add(record.target_id)
            case _:
                pass

    def masters(self) -> str:
        """Return the id of the group that may do everything."""
        from collectors.kubernetes.evaluator.bindings import cluster_of

        return record_id("kubernetes", "group", f"{cluster_of(self.account_id)}/system:masters")
