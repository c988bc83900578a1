"""Strict parsing of hand-written YAML files: rules, exceptions and framework mappings.

Every problem names file, line and column, and for an unknown key the nearest known key.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import msgspec
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Where: TypeAlias = "tuple[str | int, ...]"
T = TypeVar("T")


MAX_DEPTH = 60
"""The maximum nesting. An alias to its own parent would recurse without end."""


class DocumentError(Exception):
    """A file is invalid. One line for each problem: ``file:line:column: key: what``."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Document:
    """A YAML file as plain values, with the position of each value."""

    def __init__(self, path: Path, text: str) -> None:
        """Parse the text. Raises `DocumentError` for invalid YAML and for duplicate keys."""
        self.path = path
        self.text = text
        self._marks: dict[Where, tuple[int, int]] = {(): (1, 1)}
        # CSafeLoader is six times faster but not part of every build of PyYAML.
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
        try:
            node = loader.get_single_node()
            self._mark(node, ())
            self.value: Any = loader.construct_document(node) if node is not None else None
        except yaml.MarkedYAMLError as exc:
            mark = exc.problem_mark
            at = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
            raise DocumentError([f"{path}{at}: not valid YAML: {exc.problem}"]) from None
        except (yaml.YAMLError, ValueError) as exc:
            raise DocumentError([f"{path}: not valid YAML: {exc}"]) from None
        finally:
            loader.dispose()

    def _mark(self, node: yaml.Node | None, where: Where) -> None:
        if len(where) > MAX_DEPTH:
            raise DocumentError([f"{self.at(where)}: nested too deeply"])
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                place = (*where, str(key.value))
                if place in self._marks:
                    at = f"{key.start_mark.line + 1}:{key.start_mark.column + 1}"
                    raise DocumentError([f"{self.path}:{at}: {self.key(place)}: duplicate key"])
                self._marks[place] = (key.start_mark.line + 1, key.start_mark.column + 1)
                self._mark(value, place)
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                place = (*where, index)
                self._marks[place] = (value.start_mark.line + 1, value.start_mark.column + 1)
                self._mark(value, place)

    @staticmethod
    def key(where: Where) -> str:
        """Return a place as text: ``examples[0].given``."""
        return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where).lstrip(".")

    def at(self, where: Where) -> str:
        """Return ``file:line:column`` of a place, or of its nearest parent in the file."""
        while where not in self._marks:
            where = where[:-1]
        line, column = self._marks[where]
        return f"{self.path}:{line}:{column}"

    def problem(self, where: Where, what: str) -> str:
        """Return a problem with its place."""
        key = self.key(where)
        return f"{self.at(where)}: {key}: {what}" if key else f"{self.at(where)}: {what}"

    def unknown_keys(self, value: Any, known: Iterable[str], where: Where) -> list[str]:
        """Return a problem for each unknown key of a mapping."""
        names = list(known)
        if not isinstance(value, dict):
            return [self.problem(where, f"must be a mapping with the keys {', '.join(names)}")]
        return [
            self.problem((*where, str(key)), f"unknown key; {nearest(str(key), names)}")
            for key in value
            if key not in names
        ]

    def convert(self, value: Any, kind: type[T], where: Where = ()) -> T:
        """Convert a part of the file to a struct. Raises `DocumentError` with the place of the invalid value."""
        try:
            return msgspec.convert(value, type=kind)
        except msgspec.ValidationError as exc:
            what, _, inner = str(exc).partition(" - at `")
            raise DocumentError([self.problem((*where, *_parts(inner)), what)]) from None


def read_document(path: Path) -> Document:
    """Read a YAML file. Raises `DocumentError`."""
    try:
        return Document(path, path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise DocumentError([f"{path}: {exc.strerror}"]) from None
    except UnicodeDecodeError as exc:
        raise DocumentError([f"{path}: not UTF-8: {exc.reason}"]) from None


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a suggestion for an unknown name: the nearest known name, or all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    return f"did you mean `{near[0]}`?" if near else f"known: {', '.join(names)}"


def _parts(place: str) -> Where:
    """Return msgspec's ``$.examples[0].given`` as a place."""
    found = re.findall(r"\.([^.\[\]`]+)|\[(\d+)\]", place)
    return tuple(int(index) if index else name for name, index in found)
