"""Finds the route of a path. Templates use the providers' notation: ``/repos/{owner}`` or ``/groups/:id``."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

R = TypeVar("R")
_PARAMETER = re.compile(r"\{(\w+)\}|(?<=/):(\w+)")
_REST = "path"
"""A parameter of this name takes the rest of the path, slashes included."""


class RouteTable(Generic[R]):
    """Routes by method and template; of several matches, the first is used."""

    def __init__(self, routes: Iterable[tuple[str, str, R]]) -> None:
        """``routes`` are (method, template, route)."""
        self._by_length: dict[tuple[str, int], list[tuple[int, re.Pattern[str], R]]] = defaultdict(list)
        self._any_length: list[tuple[int, str, re.Pattern[str], R]] = []
        for place, (method, template, route) in enumerate(routes):
            compiled = pattern(template)
            if _REST in compiled.groupindex:
                self._any_length.append((place, method, compiled, route))
            else:
                self._by_length[method, template.count("/")].append((place, compiled, route))

    def find(self, method: str, path: str) -> tuple[R, dict[str, str]] | None:
        """Return the route of a path and the values of its parameters, still percent-encoded; None for no route."""
        best: tuple[int, R, dict[str, str]] | None = None
        for place, compiled, route in self._by_length.get((method, path.count("/")), ()):
            match = compiled.fullmatch(path)
            if match:
                best = (place, route, match.groupdict())
                break
        for place, wanted, compiled, route in self._any_length:
            if best is not None and best[0] < place:
                break
            match = compiled.fullmatch(path) if wanted == method else None
            if match:
                best = (place, route, match.groupdict())
                break
        return None if best is None else (best[1], best[2])


def pattern(template: str) -> re.Pattern[str]:
    """Return the pattern of a template's paths."""
    out = ""
    end = 0
    for match in _PARAMETER.finditer(template):
        name = match.group(1) or match.group(2)
        out += re.escape(template[end : match.start()])
        out += rf"(?P<{name}>{'.*' if name == _REST else '[^/]+'})"
        end = match.end()
    return re.compile(out + re.escape(template[end:]))
