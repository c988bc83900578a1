"""The files of a checkout that its definitions call. Nothing else is read, and links that leave it are not followed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from collectors.definitions.definition import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from collectors.definitions.called_files import CalledRepository


class CheckoutFiles:
    """Reads called files of one repository."""

    def __init__(
        self, root: Path, *, wanted: Callable[[str], bool], largest: int, text: Callable[[Path], str]
    ) -> None:
        """``root`` is the repository; ``wanted`` is asked with a path inside it."""
        self._root = root
        self._wanted = wanted
        self._largest = largest
        self._text = text

    def read(self, repository: CalledRepository, path: str) -> str:
        """Return a file's text. Raises `DefinitionError` if it cannot be read."""
        if repository.name:
            raise DefinitionError("unsupported", f"it is in another repository, {repository.name}")
        if not self._wanted(path):
            raise DefinitionError("unsupported", "it is excluded by the configuration")
        try:
            real = Path(os.path.realpath(self._root / path, strict=True))
            if not real.is_relative_to(os.path.realpath(self._root)):
                raise DefinitionError("unsupported", "it points outside the folder, so it was not followed")
            if not real.is_file():
                raise DefinitionError("unsupported", "it is not a regular file")
            if real.stat().st_size > self._largest:
                raise DefinitionError("truncated", f"it is larger than {self._largest} bytes")
            return self._text(real)
        except FileNotFoundError:
            raise DefinitionError("unsupported", "it does not exist") from None
        except PermissionError:
            raise DefinitionError("denied", "permission denied") from None
        except (OSError, ValueError, RuntimeError) as exc:
            raise DefinitionError("unreachable", f"it cannot be read: {type(exc).__name__}") from None
