"""What access control lists let an identity do: entries, inheritance, groups, and deny over allow.

https://learn.microsoft.com/azure/devops/organizations/security/about-permissions#permission-inheritance : what is set on an
object goes before what is inherited, a deny as well as an allow; of two groups at one place, deny goes before allow.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec

from collectors.azure_devops.permissions import Namespace  # noqa: TC001  msgspec reads the annotations at run time

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class AccessControlEntry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one identity is allowed and denied at one token."""

    allow: int
    deny: int


class AccessList(msgspec.Struct, frozen=True, kw_only=True):
    """The entries at one token."""

    token: str
    """In lower case, without a separator at its end."""
    inherits: bool
    """Whether entries above it apply, too."""
    entries: dict[str, AccessControlEntry]
    """By the descriptor of the identity."""


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """What an identity may do at a token, beyond what it may do everywhere above it."""

    namespace: Namespace
    token: str
    bits: int
    """The permissions that are not held above."""
    via: tuple[str, ...]
    """The descriptors whose entries give what is held at the token."""


class AccessLists:
    """The lists of one namespace."""

    def __init__(self, namespace: Namespace, lists: Iterable[AccessList]) -> None:
        self.namespace = namespace
        self.by_token: dict[str, AccessList] = {one.token: one for one in lists}
        self._tokens: dict[str, set[str]] = defaultdict(set)
        for one in self.by_token.values():
            for descriptor in one.entries:
                self._tokens[descriptor].add(one.token)

    def descriptors(self) -> set[str]:
        """Return every identity that an entry names."""
        return set(self._tokens)

    def allowed(self, token: str, who: Iterable[str], *, only: str | None = None) -> int:
        """Return the bits that the identities ``who`` together are allowed at a token: someone and all their groups.

        ``only`` leaves the bits that this identity's own entries give.
        """
        return self._reached(token, tuple(who), only)[0]

    def _reached(self, token: str, who: tuple[str, ...], only: str | None) -> tuple[int, set[str]]:
        allowed = decided = 0
        givers: set[str] = set()
        for place in self.namespace.above(token):
            here = self.by_token.get(place)
            if here is None:
                continue
            found = [(name, here.entries[name]) for name in who if name in here.entries]
            deny = allow = 0
            for _, entry in found:
                deny |= entry.deny
                allow |= entry.allow
            given = allow & ~deny & ~decided
            for name, entry in found:
                if entry.allow & given and only in {None, name}:
                    givers.add(name)
                    allowed |= entry.allow & given
            decided |= allow | deny
            if not here.inherits:
                break
        return allowed & self.namespace.mask, givers

    def holdings(self, who: Iterable[str], *, only: str | None = None) -> Iterator[Holding]:
        """Yield where someone may do something, in the order of tokens: each permission at the widest token."""
        names = tuple(who)
        named = (only,) if only is not None else names
        for token in sorted({token for name in named for token in self._tokens.get(name, ())}):
            bits, givers = self._reached(token, names, only)
            above = self.namespace.above(token)[1:]
            fresh = bits & ~(self.allowed(above[0], names, only=only) if above else 0)
            if fresh:
                yield Holding(namespace=self.namespace, token=token, bits=fresh, via=tuple(sorted(givers)))

    def named(self, token: str) -> set[str]:
        """Return the identities that an entry at a token, or above it, names."""
        places = [here for place in self.namespace.above(token) if (here := self.by_token.get(place))]
        return {name for here in places for name in here.entries}

    def anywhere(self, who: Iterable[str], project: str) -> int:
        """Return the bits that someone is allowed somewhere in a project."""
        names = tuple(who)
        tokens = {token for name in names for token in self._tokens.get(name, ())}
        bits = 0
        for token in tokens:
            place = self.namespace.place(token)
            if place is not None and place.project in {None, project}:
                bits |= self.allowed(token, names)
        return bits

    def in_doubt(self, token: str, bits: int, groups: Iterable[str]) -> bool:
        """Return whether one of these groups, whose members are unknown, is denied some of the bits at a token."""
        return any(
            here.entries[name].deny & bits
            for place in self.namespace.above(token)
            if (here := self.by_token.get(place)) is not None
            for name in groups
            if name in here.entries
        )

    def denied(self, who: Iterable[str]) -> bool:
        """Return whether an entry denies one of these anything that is evaluated."""
        mask = self.namespace.mask
        return any(
            self.by_token[token].entries[name].deny & mask
            for name in who
            for token in self._tokens.get(name, ())
        )
