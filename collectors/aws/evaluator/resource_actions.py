"""What the statements of a resource policy allow and deny, and which of it escalation paths use.

A principal of the same account needs no identity policy for what the policy of a resource gives it by its ARN; one that the
policy lets in through the account itself does.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.aws.evaluator.actions import all_of, applicable, catalog, matching
from collectors.aws.evaluator.conditions import RequestContext, Truth, holds
from collectors.aws.evaluator.policy import Statement, glob, parse
from collectors.aws.evaluator.resolved import ResolvedStatement
from collectors.aws.evaluator.resource_control import as_known, denies_on
from collectors.aws.evaluator.role_trust import named_principal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from collectors.aws.evaluator.facts import AwsFacts, ResourcePolicy
    from collectors.aws.evaluator.policy import PolicyDocument
    from collectors.aws.evaluator.principals import Principal


def own_actions(statement: Statement, policy: ResourcePolicy) -> int:
    """Return the actions of the policy's own service that a statement applies to."""
    found = 0
    for pattern in statement.actions or statement.not_actions:
        found |= matching(pattern)
    if statement.not_actions:
        found = catalog().everything & ~found
    first, end = catalog().services.get(policy.service, (0, 0))
    own = (1 << end) - (1 << first)
    resources = [one for one in statement.resources if not all_of(one)]
    if resources:
        on = 0
        for resource in resources:
            on |= applicable(resource)
        found &= on
    return found & own


def denied_actions(
    denies: list[Statement], policy: ResourcePolicy, kind: str, value: str, context: RequestContext
) -> int:
    """Return the actions that are unconditionally denied to a principal."""
    found = 0
    for deny in denies:
        touches = any(own in {"*", kind} and glob(pattern, value) for own, pattern in deny.principals) or (
            bool(deny.not_principals) and not any(glob(pattern, value) for _, pattern in deny.not_principals)
        )
        if touches and holds(deny.conditions, context, allow=False) is Truth.YES:
            whole = deny.resources and all(
                all_of(one) or glob(one, policy.arn) or glob(one, f"{policy.arn}/any")
                for one in deny.resources
            )
            found |= own_actions(deny, policy) if whole or not deny.resources else 0
    return found


def given_permissions(
    facts: AwsFacts, principals: Iterable[Principal], guards: list[PolicyDocument], as_of: datetime
) -> dict[str, list[ResolvedStatement]]:
    """Return, by ARN, what the policies of resources give to users and roles of the account by themselves.

    ``guards`` are the resource control policies.
    """
    found: dict[str, list[ResolvedStatement]] = {}
    able = {one.arn: one for one in principals if one.kind != "iam-group" and not one.service_linked}
    for policy in facts.resource_policies:
        document = parse(policy.document)
        refusals = [one for one in document.statements if not one.allow]
        refusals += denies_on(guards, policy.service)
        for statement in document.statements:
            actions = own_actions(statement, policy) if statement.allow else 0
            if not actions:
                continue
            named = tuple(policy.arn if all_of(one) else one for one in statement.resources) or (policy.arn,)
            for principal in _let_in(statement, able):
                denies = [
                    deny
                    for one in refusals
                    if (deny := as_known(one, facts, "AWS", principal.arn, as_of)) is not None
                ]
                truth = holds(
                    statement.conditions, principal.context, allow=True, variables=document.variables
                )
                left = actions & ~denied_actions(denies, policy, "AWS", principal.arn, principal.context)
                if left and truth is not Truth.NO:
                    found.setdefault(principal.arn, []).append(
                        ResolvedStatement(
                            statement=statement,
                            document=document,
                            actions=left,
                            resources=named,
                            excluded=(),
                            truth=truth,
                        )
                    )
    return found


def _let_in(statement: Statement, able: dict[str, Principal]) -> Iterator[Principal]:
    """Yield the principals of the account that a statement names. Everyone is nobody in particular: what is public is
    reported as such.
    """
    for kind, value in statement.principals:
        if kind == "AWS" and (principal := able.get(named_principal(value))) is not None:
            yield principal
