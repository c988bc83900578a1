"""Resource control policies: what an organization denies on the resources of its member accounts, whoever asks.

They limit every caller: principals of the account, of other accounts and organizations, and federated ones. They do not
limit service-linked roles, nor resources of the management account, and only actions of the services that support them
(``data/rcp_services.txt``). Whether one applies depends on the caller, about whom a trust or resource policy says
something: `as_known` leaves of a Deny the conditions that this does not decide.

Source: https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_rcps.html
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from collectors.aws.evaluator.actions import catalog
from collectors.aws.evaluator.conditions import RequestContext, evaluate_condition
from collectors.aws.evaluator.policy import PolicyDocument, Statement, glob, parse
from collectors.aws.evaluator.trust_tests import issuer_name
from collectors.aws.evaluator.trust_verdict import NUMBER

if TYPE_CHECKING:
    from datetime import datetime

    from collectors.aws.evaluator.facts import AwsFacts
    from collectors.aws.evaluator.policy import Condition

Known = dict[str, tuple[str, ...] | None]

ORGANIZATION = ("aws:principalorgid", "aws:principalorgpaths")
SOURCES = ("aws:sourcearn", "aws:sourceaccount", "aws:sourceorgid")


@functools.cache
def services() -> frozenset[str]:
    """Return the prefixes of the services that support resource control policies."""
    path = Path(__file__).parent / "data" / "rcp_services.txt"
    return frozenset(path.read_text(encoding="utf-8").split())


@functools.cache
def limited_actions() -> int:
    """Return the actions that they can deny to principals of the account itself.

    Without sts:AssumeRole and the like: these are denied on the role, with its trust policy.
    """
    return catalog().of([f"{service}:*" for service in services() if service != "sts"])


def documents(facts: AwsFacts) -> list[PolicyDocument]:
    """Return the policies that apply to resources of the account."""
    if facts.management:
        return []
    return [parse(item) for level in facts.rcps or [] for item in level]


def is_unknown(facts: AwsFacts) -> bool:
    """Return whether there may be policies that could not be read."""
    return facts.rcps is None and facts.management is not True


def denies_on(found: list[PolicyDocument], service: str, arn: str | None = None) -> list[Statement]:
    """Return the Deny statements for a service that supports them, on one resource if ``arn`` is given."""
    if service not in services():
        return []
    return [
        statement
        for document in found
        for statement in document.statements
        if not statement.allow and (arn is None or _names(statement, arn))
    ]


def _names(statement: Statement, arn: str) -> bool:
    if statement.not_resources:
        return not any(glob(pattern, arn) for pattern in statement.not_resources)
    return any(glob(pattern, arn) for pattern in statement.resources)


def caller(facts: AwsFacts, kind: str, value: str) -> Known:
    """Return what is known of the requests of a principal that a policy names: lower-case key -> values, None for a key
    that they lack.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principal-properties
    """
    absent: Known = dict.fromkeys(
        (*ORGANIZATION, "aws:principalaccount", "aws:principalarn", "aws:principaltype")
    )
    match kind:
        case "Service":
            return {**absent, "aws:principalisawsservice": ("true",)}
        case "Federated":
            return {
                **absent,
                "aws:principalisawsservice": ("false",),
                "aws:federatedprovider": (value,),
            }
        case "AWS" if NUMBER.match(account := _account(value)):
            known: Known = {"aws:principalisawsservice": ("false",), "aws:principalaccount": (account,)}
            if value != account and not value.endswith(":root"):
                known["aws:principalarn"] = (value,)
            inside = account == facts.account_id or account in (facts.organization_accounts or ())
            if inside and facts.organization_id is not None:
                known["aws:principalorgid"] = (facts.organization_id,)
            return known
        case _:
            return {"aws:principalisawsservice": ("false",)}


def _account(value: str) -> str:
    return value if NUMBER.match(value) else (value.split(":") + [""] * 5)[4]


def as_known(deny: Statement, facts: AwsFacts, kind: str, value: str, as_of: datetime) -> Statement | None:
    """Return a Deny as it concerns one principal: without the conditions that certainly hold; None if one never does.
    Without a condition, it denies everything that it names.
    """
    context = RequestContext(as_of=as_of, known=caller(facts, kind, value))
    left: list[Condition] = []
    for condition in deny.conditions:
        match _outcome(condition, facts, kind, value, context):
            case "false":
                return None
            case "open":
                left.append(condition)
            case "true":
                pass
    return (
        deny if len(left) == len(deny.conditions) else msgspec.structs.replace(deny, conditions=tuple(left))
    )


def _outcome(
    condition: Condition, facts: AwsFacts, kind: str, value: str, context: RequestContext
) -> Literal["true", "false", "open"]:
    if condition.operator == "null" and condition.key in SOURCES and kind == "Service":
        # A service that acts for someone names the source. Without one, there is no deputy to confuse.
        return "false" if "true" in {text.lower() for text in condition.values} else "true"
    if kind == "Federated" and "." in (issuer := condition.key.rpartition(":")[0]):
        if issuer.rstrip("/") != issuer_name(value).rstrip("/"):
            context = context.with_known({condition.key: None})
        elif condition.operator == "null":
            # The token has the claims that its issuer documents.
            return "false" if "true" in {text.lower() for text in condition.values} else "true"
    elif _outsider(facts, kind, value) and condition.key in ORGANIZATION:
        own = facts.organization_id
        if own is not None and all(text.partition("/")[0] == own for text in condition.values):
            # Of another organization, or of none.
            positive = condition.operator in {"stringequals", "stringlike", "stringequalsignorecase"}
            return "false" if positive and not condition.if_exists else ("open" if positive else "true")
    match evaluate_condition(condition, context):
        case "true":
            return "true"
        case "false":
            return "false"
        case _:
            return "open"


def _outsider(facts: AwsFacts, kind: str, value: str) -> bool:
    """Return whether a principal is of an account that is certainly not of the organization."""
    accounts, account = facts.organization_accounts, _account(value)
    return (
        kind == "AWS"
        and accounts is not None
        and bool(NUMBER.match(account))
        and account not in accounts
        and account != facts.account_id
    )
