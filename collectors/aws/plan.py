"""Reads one account from end to end: sign in, IAM, regions, credentials, then the evaluation of its policies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from collectors.aws.evaluator.facts import AwsFacts
from collectors.aws.evaluator.judge import judge
from collectors.aws.failures import MalformedError
from collectors.aws.listings import (
    credential_report,
    credentials,
    iam,
    identity_center,
    identity_providers,
    organization,
)
from collectors.aws.listings.last_accessed import last_accessed
from collectors.aws.listings.regions import REGIONAL, account_listings, enabled_regions, regional_listings
from collectors.aws.place import Place
from scanner.collect.listings import side_by_side

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from collectors.aws.config import Config
    from collectors.aws.listings.iam import Details
    from collectors.aws.listings.organization import Organization, Reading
    from scanner.collect.collector import Run, Target
    from scanner.records import Record

T = TypeVar("T")
GRAPH = "iam:GetAccountAuthorizationDetails"
REPORT = "iam:GetCredentialReport"


def enter(target: Target, config: Config, run: Run, org: Reading) -> Generator[Record, None, Place]:
    """Yield nothing; sign in to the target's account and return it as a place."""
    yield from ()
    account, role = target.params["account"], target.params["role"]
    access = org.access.assume(role, config.read_external_id()) if role else org.access
    caller = access.client("sts").get_caller_identity()
    if caller.get("Account") != account:
        raise MalformedError(f"signed in to account {caller.get('Account')}, expected {account}")
    return Place(
        config=config,
        run=run,
        target=target,
        access=access,
        account=account,
        partition=str(caller["Arn"]).split(":")[1],
    )


def read_account(place: Place, org: Reading) -> Iterator[Record]:
    """Yield everything of an account."""
    about = yield from place.ask(
        organization.organization_id(org),
        "organizations:DescribeOrganization",
        ("accounts", "aws-organization"),
    )
    numbers, levels = yield from _organization(place, org, about)
    aliases = yield from place.ask(
        iam.aliases(place), "iam:ListAccountAliases", ("accounts", "account-alias")
    )
    entry, parent = _known(place, org, about)
    yield organization.account_record(
        place.ref,
        place.account,
        entry,
        parent,
        alias=next(iter(aliases or []), None),
        environment=place.environment(),
    )
    report = yield from place.ask(
        _report(place),
        "iam:GenerateCredentialReport",
        ("credentials", "access-key"),
        ("credentials", "password"),
        ("credentials", "signing-certificate"),
        needs="iam:GenerateCredentialReport, iam:GetCredentialReport",
    )
    if report is None:
        # Without it nobody knows who has a password or a second factor, nor when users and root were last seen.
        yield from place.missing(
            "iam:GenerateCredentialReport", ("identities", "iam-user"), ("identities", "root")
        )
    details = yield from place.ask(
        iam.principals(place, report),
        GRAPH,
        ("identities", "iam-role"),
        ("identities", "iam-user"),
        ("identities", "iam-group"),
        ("links", "member_of"),
    )
    yield from place.ask(
        credentials.root(place, report),
        "iam:GetAccountSummary",
        ("identities", "root"),
        ("credentials", "root-access-key"),
    )
    if about is not None and about.management == place.account:
        yield from place.ask(
            credentials.root_management(place),
            "iam:ListOrganizationsFeatures",
            ("controls", "central-root-management"),
        )
    providers = yield from place.ask(
        identity_providers.oidc_providers(place),
        "iam:ListOpenIDConnectProviders",
        ("identities", "oidc-provider"),
        needs="iam:ListOpenIDConnectProviders, iam:GetOpenIDConnectProvider",
    )
    yield from place.ask(
        identity_providers.saml_providers(place),
        "iam:ListSAMLProviders",
        ("identities", "saml-provider"),
        ("credentials", "certificate"),
    )
    yield from place.ask(
        credentials.service_credentials(place, details),
        "iam:ListServiceSpecificCredentials",
        ("credentials", "service-credential"),
    )
    yield from place.ask(
        credentials.server_certificates(place),
        "iam:ListServerCertificates",
        ("credentials", "server-certificate"),
    )
    regions = yield from place.ask(enabled_regions(place), "ec2:DescribeRegions", ("accounts", "aws-region"))
    if regions is None:
        yield from place.missing("ec2:DescribeRegions", *REGIONAL)
    listings = account_listings(place)
    for region in regions or []:
        listings += regional_listings(place.at(region))
    yield from side_by_side(listings, place.config.workers)
    if report is not None:
        yield from place.ask(
            credentials.reported(place, report, details or iam.Details()),
            REPORT,
            ("credentials", "access-key"),
            ("credentials", "password"),
            ("credentials", "signing-certificate"),
            needs="iam:GetCredentialReport, iam:ListAccessKeys, iam:GetAccessKeyLastUsed",
        )
    if details is None:
        yield from place.missing(
            GRAPH,
            ("grants", None),
            ("trusts", None),
            ("links", "can_become"),
            # The report names users by ARN; ids, and so the ids of what they hold, are known from the graph alone.
            ("credentials", "access-key"),
            ("credentials", "password"),
            ("credentials", "signing-certificate"),
        )
        return
    if numbers is None:
        # Whether an account is one of ours or a stranger's is judged by this list.
        yield from place.missing("organizations:ListAccounts", ("trusts", "account"))
    yield from _with_details(
        place, org, details, about=about, numbers=numbers, levels=levels, providers=providers
    )


