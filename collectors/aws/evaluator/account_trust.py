"""Trust in AWS accounts, their principals, and everyone.

https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from collectors.aws.evaluator.trust_tests import claims_of, describe_tests
from collectors.aws.evaluator.trust_verdict import DELETED, NUMBER, REMOVED, TrustChange, TrustVerdict

if TYPE_CHECKING:
    from collectors.aws.evaluator.facts import AwsFacts
    from scanner.records import Test


def anyone_verdict(facts: AwsFacts, tests: list[Test], *, negated: bool) -> TrustVerdict:
    """Evaluate a statement for everyone, or for everyone except those it names (``negated``), by its conditions."""
    who = "everyone except the listed principals" if negated else "everyone"
    pins = claims_of(tests)
    org = pins.get("aws:principalorgid") or pins.get("aws:principalorgpaths")
    accounts = pins.get("aws:principalaccount")
    arns = pins.get("aws:principalarn")
    unique = pins.get("aws:userid")
    if unique is not None and all(UNIQUE_ID.match(value) for value in unique.values):
        return _named_by_id(facts, unique, tests)
    if arns is not None and all(NUMBER.match((value.split(":") + [""] * 5)[4]) for value in arns.values):
        inside = all(_inside(facts, value.split(":")[4]) for value in arns.values)
        exact = not any("*" in value or "?" in value for value in arns.values)
        return _named_by_condition(facts, "*", inside=inside, exact=exact, tests=tests)
    if accounts is not None and all(NUMBER.match(value) for value in accounts.values):
        inside = all(_inside(facts, value) for value in accounts.values)
        return _named_by_condition(facts, "*", inside=inside, exact=False, tests=tests)
    if org is not None and not any(value.strip("*") == "" or value == "o-*" for value in org.values):
        own = facts.organization_id
        foreign = own is not None and not any(value.partition("/")[0] == own for value in org.values)
        if foreign:
            return _foreign_organization(org, tests)
        return _named_by_condition(facts, "*", inside=True, exact=False, tests=tests)
    external_id = pins.get("sts:externalid")
    network = [claim for claim in pins if claim.startswith(("aws:source", "aws:vpc"))]
    some = external_id is not None or bool(network)
    guard = (
        "limited only by an external ID, which is not a secret"
        if external_id is not None
        else "limited only by where the request comes from"
    )
    return TrustVerdict(
        kind="anyone",
        issuer="*",
        exposure="another-tenant" if some else "anyone",
        external=True,
        problem="XACCT-1",
        severity="high" if some else "critical",
        why=f"trusts {who}" + (f", {guard}" if some else " without a condition on the caller"),
        fix=f"Name the principal, or: {own_callers(facts)}",
        change=own_callers(facts),
    )


def own_callers(facts: AwsFacts) -> TrustChange:
    """Return a condition for principals of the own organization; of the account if it belongs to none that is known."""
    if facts.organization_id is not None:
        return TrustChange(key="aws:PrincipalOrgID", values=(facts.organization_id,))
    return TrustChange(key="aws:PrincipalAccount", values=(facts.account_id,))


def account_verdict(facts: AwsFacts, value: str, tests: list[Test]) -> TrustVerdict:
    """Evaluate a statement for an account or a principal of one: an ARN, an account number, or the id of a deleted
    principal.
    """
    pins = claims_of(tests)
    if DELETED.match(value):
        return TrustVerdict(
            kind="account",
            issuer=value,
            exposure="nobody",
            external=None,
            problem="DANGLING-1",
            severity="low",
            why=f"names {value}, a deleted principal",
            fix="Remove the principal from the statement.",
            change=REMOVED,
        )
    issuer = f"arn:{facts.partition}:iam::{value}:root" if NUMBER.match(value) else value
    parts = issuer.split(":")
    account = parts[4] if len(parts) > 5 else ""
    whole = issuer.endswith(":root")
    if not NUMBER.match(account):
        return TrustVerdict(
            kind="account",
            issuer=issuer,
            exposure="unknown",
            external=None,
            why=f"names {value}, a principal that is not evaluated",
        )
    if _inside(facts, account) or _own_organization(facts, pins):
        return TrustVerdict(
            kind="account",
            issuer=issuer,
            account=account if whole else None,
            exposure="organization" if whole else "exact",
            why=f"trusts {issuer}" + (f" {describe_tests(tests)}" if tests else ""),
        )
    foreign = _foreign(facts, issuer, pins, whole=whole, known=facts.organization_accounts is not None)
    return msgspec.structs.replace(foreign, account=account if whole else None)


UNIQUE_ID = re.compile(r"^(?P<id>(AROA|AIDA)[A-Z0-9]{8,}|[0-9]{12})(:.*)?$")
"""``aws:userid`` of a role's sessions (``AROA...:*``), of a user (``AIDA...``) or of a root user (the account's number).

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html#principaltable
"""


def _named_by_id(facts: AwsFacts, test: Test, tests: list[Test]) -> TrustVerdict:
    """Evaluate a statement for everyone that admits only the principals with given unique ids."""
    found = [match["id"] for value in test.values if (match := UNIQUE_ID.match(value))]
    known = {one.native_id: one.address for one in facts.identities} | {
        facts.account_id: f"arn:{facts.partition}:iam::{facts.account_id}:root"
    }
    own = [address for one in found if (address := known.get(one)) is not None]
    return TrustVerdict(
        kind="account",
        # Of several, the first known one: the others have the same exposure.
        issuer=own[0] if own else found[0],
        exposure="exact",
        external=False if len(own) == len(found) else None,
        why=f"trusts the principals {describe_tests(tests)}",
    )


def _foreign_organization(org: Test, tests: list[Test]) -> TrustVerdict:
    """Evaluate a statement for every principal of another organization."""
    return TrustVerdict(
        kind="account",
        issuer="*",
        exposure="another-tenant",
        external=True,
        problem="XACCT-2",
        severity="high",
        why=f"trusts every principal of another organization, {org.values[0]}: {describe_tests(tests)}",
        fix='Name the role of the other organization that needs it, and add StringEquals "sts:ExternalId" with a random value.',
    )


def _named_by_condition(
    facts: AwsFacts, issuer: str, *, inside: bool, exact: bool, tests: list[Test]
) -> TrustVerdict:
    if inside:
        return TrustVerdict(
            kind="account",
            issuer=issuer,
            exposure="exact" if exact else "organization",
            why=f"trusts everyone {describe_tests(tests)}",
        )
    return _foreign(facts, issuer, claims_of(tests), whole=not exact, known=True)


def _inside(facts: AwsFacts, account: str) -> bool:
    if account == facts.account_id:
        return True
    return account in (facts.organization_accounts or ())


def _own_organization(facts: AwsFacts, pins: dict[str, Test]) -> bool:
    org = pins.get("aws:principalorgid")
    own = facts.organization_id
    return org is not None and own is not None and org.values == [own]


def _foreign(
    facts: AwsFacts, issuer: str, pins: dict[str, Test], *, whole: bool, known: bool
) -> TrustVerdict:
    """Evaluate an account that is, or may be, outside the organization."""
    where = (
        "an account outside the organization"
        if known
        else "an account not known to belong to the organization"
    )
    external_id = pins.get("sts:externalid")
    # An organization whose id is not known here may be the account's own. Another one's is no protection: the third party
    # can still be made to use the role for somebody else.
    unsure = "aws:principalorgid" in pins and facts.organization_id is None
    if external_id is None and not unsure:
        return TrustVerdict(
            kind="account",
            issuer=issuer,
            exposure="another-tenant",
            external=True if known else None,
            problem="XACCT-2",
            severity="high" if known else "medium",
            why=f"trusts {issuer}, {where}, without sts:ExternalId",
            fix='Add StringEquals "sts:ExternalId" with a random value that the third party uses for this account only.',
        )
    weak = external_id is not None and _weak(facts, external_id, issuer)
    if weak:
        return TrustVerdict(
            kind="account",
            issuer=issuer,
            exposure="another-tenant",
            external=True if known else None,
            problem="XACCT-2",
            severity="medium",
            why=f"trusts {issuer}, {where}, with an sts:ExternalId that can be guessed: {weak}",
            fix="Use a random external ID of at least 16 characters.",
        )
    return TrustVerdict(
        kind="account",
        issuer=issuer,
        exposure="another-tenant",
        external=True if known else None,
        problem="XACCT-3" if whole else None,
        severity="low" if whole else None,
        why=f"trusts {issuer}, {where}"
        + (", as a whole account instead of a named principal" if whole else "")
        + (", with an external ID" if external_id is not None else ""),
        fix="Name the role of the other account that needs it." if whole else None,
    )


def _weak(facts: AwsFacts, test: Test, issuer: str) -> str | None:
    for value in test.values:
        if test.operator == "glob" and ("*" in value or "?" in value):
            return "it contains a wildcard"
        if value == facts.account_id or (value and value in issuer):
            return "it is an account ID"
        if len(value) < 16:
            return f"it has only {len(value)} characters"
    return None
