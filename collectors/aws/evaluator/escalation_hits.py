"""What a search for escalation paths works with and finds: holders of policies, hits, principals by pattern."""

from __future__ import annotations

import itertools
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


MOST_LOOKED_AT = 40
"""How many principals behind one wildcard are looked at."""


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """A path that somebody can walk."""

    path: EscalationPath
    target: Principal | None
    """Who is reached; None for oneself or a new identity."""
    truth: Truth
    compute: Compute | None = None
    """Through which existing resource."""
    assumed: bool = False
    """True when a resource of the kind is assumed to exist, because not all of them are known."""


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """A principal, and what decides what it can do."""

    principal: Principal
    authorizer: Authorizer
    actions: int
    """Every action that some statement allows it, before limits."""
    key: tuple[object, ...]
    """Equal for principals with the same policies."""
    admin: bool
    """Whether its policies make it an administrator."""
    alone: bool
    """Whether one of them does so by itself."""
    on_condition: bool
    """Whether one of them does so under a condition: then only what needs no condition adds to it."""
    unlimited: bool
    """Whether its boundary and the SCPs leave room for an administrator."""
    stronger: frozenset[str] = frozenset()
    """What of ``requires`` holds for it."""


class PrincipalIndex:
    """Principals by ARN, and those that a pattern names."""

    def __init__(self, principals: Iterable[Principal]) -> None:
        self.by_arn = {one.arn: one for one in principals}
        self._matches: dict[str, list[Principal]] = {}

    def named(self, pattern: str) -> list[Principal]:
        """Return the principals that a pattern names, but no more than are looked at."""
        if "*" not in pattern and "?" not in pattern:
            one = self.by_arn.get(pattern)
            return [] if one is None else [one]
        found = self._matches.get(pattern)
        if found is None:
            matching_ones = (one for arn, one in self.by_arn.items() if glob(pattern, arn))
            found = self._matches[pattern] = list(itertools.islice(matching_ones, MOST_LOOKED_AT))
        return found


EMPTY = PrincipalIndex(())


def best_hits(hits: list[Hit]) -> list[Hit]:
    """Keep the shortest path to each target: a longer one that needs the same actions and more tells nothing."""
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
