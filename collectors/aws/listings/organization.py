"""The organization: its accounts, units and policies, read once a night and shared by the targets of this process."""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from collectors.aws.client import document, items
from collectors.aws.failures import MalformedError, code_of
from collectors.aws.place import PROVIDER
from collectors.aws.times import utc
from scanner.records import Account, Control, record_id

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from collectors.aws.client import Access
    from collectors.aws.config import Config
    from collectors.aws.place import Place
    from scanner.collect.collector import Run
    from scanner.records import Record

T = TypeVar("T")
POLICY_TYPES = {"SERVICE_CONTROL_POLICY": "scp", "RESOURCE_CONTROL_POLICY": "rcp"}


class Organization(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of DescribeOrganization; ``id`` is None when the account is in no organization."""

    id: str | None
    arn: str | None = None
    management: str | None = None
    """Number of the management account."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A service or resource control policy, and what it is attached to."""

    id: str
    name: str
    kind: str
    """``scp`` or ``rcp``."""
    document: dict[str, Any] | str
    targets: frozenset[str]
    """Ids of roots, units and accounts."""


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """A root or an organizational unit."""

    id: str
    name: str
    arn: str
    parent: str | None


class Tree(msgspec.Struct, frozen=True, kw_only=True):
    """Roots and units by id, and which of them holds each account."""

    units: dict[str, Unit]
    parents: dict[str, str]


class Reading:
    """The organization as read with the credentials of the process. Each part is read once, or fails once."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._lock = threading.RLock()
        self._done: dict[str, Any] = {}
        self._failed: dict[str, Exception] = {}

    def once(self, part: str, read: Callable[[], T]) -> T:
        """Return what ``read`` gives, or gave; raise what it raised."""
        from botocore.exceptions import BotoCoreError, ClientError

        with self._lock:
            if part in self._failed:
                raise self._failed[part]
            if part not in self._done:
                try:
                    self._done[part] = read()
                except (BotoCoreError, ClientError, MalformedError) as exc:
                    self._failed[part] = exc
                    raise
            value: T = self._done[part]
            return value

    def organization(self) -> Organization:
        """Return the organization. Raises botocore's exceptions."""
        return self.once("organization", lambda: _describe(self.access))

    def accounts(self) -> dict[str, dict[str, Any]]:
        """Return account number -> entry of ListAccounts, of every account of the organization."""

        def read() -> dict[str, dict[str, Any]]:
            found = items(self.access.client("organizations"), "list_accounts", "Accounts")
            return {entry["Id"]: entry for entry in found}

        return self.once("accounts", read)

    def tree(self) -> Tree:
        """Return roots, units, and where accounts hang."""
        return self.once("tree", lambda: _tree(self.access))

    def policies(self, policy_type: str) -> list[Policy]:
        """Return the policies of a type, with documents and targets."""
        return self.once(policy_type, lambda: _policies(self.access, policy_type))


_readings: dict[str, Reading] = {}
_guard = threading.Lock()


def reading(config: Config, run: Run, sign_in: Callable[[], Access]) -> Reading:
    """Return this night's reading of the organization, for every target that this process collects."""
    key = hashlib.sha256(
        f"{run.as_of.isoformat()}\x1f{config.model_dump_json()}\x1f{id(run.stopping)}".encode()
    )
    name = key.hexdigest()
    with _guard:
        if name not in _readings:
            while len(_readings) >= 8:
                del _readings[next(iter(_readings))]
            _readings[name] = Reading(sign_in())
        return _readings[name]


def unit_ref(unit_id: str) -> str:
    """Return the `Account.id` of a root or organizational unit."""
    return record_id(PROVIDER, "organizational-unit", unit_id)


def organization_ref(organization_id: str) -> str:
    """Return the `Account.id` of an organization."""
    return record_id(PROVIDER, "organization", organization_id)


def _describe(access: Access) -> Organization:
    from botocore.exceptions import ClientError

    try:
        answer = access.client("organizations").describe_organization().get("Organization")
    except ClientError as exc:
        if code_of(exc) == "AWSOrganizationsNotInUseException":
            return Organization(id=None)
        raise
    if not answer or "Id" not in answer:
        raise MalformedError("DescribeOrganization: the response contains no organization")
    return Organization(id=answer["Id"], arn=answer.get("Arn"), management=answer.get("MasterAccountId"))


def _tree(access: Access) -> Tree:
    client = access.client("organizations")
    units: dict[str, Unit] = {}
    parents: dict[str, str] = {}
    waiting = [
        Unit(id=root["Id"], name=root.get("Name", "Root"), arn=root["Arn"], parent=None)
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
            Unit(id=entry["Id"], name=entry.get("Name", entry["Id"]), arn=entry["Arn"], parent=unit.id)
            for entry in below
        ]
    return Tree(units=units, parents=parents)


def _policies(access: Access, policy_type: str) -> list[Policy]:
    client = access.client("organizations")
    kind = POLICY_TYPES[policy_type]
    summaries = items(client, "list_policies", "Policies", Filter=policy_type)
    return [_policy(client, summary["Id"], summary.get("Name"), kind) for summary in summaries]


def _policy(client: Any, policy_id: str, name: str | None, kind: str) -> Policy:
    content = client.describe_policy(PolicyId=policy_id).get("Policy", {}).get("Content")
    if not content:
        raise MalformedError(f"DescribePolicy: {policy_id} has no content")
    targets = items(client, "list_targets_for_policy", "Targets", PolicyId=policy_id)
    return Policy(
        id=policy_id,
        name=name or policy_id,
        kind=kind,
        document=document(content),
        targets=frozenset(target["TargetId"] for target in targets),
    )


def organization_id(org: Reading) -> Generator[Record, None, Organization]:
    """Yield nothing; return the organization that the credentials belong to."""
    yield from ()
    return org.organization()


def account_numbers(org: Reading) -> Generator[Record, None, frozenset[str]]:
    """Yield nothing; return the numbers of the organization's accounts."""
    yield from ()
    return frozenset(org.accounts())


def levels(org: Reading, account: str) -> Generator[Record, None, list[list[dict[str, Any]]]]:
    """Yield nothing; return the service control policies over an account, root first, empty when none restricts it.

    https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps_evaluation.html
    """
    yield from ()
    tree = org.tree()
    if account not in tree.parents:
        raise MalformedError(
            f"account {account} has no parent in the part of the organization these credentials can see"
        )
    path = [account]
    holder: str | None = tree.parents[account]
    while holder is not None and holder not in path:
        path.append(holder)
        holder = tree.units[holder].parent if holder in tree.units else None
    found: list[list[dict[str, Any]]] = []
    for place in reversed(path):
        here = [policy for policy in org.policies("SERVICE_CONTROL_POLICY") if place in policy.targets]
        broken = [policy.name for policy in here if not isinstance(policy.document, dict)]
        if broken:
            raise MalformedError(f"service control policy {broken[0]} is not JSON")
        found.append([policy.document for policy in here if isinstance(policy.document, dict)])
    # Disabling the policy type detaches every policy: then nothing is attached anywhere, and nothing restricts.
    return found if any(found) else []


def units(org: Reading) -> Iterator[Record]:
    """Yield the organization and its units as places."""
    about = org.organization()
    if about.id is None:
        return
    ref = organization_ref(about.id)
    yield Account(
        id=ref,
        provider=PROVIDER,
        account_id=ref,
        kind="aws-organization",
        native_id=about.id,
        name=about.id,
        address=about.arn,
        active=True,
    )
    for unit in org.tree().units.values():
        yield Account(
            id=unit_ref(unit.id),
            provider=PROVIDER,
            account_id=ref,
            kind="aws-organizational-unit",
            native_id=unit.id,
            name=unit.name,
            address=unit.arn,
            parent_id=unit_ref(unit.parent) if unit.parent else ref,
        )


def controls(place: Place, org: Reading, policy_type: str) -> Iterator[Record]:
    """Yield the policies of a type as guards, one for each root, unit or account that they are attached to."""
    for policy in org.policies(policy_type):
        for target in sorted(policy.targets):
            is_account = target.isdigit()
            yield Control(
                id=record_id(PROVIDER, policy.kind, f"{policy.id}>{target}"),
                provider=PROVIDER,
                account_id=place.ref,
                stage="runtime",
                kind=policy.kind,
                name=policy.name,
                enforcement="enforced",
                target=record_id(PROVIDER, "account", target) if is_account else unit_ref(target),
                detail=f"{policy.id}, attached to {target}",
            )


def is_active(entry: dict[str, Any]) -> bool:
    """Tell whether an account of ListAccounts can be signed in to.

    ``State`` replaces ``Status``: https://docs.aws.amazon.com/organizations/latest/APIReference/API_Account.html.
    """
    return (entry.get("State") or entry.get("Status")) in {"ACTIVE", "PENDING_CLOSURE"}


def known_accounts(org: Reading, chosen: Callable[[str, dict[str, Any]], bool]) -> Iterator[Record]:
    """Yield accounts as the organization lists them: those that no target reads, or that let nobody in."""
    for number, entry in sorted(org.accounts().items()):
        if chosen(number, entry):
            ref = record_id(PROVIDER, "account", number)
            yield account_record(ref, number, entry, org.tree().parents.get(number))


def account_record(
    ref: str,
    number: str,
    entry: dict[str, Any],
    parent: str | None,
    *,
    alias: str | None = None,
    environment: str | None = None,
) -> Account:
    """Return the record of an account. ``entry`` is that of ListAccounts, empty when it could not be read."""
    state = entry.get("State") or entry.get("Status")
    return Account(
        id=ref,
        provider=PROVIDER,
        account_id=ref,
        kind="aws-account",
        native_id=number,
        name=entry.get("Name") or alias or number,
        address=entry.get("Arn"),
        parent_id=unit_ref(parent) if parent else None,
        environment=environment,
        active=state == "ACTIVE" if state else None,
        created_at=utc(entry.get("JoinedTimestamp")) if entry.get("JoinedMethod") == "CREATED" else None,
    )
