"""Listings of the organization, for its own target and for each of its accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from collectors.aws.evaluator.policy_records import RCP, SCP
from collectors.aws.failures import MalformedError
from collectors.aws.organization import (
    POLICY_TYPES,
    AwsOrganization,
    OrganizationTree,
    account_record,
    account_ref,
    organization_record,
    organization_ref,
    unit_records,
    unit_ref,
)
from scanner.records import Control, Policy, record_id

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from collectors.aws.organization import OrganizationReader
    from collectors.aws.scope import AwsScope
    from scanner.records import Record

_TREE = "organizations:ListRoots, organizations:ListOrganizationalUnitsForParent, organizations:ListAccountsForParent"
_POLICIES = "organizations:ListPolicies, organizations:DescribePolicy, organizations:ListTargetsForPolicy"


class Membership(msgspec.Struct, frozen=True, kw_only=True):
    """What an account could read about its organization. None always means unknown."""

    organization: AwsOrganization | None = None
    accounts: dict[str, dict[str, Any]] | None = None
    """Account number -> entry of ListAccounts."""
    tree: OrganizationTree | None = None
    guards: list[Policy] = []
    """Service and resource control policies attached to the account or above it."""

    def records(self) -> Iterator[Record]:
        """Yield the organization, its units and the policies above the account as records, as far as known."""
        if self.organization is None or self.organization.id is None:
            return
        yield organization_record(self.organization, self.accounts)
        if self.tree is not None:
            yield from unit_records(self.organization, self.tree)
        yield from self.guards

    def parent_of(self, account: str) -> str | None:
        """Return the `Account.id` of an account's organizational unit; of the organization if the unit is unknown."""
        if self.organization is None or self.organization.id is None:
            return None
        unit = self.tree.parents.get(account) if self.tree else None
        return unit_ref(unit) if unit else organization_ref(self.organization.id)


def membership(scope: AwsScope, org: OrganizationReader) -> Generator[Record, None, Membership]:
    """Read and return the account's organization. Its records are yielded by the organization target or, if there is
    none (``organization: false``), by each account.
    """
    described = yield from scope.listing(
        _described(scope, org),
        "organizations:DescribeOrganization",
        "accounts/aws-organization",
        loses=("accounts/aws-account", "trusts/account", f"policies/{SCP}", f"policies/{RCP}"),
    )
    if described is None:
        return Membership()
    about, accounts = described
    if about.id is None:
        return Membership(organization=about)
    over = yield from scope.listing(
        _policies_over(scope, org, about),
        "organizations:ListPolicies",
        f"policies/{SCP}",
        f"policies/{RCP}",
        *([] if scope.config.organization else ["accounts/aws-organizational-unit"]),
        needs=f"{_TREE}, {_POLICIES}",
    )
    tree, guards = over or (None, [])
    return Membership(organization=about, accounts=accounts, tree=tree, guards=guards)


def _described(
    scope: AwsScope, org: OrganizationReader
) -> Generator[Record, None, tuple[AwsOrganization, dict[str, dict[str, Any]] | None]]:
    about, accounts = org.organization(), None
    if about.id is not None:
        # This list decides which accounts belong to the organization.
        accounts = yield from scope.lookup(
            org.accounts, "organizations:ListAccounts", "accounts/aws-account", "trusts/account"
        )
        if not scope.config.organization:
            yield organization_record(about, accounts)
    return about, accounts


def _policies_over(
    scope: AwsScope, org: OrganizationReader, about: AwsOrganization
) -> Generator[Record, None, tuple[OrganizationTree, list[Policy]]]:
    tree = org.tree()
    if scope.account not in tree.parents:
        raise MalformedError(
            f"account {scope.account} has no parent in the part of the organization these credentials can see"
        )
    path = {account_ref(scope.account)}
    holder: str | None = tree.parents[scope.account]
    while holder is not None and unit_ref(holder) not in path:
        path.add(unit_ref(holder))
        holder = tree.units[holder].parent if holder in tree.units else None
    guards = [
        policy
        for policy_type in POLICY_TYPES
        for policy in org.policies(policy_type)
        if path & set(policy.attached_to)
    ]
    if not scope.config.organization:
        yield from (unit for unit in unit_records(about, tree) if unit.id in path)
        yield from guards
    return tree, guards


def own_account(scope: AwsScope, known: Membership, alias: str | None) -> Iterator[Record]:
    """Yield the account itself."""
    yield account_record(
        scope.account,
        (known.accounts or {}).get(scope.account, {}),
        known.parent_of(scope.account),
        alias=alias,
        environment=scope.environment(),
    )


def listed_accounts(
    org: OrganizationReader, chosen: Callable[[str, dict[str, Any]], bool]
) -> Generator[Record, None, dict[str, dict[str, Any]]]:
    """Yield accounts from the organization's list: those without a target and those that are closed. Returns account
    number -> entry of ListAccounts, for all accounts.
    """
    for number, entry in sorted(org.accounts().items()):
        if chosen(number, entry):
            unit = org.tree().parents.get(number)
            yield account_record(number, entry, unit_ref(unit) if unit else None)
    return org.accounts()


def organization_listings(
    scope: AwsScope, org: OrganizationReader, chosen: Callable[[str, dict[str, Any]], bool]
) -> Iterator[Record]:
    """Yield the organization, its units and policies, and those of its accounts that are ``chosen``."""
    accounts = yield from scope.listing(
        listed_accounts(org, chosen), "organizations:ListAccounts", "accounts/aws-account"
    )
    yield from scope.listing(
        _places(org, accounts),
        "organizations:ListRoots",
        "accounts/aws-organization",
        "accounts/aws-organizational-unit",
        needs=_TREE,
    )
    for policy_type, kind in POLICY_TYPES.items():
        yield from scope.listing(
            _controls(scope, org, policy_type),
            "organizations:ListPolicies",
            f"policies/{kind}",
            f"controls/{kind}",
            needs=_POLICIES,
        )


def _places(org: OrganizationReader, accounts: dict[str, dict[str, Any]] | None) -> Iterator[Record]:
    about = org.organization()
    if about.id is None:
        return
    yield organization_record(about, accounts)
    yield from unit_records(about, org.tree())


def _controls(scope: AwsScope, org: OrganizationReader, policy_type: str) -> Iterator[Record]:
    """Yield the policies of a type, and a control for each root, unit or account that they are attached to."""
    for policy in org.policies(policy_type):
        yield policy
        native_id = policy.native_id.rpartition("/")[2]
        for target in policy.attached_to:
            attached = target.rpartition(":")[2]
            yield Control(
                id=record_id("aws", policy.kind, f"{native_id}>{attached}"),
                provider="aws",
                account_id=scope.ref,
                stage="runtime",
                kind=policy.kind,
                name=policy.name,
                enforcement="enforced",
                target=target,
                detail=f"{native_id}, attached to {attached}",
            )
