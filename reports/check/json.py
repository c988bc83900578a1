"""One JSON object."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from scanner import __version__

if TYPE_CHECKING:
    from scanner.checked import Checked


def text_of(checked: Checked) -> str:
    """Return the result as one JSON object."""
    found = [
        {"path": one.path, "line": one.line, "severity": one.severity, "rule": one.rule, "title": one.title, "what": one.what,
         "why": one.why, "fix": one.fix, "subject": one.subject, "confidence": one.confidence, "finding_id": one.finding_id}
        for one in checked.found
    ]  # fmt: skip
    document = {
        "version": __version__,
        "as_of": checked.as_of,
        "base": checked.base,
        "against": checked.against,
        "findings": found,
        "reach": [
            {"sentence": change.sentence(), **msgspec.structs.asdict(change)} for change in checked.reach
        ],
        "ignored": checked.ignored,
        "problems": checked.problems,
        "not_read": checked.unread,
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=1).decode()