def _with_details(
    place: Place,
    org: Reading,
    details: Details,
    *,
    about: Organization | None,
    numbers: frozenset[str] | None,
    levels: list[list[dict[str, Any]]] | None,
    providers: list[dict[str, Any]] | None,
) -> Iterator[Record]:
    """Yield what rests on the whole graph of principals."""
    if place.config.ssh_keys:
        yield from place.ask(
            credentials.ssh_keys(place, details), "iam:ListSSHPublicKeys", ("credentials", "ssh-key")
        )
    if place.config.organization:
        region = place.config.identity_center_region or org.access.home_region
        yield from place.ask(
            identity_center.assignments(place, org, details, region),
            "sso:ListAccountAssignments",
            ("links", "uses"),
            needs="sso:ListInstances, sso:ListPermissionSets, sso:DescribePermissionSet, "
            "sso:ListAccountsForProvisionedPermissionSet, sso:ListAccountAssignments",
        )
    use: dict[str, Any] | None = {}
    if place.config.unused_access and place.config.unused_access_principals:
        use = yield from place.ask(
            last_accessed(place, details),
            "iam:GetServiceLastAccessedDetails",
            ("grants", "last-accessed"),
            needs="iam:GenerateServiceLastAccessedDetails, iam:GetServiceLastAccessedDetails",
        )
    found = place.found
    failed = found.failures
    live = frozenset(found.eks_issuers) | _elsewhere(providers or [], place.config.regions)
    facts = AwsFacts(
        account_id=place.account,
        account_ref=place.ref,
        users=details.users,
        groups=details.groups,
        roles=details.roles,
        policies=details.policies,
        partition=place.partition,
        management=None if about is None else about.management == place.account,
        organization_id=about.id if about else None,
        organization_accounts=numbers,
        scps=levels,
        resource_policies=sorted(found.resource_policies, key=lambda policy: policy.arn),
        compute=sorted(found.compute, key=lambda compute: (compute.arn, compute.role_arn)),
        compute_listed=frozenset(
            kind for kind, calls in _COMPUTE_CALLS.items() if _unless(failed, kind, *calls) is not None
        ),
        oidc_providers=providers or [],
        eks_issuers=_unless(failed, live, "eks:ListClusters"),
        pod_identity_roles=_unless(
            failed, frozenset(found.pod_identity_roles), "eks:ListClusters", "eks:ListPodIdentityAssociations"
        ),
        roles_anywhere_anchors=_unless(failed, sorted(found.anchors), "rolesanywhere:ListTrustAnchors"),
        ids=found.ids,
        last_accessed={**found.last_accessed, **(use or {})},
    )
    yield from place.ask(
        judge(facts, place.run.as_of), GRAPH, ("grants", None), ("trusts", None), ("links", "can_become")
    )


