"""Finds what a GitLab pipeline includes from its own checkout: nothing else is read, and nothing is fetched."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from collectors.definitions.gitlab.include import matches
from collectors.definitions.gitlab.tree import MOST_FILES, File, Read, Repository

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from collectors.definitions.gitlab.include import Include

_ELSEWHERE = {
    "project": "it stands in another project",
    "component": "it stands in another project",
    "remote": "it stands elsewhere",
    "template": "it comes with GitLab",
    "artifact": "a job makes it",
}


class CheckoutReader:
    """Reads local includes of one repository, never through a link that leaves it."""

    def __init__(
        self,
        folder: Path,
        inside: str,
        *,
        wanted: Callable[[str], bool],
        largest: int,
        text: Callable[[Path], str],
    ) -> None:
        """``inside`` is where the repository lies below the folder that is scanned."""
        self._folder = folder
        self._root = folder / inside
        self._wanted = wanted
        self._largest = largest
        self._text = text
        self._listed: list[str] | None = None

    def files(self, includes: Sequence[Include], repository: Repository, *, merged: bool) -> list[list[Read]]:  # noqa: ARG002  there is one repository, and no platform
        """Return the files that each statement names."""
        return [self._files(include) for include in includes]

    def beneath(self) -> list[Include]:
        """Return nothing: no platform was asked."""
        return []

    def _files(self, include: Include) -> list[Read]:
        if include.kind == "project":
            names = [f"{file.lstrip('/')}@{include.name}" for file in include.files] or [include.name]
            return [Read(shown=name, why=_ELSEWHERE["project"]) for name in names]
        if include.kind != "local":
            return [Read(shown=include.shown, why=_ELSEWHERE[include.kind])]
        if "*" not in include.name:
            return [self._read(include.name.lstrip("/"))]
        found = [path for path in self._yaml_files() if matches(include.name.lstrip("/"), path)]
        return [self._read(path) for path in found[: MOST_FILES + 1]]

    def _yaml_files(self) -> list[str]:
        if self._listed is None:
            self._listed = []
            for parent, folders, files in os.walk(self._root, followlinks=False):
                folders[:] = sorted(name for name in folders if name != ".git")
                inside = Path(parent).relative_to(self._root)
                self._listed += [
                    (inside / name).as_posix() for name in sorted(files) if name.endswith((".yml", ".yaml"))
                ]
        return self._listed

    def _read(self, path: str) -> Read:
        if "$" in path:
            return Read(shown=path, why="its path is computed")
        if not path.lower().endswith((".yml", ".yaml")):
            return Read(shown=path, why="it is no YAML file")
        full = self._root / path
        try:
            real = full.resolve(strict=True)
            if not real.is_relative_to(self._root.resolve()):
                return Read(shown=path, why="it leads out of the folder: not followed", reason="unsupported")
            shown = Path(os.path.normpath(full)).relative_to(self._folder).as_posix()
            if not real.is_file():
                return Read(shown=shown, why="it is no regular file", reason="unsupported")
            if real.stat().st_size > self._largest:
                return Read(shown=shown, why=f"it is larger than {self._largest} bytes", reason="truncated")
            if not self._wanted(shown):
                return Read(shown=shown, why="the configuration leaves it out")
            file = File(repository=Repository(), path=path, shown=shown, text=self._text(real))
        except FileNotFoundError:
            return Read(shown=path, why="it is not there")
        except PermissionError:
            return Read(shown=path, why="it may not be read", reason="denied")
        except (OSError, ValueError, RuntimeError) as exc:
            return Read(shown=path, why=f"it cannot be read: {type(exc).__name__}", reason="unreachable")
        return Read(shown=shown, file=file)
