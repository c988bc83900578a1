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
