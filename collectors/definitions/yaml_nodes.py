"""Reads YAML 1.2 from untrusted files into nodes that know their line and column.

PyYAML resolves plain scalars by YAML 1.1 (``on`` is True, ``010`` is 8, ``22:30`` is 1350), raises on unknown tags and
drops duplicate keys silently (https://yaml.org/spec/1.2.2/#10213-integer, https://pyyaml.org). So only its parser is
used, on libyaml's events: scalars stay text, tags are kept and never constructed, duplicate keys are kept and counted.
Aliases count with their expanded size, so that an alias bomb fails here and code that walks the nodes needs no limit of
its own.
"""

from __future__ import annotations

import bisect
import re
from typing import TYPE_CHECKING, Any, TypeAlias

from collectors.definitions.definition import DefinitionError
from scanner.secrets.split_keys import without_key_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_BREAK = re.compile("\n")
MAX_BYTES = 10 * 1024 * 1024
MAX_NODES = 250_000
"""Nodes of a file with its aliases expanded. The largest public workflow files have about ten thousand."""
MAX_DEPTH = 200


class Scalar:
    """A text. ``plain`` if it was written without quotes."""

    __slots__ = ("_breaks", "column", "line", "plain", "style", "tag", "text")

    def __init__(self, text: str, line: int, column: int, tag: str | None, style: str) -> None:
        self.text = text
        self.line = line
        self.column = column
        self.tag = tag
        self.style = style
        self.plain = style == ""
        self._breaks: list[int] | None = None

    def line_breaks(self, offset: int) -> tuple[int, int]:
        """Return the number of line breaks before an offset in the text, and the start of its line."""
        if self._breaks is None:
            self._breaks = [match.start() for match in _BREAK.finditer(self.text)]
        count = bisect.bisect_left(self._breaks, offset)
        return count, self._breaks[count - 1] + 1 if count else 0

    def __repr__(self) -> str:
        return f"Scalar({self.text!r}, line={self.line})"


class Sequence:
    """A list of nodes."""

    __slots__ = ("column", "items", "line", "tag")

    def __init__(self, items: list[Node], line: int, column: int, tag: str | None) -> None:
        self.items = items
        self.line = line
        self.column = column
        self.tag = tag

    def __repr__(self) -> str:
        return f"Sequence({self.items!r})"


class Mapping:
    """Keys and nodes, in order. `get` returns the last of equal keys, `pairs` has all."""

    __slots__ = ("_index", "column", "duplicates", "line", "pairs", "tag")

    def __init__(self, pairs: list[tuple[Scalar, Node]], line: int, column: int, tag: str | None) -> None:
        self.pairs = pairs
        self.line = line
        self.column = column
        self.tag = tag
        self._index = {key.text: node for key, node in pairs}
        self.duplicates: list[Scalar] = []
        if len(self._index) < len(pairs):
            seen: set[str] = set()
            for key, _ in pairs:
                if key.text in seen:
                    self.duplicates.append(key)
                seen.add(key.text)

    def get(self, key: str) -> Node | None:
        """Return the node under a key, or None."""
        return self._index.get(key)

    def key(self, text: str) -> Scalar | None:
        """Return the last key node with this text, for its position."""
        return next((key for key, _ in reversed(self.pairs) if key.text == text), None)

    def __contains__(self, key: object) -> bool:
        return key in self._index

    def __repr__(self) -> str:
        return f"Mapping({self.pairs!r})"


Node: TypeAlias = "Scalar | Sequence | Mapping"


class YamlDocument:
    """One YAML document."""

    __slots__ = ("duplicates", "repaired", "root", "size")

    def __init__(self, root: Node, size: int, duplicates: list[Scalar], repaired: bool) -> None:
        self.root = root
        self.size = size
        """Number of nodes with aliases expanded."""
        self.duplicates = duplicates
        """Keys that repeat an earlier key of the same mapping."""
        self.repaired = repaired
        """Whether tabs had to be replaced by blanks to make it readable."""


def read(text: str, *, above: int = 0) -> list[YamlDocument]:
    """Return the documents of a YAML text. Raises only `DefinitionError`. ``above`` is added to the line of every node,
    so that nodes of several files can be in one tree.
    """
    if len(text) > MAX_BYTES:
        raise DefinitionError("truncated", f"larger than {MAX_BYTES} bytes")
    try:
        return _documents(text.removeprefix("\ufeff"), above, repaired=False)
    except DefinitionError:
        if "\t" not in text:
            raise
        return _documents(text.expandtabs(2).removeprefix("\ufeff"), above, repaired=True)


