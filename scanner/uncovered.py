"""What a night did not read, in the words that every export uses: without it, an export would read as an all-clear."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from scanner.night import Night


class UncoveredTarget(NamedTuple):
    """A target that was not read in full."""

    id: str
    """`TargetCoverage.id`."""
    name: str
    """Its display name, or else its name within the collector."""
    collector: str
    target: str
    account_id: str
    """The `Account.id` it covers."""
    state: Literal["partial", "unread", "not-requested"]
    reason: str | None
    """Why: the worst gap."""
    needs: str | None
    """The missing permission."""
    answered: int
    """Complete listings."""
    expected: int
    """Listings asked for."""

    def __str__(self) -> str:
        what = {
            "unread": "was not read at all",
            "partial": f"was read in part ({self.answered} of {self.expected} listings)",
            "not-requested": "was left out of this run",
        }[self.state]
        text = f"{self.name} ({self.collector} {self.target}) {what}"
        text += f": {self.reason}" if self.reason else ""
        return text + (f"; needs {self.needs}" if self.needs else "")


_UNCOVERED = """
    SELECT id, coalesce(name, target), collector, target, account_id, state, reason, needs, listings_answered,
           listings_expected
    FROM target_coverage WHERE state <> 'complete'
    ORDER BY CASE state WHEN 'unread' THEN 0 WHEN 'partial' THEN 1 ELSE 2 END, id
"""


def uncovered_targets(night: Night) -> list[UncoveredTarget]:
    """Return the targets that were not read in full: unread ones first, then those read in part, then those left out."""
    return [UncoveredTarget(*row) for row in night.rows(_UNCOVERED)]


def coverage_sentence(night: Night, uncovered: list[UncoveredTarget]) -> str:
    """Return one sentence that says how much of the estate a night read, and which targets it did not."""
    coverage = night.coverage
    text = f"{coverage.listings_answered} of {coverage.listings_expected} listings were read"
    if night.manifest.partial:
        text += "; the run was stopped before all targets finished"
    for state, words in (
        ("unread", "not read"), ("partial", "read in part"), ("not-requested", "left out of this run"),
    ):  # fmt: skip
        names = [one.name for one in uncovered if one.state == state]
        if names:
            more = f" and {len(names) - 20} more" if len(names) > 20 else ""
            text += f"; {words}: {', '.join(names[:20])}{more}"
    return f"{text}."
