"""Policy documents resolved for one principal: variables expanded, actions as sets, conditions evaluated as far as
possible. Equal cases are computed once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from collectors.aws.evaluator.actions import catalog, matching
from collectors.aws.evaluator.conditions import RequestContext, Truth, holds
from collectors.aws.evaluator.policy import (
    PolicyDocument,
    Statement,
    glob,
    overlaps,
    substitute,
    variable_names,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class ResolvedStatement(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One statement, resolved for one principal."""

    statement: Statement
    document: PolicyDocument
    actions: int
    """The set of actions that it applies to."""
    resources: tuple[str, ...]
    """Patterns, with policy variables expanded; ``*`` for NotResource."""
    excluded: tuple[str, ...]
    """Patterns of NotResource."""
    truth: Truth
    """How certainly its conditions hold, before a request is known; at most `ceiling`."""
    ceiling: Truth = Truth.YES
    """How certainly it names its resources: below YES if they have a policy variable whose value is not known."""

    def matches(self, arn: str) -> bool:
        """Return whether the statement applies to a resource."""
        return any(glob(pattern, arn) for pattern in self.resources) and not any(
            glob(pattern, arn) for pattern in self.excluded
        )

    def covers(self, pattern: str) -> bool:
        """Return whether the statement applies to everything that ``pattern`` matches."""
        return any(glob(own, pattern) for own in self.resources) and not any(
            overlaps(own, pattern) for own in self.excluded
        )


class ResolvedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A document, resolved for one principal."""

    allows: tuple[ResolvedStatement, ...]
    denies: tuple[ResolvedStatement, ...]
    unknown: tuple[str, ...]
    """Action patterns that match no action in AWS's reference."""


class PolicyLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What limits a principal: allow layers and denies."""

    layers: tuple[tuple[ResolvedStatement, ...], ...] = ()
    """The Allow rows of the boundary and of each SCP level; each layer must allow."""
    denies: tuple[ResolvedStatement, ...] = ()
    """The Deny rows of every document that applies."""


_USES: dict[str, frozenset[str]] = {}


_ROWS: dict[tuple[str, tuple[Any, ...]], ResolvedDocument] = {}


_ROWS_MAX = 50_000


def uses(document: PolicyDocument) -> frozenset[str]:
    """Return the condition keys and policy variables that a document reads, in lower case."""
    found = _USES.get(document.key)
    if found is None:
        keys: set[str] = set()
        for statement in document.statements:
            for condition in statement.conditions:
                keys.add(condition.key)
                keys |= variable_names(condition.values)
            keys |= variable_names((*statement.resources, *statement.not_resources))
        found = _USES[document.key] = frozenset(keys)
    return found


def reading(document: PolicyDocument, context: RequestContext) -> tuple[Any, ...]:
    """Return the part of the context that the document uses: equal for principals that it treats the same."""
    keys = uses(document)
    if not keys:
        return ()
    return (
        context.as_of,
        context.mfa,
        context.tags_final,
        *((key, context.known.get(key, "open")) for key in sorted(keys)),
    )


def resolve(document: PolicyDocument, context: RequestContext) -> ResolvedDocument:
    """Resolve a document for a principal. Equal cases are computed once."""
    key = (document.key, reading(document, context))
    found = _ROWS.get(key)
    if found is None:
        if len(_ROWS) >= _ROWS_MAX:
            _ROWS.clear()
        found = _ROWS[key] = _resolve(document, context)
    return found


def _resolve(document: PolicyDocument, context: RequestContext) -> ResolvedDocument:
    allows: list[ResolvedStatement] = []
    denies: list[ResolvedStatement] = []
    unknown: list[str] = []
    variables = context.variables(uses(document)) if document.variables else {}
    for statement in document.statements:
        truth = holds(statement.conditions, context, allow=statement.allow, variables=document.variables)
        if truth is Truth.NO and not _open_to_requests(statement):
            continue
        actions = 0
        for pattern in statement.actions or statement.not_actions:
            found = matching(pattern)
            if not found:
                unknown.append(pattern)
            actions |= found
        if statement.not_actions:
            actions = catalog().everything & ~actions
        for resources, excluded, ceiling in _readings(statement, variables, expand=document.variables):
            row = ResolvedStatement(
                statement=statement,
                document=document,
                actions=actions,
                resources=resources,
                excluded=excluded,
                truth=min(truth, ceiling),
                ceiling=ceiling,
            )
            (allows if statement.allow else denies).append(row)
    return ResolvedDocument(allows=tuple(allows), denies=tuple(denies), unknown=tuple(unknown))


def _open_to_requests(statement: Statement) -> bool:
    """Return whether the conditions may hold for some request although they do not hold without one."""
    return not statement.allow and bool(statement.conditions)


def _readings(
    statement: Statement, variables: dict[str, str | None], *, expand: bool
) -> Iterator[tuple[tuple[str, ...], tuple[str, ...], Truth]]:
    """Yield ``(resources, excluded, how certainly)``: what a statement certainly applies to, and what it may apply to if
    it has a policy variable whose value is not known, which may stand for anything.
    """
    sure, unsure = _expand(statement.resources, variables, expand=expand)
    spared, perhaps = _expand(statement.not_resources, variables, expand=expand)
    doubt = Truth.NARROW if statement.allow else Truth.UNKNOWN
    if statement.not_resources:
        yield ("*",), (*spared, *perhaps), Truth.YES
        if perhaps:
            yield ("*",), spared, doubt
        return
    if sure or not unsure:
        yield sure, (), Truth.YES
    if unsure:
        yield unsure, (), doubt


def _expand(
    patterns: Iterable[str], variables: dict[str, str | None], *, expand: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Expand policy variables. Returns the patterns that are known, and those in which an unknown variable became
    ``*``.
    """
    known: list[str] = []
    wide: list[str] = []
    for pattern in patterns:
        text, unknown = substitute(pattern, variables) if expand else (pattern, False)
        if text is not None:
            (wide if unknown else known).append(text)
    return tuple(known), tuple(wide)
