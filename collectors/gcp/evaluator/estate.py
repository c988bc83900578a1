"""The places, accounts and workloads of an organization that decide what a role amounts to."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from collectors.gcp.names import default_of
from scanner.records import Account, Control, Enforcement, Identity, Link

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from scanner.records import Record

ACCOUNT = "gcp-service-account"
ORGANIZATION_POLICY = "gcp-organization-policy"


class GcpEstate:
    """Filled from the records of a night; see `add`."""

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}
        self._numbers: dict[str, str] = {}
        self._of_project: dict[str, str] = {}
        self._by_email: dict[str, Identity] = {}
        self._by_id: dict[str, Identity] = {}
        self._workloads: dict[str, Identity] = {}
        self._runs_as: dict[str, str] = {}
        self._policies: dict[tuple[str, str], Enforcement] = {}
        self._issuers: dict[str, list[Account]] = defaultdict(list)
        self._below: dict[str, list[Identity]] | None = None

    def add(self, record: Record) -> None:
        """Take note of a record, if it matters here."""
        match record:
            case Account():
                if record.parent_id is not None:
                    self._parents[record.id] = record.parent_id
                if record.kind == "gcp-project" and record.native_id:
                    self._numbers[record.native_id] = record.id
                    self._of_project[record.id] = record.native_id
                if record.issuer is not None and record.parent_id is not None:
                    self._issuers[record.parent_id].append(record)
            case Identity(kind="gcp-service-account", address=str(email)):
                self._by_email[email.lower()] = record
                self._by_id[record.id] = record
            case Identity() if record.id.startswith("gcp:resource:"):
                self._workloads[record.id] = record
            case Link(relation="runs_as"):
                self._runs_as[record.source_id] = record.target_id
            case Control(kind="gcp-organization-policy", target=str(target)):
                self._policies[target, record.name] = record.enforcement
            case _:
                return
        self._below = None

    def seen(self, records: Iterable[Record]) -> Iterator[Record]:
        """Yield records, each taken note of."""
        for record in records:
            self.add(record)
            yield record

    def chain(self, account: str) -> tuple[str, ...]:
        """Return an account and every account above it, lowest first."""
        found = [account]
        while (parent := self._parents.get(found[-1])) is not None and len(found) < 64:
            found.append(parent)
        return tuple(found)

    def project_of_number(self, number: str) -> str | None:
        """Return the `Account.id` of a project by its number."""
        return self._numbers.get(number)

    def container(self, account: str) -> str | None:
        """Return ``projects/NUMBER``, ``folders/NUMBER`` or ``organizations/NUMBER`` of an account, as principals write it."""
        _, kind, number = f"{account}::".split(":", 2)
        number = number.removesuffix("::")
        if kind == "project":
            return f"projects/{self._of_project.get(account, number)}"
        return f"{kind}s/{number}" if kind in {"folder", "organization"} else None

    def account(self, email: str) -> Identity | None:
        """Return a service account by its email address."""
        return self._by_email.get(email.lower())

    def service_account(self, number: str) -> Identity | None:
        """Return a service account by the id of its record."""
        return self._by_id.get(number)

    def clusters(self, project: str) -> list[Account]:
        """Return the clusters of a project that sign tokens."""
        return self._issuers.get(project, [])

    def accounts_below(self, place: str) -> list[Identity]:
        """Return the service accounts of a project, folder or organization, sorted by id."""
        if self._below is None:
            below: dict[str, list[Identity]] = defaultdict(list)
            for _, identity in sorted(self._by_id.items()):
                for one in self.chain(identity.account_id):
                    below[one].append(identity)
            self._below = dict(below)
        return self._below.get(place, [])

    def workloads_below(self, place: str, kinds: tuple[str, ...]) -> Iterator[Identity]:
        """Yield the workloads of some kinds that run as an account, sorted by id."""
        for number, identity in sorted(self._workloads.items()):
            if (
                identity.kind in kinds
                and number in self._runs_as
                and place in self.chain(identity.account_id)
            ):
                yield identity

    def default_account(self, place: str, service: str) -> Iterator[Identity]:
        """Yield the default accounts of a service in the projects of a place."""
        for identity in self.accounts_below(place):
            if default_of(identity.address or "") == service:
                yield identity

    def barred(self, account: str, constraints: Iterable[str]) -> bool:
        """Return whether one of several organization policies is enforced for an account: the nearest one counts."""
        for constraint in constraints:
            for place in self.chain(account):
                found = self._policies.get((place, constraint))
                if found is not None and found != "audited":
                    if found == "enforced":
                        return True
                    break
        return False
