"""Strict parsing of hand-written YAML files: rules, exceptions and framework mappings.

Every problem names file, line and column, and for an unknown key the nearest known key.
"""

from __future__ import annotations

import difflib
import re
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, get_args, get_origin

import msgspec
import yaml

from scanner.regular_file import read_settings

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Where: TypeAlias = "tuple[str | int, ...]"
T = TypeVar("T")


MAX_VALUES = 100_000
"""The maximum number of values, those that aliases repeat included: ten lines of aliases can stand for billions."""
MOST_NAMES = 40
"""The longest list of names in a message."""
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
        self._values = 0
        self._marks: dict[Where, tuple[int, int]] = {(): (1, 1)}
        # CSafeLoader is six times faster but not part of every build of PyYAML.
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
        try:
            node = loader.get_single_node()
            self._mark(node, ())
            self.value: Any = loader.construct_document(node) if node is not None else None
        except yaml.MarkedYAMLError as exc:
            raise DocumentError([f"{path}{_syntax_error(exc, text)}"]) from None
        except (yaml.YAMLError, ValueError) as exc:
            raise DocumentError([f"{path}: not valid YAML: {exc}"]) from None
        finally:
            loader.dispose()

    def _mark(self, node: yaml.Node | None, where: Where) -> None:
        self._values += 1
        if self._values > MAX_VALUES:
            raise DocumentError(
                [f"{self.at(where)}: more than {MAX_VALUES:,} values, counting what aliases repeat"]
            )
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
            words = _chosen(what, _choices(kind, _parts(inner))) or _in_words(what)
            raise DocumentError([self.problem((*where, *_parts(inner)), words)]) from None

    def misfits(self, value: dict[Any, Any], kind: type[msgspec.Struct], where: Where) -> list[str]:
        """Return a problem for each field of a struct that is missing, or has a value of another type."""
        problems = []
        for field in msgspec.structs.fields(kind):
            if field.name not in value:
                if field.required:
                    problems.append(self.problem((*where, field.name), "is missing; add it"))
                continue
            try:
                self.convert(value[field.name], field.type, (*where, field.name))
            except DocumentError as exc:
                problems += exc.problems
        return problems


def read_document(path: Path) -> Document:
    """Read a YAML file. Raises `DocumentError`."""
    try:
        return Document(path, read_settings(path))
    except OSError as exc:
        raise DocumentError([f"{path}: {exc.strerror}"]) from None
    except UnicodeDecodeError as exc:
        raise DocumentError([f"{path}: not UTF-8: {exc.reason}"]) from None


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a suggestion for an unknown name: the nearest known name, or all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f"did you mean `{near[0]}`?"
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"known: {', '.join(names[:MOST_NAMES])}{more}"


def _syntax_error(exc: yaml.MarkedYAMLError, text: str) -> str:
    """Return where a text is not YAML, and why."""
    mark = exc.problem_mark
    if mark is None:
        return f": not valid YAML: {exc.problem}"
    line = (text.split("\n")[mark.line : mark.line + 1] or [""])[0]
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return f":{mark.line + 1}:1: not valid YAML: a tab begins the line; indent with spaces only"
    return f":{mark.line + 1}:{mark.column + 1}: not valid YAML: {exc.problem}"


_WORDS = {
    "Invalid RFC3339 encoded date": "must be a date such as 2027-01-15",
    "Invalid RFC3339 encoded datetime": "must be a time such as 2027-01-15T02:00:00Z",
}
_TYPES = {
    "str": "text; put it in quotes",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a mapping of keys and values",
    "date": "a date such as 2027-01-15",
}


def _in_words(what: str) -> str:
    """Return an error of msgspec in words of the file: ``Expected `str`, got `int```."""
    expected = re.match(r"Expected `([a-z]+)[^`]*`, got `", what)
    if expected is not None and expected[1] in _TYPES:
        return f"must be {_TYPES[expected[1]]}"
    return _WORDS.get(what, what)


def _chosen(what: str, choices: tuple[str, ...]) -> str | None:
    """Return what is wrong with a value that is none of the choices, with the nearest one."""
    wrong = re.fullmatch(r"Invalid enum value '([^'\n]*)'", what)
    return f"`{wrong[1]}` is not a valid value; {nearest(wrong[1], choices)}" if wrong and choices else None


def _choices(kind: Any, place: Where) -> tuple[str, ...]:
    """Return the values that may stand at a place of a type; none if it is no choice between texts."""
    for part in place:
        kind = (
            next((one for one in get_args(kind) if isinstance(one, type)), kind)
            if get_origin(kind) is UnionType
            else kind
        )
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            types = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
            kind = types.get(str(part))
        else:
            kind = (get_args(kind) or (None,))[-1]
    given = get_args(kind) if get_origin(kind) is Literal else ()
    return tuple(one for one in given if isinstance(one, str))


def _parts(place: str) -> Where:
    """Return msgspec's ``$.examples[0].given`` as a place."""
    found = re.findall(r"\.([^.\[\]`]+)|\[(\d+)\]", place)
    return tuple(int(index) if index else name for name, index in found)
