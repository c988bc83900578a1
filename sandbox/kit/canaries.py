"""Canaries: texts that must not appear in any record, planted in the fields of a sandbox's answers.

`CanaryPlanter` first observes a night without canaries, and learns which fields a collector stores intentionally:
names, addresses. On later nights it appends a unique text to every other field, and removes it from requests, so that a
slug used in a path still works.
"""

from __future__ import annotations

import re
from collections import defaultdict
from threading import Lock
from typing import Any, Protocol, TypeAlias
from urllib.parse import unquote

import msgspec

Field: TypeAlias = tuple[str, str]
"""Route, and the place in its answer: ``nodes[].name``."""

_CANARY = re.compile(r"zqcanary[0-9a-f]{8}qz")
_FORMED = re.compile(
    r"(?i)\d{4}-\d\d-\d\d | [a-z][a-z0-9+.-]*:// | [\[{(] | arn: | [-+]?\d+(?:\.\d+)?$ | [0-9a-f-]{32,}$ | true$ | false$",
    re.VERBOSE,
)
"""Dates, URLs, numbers, documents: values that a client parses."""
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_CHOICE = re.compile(r"[a-z]+(?:[_ -][a-z]+)*|[A-Z]+(?:_[A-Z]+)*|.{0,3}")
"""Words that may be enumeration values (``public``, ``READ_ONLY``), and texts too short to be distinctive."""


def is_choice(text: str) -> bool:
    """Return whether a text may be a choice of the API's own, or is too short to be distinguished from others."""
    return _CHOICE.fullmatch(text) is not None


class Planter(Protocol):
    """Plants texts in the answers of a sandbox."""

    def outgoing(self, route: str, place: str, text: str) -> str:
        """Return a text of an answer, with what is planted in it."""

    def incoming(self, text: str) -> str:
        """Return what a client sent, without what was planted."""


class CanaryPlanter:
    """Plants canaries in every field that is not stored intentionally. Thread-safe."""

    def __init__(self) -> None:
        self.served: defaultdict[Field, set[str]] = defaultdict(set)
        """The texts of each field, as served without canaries."""
        self.planted: dict[str, Field] = {}
        """Canary -> where it was planted."""
        self._fields: frozenset[Field] = frozenset()
        self._lock = Lock()

    def watch(self) -> None:
        """Plant nothing, and record what is served."""
        self._fields = frozenset()

    def plant(self, fields: frozenset[Field]) -> None:
        """Plant in these fields from now on."""
        self._fields = fields

    def hidden(self, shown: str, *, formed: bool) -> frozenset[Field]:
        """Return the fields whose texts do not occur in ``shown``: the records of a night without canaries. Fields with
        enumeration values are left out, because they never contain a secret. ``formed`` are those with dates, URLs,
        numbers or documents, which a client parses.
        """
        return frozenset(
            field
            for field, texts in self.served.items()
            if not all(is_choice(text) for text in texts)
            and formed == any(_FORMED.match(text) for text in texts)
            and not any(_stands_in(text, shown) for text in texts if not is_choice(text))
        )

    def outgoing(self, route: str, place: str, text: str) -> str:
        """Return a text of an answer, with its canary."""
        field = (route, place)
        if field not in self._fields:
            with self._lock:
                self.served[field].add(text)
            return text
        with self._lock:
            canary = f"zqcanary{len(self.planted):08x}qz"
            self.planted[canary] = field
        return text + canary

    def incoming(self, text: str) -> str:
        """Return a client's text without canaries."""
        return _CANARY.sub("", text)

    def found(self, text: str) -> list[str]:
        """Return the fields whose canaries occur in a text."""
        fields = {self.planted[canary] for canary in _CANARY.findall(text) if canary in self.planted}
        return sorted(f"{route}: {place}" for route, place in fields)


def _stands_in(text: str, shown: str) -> bool:
    """Return whether a text, the last part of a URL, or a reformatted document occurs in the records."""
    document = unquote(text) if text.startswith("%7B") else text
    if document.startswith("{"):
        try:
            compact = msgspec.json.encode(msgspec.json.decode(document), order="sorted").decode()
        except msgspec.DecodeError:
            return False
        return msgspec.json.encode(compact).decode()[1:-1] in shown
    # The seconds of a time are no name: another time may end with the same.
    return text in shown or (_DATE.match(text) is None and re.split("[/:]", text)[-1] in shown)


def rewritten(body: Any, route: str, planter: Planter, place: str = "") -> Any:
    """Return a JSON document with every text passed through the planter."""
    match body:
        case str():
            return planter.outgoing(route, place, body)
        case list():
            return [rewritten(item, route, planter, f"{place}[]") for item in body]
        case dict():
            return {
                key: rewritten(item, route, planter, f"{place}.{key}".lstrip("."))
                for key, item in body.items()
            }
        case _:
            return body
