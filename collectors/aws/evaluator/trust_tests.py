"""Conditions of trust policies as provider-neutral tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from scanner.records import Operator, Test

if TYPE_CHECKING:
    from collectors.aws.evaluator.policy import Condition, Statement

NAMES = {
    name.lower(): name
    for name in (
        "sts:ExternalId", "sts:RoleSessionName", "sts:SourceIdentity", "aws:PrincipalArn", "aws:PrincipalAccount",
        "aws:PrincipalOrgID", "aws:PrincipalOrgPaths", "aws:PrincipalType", "aws:SourceArn", "aws:SourceAccount",
        "aws:SourceOrgID", "aws:SourceIp", "aws:SourceVpc", "aws:SourceVpce", "aws:MultiFactorAuthPresent",
        "aws:MultiFactorAuthAge", "aws:CurrentTime", "aws:EpochTime", "SAML:aud", "SAML:iss", "SAML:sub",
        "SAML:sub_type", "SAML:doc", "SAML:namequalifier", "SAML:eduPersonAffiliation", "SAML:eduPersonOrgDN",
        "aws:SecureTransport", "aws:TagKeys", "aws:ViaAWSService", "aws:userid", "aws:username",
    )
}  # fmt: skip
"""Condition keys in AWS's spelling; policies may use any case."""
CALLER: dict[str, Literal["address", "account", "organization", "chosen"]] = {
    "aws:principalarn": "address",
    "aws:principalaccount": "account",
    "aws:principalorgid": "organization",
    "sts:rolesessionname": "chosen",
}
"""What a condition key says of the caller.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principal-properties
"""
POSITIVE: dict[str, Operator] = {
    "stringequals": "equals",
    "stringequalsignorecase": "equals-ignore-case",
    "stringlike": "glob",
    "arnequals": "glob",
    "arnlike": "glob",
    "bool": "equals-ignore-case",
}
NEGATIVE: dict[str, Operator] = {
    "stringnotequals": "not-equals",
    "stringnotlike": "not-glob",
    "arnnotequals": "not-glob",
    "arnnotlike": "not-glob",
}
OPPOSITE: dict[str, Operator] = {
    "stringnotequals": "equals",
    "stringnotequalsignorecase": "equals-ignore-case",
    "stringnotlike": "glob",
    "arnnotequals": "glob",
    "arnnotlike": "glob",
    "stringequals": "not-equals",
    "stringlike": "not-glob",
    "arnlike": "not-glob",
    "arnequals": "not-glob",
}
"""The test that a Deny with a condition implies for admitted principals."""


IN_EVERY_TOKEN = frozenset({"sub", "aud"})
"""Claims that every ID token has, so that a test of them that an absent claim would pass is a full test.

https://openid.net/specs/openid-connect-core-1_0.html#IDToken
"""
IN_EVERY_SIGNED_REQUEST = frozenset(
    {"aws:principalarn", "aws:principalaccount", "aws:userid", "aws:principaltype"}
)
"""Condition keys that every signed request has, likewise. Anonymous requests and sign-ins with a token have none of them.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principal-properties
"""


def tests_of(
    statement: Statement,
    denies: list[Statement],
    kind: str,
    principal: str,
    *,
    variables: bool,
    signed: bool,
) -> list[Test]:
    """Return the tests of an Allow, and those that a Deny with one condition adds.

    ``denies`` are those that apply to everything that the Allow grants this principal; ``variables`` says whether the
    document expands ``${...}``, and ``signed`` whether the service accepts signed requests only.
    """
    issuer = issuer_name(principal) if kind == "Federated" else None
    always = IN_EVERY_TOKEN if issuer is not None else IN_EVERY_SIGNED_REQUEST if signed else frozenset[str]()
    tests = [_test(condition, issuer, always, variables=variables) for condition in statement.conditions]
    for deny in denies:
        if len(deny.conditions) == 1:
            tests += _escape(deny.conditions[0], issuer, variables=variables)
    return tests


MOST_ALTERNATIVES = 16
"""Maximum number of ways around several Deny statements that are told apart."""


def alternatives(
    statement: Statement,
    denies: list[Statement],
    kind: str,
    principal: str,
    *,
    variables: bool,
    signed: bool,
) -> list[list[Test]]:
    """Return the tests of an Allow, once for each way around its denies: a Deny with several conditions spares whoever
    fails one of them. More than `MOST_ALTERNATIVES` ways: without the tests of further denies.
    """
    issuer = issuer_name(principal) if kind == "Federated" else None
    found = [tests_of(statement, denies, kind, principal, variables=variables, signed=signed)]
    for deny in denies:
        if len(deny.conditions) < 2 or len(found) * len(deny.conditions) > MOST_ALTERNATIVES:
            continue
        ways = [_escape(condition, issuer, variables=variables) for condition in deny.conditions]
        found = [[*tests, *way] for tests in found for way in ways]
    return found