_COMPUTE_CALLS = {
    "lambda-function": ("lambda:ListFunctions",),
    "ec2-instance": ("ec2:DescribeInstances",),
    "ecs-service": (
        "ecs:ListClusters",
        "ecs:ListServices",
        "ecs:DescribeServices",
        "ecs:DescribeTaskDefinition",
    ),
    "codebuild-project": ("codebuild:ListProjects", "codebuild:BatchGetProjects"),
}
"""What must have been answered in every region for compute of a kind to be known in full."""


def _unless(failed: Mapping[str, object], value: T, *calls: str) -> T | None:
    """Return a value, or None for unknown when a call that it rests on failed in some region."""
    return None if {"ec2:DescribeRegions", *calls} & set(failed) else value


def _elsewhere(providers: list[dict[str, Any]], regions: list[str]) -> frozenset[str]:
    """Return EKS issuers of regions that the configuration leaves out: nothing says that their cluster is gone."""
    urls = (str(provider["url"]).removeprefix("https://") for provider in providers)
    eks = (url for url in urls if url.startswith("oidc.eks."))
    return frozenset(f"https://{url}" for url in eks if regions and url.split(".")[2] not in regions)


def _report(place: Place) -> Generator[Record, None, credential_report.Report]:
    yield from ()
    return credential_report.read(place.access, place.run.stopping.wait)


def _organization(
    place: Place, org: Reading, about: Organization | None
) -> Generator[Record, None, tuple[frozenset[str] | None, list[list[dict[str, Any]]] | None]]:
    """Yield what is missing; return the organization's account numbers and the policies over this account."""
    if about is not None and about.id is None:
        return frozenset({place.account}), []
    numbers = yield from place.ask(
        organization.account_numbers(org), "organizations:ListAccounts", ("accounts", "aws-account")
    )
    levels = yield from place.ask(
        organization.levels(org, place.account),
        "organizations:ListPolicies",
        ("controls", "scp"),
        needs="organizations:ListRoots, organizations:ListOrganizationalUnitsForParent, "
        "organizations:ListAccountsForParent, organizations:ListPolicies, organizations:DescribePolicy, "
        "organizations:ListTargetsForPolicy",
    )
    return numbers, levels


def _known(place: Place, org: Reading, about: Organization | None) -> tuple[dict[str, Any], str | None]:
    """Return this account's entry in the organization and the unit that holds it, as far as they were read."""
    if about is None or about.id is None:
        return {}, None
    failed = place.found.failures
    entry = {} if "organizations:ListAccounts" in failed else org.accounts().get(place.account, {})
    parent = None if "organizations:ListPolicies" in failed else org.tree().parents.get(place.account)
    return entry, parent


def read_organization(place: Place, org: Reading) -> Iterator[Record]:
    """Yield the organization's own records: units, accounts that are closed, policies, people of Identity Center."""
    yield from place.ask(
        organization.units(org),
        "organizations:ListRoots",
        ("accounts", "aws-organizational-unit"),
        needs="organizations:ListRoots, organizations:ListOrganizationalUnitsForParent, "
        "organizations:ListAccountsForParent",
    )
    yield from place.ask(
        organization.known_accounts(org, lambda _, entry: not organization.is_active(entry)),
        "organizations:ListAccounts",
        ("accounts", "aws-account"),
    )
    for policy_type, kind in organization.POLICY_TYPES.items():
        yield from place.ask(
            organization.controls(place, org, policy_type),
            "organizations:ListPolicies",
            ("controls", kind),
            needs="organizations:ListPolicies, organizations:DescribePolicy, organizations:ListTargetsForPolicy",
        )
    region = place.config.identity_center_region or org.access.home_region
    yield from place.ask(
        identity_center.people(place, region),
        "identitystore:ListUsers",
        ("identities", "identity-center-user"),
        ("identities", "identity-center-group"),
        needs="sso:ListInstances, identitystore:ListUsers, identitystore:ListGroups",
    )
