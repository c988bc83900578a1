"""Faults that a test switches on for some paths of a sandbox server, whichever kinds of trouble it knows."""

from __future__ import annotations

from fnmatch import fnmatchcase
from threading import Lock
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Fault(msgspec.Struct, Generic[T], kw_only=True):
    """One fault, and how often it still strikes."""

    pattern: str
    trouble: T
    times: int | None = None


class Faults(Generic[T]):
    """The faults that are switched on. Thread-safe."""

    def __init__(self) -> None:
        self._faults: list[Fault[T]] = []
        self._lock = Lock()

    def add(self, pattern: str, trouble: T, times: int | None) -> None:
        """Switch a fault on, ``times`` times or for good."""
        with self._lock:
            self._faults.append(Fault(pattern=pattern, trouble=trouble, times=times))

    def clear(self) -> None:
        """Switch all faults off."""
        with self._lock:
            self._faults.clear()

    def strike(self, method: str, path: str, template: str) -> T | None:
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
