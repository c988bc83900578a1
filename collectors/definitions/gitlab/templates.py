"""Resolves ``extends`` and ``!reference`` of GitLab jobs, as far as their targets are in the files that were read.

GitLab resolves ``extends`` first and ``!reference`` after it: https://docs.gitlab.com/ci/yaml/yaml_optimization/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.definitions.definition import DefinitionError
from collectors.definitions.yaml_nodes import Mapping, Scalar, Sequence, mapping, texts

if TYPE_CHECKING:
    from collectors.definitions.yaml_nodes import Node

_MOST_LINES = 20_000
_MOST_LEVELS = 50
"""Maximum nesting of ``extends``; GitLab allows eleven."""
_DEEPEST = 300
"""Maximum depth of nodes including references; GitLab allows ten levels of references."""


class ResolvedJobs:
    """The top level of a configuration with resolved jobs, each resolved once."""

    def __init__(self, root: Mapping) -> None:
        self.root = root
        self.missing: list[tuple[int, str, str]] = []
        """Line and name of each job that extends a missing job, and the missing name."""
        self._keys = {key.text: key for key, _ in root.pairs}
        self._extended: dict[str, Mapping] = {}
        self._open: set[str] = set()
        self._resolved: dict[int, Node] = {}
        self._lines: dict[int, list[Scalar]] = {}

    def get(self, name: str) -> Node | None:
        """Return the value of a name at the top level: a job, a template, ``default``, ``variables``."""
        node = self._raw(name)
        return None if node is None else self._resolve(node, 0)

    def _raw(self, name: str) -> Node | None:
        node = self.root.get(name)
        return self._merged(self._keys[name], node) if isinstance(node, Mapping) else node

    def _merged(self, key: Scalar, node: Mapping, depth: int = 0) -> Mapping:
        """Return a job merged with the jobs that it extends."""
        known = self._extended.get(key.text)
        if known is not None:
            return known
        self._open.add(key.text)
        result = Mapping([], node.line, node.column, node.tag)
        for name in dict.fromkeys(texts(node.get("extends"))):
            parent = self.root.get(name)
            if not isinstance(parent, Mapping):
                self.missing.append((key.line, key.text, name))
            elif name not in self._open and depth < _MOST_LEVELS:
                above = self._merged(self._keys[name], parent, depth + 1)
                result = merge(result, above)
        self._open.discard(key.text)
        result = merge(result, without(node, "extends"))
        self._extended[key.text] = result
        return result

    def _resolve(self, node: Node, depth: int) -> Node:
        """Return a node with ``!reference`` replaced by its target, or removed if there is none."""
        if isinstance(node, Scalar) or depth > _DEEPEST:
            return node
        known = self._resolved.get(id(node))
        if known is not None:
            return known
        nothing = Sequence([], node.line, node.column, None)
        self._resolved[id(node)] = nothing  # a reference to itself adds nothing
        result: Node
        if isinstance(node, Mapping):
            pairs = [(key, self._resolve(value, depth + 1)) for key, value in node.pairs]
            result = Mapping(pairs, node.line, node.column, node.tag)
        elif node.tag == "!reference":
            first, *rest = texts(node) or [""]
            target = self._raw(first)
            for part in rest:
                target = mapping(target).get(part)
            result = nothing if target is None else self._resolve(target, depth + 1)
        else:
            result = Sequence(
                [self._resolve(item, depth + 1) for item in node.items], node.line, node.column, node.tag
            )
        self._resolved[id(node)] = result
        return result

    def lines(self, node: Node | None) -> list[Scalar]:
        """Return the lines of a script, including nested lists. Raises `DefinitionError` if there are too many."""
        if isinstance(node, Scalar):
            return [node]
        if not isinstance(node, Sequence):
            return []
        known = self._lines.get(id(node))
        if known is not None:
            return known
        lines: list[Scalar] = []
        for item in node.items:
            lines += self.lines(item)
            if len(lines) > _MOST_LINES:
                raise DefinitionError("truncated", f"a script of more than {_MOST_LINES} lines")
        self._lines[id(node)] = lines
        return lines


def merge(above: Mapping, below: Mapping) -> Mapping:
    """Merge two mappings key by key; other values are replaced by the second. This is how jobs inherit from the jobs
    they extend (https://docs.gitlab.com/ci/yaml/#extends), and how files inherit from their includes
    (https://docs.gitlab.com/ci/yaml/includes/#merge-method-for-include).
    """
    if not above.pairs:
        return below
    merged = {key.text: (key, value) for key, value in above.pairs}
    for key, value in below.pairs:
        _, other = merged.get(key.text, (key, None))
        if isinstance(other, Mapping) and isinstance(value, Mapping) and other is not value:
            merged[key.text] = key, merge(other, value)
        else:
            merged[key.text] = key, value
    return Mapping(list(merged.values()), below.line, below.column, below.tag)


def without(node: Mapping, name: str) -> Mapping:
    """Return a mapping without one of its keys."""
    if name not in node:
        return node
    return Mapping([pair for pair in node.pairs if pair[0].text != name], node.line, node.column, node.tag)
