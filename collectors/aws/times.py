"""Converts botocore times for records."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any


def utc(value: Any) -> datetime | None:
    """Return a time as aware UTC; None if it is not an aware time."""
    return value.astimezone(UTC) if isinstance(value, datetime) and value.tzinfo is not None else None
