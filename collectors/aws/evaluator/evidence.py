"""Sorts a night's records into the facts that the evaluation of AWS accounts needs, both during collection and from a
stored snapshot. `Coverage` and `Gap` rows say what is unknown: absence from an incomplete list proves nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from collectors.aws.evaluator import policy_records
from collectors.aws.evaluator.facts import LISTABLE, AwsFacts, Compute, ResourcePolicy
from collectors.aws.evaluator.policy import parse
from scanner.records import Account, Control, Coverage, Credential, Gap, Identity, Link, Policy, Secret

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from scanner.records import Record

T = TypeVar("T")

PRINCIPALS = frozenset({"iam-user", "iam-group", "iam-role"})
COMPUTE = frozenset(
    {
        "lambda-function", "ecs-service", "ecs-task-definition", "ec2-instance", "eks-service-account",
        "codebuild-project", "codepipeline", "codedeploy-group",
    }
)  # fmt: skip
"""Kinds of identities that run with an IAM role."""
IAM_POLICIES = frozenset(
    {
        policy_records.MANAGED,
        policy_records.VERSION,
        policy_records.BOUNDARY,
        policy_records.INLINE,
        policy_records.TRUST,
    }
)


class _AccountRecords:
    """The records of one account."""

    def __init__(self) -> None:
        self.principals: list[Identity] = []
        self.compute: list[Identity] = []
        self.oidc_providers: list[Identity] = []
        self.addresses: dict[str, str] = {}
        """Id of an identity or a secret -> ARN."""
        self.ids: dict[str, str] = {}
        """ARN -> id of the identity."""
        self.memberships: list[Link] = []
        self.runs_as: dict[str, list[str]] = {}
        self.policies: list[Policy] = []
        self.resource_policies: list[Policy] = []
        self.clusters: list[Account] = []
        self.anchors: list[str] = []
        self.passwords: set[str] = set()
        self.covered: set[tuple[str, str | None]] = set()
        self.missing: set[tuple[str, str | None]] = set()
        self.failed: set[str] = set()
        """Calls that failed in at least one region."""
        self.cluster_regions: set[str | None] = set()

    def is_complete(self, *listed: tuple[str, str]) -> bool:
        """Return whether tables and kinds were listed in full."""
        return all(
            one in self.covered and one not in self.missing and (one[0], None) not in self.missing
            for one in listed
        )


class Evidence:
    """Accepts records in any order, of any number of accounts."""

    def __init__(self) -> None:
        self._accounts: dict[str, _AccountRecords] = {}
        self._places: dict[str, Account] = {}
        self._guards: dict[str, Policy] = {}

    def keep(self, records: Generator[Record, None, T]) -> Generator[Record, None, T]:
        """Yield records and add each. Returns the generator's value."""
        while True:
            try:
                record = next(records)
            except StopIteration as end:
                result: T = end.value
                return result
            self.add(record)
            yield record

    def add_all(self, records: Iterable[Record]) -> None:
        """Add several records."""
        for record in records:
            self.add(record)

    def add(self, record: Record) -> None:
        """Add one record; records that no evaluation uses are ignored."""
        match record:
            case Account(provider="aws", kind="eks-cluster"):
                self._of(record).clusters.append(record)
            case Account(provider="aws"):
                self._places[record.id] = record
            case Identity(provider="aws"):
                self._identity(self._of(record), record)
            case Credential(provider="aws", kind="password"):
                self._of(record).passwords.add(record.identity_id)
            case Link(provider="aws", relation="member_of"):
                self._of(record).memberships.append(record)
            case Link(provider="aws", relation="runs_as"):
                self._of(record).runs_as.setdefault(record.source_id, []).append(record.target_id)
            case Policy(provider="aws", kind=policy_records.SCP | policy_records.RCP):
                self._guards[record.id] = record
            case Policy(provider="aws", kind=policy_records.RESOURCE):
                self._of(record).resource_policies.append(record)
            case Policy(provider="aws") if record.kind in IAM_POLICIES:
                self._of(record).policies.append(record)
            case Control(provider="aws", kind="trust-anchor", target=str(arn)):
                self._of(record).anchors.append(arn)
            case Secret(provider="aws", store="secrets-manager", location=str(arn)):
                self._of(record).addresses[record.id] = arn
            case Coverage(provider="aws"):
                self._covered(self._of(record), record)
            case Gap(provider="aws"):
                self._of(record).missing.add((record.table, record.kind))
                self._of(record).failed.add(record.call)
            case _:
                pass

    def accounts(self) -> list[str]:
        """Return the `Account.id` of the accounts whose users, groups and roles were listed in full, in order."""
        return sorted(
            ref
            for ref, account in self._accounts.items()
            if account.is_complete(("identities", "iam-role")) and ("*", None) not in account.missing
        )

    def facts(self, account_ref: str) -> AwsFacts:
        """Return the facts of an account."""
        account = self._accounts.get(account_ref) or _AccountRecords()
        number = account_ref.rpartition(":")[2]
        path = self._ancestors(account_ref)
        organization = next((place for place in path if place.kind == "aws-organization"), None)
        in_none = organization is None and account.is_complete(("accounts", "aws-organization"))
        arn_of = account.addresses
        roles = account.runs_as
        eks = ("accounts", "eks-cluster")
        return AwsFacts(
            account_id=number,
            account_ref=account_ref,
            partition=next(
                (arn.split(":")[1] for arn in sorted(account.ids) if arn.startswith("arn:")), "aws"
            ),
            identities=account.principals,
            memberships=account.memberships,
            policies=account.policies,
            management=organization.administrator_id == account_ref
            if organization
            else (False if in_none else None),
            organization_id=organization.native_id if organization else None,
            organization_accounts=self._numbers(account, organization, number, in_none=in_none),
            scps=self._levels(policy_records.SCP, account, account_ref, path, in_none=in_none),
            rcps=self._levels(policy_records.RCP, account, account_ref, path, in_none=in_none),
            resource_policies=sorted(
                (
                    ResourcePolicy(
                        service=arn.split(":")[2],
                        arn=arn,
                        record_id=attached,
                        document=policy.document or "",
                    )
                    for policy in account.resource_policies
                    for attached in policy.attached_to
                    for arn in (arn_of.get(attached, attached),)
                ),
                key=lambda policy: policy.arn,
            ),
            compute=sorted(
                (
                    Compute(
                        kind=one.kind,
                        arn=one.address or one.native_id,
                        role_arn=arn_of.get(role, role),
                        record_id=one.id,
                    )
                    for one in account.compute
                    for role in roles.get(one.id, ())
                ),
                key=lambda compute: (compute.arn, compute.role_arn),
            ),
            compute_listed=frozenset(kind for kind in LISTABLE if account.is_complete(("identities", kind))),
            oidc_providers=frozenset(one.address or "" for one in account.oidc_providers)
            if account.is_complete(("identities", "oidc-provider"))
            else frozenset(),
            eks_issuers=_issuers(account) if account.is_complete(eks) else None,
            pod_identity_roles=frozenset(
                arn_of.get(role, role)
                for one in account.compute
                if one.kind == "eks-service-account"
                for role in roles.get(one.id, ())
            )
            if account.is_complete(eks, ("identities", "eks-service-account"))
            else None,
            roles_anywhere_anchors=sorted(account.anchors)
            if account.is_complete(("controls", "trust-anchor"))
            else None,
            passwords=frozenset(account.passwords)
            if account.is_complete(("credentials", "password"), ("identities", "iam-user"))
            else None,
            ids=account.ids,
        )

    def _of(self, record: Record) -> _AccountRecords:
        return self._accounts.setdefault(record.account_id, _AccountRecords())

    @staticmethod
    def _identity(account: _AccountRecords, record: Identity) -> None:
        if record.address is not None:
            account.addresses[record.id] = record.address
            account.ids[record.address] = record.id
        if record.kind in PRINCIPALS:
            account.principals.append(record)
        elif record.kind in COMPUTE:
            account.compute.append(record)
        elif record.kind == "oidc-provider":
            account.oidc_providers.append(record)

    @staticmethod
    def _covered(account: _AccountRecords, record: Coverage) -> None:
        account.covered.add((record.table, record.kind))
        if (record.table, record.kind) == ("accounts", "eks-cluster"):
            account.cluster_regions.add(record.region)

    def _ancestors(self, account_ref: str) -> list[Account]:
        """Return the organizational units and the organization above an account, nearest first."""
        path: list[Account] = []
        own = self._places.get(account_ref)
        above = own.parent_id if own else None
        while above is not None and above in self._places and self._places[above] not in path:
            path.append(self._places[above])
            above = self._places[above].parent_id
        return path

    def _numbers(
        self, account: _AccountRecords, organization: Account | None, number: str, *, in_none: bool
    ) -> frozenset[str] | None:
        if in_none:
            return frozenset({number})
        members = organization.members if organization else None
        if members is None or "organizations:ListAccounts" in account.failed:
            return None
        return frozenset(member.rpartition(":")[2] for member in members)

    def _levels(
        self, kind: str, account: _AccountRecords, account_ref: str, path: list[Account], *, in_none: bool
    ) -> list[list[dict[str, Any] | str]] | None:
        """Return the service or resource control policies above an account, root first; empty if none restricts it.

        https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps_evaluation.html and
        https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_rcps_evaluation.html
        """
        if in_none:
            return []
        if not account.is_complete(("policies", kind)):
            return None
        units = [place.id for place in reversed(path) if place.kind == "aws-organizational-unit"]
        guards = sorted(
            (policy for policy in self._guards.values() if policy.kind == kind), key=lambda policy: policy.id
        )
        levels: list[list[dict[str, Any] | str]] = [
            [policy.document or "" for policy in guards if place in policy.attached_to]
            for place in (*units, account_ref)
        ]
        if any(not parse(document).statements for level in levels for document in level):
            return None
        # Disabling the policy type detaches every policy: nothing is attached then, and nothing restricts.
        return levels if any(levels) else []


def _issuers(account: _AccountRecords) -> frozenset[str]:
    """Return the issuers of clusters that exist, and of those in regions not read, which may exist."""
    live = {cluster.issuer for cluster in account.clusters if cluster.issuer}
    for provider in account.oidc_providers:
        host = provider.name.split(".")
        if provider.name.startswith("oidc.eks.") and host[2] not in account.cluster_regions:
            live.add(f"https://{provider.name}")
    return frozenset(live)
