"""Files that are written part by part, so that their size does not matter for memory: private, and whole or not there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import msgspec

from scanner.private_files import create_private

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path


def write_parts(path: Path, parts: Iterable[bytes]) -> None:
    """Write a file from its parts, with mode 0600. It replaces an older one only once it is whole."""
    temporary = path.with_name(path.name + ".tmp")
    with os.fdopen(create_private(temporary), "wb", buffering=1 << 20) as file:
        for part in parts:
            file.write(part)
    temporary.replace(path)


def json_lines(documents: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """Yield one line of JSON for each document."""
    for document in documents:
        yield msgspec.json.encode(document) + b"\n"


def json_array(documents: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """Yield the parts of a JSON array, one item at a time."""
    yield b"["
    for number, document in enumerate(documents):
        yield b",\n" * (number > 0) + msgspec.json.encode(document)
    yield b"]"
