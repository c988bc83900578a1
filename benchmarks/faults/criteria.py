"""What a night with one fault has to do, and what it did instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sandbox.kit.trial import TrialNight, bugs, contradictions, unexplained_losses, wrong_reasons

if TYPE_CHECKING:
    from collections.abc import Mapping

CRITERIA: dict[str, str] = {
    "ends": "ends without a traceback",
    "reported": "whatever is lost has a Gap",
    "resolved": "no finding is wrongly resolved",
    "exit": "the exit code tells when over a fifth of the findings, or a target, is lost",
    "new": "no finding is wrongly new",
    "bug": "a provider's bad answer is not called a bug",
    "reason": "each Gap gives a reason that the fault explains",
    "host": "no other host is contacted",
    "time": "ends within its deadline",
}
LONGEST = 20.0
"""Seconds in which a night of the small estate must end, slow answers included."""
SLOWER = 8.0
"""On a machine with other things to do: so many times as long as the healthy night took on it."""
MOST_UNOBSERVED = 0.2
_COVERAGE_RULES = frozenset({"account-not-read"})
"""Rules that tell what the night could not read: their findings are right."""
_LIES = frozenset({"surrogate"})
"""Faults that change what the answer says, in a way that nobody can notice: records differ, and so may findings."""


class FaultyNight(msgspec.Struct, kw_only=True):
    """What came of one pair."""

    night: TrialNight | None
    """None when nothing was sealed."""
    exit_code: int
    findings: dict[str, str]
    """Status by rule and subject."""
    traceback: str
    seconds: float
    contacted: list[str]
    struck: bool
    """Whether the fault met a request."""


def misses(
    fault: str,
    tonight: FaultyNight,
    whole: TrialNight,
    before: Mapping[str, str],
    parts: Mapping[str, frozenset[str]],
) -> dict[str, str]:
    """Return the criteria that a night failed, each with what was seen. ``before`` are the findings of a healthy night."""
    found: dict[str, str] = {}
    if tonight.traceback:
        found["ends"] = tonight.traceback
    if tonight.contacted:
        found["host"] = ", ".join(tonight.contacted[:3])
    if tonight.seconds > max(LONGEST, SLOWER * whole.seconds):
        found["time"] = f"{tonight.seconds:.1f} s"
    night = tonight.night
    if night is None:
        if not tonight.exit_code:
            found["exit"] = "nothing was sealed, and exit 0"
        return found
    if wrong := bugs(night):
        found["bug"] = _some(wrong)
    if wrong := wrong_reasons(whole, night):
        found["reason"] = _some(wrong)
    if fault in _LIES:
        return found
    if wrong := [*unexplained_losses(whole, night, parts), *contradictions(night)]:
        found["reported"] = _some(wrong)
    still = {name: status for name, status in before.items() if status in {"open", "new", "reopened"}}
    after = tonight.findings
    if wrong := [name for name in still if after.get(name, "absent") in {"resolved", "absent"}]:
        found["resolved"] = _some(wrong)
    if wrong := [
        f"{name} ({status})"
        for name, status in after.items()
        if status in {"new", "reopened"}
        and name not in still
        and name.partition(" ")[0] not in _COVERAGE_RULES
    ]:
        found["new"] = _some(wrong)
    unseen = [name for name in still if after.get(name) not in {"open", "new", "reopened", "excepted"}]
    there = {name for name, rows in night.by_target.items() if any(row in rows for row in night.of_tables())}
    lost = [name for name, rows in whole.by_target.items() if rows and name not in there]
    if not tonight.exit_code and (len(unseen) > MOST_UNOBSERVED * len(still) or lost):
        found["exit"] = (
            f"exit 0, {len(unseen)} of {len(still)} findings unseen, targets lost: {', '.join(lost) or 'none'}"
        )
    return found


def _some(lines: list[str]) -> str:
    return f"{len(lines)}: " + "; ".join(line[:300] for line in lines[:4])