def in_doubt(denies: list[Statement], kind: str, principal: str) -> list[Test]:
    """Return the tests of denies with several conditions, one of which a caller must fail: no test says which."""
    issuer = issuer_name(principal) if kind == "Federated" else None
    return [
        Test(
            claim=claim_name(deny.conditions[0].key, issuer),
            operator="unknown",
            values=[value for condition in deny.conditions for value in condition.values],
        )
        for deny in denies
        if len(deny.conditions) > 1
    ]


def _escape(condition: Condition, issuer: str | None, *, variables: bool) -> list[Test]:
    """Return the test that whoever fails the condition of a Deny passes; none if it cannot be expressed."""
    operator = OPPOSITE.get(condition.operator)
    if operator is None or condition.qualifier or (variables and _has_variable(condition)):
        return []
    return [
        Test(
            claim=claim_name(condition.key, issuer),
            operator=operator,
            values=list(condition.values),
            # An absent key denies if the condition is negated or ends in IfExists.
            optional=operator.startswith("not-") and not condition.if_exists,
            caller=CALLER.get(condition.key),
        )
    ]


def denies_to(denies: list[Statement], action: str, kind: str, principal: str) -> list[Statement]:
    """Return the Deny statements that apply to this action and principal.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html
    """
    return [deny for deny in denies if deny.covers_action(action) and binds(deny, kind, principal)]


def binds(deny: Statement, kind: str, principal: str) -> bool:
    """Return whether a Deny covers a principal of an Allow completely, not only a part of it."""
    if deny.not_principals:
        return kind != "*" and (kind, principal) not in deny.not_principals
    return any(own == "*" or (own, value) == (kind, principal) for own, value in deny.principals)


def foreign_keys(statement: Statement, kind: str, principal: str) -> list[str]:
    """Return the condition keys that requests of this principal never have: those of another token issuer.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html#condition-keys-wif
    """
    own = issuer_name(principal).rstrip("/") if kind == "Federated" else ""
    return [
        condition.key
        for condition in statement.conditions
        if "." in (issuer := condition.key.rpartition(":")[0]) and issuer.rstrip("/") != own
    ]


def issuer_name(principal: str) -> str:
    """Return an issuer as the prefix of IAM condition keys: without ``https://``."""
    return (principal.partition(":oidc-provider/")[2] or principal).lower()


def claim_name(key: str, issuer: str | None) -> str:
    """Return a claim's name without the issuer: ``sub`` of ``token.actions.githubusercontent.com:sub``."""
    if issuer is not None:
        owner, _, claim = key.rpartition(":")
        if owner.rstrip("/") == issuer.rstrip("/"):
            return claim
    return NAMES.get(key, key)


def _has_variable(condition: Condition) -> bool:
    return any("${" in value for value in condition.values)


def _test(condition: Condition, issuer: str | None, always: frozenset[str], *, variables: bool) -> Test:
    values = list(condition.values)
    claim = claim_name(condition.key, issuer)
    optional = claim.lower() not in always and (condition.if_exists or condition.qualifier == "all")
    caller = CALLER.get(condition.key)
    if condition.operator == "null":
        absent = "true" in {value.lower() for value in values}
        return Test(claim=claim, operator="exists", values=["false" if absent else "true"], caller=caller)
    operator = POSITIVE.get(condition.operator)
    if variables and _has_variable(condition):
        # The value of a policy variable depends on the request.
        return Test(claim=claim, operator="unknown", values=values, optional=optional, caller=caller)
    if operator is not None:
        return Test(claim=claim, operator=operator, values=values, optional=optional, caller=caller)
    negative = NEGATIVE.get(condition.operator)
    if negative is not None:
        optional = condition.qualifier != "any"
        return Test(claim=claim, operator=negative, values=values, optional=optional, caller=caller)
    return Test(claim=claim, operator="unknown", values=values, optional=optional, caller=caller)


PINS: tuple[Operator, ...] = ("equals", "equals-ignore-case", "glob", "prefix")


def claims_of(tests: list[Test]) -> dict[str, Test]:
    """Return the tests that restrict a claim, by its lower-case name: positive tests that fail if the claim is
    absent.
    """
    return {
        test.claim.lower(): test
        for test in tests
        if test.operator in PINS
        and not test.optional
        and test.values
        and not all(_open(test, value) for value in test.values)
    }


def _open(test: Test, value: str) -> bool:
    return test.operator in {"glob", "prefix"} and not value.strip("*")


def describe_tests(tests: list[Test]) -> str:
    """Return a short description of the tests."""
    words = [f"{test.claim} {test.operator} {' or '.join(test.values[:3])}" for test in tests[:4]]
    return f"where {' and '.join(words)}" if words else "without a condition"
