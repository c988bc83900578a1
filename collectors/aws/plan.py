"""The order in which an account is read: its organization, IAM, regions, credentials; then its policies are
evaluated.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from collectors.aws.credential_report import CredentialReport, read_report
from collectors.aws.evaluator.evaluation import evaluate_account
from collectors.aws.evaluator.evidence import Evidence
from collectors.aws.facts import KeySightings
from collectors.aws.failures import MalformedError
from collectors.aws.listings import credentials, iam, identity_center, identity_providers, organization
from collectors.aws.listings.access_analyzer import access_analyzer_region
from collectors.aws.listings.last_accessed import last_accessed
from collectors.aws.organization import is_active
from collectors.aws.regions import REGIONAL, account_listings, enabled_regions, regional_listings
from collectors.aws.scope import AwsScope
from scanner.collect.listings import side_by_side

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from collectors.aws.config import Config
    from collectors.aws.facts import ListedPrincipals, ServiceDates
    from collectors.aws.organization import OrganizationReader
    from scanner.collect.collector import Run, Target
    from scanner.records import Record

GRAPH = "iam:GetAccountAuthorizationDetails"
REPORT = "iam:GetCredentialReport"
REPORTED = ("credentials/access-key", "credentials/password", "credentials/signing-certificate")
"""Tables filled from the credential report."""
JUDGED = ("grants", "trusts", "links/can_become")
"""Tables filled by evaluating policies."""


def enter(
    target: Target, config: Config, run: Run, org: OrganizationReader
) -> Generator[Record, None, AwsScope]:
    """Yield nothing; sign in to the target's account and return its scope."""
    yield from ()
    account, role = target.params["account"], target.params["role"]
    access = org.access.assume(role, config.read_external_id()) if role else org.access
    caller = access.client("sts").get_caller_identity()
    if caller.get("Account") != account:
        raise MalformedError(f"signed in to account {caller.get('Account')}, expected {account}")
    return AwsScope(
        config=config,
        run=run,
        target=target,
        access=access,
        account=account,
        partition=str(caller["Arn"]).split(":")[1],
    )


def read_account(scope: AwsScope, org: OrganizationReader) -> Iterator[Record]:
    """Yield all records of an account: the listings, then the results of evaluating its policies."""
    evidence = Evidence()
    yield from evidence.keep(_listed(scope, org, evidence))
    if scope.ref in evidence.accounts():
        yield from scope.listing(_evaluated(scope, evidence), GRAPH, *JUDGED)


def _evaluated(scope: AwsScope, evidence: Evidence) -> Iterator[Record]:
    return evaluate_account(evidence.facts(scope.ref), scope.run.as_of)


def _listed(scope: AwsScope, org: OrganizationReader, evidence: Evidence) -> Generator[Record, None, None]:
    known = yield from organization.membership(scope, org)
    evidence.add_all(known.records())
    alias = yield from scope.lookup(
        lambda: iam.alias(scope), "iam:ListAccountAliases", "accounts/account-alias"
    )
    yield from scope.listing(
        organization.own_account(scope, known, alias),
        "sts:GetCallerIdentity",
        "accounts/aws-account",
    )
    regions = yield from scope.lookup(lambda: enabled_regions(scope), "ec2:DescribeRegions", *REGIONAL)
    report = yield from scope.lookup(
        lambda: read_report(scope.access, scope.run.stopping.wait),
        "iam:GenerateCredentialReport",
        *REPORTED,
        # Without it, passwords, MFA and the last use of users and root are unknown.
        "identities/iam-user",
        "identities/root",
        needs="iam:GenerateCredentialReport, iam:GetCredentialReport",
    )
    principals = yield from scope.listing(
        iam.principals(scope, report, functools.partial(_service_use, scope, regions or [])),
        GRAPH,
        "identities/iam-role",
        "identities/iam-user",
        "identities/iam-group",
        "links/member_of",
        "policies/managed-policy",
        "policies/managed-policy-version",
        "policies/permissions-boundary",
        "policies/inline-policy",
        "policies/role-trust",
        # The report names users by ARN; only this listing has their ids, from which the ids of their credentials are
        # built.
        loses=(*JUDGED, *REPORTED, *_read_of_principals(scope)),
    )
    scope = scope.knowing(principals)
    yield from _root(scope, report, known)
    yield from _identity_providers(scope)
    sightings = KeySightings()
    yield from sightings.watching(_workloads(scope, regions or []))
    # A user's keys and password are known by the user's id, which the report lacks: under another id they would look new.
    if report is not None and principals is not None:
        yield from scope.listing(
            credentials.reported(scope, report, sightings),
            REPORT,
            *REPORTED,
            needs="iam:GetCredentialReport, iam:ListAccessKeys, iam:GetAccessKeyLastUsed",
        )
    yield from _other_credentials(scope)
    if principals is not None and scope.config.organization:
        yield from scope.listing(
            identity_center.assignments(scope, org, _identity_center_region(scope, org)),
            "sso:ListAccountAssignments",
            "links/uses",
            needs="sso:ListInstances, sso:ListPermissionSets, sso:DescribePermissionSet, "
            "sso:ListAccountsForProvisionedPermissionSet, sso:ListAccountAssignments",
        )


