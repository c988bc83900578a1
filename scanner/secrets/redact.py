"""Redacts secrets in text and documents that leave the process: logs, gaps, errors and policies.

The formats are those of `scanner.secrets.detectors`. Public identifiers (access key ids, ARNs, digests) are kept
because readers need them.
"""

from __future__ import annotations

import functools
import re
from typing import Any

from scanner.secrets.detectors import TOKENS, USERINFO, Fingerprint, inspect, is_aws_secret_key, secret_name

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
_SECRET_ARN = re.compile(r"arn:[a-z*-]*:secretsmanager:[a-z0-9*?-]*:[0-9*?]*:$")
"""Before ``secret:NAME`` in the ARN of a secret of AWS: its name is no value."""
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
    if match["name"] == "secret" and _SECRET_ARN.search(
        match.string, max(0, match.start() - 100), match.start()
    ):
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


def redact_json(value: Any) -> Any:
    """Return a JSON value with every secret value in its strings masked, those under the name of a secret included.

    ``{"aws:RequestTag/password": "..."}`` names one: of a key its last part counts, after ``/`` and ``:``.
    Keys are redacted as well. Equal input gives equal output.
    """
    match value:
        case dict():
            return {_short(str(key)): _under(str(key), item) for key, item in value.items()}
        case list():
            return [redact_json(item) for item in value]
        case str():
            return _short(value)
        case _:
            return value


def _under(key: str, value: Any) -> Any:
    """Return a value, or the values of a list, masked as what the key says they are."""
    name = key.rsplit("/", 1)[-1].rsplit(":", 1)[-1]
    if secret_name(name) is None:
        return redact_json(value)
    match value:
        case str():
            return "[redacted:value]" if inspect(name, value, _NO_KEY) else _short(value)
        case list():
            return [_under(key, item) for item in value]
        case _:
            return redact_json(value)


_NO_KEY = Fingerprint(b"")
"""Only the verdict is used."""


@functools.lru_cache(maxsize=65536)
def _known(text: str) -> str:
    return redact(text)


def _short(text: str) -> str:
    """Redact a string; the short ones, which policies repeat, are looked at once."""
    return _known(text) if len(text) < 500 else redact(text)
