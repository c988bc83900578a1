"""Annotations of GitHub Actions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reports.check._results import LEVELS, summary
from scanner.safe_text import plain

if TYPE_CHECKING:
    from scanner.checked import Checked


def text_of(checked: Checked) -> str:
    """Return workflow commands, which GitHub shows beside the lines of a pull request
    (https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands).

    A line of output that begins with two colons is a command: everything from a file is escaped.
    """
    levels = {"error": "error", "warning": "warning", "note": "notice"}
    lines = []
    for one in checked.found:
        place = f"file={_property(one.path)},line={one.line or 1}," if one.path else ""
        title = _property(f"{one.title} ({one.severity})")
        lines.append(
            f"::{levels[LEVELS[one.severity]]} {place}title={title}::{_data(f'{one.what}. Fix: {one.fix}')}"
        )
    lines += [
        f"::error {f'file={_property(change.path)},line={change.line or 1},' if change.path else ''}title=Reach::{_data(change.sentence())}"
        for change in checked.reach
    ]
    lines += [f"::warning title=Not applied::{_data(one)}" for one in checked.problems]
    lines += [f"::warning title=Not read::{_data(f'{one.what} ({one.reason})')}" for one in checked.unread]
    return "\n".join([*lines, summary(checked)])


def _data(text: str) -> str:
    return plain(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
