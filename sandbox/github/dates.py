"""Dates of the make-believe organization, counted back from the demo's first night."""

from __future__ import annotations

from datetime import datetime, timedelta

from sandbox.estate import FIRST_NIGHT


def ago(days: float) -> datetime:
    """Return the moment that many days before the first night; negative for the time after it."""
    moment = FIRST_NIGHT - timedelta(days=days)
    return moment.replace(microsecond=0)
