"""For a terminal."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reports.check._results import place, summary
from scanner.safe_text import plain

if TYPE_CHECKING:
    from scanner.checked import Checked


def text_of(checked: Checked) -> str:
    """Return the result for a terminal: each place with its line, why it matters and the smallest change."""
    lines: list[str] = []
    for one in checked.found:
        lines.append(f"{place(one)}: {one.severity}: {plain(one.title)} [{one.rule}]")
        excerpt = checked.excerpts.get(f"{one.path}:{one.line}")
        if excerpt:
            lines.append(f"    | {excerpt}")
        lines += [f"    {plain(one.what)}", f"    Why: {plain(one.why)}", f"    Fix: {plain(one.fix)}", ""]
    for change in checked.reach:
        lines += [
            f"{plain(change.path or change.pipeline)}: reach: {change.sentence()}",
            f"    {plain(' > '.join(change.way))}",
            "",
        ]
    lines += [f"ignored: {plain(one.what)} ({plain(one.by)})" for one in checked.ignored]
    lines += [f"not applied: {plain(one)}" for one in checked.problems]
    lines += [f"not read: {plain(one.what)} ({one.reason})" for one in checked.unread]
    return "\n".join(_no_command(line) for line in [*lines, summary(checked)])


_COMMAND = re.compile(r"(?m)^[ \t]{0,99}(?=::|##)|##(?=\[|vso\[)")


def _no_command(line: str) -> str:
    """Return a line that no build server takes for a command: names from files stand in it
    (https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands,
    https://learn.microsoft.com/azure/devops/pipelines/scripts/logging-commands).
    """
    return _COMMAND.sub(lambda found: f"{found[0]}\\", line)
