"""What policies come to together: allows, minus denies, within the permissions boundary and every SCP level.

`effective_actions` and `can` answer for bare documents, without an account. The order of judgement is AWS's:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from collectors.aws.evaluator.actions import all_of, applicable, catalogue, matching
from collectors.aws.evaluator.conditions import RequestContext, Truth, holds
from collectors.aws.evaluator.policy import (
    PolicyDocument,
    Statement,
    glob,
    overlaps,
    parse,
    substitute,
    variable_names,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime


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
        """Say whether the statement speaks of a resource."""
        return any(glob(pattern, arn) for pattern in self.resources) and not any(
            glob(pattern, arn) for pattern in self.excluded
        )

    def covers(self, pattern: str) -> bool:
        """Say whether the statement speaks of everything that ``pattern`` names."""
        return any(glob(own, pattern) for own in self.resources) and not any(
            overlaps(own, pattern) for own in self.excluded
        )


class ResolvedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A document, resolved for one principal."""

    allows: tuple[ResolvedStatement, ...]
    denies: tuple[ResolvedStatement, ...]
    unknown: tuple[str, ...]
    """Action patterns that match no action known to AWS's reference."""


class Piece(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is left of one statement on one resource pattern."""

    resource: str
    excluded: tuple[str, ...]
    actions: int
    truth: Truth
    row: ResolvedStatement


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
            actions = catalogue().everything & ~actions
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
    """Say whether the conditions may hold once the request is known, though they do not before."""
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


def pieces(rows: Iterable[ResolvedStatement], limits: PolicyLimits) -> list[Piece]:
    """Return what is left of some Allow rows, by resource pattern, after denies and within every layer."""
    left: list[Piece] = []
    for row in rows:
        if row.truth is Truth.NO:
            continue
        for resource in dict.fromkeys(row.resources):
            actions = row.actions & applicable(resource)
            if actions:
                left.append(
                    Piece(resource=resource, excluded=row.excluded, actions=actions, truth=row.truth, row=row)
                )
    for layer in limits.layers:
        if not unbounded(layer):
            left = [narrowed for piece in left for narrowed in _within(piece, layer)]
    for deny in limits.denies:
        left = [rest for piece in left for rest in _minus(piece, deny)]
    return left


def unbounded(layer: Iterable[ResolvedStatement]) -> bool:
    """Say whether a layer allows everything."""
    everything = catalogue().everything
    return any(
        row.actions == everything
        and row.truth is Truth.YES
        and not row.excluded
        and any(all_of(resource) for resource in row.resources)
        for row in layer
    )


def _within(piece: Piece, layer: Iterable[ResolvedStatement]) -> Iterable[Piece]:
    whole: dict[Truth, int] = {}
    for row in layer:
        if row.truth is Truth.NO or not row.actions & piece.actions:
            continue
        for resource in row.resources:
            common = piece.actions & row.actions & applicable(resource)
            if not common or not overlaps(resource, piece.resource):
                continue
            truth = min(piece.truth, row.truth)
            if glob(resource, piece.resource) and not row.excluded:
                whole[truth] = whole.get(truth, 0) | common
                continue
            narrower = resource if glob(piece.resource, resource) else piece.resource
            yield Piece(
                resource=narrower,
                excluded=(*piece.excluded, *row.excluded),
                actions=common,
                truth=truth,
                row=piece.row,
            )
    for truth, actions in whole.items():
        yield Piece(
            resource=piece.resource, excluded=piece.excluded, actions=actions, truth=truth, row=piece.row
        )


def _minus(piece: Piece, deny: ResolvedStatement) -> Iterable[Piece]:
    hit = piece.actions & deny.actions
    if not hit or deny.truth is Truth.NO or not deny.covers(piece.resource):
        yield piece
        return
    rest = piece.actions & ~hit
    if rest:
        yield Piece(
            resource=piece.resource, excluded=piece.excluded, actions=rest, truth=piece.truth, row=piece.row
        )
    if deny.truth is not Truth.YES:
        truth = min(piece.truth, Truth.NARROW if deny.truth is Truth.NARROW else Truth.UNKNOWN)
        yield Piece(resource=piece.resource, excluded=piece.excluded, actions=hit, truth=truth, row=piece.row)


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a request beside its action and its resource."""

    known: dict[str, tuple[str, ...] | None] = {}
    """Lower-case condition key -> its values; None when it is absent."""
    resource_tags: dict[str, str] | None = None
    """Tags of the resource (lower-case keys), where it is known."""


class Judge(msgspec.Struct, frozen=True, kw_only=True):
    """Answers for one principal: its rows, its limits, and what is known of it."""

    allows: tuple[ResolvedStatement, ...]
    limits: PolicyLimits
    context: RequestContext

    def on(self, action: str, arn: str, asking: Asking | None = None) -> Truth:
        """Say how far the principal can do ``action`` on the resource ``arn``."""
        bit = matching(action.lower())
        context = self._context(asking)
        truth = _most(self.allows, bit, arn, context)
        for layer in self.limits.layers:
            if truth is Truth.NO:
                return truth
            truth = min(truth, _most(layer, bit, arn, context))
        return self._less_denied(bit, arn, truth, context)

    def denied(self, action: str, arn: str, asking: Asking | None = None) -> bool:
        """Say whether a Deny stops the principal from ``action`` on ``arn`` whatever allows it."""
        bit = matching(action.lower())
        return self._less_denied(bit, arn, Truth.YES, self._context(asking)) is Truth.NO

    def somewhere(self, action: str, template: str | None = None, asking: Asking | None = None) -> Truth:
        """Say how far the principal can do ``action`` on any resource at all, or on any that ``template`` names."""
        bit = matching(action.lower())
        context = self._context(asking)
        best = Truth.NO
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

    def _context(self, asking: Asking | None) -> RequestContext:
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
    """Return how far a row's conditions hold, for a request of which more may be known than of the principal."""
    if not row.statement.conditions:
        return row.truth
    return holds(
        row.statement.conditions, context, allow=row.statement.allow, variables=row.document.variables
    )


def _most(rows: Iterable[ResolvedStatement], bit: int, arn: str, context: RequestContext) -> Truth:
    best = Truth.NO
    for row in rows:
        if row.actions & bit and row.matches(arn):
            best = max(best, _truth(row, context))
            if best is Truth.YES:
                break
    return best


def judge_of(
    identity: Sequence[PolicyDocument],
    context: RequestContext,
    boundary: Sequence[PolicyDocument] | None = None,
    scps: Sequence[Sequence[PolicyDocument]] | None = None,
) -> Judge:
    """Put documents together. ``boundary`` and ``scps`` never grant; None means that there is none."""
    own = [resolve(document, context) for document in identity]
    above = [
        [resolve(document, context) for document in layer]
        for layer in ([boundary] if boundary is not None else [])
    ]
    above += [[resolve(document, context) for document in level] for level in scps or []]
    denies = [row for rows in own for row in rows.denies]
    denies += [row for layer in above for rows in layer for row in rows.denies]
    return Judge(
        allows=tuple(row for rows in own for row in rows.allows),
        limits=PolicyLimits(
            layers=tuple(tuple(row for rows in layer for row in rows.allows) for layer in above),
            denies=tuple({id(row): row for row in denies}.values()),
        ),
        context=context,
    )


def can(
    action: str,
    resource: str,
    *,
    identity: Sequence[dict[str, Any] | str],
    as_of: datetime,
    boundary: dict[str, Any] | str | None = None,
    scps: Sequence[Sequence[dict[str, Any] | str]] = (),
    known: dict[str, tuple[str, ...] | None] | None = None,
) -> Truth:
    """Say whether documents let a principal do ``action`` on ``resource``: YES, NARROW (on a condition), UNKNOWN, NO.

    ``known`` holds condition keys (lower case) of the principal or the request; None for a key that is absent.
    """
    judge = judge_of(
        [parse(document) for document in identity],
        RequestContext(as_of=as_of, known=known or {}),
        None if boundary is None else [parse(boundary)],
        [[parse(document) for document in level] for level in scps],
    )
    return judge.on(action, resource)


def effective_actions(
    *,
    identity: Sequence[dict[str, Any] | str],
    as_of: datetime,
    boundary: dict[str, Any] | str | None = None,
    scps: Sequence[Sequence[dict[str, Any] | str]] = (),
    known: dict[str, tuple[str, ...] | None] | None = None,
) -> list[tuple[str, str, Truth]]:
    """Return ``(action, resource pattern, how far)`` for all that documents allow, in the order of the catalogue."""
    judge = judge_of(
        [parse(document) for document in identity],
        RequestContext(as_of=as_of, known=known or {}),
        None if boundary is None else [parse(boundary)],
        [[parse(document) for document in level] for level in scps],
    )
    found = {
        (name, piece.resource, piece.truth)
        for piece in pieces(judge.allows, judge.limits)
        for name in catalogue().list(piece.actions)
    }
    return sorted(found)
