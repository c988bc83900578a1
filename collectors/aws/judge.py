"""Turns one AWS account's policies into grants, trusts and links: what each identity can really do, and become."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.aws.facts import AwsFacts, Compute, ResourcePolicy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from scanner.records import Record

__all__ = ["AwsFacts", "Compute", "ResourcePolicy", "judge"]


def judge(facts: AwsFacts, as_of: datetime) -> Iterator[Record]:
    """Yield the grants, trusts, links and gaps of the account."""
    raise NotImplementedError
