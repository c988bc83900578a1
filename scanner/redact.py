"""Removes what looks like a secret from text that leaves the process: logs, gaps, errors."""

from __future__ import annotations

import re

_PATTERNS = re.compile(
    r"""
    (?P<pem>-----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY-----.*?(?:-----END[ ][A-Z ]*PRIVATE[ ]KEY-----|\Z))
    | (?P<github>\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,})
    | (?P<gitlab>\bgl[a-z]{2,6}-[A-Za-z0-9_.-]{16,})
    | (?P<slack>\bxox[abeoprs]-[A-Za-z0-9-]{10,})
    | (?P<jwt>\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*)
    | (?P<bearer>(?i:\b(?:bearer|basic|token)\s+)[A-Za-z0-9+/._~=-]{16,})
    | (?P<assigned>(?i:\b(?:password|passwd|secret|token|api_?key|access_?key|private_token)["']?\s*[=:]\s*["']?)[^\s"',&;]{8,})
    | (?P<userinfo>(?<=://)[^/\s:@]+:[^/\s@]+(?=@))
    | (?P<aws>(?<![A-Za-z0-9/+=])(?=[A-Za-z0-9/+=]*[A-Z])(?=[A-Za-z0-9/+=]*[a-z])(?=[A-Za-z0-9/+=]*[0-9])[A-Za-z0-9/+=]{40}(?![A-Za-z0-9/+=]))
    """,
    re.VERBOSE | re.DOTALL,
)


def redact(text: str) -> str:
    """Replace everything that looks like a secret value by ``[redacted:<what>]``."""
    return _PATTERNS.sub(lambda match: f"[redacted:{match.lastgroup}]", text)