def _read_of_principals(scope: AwsScope) -> Iterator[str]:
    """Yield the listings that need the principals."""
    if scope.config.unused_access:
        yield "controls/access-analyzer"
        yield "grants/unused-access"
    if scope.config.unused_access and scope.config.unused_access_principals:
        yield "grants/last-accessed"
    if scope.config.organization:
        yield "links/uses"


def _service_use(
    scope: AwsScope, regions: list[str], principals: ListedPrincipals
) -> Generator[Record, None, dict[str, ServiceDates]]:
    """Yield analyzers. Return ARN -> last use of each service, from IAM or, for principals not read there, from the
    analyzers.
    """
    if not scope.config.unused_access:
        return {}
    found: dict[str, ServiceDates] = {}
    analyzers = [access_analyzer_region(scope.at(region)) for region in regions]
    for unused in (yield from side_by_side(analyzers, scope.config.workers)):
        for arn, services in (unused or {}).items():
            found.setdefault(arn, {}).update(services)
    if scope.config.unused_access_principals:
        used = yield from scope.lookup(
            lambda: last_accessed(scope, principals),
            "iam:GetServiceLastAccessedDetails",
            "grants/last-accessed",
            needs="iam:GenerateServiceLastAccessedDetails, iam:GetServiceLastAccessedDetails",
        )
        found |= used or {}
    return found


def _root(
    scope: AwsScope, report: CredentialReport | None, known: organization.Membership
) -> Iterator[Record]:
    yield from scope.listing(
        credentials.root(scope, report),
        "iam:GetAccountSummary",
        "identities/root",
        "credentials/root-access-key",
        "credentials/password",
        "credentials/signing-certificate",
    )
    if known.organization is not None and known.organization.management == scope.account:
        yield from scope.listing(
            credentials.root_management(scope),
            "iam:ListOrganizationsFeatures",
            "controls/central-root-management",
        )


def _identity_providers(scope: AwsScope) -> Iterator[Record]:
    yield from scope.listing(
        identity_providers.oidc_providers(scope),
        "iam:ListOpenIDConnectProviders",
        "identities/oidc-provider",
        needs="iam:ListOpenIDConnectProviders, iam:GetOpenIDConnectProvider",
    )
    yield from scope.listing(
        identity_providers.saml_providers(scope),
        "iam:ListSAMLProviders",
        "identities/saml-provider",
        "credentials/certificate",
    )


def _workloads(scope: AwsScope, regions: list[str]) -> Iterator[Record]:
    listings = account_listings(scope)
    for region in regions:
        listings += regional_listings(scope.at(region))
    yield from side_by_side(listings, scope.config.workers)


def _other_credentials(scope: AwsScope) -> Iterator[Record]:
    yield from scope.listing(
        credentials.service_credentials(scope),
        "iam:ListServiceSpecificCredentials",
        "credentials/service-credential",
    )
    yield from scope.listing(
        credentials.server_certificates(scope),
        "iam:ListServerCertificates",
        "credentials/server-certificate",
    )
    if scope.config.ssh_keys and scope.principals is not None:
        yield from scope.listing(credentials.ssh_keys(scope), "iam:ListSSHPublicKeys", "credentials/ssh-key")


def _identity_center_region(scope: AwsScope, org: OrganizationReader) -> str:
    return scope.config.identity_center_region or org.access.home_region


def read_organization(scope: AwsScope, org: OrganizationReader) -> Iterator[Record]:
    """Yield the organization's own records: units, closed accounts, policies, users of Identity Center."""
    yield from organization.organization_listings(scope, org, lambda _, entry: not is_active(entry))
    yield from scope.listing(
        identity_center.users_and_groups(scope, _identity_center_region(scope, org)),
        "identitystore:ListUsers",
        "identities/identity-center-user",
        "identities/identity-center-group",
        needs="sso:ListInstances, identitystore:ListUsers, identitystore:ListGroups",
    )
