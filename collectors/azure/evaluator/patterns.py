"""Patterns of actions in roles: ``*`` is any text, case does not matter.

https://learn.microsoft.com/azure/role-based-access-control/role-definitions#actions
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@lru_cache(maxsize=16_384)
def _pattern(text: str) -> re.Pattern[str]:
    first, *rest = [re.escape(part) for part in text.split("*")]
    if not rest:
        return re.compile(first, re.IGNORECASE)
    # Where a part between two stars matches first is as good as any later place, so nothing need be tried twice.
    middle = "".join(f"(?>.*?{part})" for part in rest[:-1] if part)
    return re.compile(f"{first}{middle}.*{rest[-1]}", re.IGNORECASE | re.DOTALL)


def covers(patterns: Iterable[str], action: str) -> bool:
    """Return whether one of the patterns of a role covers an action."""
    return any(_pattern(pattern).fullmatch(action) is not None for pattern in patterns)
