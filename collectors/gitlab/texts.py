"""Texts of files in other projects. Each is read once per target, because many pipelines include the same few
templates.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from gitlab.utils import EncodedId

from scanner.collect.failures import SourceError

if TYPE_CHECKING:
    from scanner.collect.rest import RestClient

LARGEST = 10_000_000
"""Largest definition file, in bytes."""
_KEPT = 50_000_000
"""Characters kept in memory; the least recently used text is dropped first."""


class RepositoryTexts:
    """Reads files by the repository files API and caches them. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str, str], str | SourceError] = OrderedDict()
        self._reading: dict[tuple[str, str, str], threading.Lock] = {}
        self._size = 0

    def read(self, client: RestClient, project: str, path: str, ref: str) -> str:
        """Return a file's text. Raises what `RestClient.text` raises; a refusal is cached too."""
        key = (project, path, ref)
        with self._lock:
            mine = self._reading.setdefault(key, threading.Lock())
        with mine:
            with self._lock:
                known = self._known.get(key)
                if known is not None:
                    self._known.move_to_end(key)
            if known is None:
                known = _text_or_denial(client, project, path, ref)
                with self._lock:
                    self._known[key] = known
                    self._size += _size(known)
                    self._reading.pop(key, None)
                    while self._size > _KEPT:
                        self._size -= _size(self._known.popitem(last=False)[1])
        if isinstance(known, SourceError):
            raise known
        return known


def _text_or_denial(client: RestClient, project: str, path: str, ref: str) -> str | SourceError:
    try:
        return text_of(client, project, path, ref)
    except SourceError as exc:
        if exc.reason == "denied":
            return exc
        raise


def _size(known: str | SourceError) -> int:
    return len(known) if isinstance(known, str) else 0


def text_of(client: RestClient, project: str, path: str, ref: str) -> str:
    """GET one file of a project, which is given by id or full path.

    https://docs.gitlab.com/api/repository_files/#get-raw-file-from-repository
    """
    where = f"/projects/{EncodedId(project)}/repository/files/{EncodedId(path)}/raw"
    return client.text(where, {"ref": ref}, largest=LARGEST)
