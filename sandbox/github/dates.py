"""Dates of the simulated organization, counted back from the demo's first night."""

from __future__ import annotations

from datetime import datetime, timedelta

from sandbox.estate import FIRST_NIGHT


def ago(days: float) -> datetime:
    """Return the time this many days before the first night; negative values are after it."""
    moment = FIRST_NIGHT - timedelta(days=days)
    return moment.replace(microsecond=0)
