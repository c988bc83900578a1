"""Reads HTTP responses: bounded JSON, error messages, and the wait that a rate limit asks for."""

from __future__ import annotations

import re
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import msgspec

from scanner.collect.failures import SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST_DEPTH = 100
"""No API nests deeper than this. Deeper JSON is an attack on the parser."""
_SURROGATES = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
_SECONDS = re.compile(r"\s*(\d+(?:\.\d+)?)\s*")
_EPOCH = 100_000_000.0
"""A reset later than this is a time since 1970, an earlier one a number of seconds from now."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The response to one request."""

    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: Any
    """The JSON; None if there is none (304, 204, text)."""
    content: bytes = b""


class AnswerObject(dict[str, Any]):
    """An object of a response. ``item["name"]`` is a field that the source always sends, ``item.get("name")`` one that may be
    missing or null: without the first, a record would be about nothing.

    Raises `SourceError` (malformed) for a field that is missing or null. Objects in it are of the same class.
    """

    def __missing__(self, key: str) -> Any:
        raise SourceError("malformed", f"the response lacks the field {key!r}")

    def __getitem__(self, key: str) -> Any:
        value = super().__getitem__(key)
        if value is None:
            raise SourceError("malformed", f"the field {key!r} of the response is null")
        return checked(value)

    def get(self, key: str, default: Any = None) -> Any:
        """Return a field, or ``default`` if it is missing."""
        return checked(super().get(key, default))


def checked(value: Any) -> Any:
    """Return a part of a response with every object as an `AnswerObject`."""
    if type(value) is dict:
        return AnswerObject(value)
    if type(value) is list and any(type(item) in {dict, list} for item in value):
        return [checked(item) for item in value]
    return value


def read_json(content: bytes) -> Any:
    """Return the JSON of a response. Invalid Unicode becomes U+FFFD, because a lone surrogate cannot be encoded.

    Raises `SourceError` (malformed) if it is empty, not JSON, or nested deeper than `LARGEST_DEPTH`.
    """
    # Some services put a byte order mark before it: https://www.rfc-editor.org/rfc/rfc8259#section-8.1
    content = content.removeprefix(b"\xef\xbb\xbf")
    if not content.strip():
        raise SourceError("malformed", "the response is empty")
    try:
        try:
            body = msgspec.json.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError):
            body = msgspec.json.decode(valid_unicode(content))
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise SourceError("malformed", f"the response is not JSON: {exc}") from None
    except RecursionError:
        raise SourceError("malformed", "the response's JSON is nested too deeply") from None
    if content.count(b"[") + content.count(b"{") > LARGEST_DEPTH and _too_deep(body):
        raise SourceError("malformed", "the response's JSON is nested too deeply")
    return body


def valid_unicode(content: bytes) -> bytes:
    """Return JSON in which invalid UTF-8 and escapes of lone surrogates have become U+FFFD."""
    text = content.decode("utf-8", errors="replace").encode()
    return _SURROGATES.sub(lambda match: b"\\ufffd" if match.group(1) else match.group(0), text)


def _too_deep(body: Any) -> bool:
    level = [body]
    for _ in range(LARGEST_DEPTH):
        below: list[Any] = []
        for one in level:
            values = one.values() if isinstance(one, dict) else one
            below += [value for value in values if isinstance(value, (dict, list))]
        if not below:
            return False
        level = below
    return True


def is_page_for_people(headers: Mapping[str, str]) -> bool:
    """Return whether a response is HTML, as sent by a sign-in page or a proxy instead of the API."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind in {"text/html", "application/xhtml+xml"}


def words_of(content: bytes) -> str:
    """Return the error message from an error's body, never the whole body."""
    try:
        body = read_json(content)
    except SourceError:
        return "no message"
    return _words(body)[:300] or "no message"


def _words(body: Any) -> str:
    match body:
        case str():
            return body
        case [first, *_]:
            return _words(first)
        case dict():
            for key in ("message", "error_description", "error", "errors", "detail", "title", "code"):
                if words := _words(body.get(key)):
                    return words
    return ""


def named_wait(headers: Mapping[str, str], *, exhausted: bool) -> float | None:
    """Return the seconds that a response asks to wait, or None.

    ``exhausted``: the response is a rate limit, so its reset time counts even if the remaining count is not zero.
    Times are compared with the Date header of the response, not with the local clock.
    https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
    https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/
    """
    after = headers.get("retry-after", "")
    if match := _SECONDS.fullmatch(after):
        return float(match.group(1))
    if after and (moment := _moment(after)) is not None:
        return max(moment - _now(headers), 0.0)
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        if match := _SECONDS.fullmatch(headers.get(name, "")):
            return float(match.group(1)) / 1000
    left = headers.get("x-ratelimit-remaining", headers.get("ratelimit-remaining"))
    if left != "0" and (left is not None or not exhausted):
        return None
    match = _SECONDS.fullmatch(headers.get("x-ratelimit-reset", headers.get("ratelimit-reset", "")))
    if match is None:
        return None
    reset = float(match.group(1))
    return max(reset - _now(headers), 0.0) + 1.0 if reset > _EPOCH else reset + 1.0


def _moment(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None


def _now(headers: Mapping[str, str]) -> float:
    moment = _moment(headers.get("date", ""))
    return time.time() if moment is None else moment
