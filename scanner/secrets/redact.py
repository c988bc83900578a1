"""Redacts secrets in text that leaves the process: logs, gaps and errors.

The formats are those of `scanner.secrets.detectors`. Public identifiers (access key ids, ARNs, digests) are kept
because readers need them.
"""

from __future__ import annotations

import re

from scanner.secrets.detectors import TOKENS, USERINFO, is_aws_secret_key

_PEM = re.compile(
    r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:(?!-----END).){0,20000}"
    r"(?:-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----)?",
    re.DOTALL,
)
_SCHEME = re.compile(
    r"(?i)\b(?P<scheme>bearer|basic|token|negotiate|apikey)(?P<between>[ :=]+)(?P<secret>[A-Za-z0-9+/._~=-]{16,})"
)
_ASSIGNED = re.compile(
    r"""(?ix)
    (?P<name> [a-z0-9_.-]{0,60} (?: passw(?:or)?d | passphrase | secret | token | api[-_]?key | access[-_]?key | private[-_]?key
        | account[-_]?key | credentials? ) (?: [-_]? (?: key | value | string ) )? )
    (?P<between> ["']? \s* (?: => | [=:] ) \s* )
    (?: "(?P<quoted> [^"\n]{4,} )" | '(?P<single> [^'\n]{4,} )' | (?P<bare> [^\s"',;&)}\]]{6,} ) )
    """
)
_FORTY = re.compile(r"(?<![A-Za-z0-9/+])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])")


def _hide(match: re.Match[str], what: str, group: str | int) -> str:
    start, end = match.span(group)
    at = match.start()
    whole = match.group()
    return f"{whole[: start - at]}[redacted:{what}]{whole[end - at :]}"


def _assigned(match: re.Match[str]) -> str:
    group = match.lastgroup or "bare"
    value = match.group(group)
    if "[redacted:" in value or value.lower().startswith(("arn:", "http://", "https://")):
        return match.group()
    return _hide(match, "value", group)


def redact(text: str) -> str:
    """Replace everything that looks like a secret value with ``[redacted:<detector>]``. Idempotent."""
    out = _PEM.sub("[redacted:private-key]", text)
    for detector, pattern in TOKENS:
        label = f"[redacted:{detector}]"
        out = pattern.sub(
            lambda match, label=label: next(  # type: ignore[misc]
                (match.group().replace(group, label) for group in match.groups() if group), label
            ),
            out,
        )
    out = USERINFO.sub(lambda match: _hide(match, "password", "secret"), out)
    out = _SCHEME.sub(lambda match: _hide(match, match["scheme"].lower(), "secret"), out)
    out = _ASSIGNED.sub(_assigned, out)
    return _FORTY.sub(
        lambda match: "[redacted:aws-secret-key]" if is_aws_secret_key(match.group()) else match.group(), out
    )
