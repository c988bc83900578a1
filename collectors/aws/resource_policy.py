"""Resource policies (being written)."""

from __future__ import annotations
from typing import Any
from collections.abc import Iterator


def resource_records(facts: Any, directory: Any, as_of: Any) -> Iterator[Any]:
    yield from ()
