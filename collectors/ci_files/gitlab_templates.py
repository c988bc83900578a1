"""Jobs with what they extend, and scripts with what they refer to, as far as it stands in the same file.

https://docs.gitlab.com/ci/yaml/yaml_optimization/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.ci_files.definition import DefinitionError
from collectors.ci_files.yaml_nodes import Mapping, Scalar, Sequence, mapping, texts

if TYPE_CHECKING:
    from collectors.ci_files.gathered import Gathered
    from collectors.ci_files.yaml_nodes import Node

_MOST_LINES = 20_000
_MOST_LEVELS = 50
"""Of ``extends`` and ``!reference``; GitLab allows eleven and ten."""


class Templates:
    """The jobs of a file with what they extend, each worked out once."""

    def __init__(self, root: Mapping, out: Gathered) -> None:
        self._root = root
        self._out = out
        self._done: dict[str, Mapping] = {}
        self._open: set[str] = set()

    def merged(self, key: Scalar, node: Mapping, depth: int = 0) -> Mapping:
        """Return a job with what it extends, as far as that stands in the file."""
        known = self._done.get(key.text)
        if known is not None:
            return known
        self._open.add(key.text)
        pairs: dict[str, tuple[Scalar, Node]] = {}
        for name in dict.fromkeys(texts(node.get("extends"))):
            parent = self._root.get(name)
            if not isinstance(parent, Mapping):
                self._out.indirect.append(
                    f"line {key.line}: `{key.text}` extends {name}, which is not in this file"
                )
            elif name not in self._open and depth < _MOST_LEVELS:
                above = self.merged(self._root.key(name) or key, parent, depth + 1)
                for pair in above.pairs:
                    pairs[pair[0].text] = _both(pairs.get(pair[0].text), pair)
        for pair in node.pairs:
            if pair[0].text != "extends":
                pairs[pair[0].text] = _both(pairs.get(pair[0].text), pair)
        self._open.discard(key.text)
        result = Mapping(list(pairs.values()), node.line, node.column, node.tag)
        self._done[key.text] = result
        return result


def _both(above: tuple[Scalar, Node] | None, pair: tuple[Scalar, Node]) -> tuple[Scalar, Node]:
    """Merge mappings key by key; everything else is replaced: https://docs.gitlab.com/ci/yaml/#extends."""
    if above is None or not isinstance(above[1], Mapping) or not isinstance(pair[1], Mapping):
        return pair
    merged = {key.text: (key, value) for key, value in above[1].pairs}
    for key, value in pair[1].pairs:
        merged[key.text] = _both(merged.get(key.text), (key, value))
    return pair[0], Mapping(list(merged.values()), pair[1].line, pair[1].column, pair[1].tag)


class Scripts:
    """Script lines with ``!reference`` resolved where its target stands in the file, each list worked out once."""

    def __init__(self, root: Mapping) -> None:
        self.root = root
        self._done: dict[int, list[Scalar]] = {}

    def lines(self, node: Node | None, depth: int = 0) -> list[Scalar]:
        """Return the lines of a script. Raises `DefinitionError` when it unfolds beyond measure."""
        if isinstance(node, Scalar):
            return [node]
        if not isinstance(node, Sequence) or depth > _MOST_LEVELS:
            return []
        known = self._done.get(id(node))
        if known is not None:
            return known
        lines: list[Scalar] = []
        self._done[id(node)] = lines  # a list that refers to itself adds nothing
        if node.tag == "!reference":
            target: Node | None = self.root
            for part in texts(node):
                target = mapping(target).get(part)
            lines += self.lines(target, depth + 1)
        else:
            for item in node.items:
                lines += list(self.lines(item, depth + 1))
                if len(lines) > _MOST_LINES:
                    raise DefinitionError(
                        "truncated", f"a script of more than {_MOST_LINES} lines", node.line
                    )
        return lines
