"""Whether a principal may perform an action on a resource: allows, minus denies, within its boundary and every SCP
level.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from collectors.aws.evaluator.actions import applicable, matching
from collectors.aws.evaluator.conditions import RequestContext, Truth, holds
from collectors.aws.evaluator.policy import (
    glob,
    overlaps,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from collectors.aws.evaluator.resolved import PolicyLimits, ResolvedStatement


class RequestFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about a request, other than its action and resource."""

    known: dict[str, tuple[str, ...] | None] = {}
    """Lower-case condition key -> its values; None if the key is absent."""
    resource_tags: dict[str, str] | None = None
    """Tags of the resource (lower-case keys), if known."""


class Authorizer(msgspec.Struct, frozen=True, kw_only=True):
    """Evaluates actions of one principal from its rows, its limits, and what is known about it."""

    allows: tuple[ResolvedStatement, ...]
    limits: PolicyLimits
    context: RequestContext
    given: Authorizer | None = None
    """What the policies of resources give, within what limits that; None for nothing."""

    @property
    def rows(self) -> tuple[ResolvedStatement, ...]:
        """Return every Allow, of the principal's policies and of resources."""
        return self.allows if self.given is None else (*self.allows, *self.given.allows)

    def on(self, action: str, arn: str, asking: RequestFacts | None = None) -> Truth:
        """Return how certainly the principal can perform ``action`` on the resource ``arn``."""
        own = self._on(action, arn, asking)
        if self.given is None or own is Truth.YES:
            return own
        return max(own, self.given.on(action, arn, asking))

    def _on(self, action: str, arn: str, asking: RequestFacts | None) -> Truth:
        bit = matching(action.lower())
        context = self._context(asking)
        truth = _most(self.allows, bit, arn, context)
        for layer in self.limits.layers:
            if truth is Truth.NO:
                return truth
            truth = min(truth, _most(layer, bit, arn, context))
        return self._less_denied(bit, arn, truth, context)

    def if_given(self, action: str, arn: str, *, unbounded: bool) -> Truth:
        """Return how certainly the principal's limits let it use an action that a resource policy gives it.
        ``unbounded``: not the first layer, which is the boundary of a user.
        """
        bit = matching(action.lower())
        truth = Truth.YES
        for layer in self.limits.layers[1:] if unbounded else self.limits.layers:
            truth = min(truth, _most(layer, bit, arn, self.context))
        return self._less_denied(bit, arn, truth, self.context)

    def somewhere(
        self, action: str, template: str | None = None, asking: RequestFacts | None = None
    ) -> Truth:
        """Return how certainly the principal can perform ``action`` on any resource, or on any that ``template``
        matches.
        """
        bit = matching(action.lower())
        context = self._context(asking)
        best = Truth.NO if self.given is None else self.given.somewhere(action, template, asking)
        for row in self.allows:
            if not row.actions & bit:
                continue
            truth = _truth(row, context)
            for resource in row.resources if truth > best else ():
                if not applicable(resource) & bit or (template and not overlaps(resource, template)):
                    continue
                narrower = template if template and glob(resource, template) else resource
                if not any(glob(pattern, narrower) for pattern in row.excluded):
                    best = max(best, min(truth, self._survives(bit, narrower, context)))
        return best

    def _context(self, asking: RequestFacts | None) -> RequestContext:
        if asking is None:
            return self.context
        return self.context.with_known(asking.known, asking.resource_tags)

    def _less_denied(self, bit: int, arn: str, truth: Truth, context: RequestContext) -> Truth:
        if truth is Truth.NO:
            return truth
        for row in self.limits.denies:
            if row.actions & bit and row.matches(arn):
                denied = _truth(row, context)
                if denied is Truth.YES:
                    return Truth.NO
                if denied is not Truth.NO:
                    truth = min(truth, denied)
        return truth

    def _survives(self, bit: int, resource: str, context: RequestContext) -> Truth:
        truth = Truth.YES
        for layer in self.limits.layers:
            best = Truth.NO
            for row in layer:
                if row.actions & bit and any(
                    applicable(own) & bit and overlaps(own, resource) for own in row.resources
                ):
                    best = max(best, _truth(row, context))
            truth = min(truth, best)
        for row in self.limits.denies:
            if row.actions & bit and row.covers(resource):
                denied = _truth(row, context)
                if denied is Truth.YES:
                    return Truth.NO
                if denied is not Truth.NO:
                    truth = min(truth, denied)
        return truth


def _truth(row: ResolvedStatement, context: RequestContext) -> Truth:
    """Return how certainly a row's conditions hold for a request, about which more may be known than about the
    principal.
    """
    if not row.statement.conditions:
        return row.truth
    held = holds(
        row.statement.conditions, context, allow=row.statement.allow, variables=row.document.variables
    )
    return min(held, row.ceiling)


def _most(rows: Iterable[ResolvedStatement], bit: int, arn: str, context: RequestContext) -> Truth:
    best = Truth.NO
    for row in rows:
        if row.actions & bit and row.matches(arn):
            best = max(best, _truth(row, context))
            if best is Truth.YES:
                break
    return best
