"""What several formats say of a result."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from scanner.findings import SEVERITIES
from scanner.safe_text import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanner.checked import Checked, Occurrence

LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "note", "info": "note"}
"""SARIF's levels."""


def numbered(found: list[Occurrence]) -> Iterator[tuple[Occurrence, int]]:
    """Yield each finding with its number among those that are alike, from 1."""
    seen: dict[str, int] = {}
    for one in found:
        seen[one.about] = seen.get(one.about, 0) + 1
        yield one, seen[one.about]


def fingerprint(one: Occurrence) -> str:
    """Return what stays the same when lines move."""
    return hashlib.sha256(f"{one.about}\0{one.path}".encode("utf-8", "surrogatepass")).hexdigest()


def unlinked(value: str) -> str:
    """Return text in which names from a file cannot make a link."""
    return plain(value).replace("](", "] (") or "-"


def place(one: Occurrence) -> str:
    return plain(f"{one.path}:{one.line}" if one.path and one.line else one.path or one.subject)


def summary(checked: Checked) -> str:
    counts = [
        f"{number} {severity}"
        for severity in SEVERITIES
        if (number := sum(one.severity == severity for one in checked.found))
    ]
    what = "brought by the change" if checked.base else "found"
    total = f"{len(checked.found)} {what}" + (f": {', '.join(counts)}" if counts else "")
    more = [
        f"{len(of)} {name}"
        for name, of in (
            ("reached", checked.reach),
            ("ignored", checked.ignored),
            ("not read", checked.unread),
        )
        if of
    ]
    return "; ".join([total, *more])
