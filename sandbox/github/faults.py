"""Faults that a test switches on for some paths: what networks and GitHub do on a bad day."""

from __future__ import annotations

from fnmatch import fnmatchcase
from threading import Lock
from typing import Literal, TypeAlias

import msgspec

Trouble: TypeAlias = (
    int
    | Literal[
        "cut",
        "malformed",
        "foreign-next",
        "looping-next",
        "primary",
        "secondary",
        "secondary-bare",
        "too-many",
        "too-many-bare",
        "RATE_LIMITED",
        "RATE_LIMIT",
        "FORBIDDEN",
    ]
)
"""A status, or:

- ``cut``: the connection closes in the middle of the body;
- ``malformed``: a body that is no JSON;
- ``foreign-next``, ``looping-next``: a ``Link: rel=next`` to another host, or back to the same page;
- ``primary``: 403 with ``X-RateLimit-Remaining: 0`` and the reset time;
- ``secondary``, ``secondary-bare``: 403 of the secondary limit with and without ``Retry-After``;
- ``too-many``, ``too-many-bare``: 429 with and without ``Retry-After``;
- ``RATE_LIMITED``, ``RATE_LIMIT``: GraphQL's limit inside a 200, in both spellings that were seen;
- ``FORBIDDEN``: GraphQL answers the first repository with an error and the rest with data.
"""


class Fault(msgspec.Struct, kw_only=True):
    """One fault, and how often it still strikes."""

    pattern: str
    trouble: Trouble
    times: int | None = None


class Faults:
    """The faults that are switched on. Thread-safe."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = Lock()

    def add(self, pattern: str, trouble: Trouble, times: int | None) -> None:
        """Switch a fault on, ``times`` times or for good."""
        with self._lock:
            self._faults.append(Fault(pattern=pattern, trouble=trouble, times=times))

    def clear(self) -> None:
        """Switch all faults off."""
        with self._lock:
            self._faults.clear()

    def strike(self, method: str, path: str, template: str) -> Trouble | None:
        """Return the trouble that meets a request, and count it.

        A pattern is a route's template, or a glob over the path, either with or without the method in front.
        """
        names = {template, f"{method} {template}"}
        with self._lock:
            for fault in self._faults:
                if fault.pattern in names or any(
                    fnmatchcase(text, fault.pattern) for text in (path, f"{method} {path}")
                ):
                    if fault.times is not None:
                        fault.times -= 1
                        if not fault.times:
                            self._faults.remove(fault)
                    return fault.trouble
        return None