def _documents(text: str, above: int, *, repaired: bool) -> list[YamlDocument]:
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is optional in PyYAML's wheels
    try:
        parser = loader(text.encode("utf-8", "replace"))
        return _Composer(iter(parser.get_event, None), above, repaired).documents()
    except yaml.MarkedYAMLError as exc:
        line = exc.problem_mark.line + 1 if exc.problem_mark else None
        raise DefinitionError("malformed", f"not valid YAML: {exc.problem or exc.context}", line) from None
    except yaml.YAMLError as exc:
        raise DefinitionError("malformed", f"not valid YAML: {str(exc).splitlines()[0]}") from None


class _Open:
    """A collection whose end has not been reached."""

    __slots__ = ("anchor", "children", "column", "depth", "line", "mapping", "size", "tag")

    def __init__(self, mapping: bool, event: Any) -> None:
        self.mapping = mapping
        self.anchor: str | None = event.anchor
        self.children: list[Node] = []
        self.size = 1
        self.depth = 1
        self.tag: str | None = event.tag
        self.line: int = event.start_mark.line + 1
        self.column: int = event.start_mark.column + 1


class _Composer:
    """Builds nodes from events without recursion."""

    def __init__(self, events: Iterator[Any], above: int, repaired: bool) -> None:
        self._events = events
        self._first = above + 1
        self._repaired = repaired

    def documents(self) -> list[YamlDocument]:
        import yaml

        documents: list[YamlDocument] = []
        stack: list[_Open] = []
        anchors: dict[str, tuple[Node, int, int]] = {}
        duplicates: list[Scalar] = []
        scalar_event, alias_event = yaml.ScalarEvent, yaml.AliasEvent
        sequence_start, mapping_start = yaml.SequenceStartEvent, yaml.MappingStartEvent
        sequence_end, mapping_end = yaml.SequenceEndEvent, yaml.MappingEndEvent
        document_start = yaml.DocumentStartEvent
        for event in self._events:
            kind = type(event)
            node: Node
            if kind is scalar_event:
                mark = event.start_mark
                style = event.style or ""
                node = Scalar(event.value, mark.line + self._first, mark.column + 1, event.tag, style)
                if event.anchor:
                    anchors[event.anchor] = (node, 1, 1)
                size = depth = 1
            elif kind is alias_event:
                known = anchors.get(event.anchor)
                line = event.start_mark.line + 1
                if known is None:
                    raise DefinitionError("malformed", "alias of an anchor that is not complete", line)
                node, size, depth = known
            elif kind is sequence_start or kind is mapping_start:
                stack.append(_Open(kind is mapping_start, event))
                if event.anchor:
                    anchors.pop(event.anchor, None)
                if len(stack) > MAX_DEPTH:
                    raise DefinitionError("malformed", f"nested deeper than {MAX_DEPTH}", stack[-1].line)
                continue
            elif kind is sequence_end or kind is mapping_end:
                done = stack.pop()
                node = self._closed(done)
                if isinstance(node, Mapping):
                    duplicates += node.duplicates
                if done.anchor:
                    anchors[done.anchor] = (node, done.size, done.depth)
                size, depth = done.size, done.depth
            elif kind is document_start:
                anchors, duplicates = {}, []
                continue
            else:
                continue
            if not stack:
                duplicates.sort(key=lambda key: (key.line, key.column))
                documents.append(YamlDocument(node, size, duplicates, self._repaired))
                continue
            top = stack[-1]
            top.children.append(node)
            top.size += size
            top.depth = max(top.depth, depth + 1)
            if top.size > MAX_NODES:
                raise DefinitionError("malformed", f"expands to more than {MAX_NODES} nodes", top.line)
            if top.depth > MAX_DEPTH:
                raise DefinitionError("malformed", f"nested deeper than {MAX_DEPTH}", top.line)
        return documents

    def _closed(self, done: _Open) -> Sequence | Mapping:
        line = done.line - 1 + self._first
        if not done.mapping:
            _hide_key_lines(done.children)
            return Sequence(done.children, line, done.column, done.tag)
        pairs: list[tuple[Scalar, Node]] = []
        merged: list[tuple[Scalar, Node]] = []
        children = iter(done.children)
        for key, value in zip(children, children, strict=True):
            if isinstance(key, Scalar) and key.text == "<<" and key.plain:
                merged += _merged(value)
            elif isinstance(key, Scalar):
                pairs.append((key, value))
            else:
                pairs.append((Scalar("?", key.line, key.column, key.tag, "?"), value))
        if merged:
            own = {key.text for key, _ in pairs}
            inherited: dict[str, tuple[Scalar, Node]] = {}
            for key, value in merged:
                if key.text not in own:
                    inherited.setdefault(key.text, (key, value))
            pairs = [*inherited.values(), *pairs]
        return Mapping(pairs, line, done.column, done.tag)


