"""Policy documents resolved for one principal: variables expanded, actions as sets, conditions judged as far as they can be.

Each distinct answer is computed once.
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
    from collections.abc import Iterable


class ResolvedStatement(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One statement, resolved for one principal."""

    statement: Statement
    document: PolicyDocument
    actions: int
    """The set of actions that it speaks of."""
    resources: tuple[str, ...]
    """Patterns, with policy variables expanded; ``*`` for NotResource."""
    excluded: tuple[str, ...]
    """Patterns of NotResource."""
    truth: Truth
    """How far its conditions hold, before a request is known."""

    def matches(self, arn: str) -> bool:
        """Return whether the statement speaks of a resource."""
        return any(glob(pattern, arn) for pattern in self.resources) and not any(
            glob(pattern, arn) for pattern in self.excluded
        )

    def covers(self, pattern: str) -> bool:
        """Return whether the statement speaks of everything that ``pattern`` names."""
        return any(glob(own, pattern) for own in self.resources) and not any(
            overlaps(own, pattern) for own in self.excluded
        )


class ResolvedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A document, resolved for one principal."""

    allows: tuple[ResolvedStatement, ...]
    denies: tuple[ResolvedStatement, ...]
    unknown: tuple[str, ...]
    """Action patterns that match no action known to AWS's reference."""


class PolicyLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What bounds a principal from above, and what denies it."""

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
    """Return what the document makes of the context: equal for two principals that it cannot tell apart."""
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
    """Resolve a document for a principal; each distinct answer is computed once."""
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
        row = ResolvedStatement(
            statement=statement,
            document=document,
            actions=actions,
            resources=_expand(
                statement.resources, variables, expand=document.variables, unknown_matches=statement.allow
            )
            or (("*",) if statement.not_resources else ()),
            excluded=_expand(
                statement.not_resources,
                variables,
                expand=document.variables,
                unknown_matches=not statement.allow,
            ),
            truth=truth,
        )
        (allows if statement.allow else denies).append(row)
    return ResolvedDocument(allows=tuple(allows), denies=tuple(denies), unknown=tuple(unknown))


def _open_to_requests(statement: Statement) -> bool:
    """Return whether the conditions may hold once the request is known, though they do not before."""
    return not statement.allow and bool(statement.conditions)


def _expand(
    patterns: Iterable[str], variables: dict[str, str | None], *, expand: bool, unknown_matches: bool = True
) -> tuple[str, ...]:
    """Expand policy variables; what is not known becomes ``*``, or drops the pattern where that would grant less."""
    found: list[str] = []
    for pattern in patterns:
        if not expand:
            found.append(pattern)
            continue
        text, unknown = substitute(pattern, variables)
        if text is not None and (not unknown or unknown_matches):
            found.append(text)
    return tuple(found)
