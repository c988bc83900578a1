"""The result for one statement and principal of a trust policy."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from scanner.records import Exposure

DELETED = re.compile(r"^(AIDA|AROA|AGPA|ANPA)[A-Z0-9]{12,}$")
NUMBER = re.compile(r"^[0-9]{12}$")


SEVERITIES = ("critical", "high", "medium", "low", "info", None)
EXPOSURES = ("anyone", "another-tenant", "organization", "repository", "unknown", "exact", "nobody")
"""Widest first."""


class TrustChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change of one statement of a trust policy or resource policy."""

    kind: Literal["pin", "remove", "like"] = "pin"
    """pin: a condition must hold; remove: the principal goes; like: a comparison gets an operator with wildcards."""
    operator: str = "StringEquals"
    key: str = ""
    """The condition key."""
    values: tuple[str, ...] = ()
    """What it must be; empty if that is known only from the callers that use the trust."""
    claim: str | None = None
    """The claim of their tokens that tells it."""

    def __str__(self) -> str:
        """Return the change as a sentence, for a pin whose values are known."""
        values = " or ".join(f'"{value}"' for value in self.values)
        return f'Add {self.operator} "{self.key}": {values}.'


REMOVED = TrustChange(kind="remove")


class TrustVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """The result for one statement and principal."""

    kind: str
    issuer: str
    account: str | None = None
    """The number of the account that is trusted as a whole."""
    exposure: Exposure
    why: str
    """Continues "Statement 1 of the trust policy of NAME ..."."""
    external: bool | None = False
    problem: str | None = None
    severity: Literal["critical", "high", "medium", "low", "info"] | None = None
    fix: str | None = None
    change: TrustChange | None = None
    """What ``fix`` says, if it can be written into the policy."""
