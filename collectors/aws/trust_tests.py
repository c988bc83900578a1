"""Conditions of trust policies as provider-neutral tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanner.records import Operator, Test

if TYPE_CHECKING:
    from collectors.aws.policy import Condition, Statement

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
"""Condition keys as AWS writes them; policies may write them in any case."""
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
"""What a Deny on a condition demands of who passes."""


def tests_of(statement: Statement, denies: list[Statement], kind: str, principal: str) -> list[Test]:
    """Return the tests of an Allow, and those that a Deny with one condition adds."""
    issuer = issuer_name(principal) if kind == "Federated" else None
    tests = [_test(condition, issuer) for condition in statement.conditions]
    for deny in denies:
        touches = bool(deny.not_principals) or any(own in {"*", kind} for own, _ in deny.principals)
        if not touches or len(deny.conditions) != 1:
            continue
        condition = deny.conditions[0]
        operator = OPPOSITE.get(condition.operator)
        if operator is None or condition.qualifier:
            continue
        tests.append(
            Test(
                claim=claim_name(condition.key, issuer),
                operator=operator,
                values=list(condition.values),
                optional=operator.startswith("not-"),
            )
        )
    return tests


def issuer_name(principal: str) -> str:
    """Return an issuer as IAM's condition keys begin with it: without ``https://``."""
    return (principal.partition(":oidc-provider/")[2] or principal).lower()


def claim_name(key: str, issuer: str | None) -> str:
    """Return a claim's name without the issuer: ``sub`` of ``token.actions.githubusercontent.com:sub``."""
    if issuer is not None and key.startswith(f"{issuer}:"):
        return key[len(issuer) + 1 :]
    return NAMES.get(key, key)


def _test(condition: Condition, issuer: str | None) -> Test:
    optional = condition.if_exists or condition.qualifier == "all"
    values = list(condition.values)
    claim = claim_name(condition.key, issuer)
    if condition.operator == "null":
        absent = "true" in {value.lower() for value in values}
        return Test(claim=claim, operator="exists", values=["false" if absent else "true"])
    operator = POSITIVE.get(condition.operator)
    if operator is not None:
        return Test(claim=claim, operator=operator, values=values, optional=optional)
    negative = NEGATIVE.get(condition.operator)
    if negative is not None:
        return Test(claim=claim, operator=negative, values=values, optional=True)
    return Test(claim=claim, operator="unknown", values=values, optional=optional)


PINS: tuple[Operator, ...] = ("equals", "equals-ignore-case", "glob", "prefix")


def claims_of(tests: list[Test]) -> dict[str, Test]:
    """Return the tests that pin a claim, by its lower-case name: positive, and failed by an absent claim."""
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


def said(tests: list[Test]) -> str:
    """Say the tests in a few words."""
    words = [f"{test.claim} {test.operator} {' or '.join(test.values[:3])}" for test in tests[:4]]
    return f"where {' and '.join(words)}" if words else "without a condition"
