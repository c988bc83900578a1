"""Turns one AWS account's policies into grants, trusts and links: what each identity can do, and which it can become.
`evaluate_account` is for the collector and for `evaluate`, `evaluate_dump` for a raw dump of GetAccountAuthorizationDetails.
Grants of a group are yielded for its members, each of whom may have their own boundary and denies; for the group itself
only if it has no members.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.aws.evaluator.account import AccountEvaluation
from collectors.aws.evaluator.assumed_compute import access_records
from collectors.aws.evaluator.authorization_details import principal_records
from collectors.aws.evaluator.facts import AwsFacts, Compute, ResourcePolicy
from collectors.aws.evaluator.resource_policy import resource_records
from collectors.aws.evaluator.trust_policy import role_trusts
from scanner.records import record_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from scanner.records import Record

__all__ = ["AwsFacts", "Compute", "ResourcePolicy", "evaluate_account", "evaluate_dump"]


def evaluate_account(facts: AwsFacts, as_of: datetime) -> Iterator[Record]:
    """Yield the grants, trusts, ``can_become`` links and gaps of the account. Never raises because of a policy's
    content.
    """
    account = AccountEvaluation(facts, as_of)
    yield from access_records(account)
    for principal in account.directory.of_kind("iam-role"):
        yield from role_trusts(principal, facts, as_of, writes=account.writes(principal))
    yield from resource_records(account)


def evaluate_dump(dump: dict[str, Any], account_id: str, as_of: datetime) -> list[Record]:
    """Evaluate a dump of GetAccountAuthorizationDetails, with nothing else known about the account.

    ``dump`` has ``UserDetailList``, ``GroupDetailList``, ``RoleDetailList`` and ``Policies``, as returned by the API or
    the AWS CLI; documents may be objects or text, URL-encoded or not.
    """
    account_ref = record_id("aws", "account", account_id)
    principals = principal_records(dump, account_ref, account_id)
    facts = AwsFacts(
        account_id=account_id,
        account_ref=account_ref,
        identities=principals.identities,
        memberships=principals.memberships,
        policies=principals.policies,
    )
    return [*principals.memberships, *evaluate_account(facts, as_of)]
