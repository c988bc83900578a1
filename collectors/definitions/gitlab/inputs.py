"""Substitutes the inputs of an included file: ``$[[ inputs.name ]]``.

https://docs.gitlab.com/ci/inputs/. A value that is used alone keeps its own position, where it was written. Functions
other than ``expand_vars`` are left unchanged.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from collectors.definitions.definition import DefinitionError
from collectors.definitions.yaml_nodes import Mapping, Scalar, Sequence, mapping

if TYPE_CHECKING:
    from collectors.definitions.yaml_nodes import Node, YamlDocument

BLOCK = re.compile(r"\$\[\[\s*inputs\.(?P<name>[\w-]+)\s*(?:\|\s*expand_vars\s*)?\]\]")
_LONGEST = 1_000_000
"""Maximum characters of a text, GitLab's limit."""
_LONGEST_VALUE = 1024
"""Maximum characters of an input within a text, GitLab's limit."""
_MOST = 10_000_000
"""Maximum characters of all texts of one file after substitution."""


def content_of(documents: list[YamlDocument], given: Mapping) -> Node:
    """Return the content of an included file with its inputs, from the statement or else the header's defaults. Raises
    `DefinitionError` if it becomes too large.
    """
    content = documents[-1].root
    header = mapping(mapping(documents[0].root).get("spec")) if len(documents) > 1 else mapping(None)
    values: dict[str, Node] = {}
    for key, settings in mapping(header.get("inputs")).pairs:
        default = mapping(settings).get("default")
        if default is not None:
            values[key.text] = default
    values |= {key.text: value for key, value in given.pairs}
    return _Filled(values).node(content) if values else content


class _Filled:
    def __init__(self, values: dict[str, Node]) -> None:
        self._values = values
        self._left = _MOST
        self._done: dict[int, Node] = {}

    def node(self, node: Node) -> Node:
        known = self._done.get(id(node))
        if known is not None:
            return known
        result: Node
        if isinstance(node, Scalar):
            alone = BLOCK.fullmatch(node.text.strip())
            value = self._values.get(alone["name"]) if alone else None
            result = self._text(node) if value is None else value
        elif isinstance(node, Sequence):
            result = Sequence([self.node(item) for item in node.items], node.line, node.column, node.tag)
        else:
            pairs = [(self._text(key), self.node(value)) for key, value in node.pairs]
            result = Mapping(pairs, node.line, node.column, node.tag)
        self._done[id(node)] = result
        return result

    def _text(self, scalar: Scalar) -> Scalar:
        if "$[[" not in scalar.text or len(scalar.text) > _LONGEST:
            return scalar
        filled = BLOCK.sub(self._value, scalar.text)
        self._left -= len(filled)
        if self._left < 0:
            raise DefinitionError("truncated", f"grows beyond {_MOST} characters with its inputs")
        return Scalar(filled, scalar.line, scalar.column, scalar.tag, scalar.style)

    def _value(self, match: re.Match[str]) -> str:
        value = self._values.get(match["name"])
        if isinstance(value, Scalar) and len(value.text) <= _LONGEST_VALUE:
            return value.text
        return match.group()
