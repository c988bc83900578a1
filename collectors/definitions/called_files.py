"""Files that a definition calls: templates, reusable workflows, actions, shared pipelines. The same for all formats: which
file is meant, who reads it, how deep and how many are followed, and how its lines are numbered.

Line ``n`` of called file ``number`` has the number ``number * FILE + n``. A file has one number for all its calls, or one
for each call, if a format judges the same line differently for each caller.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import msgspec

from collectors.definitions.definition import DefinitionError, Included
from collectors.definitions.yaml_nodes import Mapping, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from collectors.definitions.definition import Definition


RANK = {"critical": 0, "high": 1, "medium": 2, "low": 3, "info": 4}
"""Severities, the worst first."""


NAMES_SECRETS = frozenset(("static-cloud-login", "third-party-sees-secrets", "use-trusted-publishing"))
"""Weaknesses that name secrets: a caller names them as they are stored."""


class CalledRepository(msgspec.Struct, frozen=True, kw_only=True):
    """A repository of called files, as the definition names it."""

    name: str = ""
    """``OWNER/NAME``, ``PROJECT/NAME`` or ``NAME``; empty for the definition's own."""
    kind: str = "git"
    """``git`` for the same platform; for Azure Pipelines also ``github``, ``githubenterprise``, ``bitbucket``."""
    ref: str | None = None
    """None for the default branch."""

    def shown(self, path: str) -> str:
        """Return a file's name in records."""
        return f"{path}@{self.name}" if self.name else path


OWN = CalledRepository()
"""The definition's own repository, at its own commit."""


class FileReader(Protocol):
    """Reads called files."""

    def read(self, repository: CalledRepository, path: str) -> str:
        """Return a file's text. Raises `DefinitionError` if it cannot be read."""
        ...


class CalledDefinitions:
    """The called files of one repository. Each is parsed once, whoever calls it."""

    def __init__(self, files: FileReader, inside: str = "") -> None:
        """``inside`` is the folder of the repository in the paths of definitions, if it has one of its own there."""
        self.inside = "" if inside == "." else inside
        self._files = files
        self._texts: dict[tuple[CalledRepository, str], str | DefinitionError] = {}
        self._roots: dict[tuple[CalledRepository, str], tuple[Mapping, int]] = {}
        self._alone: dict[tuple[CalledRepository, str], dict[tuple[str, str, int | None, str], int]] = {}

    def read(self, repository: CalledRepository, path: str) -> str:
        """Return a file's text. Raises `DefinitionError`."""
        place = (repository, path)
        found = self._texts.get(place)
        if found is None:
            try:
                found = self._files.read(repository, path)
            except DefinitionError as exc:
                found = exc
            self._texts[place] = found
        if isinstance(found, DefinitionError):
            raise DefinitionError(found.reason, str(found))
        return found

    def has(self, repository: CalledRepository, path: str) -> bool:
        """Return whether a file can be read."""
        try:
            self.read(repository, path)
        except DefinitionError:
            return False
        return True

    def root(self, repository: CalledRepository, path: str) -> tuple[Mapping, int]:
        """Return a file's content, and its number of nodes. Raises `DefinitionError`."""
        place = (repository, path)
        if place not in self._roots:
            documents = read(self.read(repository, path))
            found = documents[0].root if documents else None
            if not isinstance(found, Mapping):
                raise DefinitionError("malformed", "it is not a mapping")
            self._roots[place] = (found, documents[0].size)
        return self._roots[place]

    def alone(
        self, repository: CalledRepository, path: str, parse: Callable[[str, str], Definition]
    ) -> dict[tuple[str, str, int | None, str], int]:
        """Return what a file shows without its callers, with the rank of the severity: by code, file, line and, if it is
        about secrets that callers name, detail.
        """
        place = (repository, path)
        if place not in self._alone:
            found = self._alone[place] = {}  # at once: files may call each other
            definition = parse(
                f"{self.inside}/{path}" if self.inside and not repository.name else path,
                self.read(repository, path),
            )
            for problem in definition.problems:
                where = (definition.file_of(problem.line), definition.line_in_file(problem.line))
                key = (problem.code, *where, problem.detail if problem.code in NAMES_SECRETS else "")
                found[key] = min(RANK[problem.severity], found.get(key, 9))
        return self._alone[place]


class CalledFiles:
    """The files that one definition calls, and the chain of calls that is being read."""

    def __init__(
        self, path: str, files: CalledDefinitions | None, *, levels: int, most: int, by_call: bool = False
    ) -> None:
        """``path`` is the definition; at most ``levels`` calls are nested, and ``most`` calls are followed. ``by_call``:
        whether each call gets a number of its own.
        """
        self.included: list[Included] = []
        self._files = files
        self._levels = levels
        self._most = most
        self._by_call = by_call
        self._inside = f"{files.inside}/" if files is not None and files.inside else ""
        own = path.lstrip("/").removeprefix(self._inside)
        self._chain: list[tuple[CalledRepository, str]] = [(OWN, own)]
        self._numbers = {self._chain[0]: 0}
        self._calls = 0

    @property
    def followed(self) -> bool:
        """Whether calls are followed at all."""
        return self._files is not None

    @property
    def here(self) -> tuple[CalledRepository, str]:
        """The file that is being read."""
        return self._chain[-1]

    @contextmanager
    def entered(self, repository: CalledRepository, path: str, line: int) -> Iterator[tuple[int, str]]:
        """Give number and text of a file that is called on a line. Raises `DefinitionError` if it cannot be read or must not be followed."""
        place = (repository, path)
        if self._files is None:
            raise DefinitionError("unsupported", "called files are not read")
        if place in self._chain:
            raise DefinitionError("malformed", "it includes itself")
        if len(self._chain) > self._levels or self._calls >= self._most:
            raise DefinitionError("truncated", "it has more called files than are read")
        self._calls += 1
        text = self._files.read(repository, path)
        number = None if self._by_call else self._numbers.get(place)
        if number is None:
            shown = repository.shown(path) if repository.name else f"{self._inside}{path}"
            self.included.append(Included(path=shown, called_at=line))
            number = self._numbers[place] = len(self.included)
        self._chain.append(place)
        try:
            yield number, text
        finally:
            self._chain.pop()
