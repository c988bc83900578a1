"""Comments in a definition file that accept a finding: rule, last day and reason, on its line or the line above.

``# sprawlscan: ignore workflow-script-injection until 2027-03-01: the title is checked by the step before``
"""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_COMMENT = re.compile(r"(?:#|//)[ \t]{0,9}sprawlscan:[ \t]{0,9}ignore\b(?P<rest>[^\r\n]{0,500})")
_PARTS = re.compile(
    r"[ \t]{1,9}(?P<rule>[a-z0-9][a-z0-9-]{1,99})[ \t]{1,9}until[ \t]{1,9}(?P<day>\d{4}-\d{2}-\d{2})[ \t]{0,9}:[ \t]{0,9}(?P<reason>\S.{2,400})"
)
FORM = "write `# sprawlscan: ignore RULE until YYYY-MM-DD: reason`"


class IgnoreComment(msgspec.Struct, frozen=True, kw_only=True):
    """A valid comment."""

    line: int
    """Its line, from 1."""
    rule: str
    until: date
    """The last day on which it holds."""
    reason: str


class InvalidComment(msgspec.Struct, frozen=True, kw_only=True):
    """A comment that accepts nothing."""

    line: int
    problem: str


def ignore_comments(lines: Sequence[str]) -> Iterator[IgnoreComment | InvalidComment]:
    """Yield the comments of a file that are meant to accept a finding."""
    for number, line in enumerate(lines, start=1):
        found = _COMMENT.search(line)
        if found is None:
            continue
        parts = _PARTS.fullmatch(found["rest"].rstrip())
        if parts is None:
            yield InvalidComment(line=number, problem=f"an ignore comment that accepts nothing: {FORM}")
            continue
        try:
            until = date.fromisoformat(parts["day"])
        except ValueError:
            yield InvalidComment(line=number, problem=f"{parts['day']} is no day: {FORM}")
            continue
        yield IgnoreComment(line=number, rule=parts["rule"], until=until, reason=parts["reason"].strip())
