"""Hides secrets in text that leaves the process: records, policies, logs, gaps, errors.

The formats are those of `scanner.secrets.detectors`, what stands under the name of a secret, and the values of the
configuration. Public identifiers (access key ids, ARNs, digests) are kept because readers need them.

Two strengths: `redact` is for messages, where too much costs little. `mask` is for records, where a name that is
hidden by mistake misleads: it hides what is assigned to a name only if the name is that of a secret, and keeps references.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from scanner.secrets.configured import Label, hide_configured, remembered
from scanner.secrets.detectors import (
    HINTED,
    USERINFO,
    Fingerprint,
    inspect,
    is_aws_secret_key,
    is_flag,
    is_prose,
    refers_to_a_value,
    secret_name,
)
from scanner.secrets.names import NAMING_PARTS
from scanner.secrets.split_keys import without_key_lines

if TYPE_CHECKING:
    from collections.abc import Callable

_PEM = re.compile(
    r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:(?!-----END).){0,20000}"
    r"(?:-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----)?",
    re.DOTALL,
)
_SCHEME = re.compile(
    r"(?i)\b(?P<scheme>bearer|basic|token|negotiate|apikey)(?P<between>[ :=]{1,4})(?P<secret>[A-Za-z0-9+/._~=-]{16,})"
)
_ASSIGNED = re.compile(
    r"""(?ix)
    (?P<name> [a-z0-9_.-]{0,60} (?: passw(?:or)?d | passphrase | secret | token | api[-_]?key | access[-_]?key | private[-_]?key
        | account[-_]?key | credentials? ) (?: [-_]? (?: key | value | string ) )? )
    (?P<between> ["']? \s{0,4} (?: => | [=:] ) \s{0,4} )
    (?: "(?P<quoted> [^"\n]{4,} )" | '(?P<single> [^'\n]{4,} )' | (?P<bare> [^\s"',;&)}\]]{6,} ) )
    """
)
_VALUE = r"""
    (?: \\{0,3}"(?P<quoted> [^"\n\\]{3,400} ) | \\{0,3}'(?P<single> [^'\n\\]{3,400} ) | (?P<bare> [^\s"',;&)}\]\\<>|]{4,400} ) )
"""
_OPTION = re.compile(rf"(?ix) (?<! [\w-] ) --? (?P<name> [a-z] [\w-]{{1,60}} ) \s{{1,4}} (?! -) {_VALUE}")
"""An option and its value: ``--password x``."""
_NAMED = re.compile(
    rf"""(?ix)
    (?<! [\w-] ) (?P<name> [a-z_] [\w.-]{{1,60}} )
    (?P<between> \\{{0,3}}["']? \s{{0,4}} (?: => | (?<!=)=(?!=) ) \s{{0,4}} | \\{{0,3}}["'] \s{{0,4}} : \s{{0,4}} | \s{{0,4}} : \s{{1,4}} )
    {_VALUE}
    """
)
"""A name, and what is assigned to it: ``password=x``, ``"password": "x"``."""
_MAY_NAME = re.compile(NAMING_PARTS)
_NAME_OF_WORDS = re.compile(r"[a-z]+(?:[-+._/~=][a-z0-9]{1,12})+")
"""``gitlab+deploy-token-501``"""
_SECRET_ARN = re.compile(r"arn:[a-z*-]*:secretsmanager:[a-z0-9*?-]*:[0-9*?]*:$")
"""Before ``secret:NAME`` in the ARN of a secret of AWS: its name is no value."""
_SUBJECT = re.compile(
    r"(/eid1/c/pub/t/[A-Za-z0-9_-]{22}/a/[A-Za-z0-9_-]{22}(?![A-Za-z0-9_-])(?:/sc/[0-9a-f-]{36}/[0-9a-f-]{36}(?![0-9a-z-]))?)"
)
"""Three GUIDs and an application, whose slashes and letters look like a key.
https://learn.microsoft.com/azure/devops/pipelines/release/azure-rm-endpoint"""
_FORTY = re.compile(r"(?<![A-Za-z0-9/+])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])")
_LABEL = re.compile(r"\[redacted:[a-z0-9:-]+\]")
_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")
_DECODINGS = 3
"""How often a text may be percent-encoded."""


def _plain_label(detector: str, _: str) -> str:
    return f"[redacted:{detector}]"


def fingerprint_label(fingerprint: Fingerprint) -> Label:
    """Labels that differ where the secrets differ, so that ids which held one stay unique and the same every night."""
    return lambda detector, secret: f"[redacted:{detector}:{fingerprint(secret)[:12]}]"


def redact(text: str) -> str:
    """Replace everything that looks like a secret value with ``[redacted:<detector>]``. Idempotent."""
    return _hidden(text, _plain_label, _in_message)


def mask(text: str, fingerprint: Fingerprint) -> str:
    """Replace every secret value in a text of a record with ``[redacted:<detector>:<fingerprint>]``. Idempotent."""
    return _hidden(text, fingerprint_label(fingerprint), _in_record)


def _hidden(text: str, label: Label, other: Callable[[str, Label], str]) -> str:
    out = _formed(text, label)
    out = other(out, label)
    if "%" not in out:
        return out
    return "".join(_decoded(part, label, other) for part in re.split(r"(\s+)", out))


def _decoded(part: str, label: Label, other: Callable[[str, Label], str]) -> str:
    """Return a text without blanks, decoded if that shows a secret in it; otherwise as it is."""
    plain, found = part, False
    for _ in range(_DECODINGS):
        if not _PERCENT.search(plain):
            break
        plain = unquote(plain)
        hidden = other(_formed(plain, label), label)
        plain, found = hidden, found or hidden != plain
    return re.sub(r"\s", "+", plain) if found else part


def _formed(text: str, label: Label) -> str:
    """Hide the values of the configuration, and what its issuer's format tells."""
    out = hide_configured(text, label)
    if "PRIVATE KEY" in out:
        out = _PEM.sub(lambda match: label("private-key", match.group()), out)
    for hint, detector, pattern in HINTED:
        if hint in out:
            out = pattern.sub(lambda match, detector=detector: _token(match, detector, label), out)  # type: ignore[misc]
    # The subject of a service connection's token is no secret, and is compared as it stands.
    parts = _SUBJECT.split(out) if "/eid1/" in out else [out]
    return "".join(
        part if number % 2 else _without_aws_keys(part, label) for number, part in enumerate(parts)
    )


def _without_aws_keys(text: str, label: Label) -> str:
    return _FORTY.sub(
        lambda match: (
            label("aws-secret-key", match.group()) if is_aws_secret_key(match.group()) else match.group()
        ),
        text,
    )


def _token(match: re.Match[str], detector: str, label: Label) -> str:
    whole = match.group()
    part = next((group for group in match.groups() if group), whole)
    return whole.replace(part, label(detector, part))


def _hide(match: re.Match[str], what: str, group: str | int, label: Label) -> str:
    start, end = match.span(group)
    at = match.start()
    whole = match.group()
    return f"{whole[: start - at]}{label(what, match.group(group))}{whole[end - at :]}"


def _in_message(text: str, label: Label) -> str:
    """Hide what may be a secret because of what stands before it."""
    out = text
    if "://" in out:
        out = USERINFO.sub(lambda match: _password(match, label), out)
    out = _SCHEME.sub(lambda match: _hide(match, match["scheme"].lower(), "secret", label), out)
    return _ASSIGNED.sub(lambda match: _assigned(match, label), _named(out, label))


def _in_record(text: str, label: Label) -> str:
    """Hide what is a secret because of what stands before it; references to secrets stay."""
    out = text
    if "://" in out:
        out = USERINFO.sub(lambda match: _password(match, label, references=True), out)
    out = _SCHEME.sub(lambda match: _scheme(match, label), out)
    return _named(out, label)


def _scheme(match: re.Match[str], label: Label) -> str:
    secret = match["secret"]
    # ``token:NAME`` is a part of many ids, and ``token of-several-words`` of sentences.
    if match["between"] == ":" or is_prose(secret):
        return match.group()
    if match["scheme"].lower() != "bearer" and _NAME_OF_WORDS.fullmatch(secret):
        return match.group()
    return _hide(match, match["scheme"].lower(), "secret", label)


def _password(match: re.Match[str], label: Label, *, references: bool = False) -> str:
    secret = match["secret"]
    if _LABEL.fullmatch(secret) or (references and refers_to_a_value(secret)):
        return match.group()
    return _hide(match, "password", "secret", label)


def _assigned(match: re.Match[str], label: Label) -> str:
    group = match.lastgroup or "bare"
    value = match.group(group)
    if "[redacted:" in value or value.lower().startswith(("arn:", "http://", "https://")):
        return match.group()
    if value.startswith("${") or match.string.endswith("[redacted:", 0, match.start()):
        return match.group()
    if match["name"] == "secret" and _SECRET_ARN.search(
        match.string, max(0, match.start() - 100), match.start()
    ):
        return match.group()
    return _hide(match, "value", group, label)


def _named(text: str, label: Label) -> str:
    """Hide what is given to options, and assigned to names, that are those of secrets."""
    if not _MAY_NAME.search(text):
        return text
    for pattern in (_OPTION, _NAMED):
        parts: list[str] = []
        done = at = 0
        while (match := pattern.search(text, at)) is not None:
            group = next(name for name in ("quoted", "single", "bare") if match.group(name) is not None)
            if _is_secret(match, group):
                start, end = match.span(group)
                if start >= done:
                    parts += [text[done:start], label("value", match.group(group))]
                    done = end
                at = start  # a value may end with the name of the next: ``--password x/--password y``
            else:
                at = match.end("name")  # what follows the name may itself be a name with a value
        text = "".join([*parts, text[done:]])
    return text


def _is_secret(match: re.Match[str], group: str) -> bool:
    """Return whether the name is that of a secret, and the value neither a reference to one nor words about it."""
    value = match.group(group)
    if value.startswith("[redacted:") or secret_name(match["name"]) is None:
        return False
    if (
        refers_to_a_value(value)
        or value.startswith("${file:")
        or is_flag(value)
        or value.lower().startswith(("arn:", "http://", "https://"))
    ):
        return False
    words = group == "bare" and (is_prose(value) or not re.search(r"[0-9]", value))
    return not (words and match.re is _NAMED and match["between"].strip("\\\"' \t\n") == ":")


def redact_json(value: Any) -> Any:
    """Return a JSON value with every secret value in its strings masked, those under the name of a secret included.

    ``{"aws:RequestTag/password": "..."}`` names one: of a key its last part counts, after ``/`` and ``:``.
    Keys are redacted as well. Equal input gives equal output.
    """
    return hidden_in(value, _short, _plain_label)


def hidden_in(value: Any, hide: Callable[[str], str], label: Label) -> Any:
    """Return a JSON value with every string passed through ``hide``, and what stands under a secret's name labeled."""
    match value:
        case dict():
            return {hide(str(key)): hidden_under(str(key), item, hide, label) for key, item in value.items()}
        case list():
            return [hidden_in(item, hide, label) for item in _without_key_lines(value)]
        case str():
            return hide(value)
        case _:
            return value


def _without_key_lines(items: list[Any]) -> list[Any]:
    texts = [item for item in items if isinstance(item, str)]
    hidden = iter(without_key_lines(texts))
    return [next(hidden) if isinstance(item, str) else item for item in items]


def hidden_under(key: str, value: Any, hide: Callable[[str], str], label: Label) -> Any:
    """Return a value, or the values of a list, hidden as what the key says they are."""
    name = key.rsplit("/", 1)[-1].rsplit(":", 1)[-1]
    if secret_name(name) is None:
        return hidden_in(value, hide, label)
    match value:
        case str() if "[redacted:" not in value and inspect(name, value, _NO_KEY):
            return label("value", value)
        case list():
            return [hidden_under(key, item, hide, label) for item in value]
        case _:
            return hidden_in(value, hide, label)


_NO_KEY = Fingerprint(b"")
"""Only the verdict is used."""


@functools.lru_cache(maxsize=65536)
def _known(text: str, remembered: int) -> str:  # noqa: ARG001  another answer once more values are remembered
    return redact(text)


def _short(text: str) -> str:
    """Redact a string; the short ones, which policies repeat, are looked at once."""
    return _known(text, remembered()) if len(text) < 500 else redact(text)
