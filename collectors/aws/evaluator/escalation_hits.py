"""Input and results of the search for escalation paths: holders of policies, hits, an index of principals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from collectors.aws.evaluator.escalation_paths import (
    EscalationPath,
    implied,
)
from collectors.aws.evaluator.policy import glob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from collectors.aws.evaluator.authorizer import Authorizer
    from collectors.aws.evaluator.conditions import Truth
    from collectors.aws.evaluator.facts import Compute
    from collectors.aws.evaluator.principals import Principal


MOST_LOOKED_AT = 1_000
"""Maximum number of principals checked for one path of a holder. Only those that the policy names count; where there are
more, the holder's grants and links have low confidence, and a gap says so."""


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """An escalation path that a holder can use."""

    path: EscalationPath
    target: Principal | None
    """The principal reached; None for the holder itself or a new identity."""
    truth: Truth
    compute: Compute | None = None
    """The existing resource that is used."""
    assumed: bool = False
    """True if a resource of the kind is assumed to exist because the list is incomplete."""


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """A principal with the policies and limits that decide what it can do."""

    principal: Principal
    authorizer: Authorizer
    actions: int
    """Every action that a statement allows, before limits."""
    key: tuple[object, ...]
    """Equal for principals with the same policies."""
    admin: bool
    """Whether its policies make it an administrator."""
    alone: bool
    """Whether a single one of them does."""
    on_condition: bool
    """Whether one of them does under a condition: then only unconditional paths are worth reporting."""
    unlimited: bool
    """Whether its boundary and the SCPs would allow an administrator."""
    stronger: frozenset[str] = frozenset()
    """Which values of ``requires`` it meets."""


class PrincipalIndex:
    """Finds principals by ARN or by ARN pattern."""

    def __init__(self, principals: Iterable[Principal]) -> None:
        self.by_arn = {one.arn: one for one in principals}
        self._matches: dict[str, list[Principal]] = {}

    def named(self, pattern: str) -> list[Principal]:
        """Return the principals that a pattern matches."""
        if "*" not in pattern and "?" not in pattern:
            one = self.by_arn.get(pattern)
            return [] if one is None else [one]
        found = self._matches.get(pattern)
        if found is None:
            found = self._matches[pattern] = [one for arn, one in self.by_arn.items() if glob(pattern, arn)]
        return found


EMPTY = PrincipalIndex(())


def best_hits(hits: list[Hit]) -> list[Hit]:
    """Return the shortest path to each target, without longer ones that need the same actions and more."""
    kept: list[Hit] = []
    order: Callable[[Hit], tuple[int, int, bool, str]] = lambda hit: (  # noqa: E731
        -int(hit.truth),
        len(hit.path.steps),
        hit.assumed,
        hit.path.id,
    )
    for hit in sorted(hits, key=order):
        target = hit.target.arn if hit.target else None
        if any(
            implied(hit.path, one.path) and (one.target.arn if one.target else None) == target for one in kept
        ):
            continue
        kept.append(hit)
    return kept