def _hide_key_lines(nodes: list[Node]) -> None:
    """Hide a private key whose lines are the items of a list: each becomes part of a record of its own."""
    lines = [node for node in nodes if isinstance(node, Scalar)]
    for node, text in zip(lines, without_key_lines([node.text for node in lines]), strict=True):
        node.text = text


def _merged(value: Node) -> list[tuple[Scalar, Node]]:
    """Return the pairs of a merge key: of a mapping, or of a list of mappings, in which the first of equal keys
    counts.
    """
    if isinstance(value, Mapping):
        return value.pairs
    if isinstance(value, Sequence):
        return [pair for item in value.items if isinstance(item, Mapping) for pair in item.pairs]
    return []


def mapping(node: Node | None) -> Mapping:
    """Return the node if it is a mapping, else an empty one."""
    return node if isinstance(node, Mapping) else Mapping([], getattr(node, "line", 1), 1, None)


def items(node: Node | None) -> list[Node]:
    """Return the items of a list, a list of the node itself for anything else, and an empty list for None."""
    if node is None or (isinstance(node, Scalar) and is_null(node)):
        return []
    return node.items if isinstance(node, Sequence) else [node]


def text(node: Node | None) -> str | None:
    """Return a scalar's text; None for null, absent and collections."""
    return node.text if isinstance(node, Scalar) and not is_null(node) else None


def texts(node: Node | None) -> list[str]:
    """Return the texts of a list of scalars, or of one."""
    return [item.text for item in items(node) if isinstance(item, Scalar)]


def mark(node: Node | None, known: dict[int, int]) -> int:
    """Return a number that is equal for equal content at equal positions. ``known`` caches the numbers of live nodes,
    so that shared nodes are examined once.
    """
    if node is None:
        return 0
    if isinstance(node, Scalar):
        return hash((node.text, node.line))
    if id(node) in known:
        return known[id(node)]
    parts: list[int] = [node.line]
    if isinstance(node, Sequence):
        for item in node.items:
            parts.append(mark(item, known))  # noqa: PERF401  a comprehension would double the depth of the stack
    else:
        for key, value in node.pairs:
            parts += (mark(key, known), mark(value, known))
    known[id(node)] = hash((type(node), tuple(parts)))
    return known[id(node)]


def is_null(node: Node) -> bool:
    """Return whether a node is YAML 1.2's null."""
    return isinstance(node, Scalar) and node.plain and node.text in {"", "~", "null", "Null", "NULL"}


def boolean(node: Node | None) -> bool | None:
    """Return a YAML 1.2 boolean, written plain or in quotes; None for everything else, ``yes`` and ``on`` too."""
    value = node.text.strip().lower() if isinstance(node, Scalar) else ""
    return {"true": True, "false": False}.get(value)


def scalars(node: Node | None, key: Scalar | None = None) -> Iterator[tuple[Scalar | None, Scalar]]:
    """Yield every scalar value below a node with its key. Stops at the file's maximum number of nodes."""
    stack: list[tuple[Scalar | None, Node]] = [] if node is None else [(key, node)]
    while stack:
        under, current = stack.pop()
        if isinstance(current, Scalar):
            yield under, current
        elif isinstance(current, Sequence):
            stack.extend((under, item) for item in reversed(current.items))
        else:
            stack.extend(reversed(current.pairs))


def replaced(node: Node, change: Callable[[str], str]) -> Node:
    """Return a node with every text changed, except keys."""
    match node:
        case Scalar():
            made = change(node.text)
            return node if made == node.text else Scalar(made, node.line, node.column, node.tag, node.style)
        case Sequence():
            return Sequence([replaced(item, change) for item in node.items], node.line, node.column, node.tag)
        case Mapping():
            pairs = [(key, replaced(value, change)) for key, value in node.pairs]
            return Mapping(pairs, node.line, node.column, node.tag)
