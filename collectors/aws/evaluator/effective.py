"""Effective permissions of several policies: allows, minus denies, within the permissions boundary and every SCP level.

`effective_actions` and `can` answer for bare documents, without an account. The evaluation order is AWS's:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import msgspec

from collectors.aws.evaluator.actions import all_of, applicable, catalog
from collectors.aws.evaluator.authorizer import Authorizer
from collectors.aws.evaluator.conditions import RequestContext, Truth
from collectors.aws.evaluator.policy import (
    PolicyDocument,
    glob,
    overlaps,
    parse,
)
from collectors.aws.evaluator.resolved import PolicyLimits, ResolvedStatement, resolve

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime


class Piece(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What remains of one statement on one resource pattern."""

    resource: str
    excluded: tuple[str, ...]
    actions: int
    truth: Truth
    row: ResolvedStatement


def pieces(rows: Iterable[ResolvedStatement], limits: PolicyLimits) -> list[Piece]:
    """Return what remains of Allow rows, by resource pattern, after denies and within every layer."""
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
    """Return whether a layer allows everything."""
    everything = catalog().everything
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
            if narrower is piece.resource and not glob(resource, piece.resource):
                # Only a part of it, which no single pattern describes.
                truth = min(truth, Truth.UNKNOWN)
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
    """Yield what a Deny leaves of a piece: the other actions, the actions on what the Deny spares, and under a condition
    everything.
    """
    hit = piece.actions & deny.actions
    if not hit or deny.truth is Truth.NO:
        yield piece
        return
    spared: tuple[str, ...] = ()
    if not deny.covers(piece.resource):
        if not deny.excluded or not any(glob(own, piece.resource) for own in deny.resources):
            yield from _minus_part(piece, deny, hit)
            return
        spared = tuple(
            dict.fromkeys(
                _common(own, piece.resource) for own in deny.excluded if overlaps(own, piece.resource)
            )
        )
        if piece.resource in spared:
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
    for resource in spared:
        left = hit & applicable(resource)
        if left:
            yield Piece(
                resource=resource, excluded=piece.excluded, actions=left, truth=piece.truth, row=piece.row
            )


def _minus_part(piece: Piece, deny: ResolvedStatement, hit: int) -> Iterable[Piece]:
    """Yield a piece without the part of its resources that a Deny names. Only identities matter: which of them can be
    changed decides who becomes an administrator.
    """
    some = hit & _identity_actions()
    within = tuple(own for own in deny.resources if glob(piece.resource, own)) if not deny.excluded else ()
    if not some or not within or deny.truth is not Truth.YES:
        yield piece
        return
    excluded = tuple(dict.fromkeys((*piece.excluded, *within)))
    yield Piece(resource=piece.resource, excluded=excluded, actions=some, truth=piece.truth, row=piece.row)
    rest = piece.actions & ~some
    if rest:
        yield Piece(
            resource=piece.resource, excluded=piece.excluded, actions=rest, truth=piece.truth, row=piece.row
        )


@functools.cache
def _identity_actions() -> int:
    return catalog().of(["iam:*", "sts:AssumeRole"])


def _common(one: str, other: str) -> str:
    """Return a pattern for what two overlapping patterns both match: the narrower one, or the first if neither is."""
    return other if glob(one, other) else one


def authorizer_of(
    identity: Sequence[PolicyDocument],
    context: RequestContext,
    boundary: Sequence[PolicyDocument] | None = None,
    scps: Sequence[Sequence[PolicyDocument]] | None = None,
) -> Authorizer:
    """Combine documents. ``boundary`` and ``scps`` only limit and never grant; None means that there is none."""
    own = [resolve(document, context) for document in identity]
    above = [
        [resolve(document, context) for document in layer]
        for layer in ([boundary] if boundary is not None else [])
    ]
    above += [[resolve(document, context) for document in level] for level in scps or []]
    denies = [row for rows in own for row in rows.denies]
    denies += [row for layer in above for rows in layer for row in rows.denies]
    return Authorizer(
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
    """Return whether documents allow a principal to perform ``action`` on ``resource``: YES, NARROW (on a condition),
    UNKNOWN, NO. ``known`` has condition keys (lower case) of the principal or the request; None for a key that is
    absent.
    """
    authorizer = authorizer_of(
        [parse(document) for document in identity],
        RequestContext(as_of=as_of, known=known or {}),
        None if boundary is None else [parse(boundary)],
        [[parse(document) for document in level] for level in scps],
    )
    return authorizer.on(action, resource)


def effective_actions(
    *,
    identity: Sequence[dict[str, Any] | str],
    as_of: datetime,
    boundary: dict[str, Any] | str | None = None,
    scps: Sequence[Sequence[dict[str, Any] | str]] = (),
    known: dict[str, tuple[str, ...] | None] | None = None,
) -> list[tuple[str, str, Truth]]:
    """Return ``(action, resource pattern, truth)`` for everything that documents allow, in the order of the catalog."""
    authorizer = authorizer_of(
        [parse(document) for document in identity],
        RequestContext(as_of=as_of, known=known or {}),
        None if boundary is None else [parse(boundary)],
        [[parse(document) for document in level] for level in scps],
    )
    found = {
        (name, piece.resource, piece.truth)
        for piece in pieces(authorizer.allows, authorizer.limits)
        for name in catalog().list(piece.actions)
    }
    return sorted(found)
