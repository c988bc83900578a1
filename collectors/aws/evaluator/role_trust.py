"""The principals that a role's trust policy admits, for the search for escalation paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from collectors.aws.evaluator.conditions import RequestContext, Truth, holds
from collectors.aws.evaluator.partitions import COGNITO, service_principal
from collectors.aws.evaluator.policy import PolicyDocument, Statement, glob
from collectors.aws.evaluator.resource_control import as_known, caller

if TYPE_CHECKING:
    from datetime import datetime

    from collectors.aws.evaluator.facts import AwsFacts
    from collectors.aws.evaluator.principals import Principal


class RoleTrust(msgspec.Struct, frozen=True, kw_only=True):
    """A role's trust policy, by kind of principal."""

    services: dict[str, Truth]
    """Service principal (`service_principal`) -> how certainly it is trusted."""
    named: dict[str, tuple[Statement, ...]]
    """ARN of a user or role of the same account -> the statements that name it."""
    account: tuple[Statement, ...]
    """Statements that name the account or everyone: principals that also have the permission are admitted."""
    federated: tuple[str, ...]
    """ARNs of identity providers."""
    denies: tuple[Statement, ...]


_SORTED: dict[tuple[str, str, str, datetime], RoleTrust] = {}
_SORTED_MAX = 20_000


def role_trust(document: PolicyDocument, account: str, partition: str, as_of: datetime) -> RoleTrust:
    """Sort a trust policy by kind of principal. Equal documents are sorted once."""
    key = (document.key, account, partition, as_of)
    found = _SORTED.get(key)
    if found is None:
        if len(_SORTED) >= _SORTED_MAX:
            _SORTED.clear()
        found = _SORTED[key] = _sort(document, account, partition, as_of)
    return found


def _sort(document: PolicyDocument, account: str, partition: str, as_of: datetime) -> RoleTrust:
    services: dict[str, Truth] = {}
    named: dict[str, list[Statement]] = {}
    whole: list[Statement] = []
    federated: list[str] = []
    denies: list[Statement] = []
    root = f"arn:{partition}:iam::{account}:root"
    context = RequestContext(
        as_of=as_of, known={"aws:sourceaccount": (account,), "aws:principalisawsservice": ("true",)}
    )
    for statement in document.statements:
        if not statement.allow:
            denies.append(statement)
            continue
        if statement.not_principals:
            whole.append(statement)
        for kind, value in statement.principals:
            if kind == "Service":
                truth = holds(statement.conditions, context, allow=True)
                if truth is not Truth.NO and _assumes(statement):
                    service = service_principal(value)
                    services[service] = max(truth, services.get(service, Truth.NO))
            elif kind == "Federated":
                federated.append(value)
                if service_principal(value) == COGNITO and statement.covers_action(
                    "sts:AssumeRoleWithWebIdentity"
                ):
                    truth = holds(statement.conditions, context, allow=True)
                    services[COGNITO] = max(truth, services.get(COGNITO, Truth.NO))
            elif kind == "*" or value in {account, root}:
                whole.append(statement)
            elif kind == "AWS":
                named.setdefault(named_principal(value), []).append(statement)
    return RoleTrust(
        services=services,
        named={arn: tuple(statements) for arn, statements in named.items()},
        account=tuple(whole),
        federated=tuple(federated),
        denies=tuple(denies),
    )


def within(trust: RoleTrust, denies: list[Statement], facts: AwsFacts, as_of: datetime) -> RoleTrust:
    """Return a trust as the resource control policies ``denies`` leave it."""
    if not denies:
        return trust
    services: dict[str, Truth] = {}
    for service, trusted in trust.services.items():
        kind = "Federated" if service == COGNITO else "Service"
        action = "sts:AssumeRoleWithWebIdentity" if service == COGNITO else "sts:AssumeRole"
        context = RequestContext(
            as_of=as_of,
            known={
                **caller(facts, kind, service),
                # The account's own resources: escalation starts from them.
                "aws:sourceaccount": (facts.account_id,),
                **({"aws:sourceorgid": (facts.organization_id,)} if facts.organization_id else {}),
            },
        )
        truth = trusted
        for deny in denies:
            if deny.covers_action(action):
                denied = holds(deny.conditions, context, allow=False)
                truth = (
                    Truth.NO if denied is Truth.YES else truth if denied is Truth.NO else min(truth, denied)
                )
        if truth is not Truth.NO:
            services[service] = truth
    federated = tuple(
        arn
        for arn in trust.federated
        if not any(
            deny.covers_action(_federated_action(arn))
            and (left := as_known(deny, facts, "Federated", arn, as_of)) is not None
            and not left.conditions
            for deny in denies
        )
    )
    return msgspec.structs.replace(
        trust, services=services, federated=federated, denies=(*trust.denies, *denies)
    )


def _federated_action(arn: str) -> str:
    return "sts:AssumeRoleWithSAML" if ":saml-provider/" in arn else "sts:AssumeRoleWithWebIdentity"


def _assumes(statement: Statement) -> bool:
    return statement.covers_action("sts:AssumeRole")


def named_principal(arn: str) -> str:
    """Return the role behind ``arn:aws:sts::123456789012:assumed-role/name/session``, and other ARNs unchanged."""
    if ":assumed-role/" not in arn:
        return arn
    head, _, rest = arn.partition(":assumed-role/")
    return f"{head.replace(':sts:', ':iam:')}:role/{rest.partition('/')[0]}"


def trusts(trust: RoleTrust, holder: Principal, *, named: bool) -> Truth:
    """Return how certainly a role trusts a principal of its own account, by name or through the account."""
    best = Truth.NO
    statements = trust.named.get(holder.arn, ()) if named else trust.account
    for statement in statements:
        if any(glob(value, holder.arn) for _, value in statement.not_principals):
            continue
        if _assumes(statement):
            best = max(best, holds(statement.conditions, holder.context, allow=True))
    for statement in trust.denies:
        if best is Truth.NO:
            break
        hit = any(
            kind == "*" or glob(value, holder.arn) or value.endswith(":root")
            for kind, value in statement.principals
        )
        hit = hit or (
            bool(statement.not_principals)
            and not any(
                glob(value, holder.arn) or value.endswith(":root") for _, value in statement.not_principals
            )
        )
        if hit and _assumes(statement):
            denied = holds(statement.conditions, holder.context, allow=False)
            best = Truth.NO if denied is Truth.YES else (best if denied is Truth.NO else min(best, denied))
    return best
