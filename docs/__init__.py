"""Documentation, and the generators of what is generated in it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write_or_check(path: Path, text: str) -> int:
    """Write a generated file; with ``--check`` compare it instead, and return 1 when it is not fresh."""
    if "--check" not in sys.argv:
        path.write_text(text, encoding="utf-8")
        return 0
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write(f"{path} is not fresh: run `make docs` and commit it.\n")
    return 1
