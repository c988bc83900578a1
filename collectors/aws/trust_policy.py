"""Role trust policies (being written)."""

from __future__ import annotations
from typing import Any
from collections.abc import Iterator


def role_trusts(principal: Any, facts: Any, as_of: Any) -> Iterator[Any]:
    yield from ()
