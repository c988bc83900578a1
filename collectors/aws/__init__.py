"""AWS accounts: identities, credentials, stored secrets, grants and trusts, read with read-only API calls.

Needs: credentials of one account (preferably workload identity; config.yaml contains no keys), and in every other
account a role named ``role_name`` that they can assume, with a trust policy that requires the scanner's role and an
External ID. Both need the policy printed by ``sprawlscan permissions aws``; the AWS managed policy SecurityAudit plus the
actions it lacks works as well. With ``organization: true`` the credentials must belong to the management account or to a
delegated administrator of AWS Organizations. Denied calls are reported as gaps that name the missing action.

Cannot see: values of secrets and parameters (never requested); environment variables of a Lambda function under a
customer-managed key without kms:Decrypt; access keys created in the last four hours (the credential report can be
that old); which Kubernetes service accounts use IRSA (only the role trust policies are visible); when an SSH key, a
CodeBuild source credential or a CodeDeploy token was last used; role use more than 400 days ago; regions that are not
enabled, or not listed if ``regions`` is set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from collectors.aws import failures
from collectors.aws.config import Config
from collectors.aws.failures import DeadlineError
from collectors.aws.first_section import first_sections
from collectors.aws.kinds import HIDES_NO_ACCESS, KINDS, PARTS
from collectors.aws.listings.organization import listed_accounts
from collectors.aws.organization import is_active, organization_ref, reader
from collectors.aws.permissions import permissions
from scanner.collect.collector import Target, TargetError
from scanner.collect.failures import SourceError
from scanner.collect.listings import ListingRequest, with_coverage
from scanner.records import record_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from collectors.aws.organization import OrganizationReader
    from scanner.collect.collector import Run
    from scanner.policies import PolicyChange
    from scanner.records import Policy, Record

__all__ = [
    "HIDES_NO_ACCESS",
    "KINDS",
    "PARTS",
    "Config",
    "collect",
    "evaluate",
    "first_sections",
    "permissions",
    "problems",
    "propose",
    "targets",
]

NAME = "aws"
ORGANIZATION = "organization"


def problems(config: Config) -> Iterator[tuple[str, str]]:
    """Yield the profile if this machine has none of that name."""
    from botocore.session import Session

    known = Session().available_profiles
    if config.profile and config.profile not in known:
        yield (
            "profile",
            f"no profile `{config.profile}` in ~/.aws/config; known: {', '.join(sorted(known)) or 'none'}",
        )


def targets(config: Config, run: Run) -> Iterator[Target]:
    """Yield a target for each account, and one for the organization itself. Raises `TargetError`."""
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    from collectors.aws.client import sign_in

    what = "cannot sign in to AWS"
    try:
        org = reader(config, run, lambda: sign_in(config, run))
        caller = org.access.client("sts").get_caller_identity()
        what = "cannot list the accounts of the organization"
        found = list(_targets(config, org, caller["Account"], str(caller["Arn"]).split(":")[1]))
    except DeadlineError:
        return
    except (BotoCoreError, ClientError, ResponseParserError, SourceError) as exc:
        failure = failures.explain(exc)
        detail = failure.detail if failure else f"{type(exc).__name__}: {exc}"
        raise TargetError(
            f"{what}: {detail.rstrip('.')}. Try `aws sts get-caller-identity` with the same setting."
        ) from None
    yield from found


def _targets(config: Config, org: OrganizationReader, home: str, partition: str) -> Iterator[Target]:
    numbers = set(config.accounts)
    if config.organization:
        about = org.organization()
        if about.id is None:
            raise TargetError(
                f"organization: true, but account {home} does not belong to an organization; list accounts instead, or leave both out."
            )
        ref = organization_ref(about.id)
        params = {"organization": about.id, "partition": partition}
        yield Target(collector=NAME, name=ORGANIZATION, account_id=ref, params=params)
        numbers |= {number for number, entry in org.accounts().items() if is_active(entry)}
        numbers -= set(config.skip_accounts)
    for number in sorted(numbers or {home}):
        role = "" if number == home else f"arn:{partition}:iam::{number}:role/{config.role_name}"
        yield Target(
            collector=NAME,
            name=number,
            account_id=record_id(NAME, "account", number),
            params={"account": number, "role": role},
        )


def evaluate(policies: Iterable[Policy], records: Iterable[Record], as_of: datetime) -> Iterator[Record]:
    """Yield the grants, trusts, ``can_become`` links and gaps that follow from a night's policies and records. For the
    night's own policies these are the records of that night, except access entries of EKS clusters, which are not
    policies; with changed policies, those that would result. ``records`` are those of the snapshot, including coverage
    and gaps, which say what is unknown. An account whose users, roles and groups were not read in full is skipped.
    ``as_of`` is the night's time.
    """
    from collectors.aws.evaluator.evaluation import evaluate_account
    from collectors.aws.evaluator.evidence import Evidence

    evidence = Evidence()
    evidence.add_all(policies)
    evidence.add_all(records)
    for account in evidence.accounts():
        yield from evaluate_account(evidence.facts(account), as_of)


def propose(
    policies: Iterable[Policy],
    records: Iterable[Record],
    as_of: datetime,
    subject: str,
    callers: Sequence[dict[str, str]] = (),
) -> list[PolicyChange]:
    """Return the changed policies that end what a finding on a trust or an identity reports; none if there is no exact
    change. ``callers`` are the tokens of known identities that pass the trust today, as claims.
    """
    from collectors.aws.proposals import propose as proposed

    return proposed(policies, records, as_of, subject, callers)


def collect(target: Target, config: Config, run: Run) -> Iterator[Record]:
    """Yield all records of one account, or of the organization itself."""
    from collectors.aws.client import sign_in
    from collectors.aws.plan import enter, read_account, read_organization
    from collectors.aws.scope import AwsScope

    org = reader(config, run, lambda: sign_in(config, run))
    if "organization" in target.params:
        whole = AwsScope(
            config=config,
            run=run,
            target=target,
            access=org.access,
            account=target.params["organization"],
            partition=target.params["partition"],
            ref=target.account_id,
        )
        yield from read_organization(whole, org)
        return
    role = target.params["role"]
    asked = ListingRequest(
        provider=NAME,
        account_id=target.account_id,
        collector=target.collector,
        target=target.name,
        table="*",
        call="sts:AssumeRole" if role else "sts:GetCallerIdentity",
        needs=f"sts:AssumeRole on {role}, with its External ID" if role else None,
    )
    scope = yield from with_coverage(enter(target, config, run, org), asked, failures.explain)
    if scope is not None:
        yield from read_account(scope, org)
    elif config.organization:
        # The gap remains, but the report can show the account's name.
        number = target.params["account"]
        known = listed_accounts(org, lambda each, _: each == number)
        named = msgspec.structs.replace(
            asked, table="accounts", kind="aws-account", call="organizations:ListAccounts"
        )
        yield from with_coverage(known, named, failures.explain)
