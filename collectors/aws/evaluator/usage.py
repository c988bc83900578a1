"""Unused permissions of a grant, from IAM's service last accessed data.

https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_last-accessed.html
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from collectors.aws.evaluator.actions import catalog

if TYPE_CHECKING:
    from datetime import datetime

    from collectors.aws.evaluator.principals import Principal

WINDOW = timedelta(days=400)
"""AWS's tracking period."""


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a grant was used."""

    unused: int | None = None
    """Number of allowed services that were not used in the window."""
    last_used_at: datetime | None = None
    """Latest use of any of them, aware UTC."""
    never_used: bool | None = None
    """True if none of them was used and the principal is older than the window."""
    services: tuple[str, ...] = ()
    """The namespaces of allowed services that were used."""


def usage_of(principal: Principal, actions: int, as_of: datetime) -> Usage:
    """Compare a grant with observed use. Unknown if the principal's use was not read."""
    accessed = principal.service_use
    if accessed is None or not actions:
        return Usage()
    granted = [
        service
        for service, (first, end) in catalog().services.items()
        if service in accessed and actions >> first & ((1 << (end - first)) - 1)
    ]
    if not granted:
        return Usage()
    used = {service: at for service in granted if (at := accessed[service]) is not None}
    settled = principal.created_at is not None and as_of - principal.created_at >= WINDOW
    return Usage(
        unused=len(granted) - len(used) if settled else None,
        last_used_at=max(used.values(), default=None),
        never_used=False if used else (True if settled else None),
        services=tuple(sorted(used)),
    )
