"""The organization: accounts, units and policies, read once a night and shared by all targets of the process."""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from collectors.aws.client import items
from collectors.aws.evaluator.policy import parse
from collectors.aws.evaluator.policy_records import RCP, SCP, document_text
from collectors.aws.failures import MalformedError, code_of
from collectors.aws.times import utc
from scanner.collect.failures import SourceError
from scanner.policies import policy_record
from scanner.records import Account, Policy, record_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from collectors.aws.client import Access
    from collectors.aws.config import Config
    from scanner.collect.collector import Run

T = TypeVar("T")
POLICY_TYPES = {"SERVICE_CONTROL_POLICY": SCP, "RESOURCE_CONTROL_POLICY": RCP}
"""AWS's name of a type of policy -> kind of its records."""


class AwsOrganization(msgspec.Struct, frozen=True, kw_only=True):
    """The result of DescribeOrganization. ``id`` is None if the account is not in an organization."""

    id: str | None
    arn: str | None = None
    management: str | None = None
    """The ID of the management account."""


class OrganizationalUnit(msgspec.Struct, frozen=True, kw_only=True):
    """A root or an organizational unit."""

    id: str
    name: str
    arn: str
    parent: str | None


class OrganizationTree(msgspec.Struct, frozen=True, kw_only=True):
    """Roots and units by id, and the parent of each account."""

    units: dict[str, OrganizationalUnit]
    parents: dict[str, str]


class OrganizationReader:
    """The organization as read with the process's credentials. Each part is read at most once."""

    def __init__(self, access: Access, stopping: threading.Event) -> None:
        self.access = access
        self.stopping = stopping
        """Kept so that no other run's event can have the same id while this reader exists."""
        self._lock = threading.RLock()
        self._done: dict[str, Any] = {}
        self._failed: dict[str, Exception] = {}

    def once(self, part: str, read: Callable[[], T]) -> T:
        """Return the cached result of ``read``, or raise its cached exception."""
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        with self._lock:
            if part in self._failed:
                raise self._failed[part]
            if part not in self._done:
                try:
                    self._done[part] = read()
                except (BotoCoreError, ClientError, ResponseParserError, SourceError) as exc:
                    self._failed[part] = exc
                    raise
            value: T = self._done[part]
            return value

    def organization(self) -> AwsOrganization:
        """Return the organization. Raises botocore's exceptions."""
        return self.once("organization", lambda: _describe(self.access))

    def accounts(self) -> dict[str, dict[str, Any]]:
        """Return account ID -> entry of ListAccounts, for every account of the organization."""

        def read() -> dict[str, dict[str, Any]]:
            found = items(self.access.client("organizations"), "list_accounts", "Accounts")
            return {entry["Id"]: entry for entry in found}

        return self.once("accounts", read)

    def tree(self) -> OrganizationTree:
        """Return roots, units and the parents of accounts."""
        return self.once("tree", lambda: _tree(self.access))

    def policies(self, policy_type: str) -> list[Policy]:
        """Return the policies of a type (see `POLICY_TYPES`) as records, with what they are attached to."""
        return self.once(policy_type, lambda: list(_policies(self.access, self.organization(), policy_type)))


_readers: dict[str, OrganizationReader] = {}
_guard = threading.Lock()


def reader(config: Config, run: Run, sign_in: Callable[[], Access]) -> OrganizationReader:
    """Return this night's reader of the organization, for every target that this process collects."""
    key = hashlib.sha256(
        f"{run.as_of.isoformat()}\x1f{config.model_dump_json()}\x1f{id(run.stopping)}".encode()
    )
    name = key.hexdigest()
    with _guard:
        if name not in _readers:
            while len(_readers) >= 8:
                del _readers[next(iter(_readers))]
            _readers[name] = OrganizationReader(sign_in(), run.stopping)
        return _readers[name]


def account_ref(number: str) -> str:
    """Return the `Account.id` of an account."""
    return record_id("aws", "account", number)


def unit_ref(unit_id: str) -> str:
    """Return the `Account.id` of a root or organizational unit."""
    return record_id("aws", "organizational-unit", unit_id)


def organization_ref(organization_id: str) -> str:
    """Return the `Account.id` of an organization."""
    return record_id("aws", "organization", organization_id)


def is_active(entry: dict[str, Any]) -> bool:
    """Return whether an account of ListAccounts is active.

    ``State`` replaces ``Status``: https://docs.aws.amazon.com/organizations/latest/APIReference/API_Account.html.
    """
    return (entry.get("State") or entry.get("Status")) in {"ACTIVE", "PENDING_CLOSURE"}


