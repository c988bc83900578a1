"""The section of exceptions, those that need attention first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reports.html.queries import Cut, cut

if TYPE_CHECKING:
    from scanner.night import Night


def read_exceptions(night: Night) -> Cut:
    """Return the exceptions, malformed ones first and active ones last."""
    return cut(
        night,
        "SELECT * FROM exceptions ORDER BY list_position(['malformed', 'void', 'expired', 'unmatched', 'expiring', "
        "'active'], state), expires_at, id, rule, selector",
        100,
    )
