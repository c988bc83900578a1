"""A Code Quality report of GitLab."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from reports.check._results import fingerprint, numbered
from scanner.safe_text import plain

if TYPE_CHECKING:
    from scanner.checked import Checked


def text_of(checked: Checked) -> str:
    """Return a Code Quality report (https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format)."""
    levels = {"critical": "blocker", "high": "critical", "medium": "major", "low": "minor", "info": "info"}
    document = [
        {
            "description": plain(f"{one.title}: {one.what}"),
            "check_name": one.rule,
            "fingerprint": hashlib.sha256(f"{fingerprint(one)}{number}".encode()).hexdigest(),
            "severity": levels[one.severity],
            "location": {"path": one.path or ".", "lines": {"begin": one.line or 1}},
        }
        for one, number in numbered(checked.found)
    ]
    document += [
        {
            "description": plain(change.sentence()),
            "check_name": "reach",
            "fingerprint": hashlib.sha256(
                f"{change.pipeline}\0{change.power}\0{change.account}".encode()
            ).hexdigest(),
            "severity": "blocker",
            "location": {"path": change.path or ".", "lines": {"begin": change.line or 1}},
        }
        for change in checked.reach
    ]
    return msgspec.json.format(msgspec.json.encode(document), indent=1).decode()