def _describe(access: Access) -> AwsOrganization:
    from botocore.exceptions import ClientError

    try:
        answer = access.client("organizations").describe_organization().get("Organization")
    except ClientError as exc:
        if code_of(exc) == "AWSOrganizationsNotInUseException":
            return AwsOrganization(id=None)
        raise
    if not answer or "Id" not in answer:
        raise MalformedError("DescribeOrganization: the response contains no organization")
    return AwsOrganization(id=answer["Id"], arn=answer.get("Arn"), management=answer.get("MasterAccountId"))


def _tree(access: Access) -> OrganizationTree:
    client = access.client("organizations")
    units: dict[str, OrganizationalUnit] = {}
    parents: dict[str, str] = {}
    waiting = [
        OrganizationalUnit(id=root["Id"], name=root.get("Name", "Root"), arn=root["Arn"], parent=None)
        for root in items(client, "list_roots", "Roots")
    ]
    while waiting:
        unit = waiting.pop()
        if unit.id in units:
            continue
        units[unit.id] = unit
        for entry in items(client, "list_accounts_for_parent", "Accounts", ParentId=unit.id):
            parents[entry["Id"]] = unit.id
        below = items(client, "list_organizational_units_for_parent", "OrganizationalUnits", ParentId=unit.id)
        waiting += [
            OrganizationalUnit(
                id=entry["Id"], name=entry.get("Name", entry["Id"]), arn=entry["Arn"], parent=unit.id
            )
            for entry in below
        ]
    return OrganizationTree(units=units, parents=parents)


def _policies(access: Access, organization: AwsOrganization, policy_type: str) -> Iterator[Policy]:
    client = access.client("organizations")
    kind = POLICY_TYPES[policy_type]
    for summary in items(client, "list_policies", "Policies", Filter=policy_type):
        native_id, name = summary["Id"], summary.get("Name") or summary["Id"]
        content = client.describe_policy(PolicyId=native_id)["Policy"]["Content"]
        if not content:
            raise MalformedError(f"DescribePolicy: {native_id} has no content")
        targets = [
            target["TargetId"]
            for target in items(client, "list_targets_for_policy", "Targets", PolicyId=native_id)
        ]
        text = document_text(content)
        if not parse(text).statements:
            raise MalformedError(f"{policy_type.lower().replace('_', ' ')} {name}: {parse(text).broken}")
        ref = organization_ref(organization.id or "")
        yield policy_record(
            provider="aws",
            kind=kind,
            account_id=ref,
            # AWS's own FullAWSAccess has the same id in every organization.
            native_id=f"{organization.id}/{native_id}",
            name=name,
            address=summary.get("Arn"),
            attached_to=[account_ref(one) if one.isdigit() else unit_ref(one) for one in targets],
            document=text,
        )


def organization_record(about: AwsOrganization, accounts: dict[str, dict[str, Any]] | None) -> Account:
    """Return the record of an organization; ``accounts`` is None if its accounts could not be listed."""
    ref = organization_ref(about.id or "")
    return Account(
        id=ref,
        provider="aws",
        account_id=ref,
        kind="aws-organization",
        native_id=about.id or "",
        name=about.id or "",
        address=about.arn,
        administrator_id=account_ref(about.management) if about.management else None,
        members=None if accounts is None else sorted(account_ref(number) for number in accounts),
        active=True,
    )


def unit_records(about: AwsOrganization, tree: OrganizationTree) -> Iterator[Account]:
    """Yield the roots and organizational units of an organization."""
    ref = organization_ref(about.id or "")
    for unit in tree.units.values():
        yield Account(
            id=unit_ref(unit.id),
            provider="aws",
            account_id=ref,
            kind="aws-organizational-unit",
            native_id=unit.id,
            name=unit.name,
            address=unit.arn,
            parent_id=unit_ref(unit.parent) if unit.parent else ref,
        )


def account_record(
    number: str,
    entry: dict[str, Any],
    parent_id: str | None,
    *,
    alias: str | None = None,
    environment: str | None = None,
) -> Account:
    """Return the record of an account. ``entry`` is its entry in ListAccounts, empty if that could not be read."""
    state = entry.get("State") or entry.get("Status")
    return Account(
        id=account_ref(number),
        provider="aws",
        account_id=account_ref(number),
        kind="aws-account",
        native_id=number,
        name=entry.get("Name") or alias or number,
        address=entry.get("Arn"),
        parent_id=parent_id,
        environment=environment,
        active=state == "ACTIVE" if state else None,
        created_at=utc(entry.get("JoinedTimestamp")) if entry.get("JoinedMethod") == "CREATED" else None,
    )
