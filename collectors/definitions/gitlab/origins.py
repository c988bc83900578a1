"""Finds the origin of each part of a merged configuration. GitLab's merged YAML (https://docs.gitlab.com/api/lint/) is
the exact pipeline, but has no file names and line numbers: ``extends``, ``!reference`` and inputs are resolved,
comments and quotes are gone. Every node is looked up in the merged files: under the same keys, in the jobs that its job
extends, and finally by its text under the same key. A node that is not found belongs to a file that was not read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from collectors.definitions.yaml_nodes import Mapping, Scalar, Sequence, boolean, scalars, texts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.definitions.yaml_nodes import Node

_SHORTEST = 6
"""Minimum length of a text that is looked up by itself."""
_MOST = 20_000
"""Maximum items of a list including its references."""
_MOST_MAPPINGS = 30
"""Maximum mappings of a list, such as rules, that are compared in addition to the one at the same position."""
_NUMBER = re.compile(r"-?[\d.]+(?:e[+-]?\d+)?")


def with_origins(merged: Mapping, files: list[Mapping], elsewhere: int) -> Mapping:
    """Return a merged configuration with the line numbers of its source files. ``files`` are in order of precedence.
    ``elsewhere`` is the line for parts that are in none of them.
    """
    return _OriginFinder(merged, files, elsewhere).root()


class _SourceItems:
    """The possible source items of a list, in order."""

    def __init__(self, flat: list[Node]) -> None:
        self._lines: dict[str, list[Scalar]] = {}
        for one in reversed(flat):
            if isinstance(one, Scalar):
                self._lines.setdefault(one.text, []).append(one)
        self.inputs = [lines[-1] for text, lines in self._lines.items() if "$[[" in text]
        self._mappings = [one for one in flat if isinstance(one, Mapping)]
        self._number = 0

    def line(self, text: str) -> Scalar | None:
        """Return the next item with this text, or the last one again if the list has more of them."""
        lines = self._lines.get(text)
        if not lines:
            return None
        return lines.pop() if len(lines) > 1 else lines[0]

    def near(self) -> list[Node]:
        """Return the possible sources of the next mapping of the list, the one at the same position first."""
        self._number += 1
        return [*self._mappings[self._number - 1 : self._number], *self._mappings[:_MOST_MAPPINGS]]


class _OriginFinder:
    def __init__(self, merged: Mapping, files: list[Mapping], elsewhere: int) -> None:
        self._merged = merged
        self._files = files
        self._elsewhere = elsewhere
        self._keys: dict[int, dict[str, tuple[Scalar, Node]]] = {}
        self._texts: dict[tuple[str, str], Scalar] = {}
        for file in files:
            for key, scalar in scalars(file):
                if key is not None and len(scalar.text) >= _SHORTEST:
                    self._texts.setdefault((key.text, scalar.text), scalar)

    def root(self) -> Mapping:
        """Return the merged configuration with line numbers."""
        pairs: list[tuple[Scalar, Node]] = []
        for key, node in self._merged.pairs:
            found = [pair for file in self._files if (pair := self._under(file, key.text)) is not None]
            places = [node for _, node in found]
            above = list(self._extended(key.text))
            pairs.append((self._key(key, found), self._node(key.text, node, [*places, *above])))
        return Mapping(pairs, 1, 1, None)

    def _extended(self, name: str) -> Iterator[Node]:
        """Yield the jobs that a job extends, in order of precedence: the last one first."""
        seen = {name}
        waiting = texts(_get(self._merged.get(name), "extends"))
        while waiting:
            parent = waiting.pop()
            if parent not in seen:
                seen.add(parent)
                yield from self._jobs(parent)
                waiting += texts(_get(self._merged.get(parent), "extends"))

    def _jobs(self, name: str) -> Iterator[Node]:
        for file in self._files:
            pair = self._under(file, name)
            if pair is not None:
                yield pair[1]

    def _under(self, node: Node, key: str) -> tuple[Scalar, Node] | None:
        """Return the value of a key, the last of equal keys; for keys with inputs, one that can match."""
        if not isinstance(node, Mapping):
            return None
        known = self._keys.get(id(node))
        if known is None:
            known = self._keys[id(node)] = {pair[0].text: pair for pair in node.pairs}
        pair = known.get(key)
        if pair is not None or not any("$[[" in name for name in known):
            return pair
        return next((pair for name, pair in known.items() if _can_be(name, key)), None)

    def _key(self, key: Scalar, found: list[tuple[Scalar, Node]]) -> Scalar:
        return _at(key, found[0][0]) if found else _at_line(key, self._elsewhere)

    def _node(self, key: str, node: Node, places: list[Node]) -> Node:
        places = [target for place in places for target in self._targets(place)]
        if isinstance(node, Scalar):
            return self._scalar(key, node, places)
        same = next((place for place in places if type(place) is type(node)), None)
        line = self._elsewhere if same is None else same.line
        if isinstance(node, Mapping):
            pairs: list[tuple[Scalar, Node]] = []
            for name, value in node.pairs:
                found = [pair for place in places if (pair := self._under(place, name.text)) is not None]
                below = self._node(name.text, value, [one for _, one in found])
                pairs.append((self._key(name, found), below))
            return Mapping(pairs, line, node.column, node.tag)
        return self._list(key, node, line, _SourceItems(self._flat(places)))

    def _list(self, key: str, node: Sequence, line: int, held: _SourceItems) -> Sequence:
        """Locate a list and its nested lists, which are its references."""
        placed_items: list[Node] = []
        for item in node.items:
            if isinstance(item, Scalar):
                same = held.line(item.text)
                placed_items.append(self._node(key, item, [*held.inputs] if same is None else [same]))
            elif isinstance(item, Mapping):
                placed_items.append(self._node(key, item, held.near()))
            else:
                placed_items.append(self._list(key, item, line, held))
        return Sequence(placed_items, line, node.column, node.tag)

    def _scalar(self, key: str, node: Scalar, places: list[Node]) -> Scalar:
        known = [place for place in places if isinstance(place, Scalar)]
        found = next((place for place in known if place.text == node.text), None)
        if found is None:
            found = next((place for place in known if _can_be(place.text, node.text)), None)
        if found is None:
            found = next((place for place in known if _same_value(place, node)), None)
        if found is None:
            found = self._texts.get((key, node.text))
        return _at_line(node, self._elsewhere) if found is None else _at(node, found)

    def _targets(self, node: Node) -> Iterator[Node]:
        """Yield a node, or the nodes that it refers to."""
        seen: set[int] = set()
        waiting = [node]
        while waiting:
            one = waiting.pop()
            if not isinstance(one, Sequence) or one.tag != "!reference":
                yield one
            elif id(one) not in seen:
                seen.add(id(one))
                name, *path = texts(one) or [""]
                for job in [*self._jobs(name), *self._extended(name)][::-1]:
                    at: Node | None = job
                    for part in path:
                        at = _get(at, part)
                    if at is not None:
                        waiting.append(at)

    def _flat(self, places: list[Node]) -> list[Node]:
        """Return the items of lists and their nested lists, each list once."""
        found: list[Node] = []
        seen: set[int] = set()
        lists: list[Node] = [place for place in reversed(places) if isinstance(place, Sequence)]
        while lists and len(found) < _MOST:
            one = lists.pop()
            if not isinstance(one, Sequence):
                found.append(one)
            elif id(one) not in seen:
                seen.add(id(one))
                lists += reversed(list(self._targets(one)) if one.tag == "!reference" else one.items)
        return found


def _get(node: Node | None, key: str) -> Node | None:
    return node.get(key) if isinstance(node, Mapping) else None


def _can_be(written: str, text: str) -> bool:
    """Return whether a text with inputs can result in another."""
    if "$[[" not in written:
        return False
    first, *middle = re.split(r"\$\[\[.{0,2000}?\]\]", written, flags=re.DOTALL)
    last = middle.pop() if middle else ""
    if len(text) < len(first) + len(last) or not (text.startswith(first) and text.endswith(last)):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        at = text.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


def _same_value(written: Scalar, node: Scalar) -> bool:
    """Return whether two spellings are the same value: ``yes`` and ``true``, ``1_000`` and ``1000``."""
    if not (written.plain and node.plain):
        return False
    if _NUMBER.fullmatch(node.text):
        return written.text[:1] in "0123456789+-."
    return boolean(node) is not None and written.text.lower() in {"yes", "no", "on", "off", "true", "false"}


def _at(node: Scalar, place: Scalar) -> Scalar:
    return Scalar(node.text, place.line, place.column, node.tag, place.style)


def _at_line(node: Scalar, line: int) -> Scalar:
    return Scalar(node.text, line, 1, node.tag, node.style)
