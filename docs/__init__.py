"""Documentation and its generators."""

from __future__ import annotations

import sys
from types import UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

if TYPE_CHECKING:
    from pathlib import Path


def write_or_check(path: Path, text: str) -> int:
    """Write a generated file. With ``--check``, compare it instead and return 1 if it is outdated."""
    if "--check" not in sys.argv:
        path.write_text(text, encoding="utf-8")
        return 0
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write(f"{path} is outdated: run `make docs` and commit it.\n")
    return 1


def is_list(annotation: Any) -> bool:
    """Return whether an option takes a list, alone or as one of several types."""
    if get_origin(annotation) in {Union, UnionType}:
        return any(is_list(one) for one in get_args(annotation))
    return annotation is list or get_origin(annotation) is list
