"""Marks the grants and links that rest on compute which is only assumed to exist, because it could not be listed.

A holder that may change any function is taken to reach a role that functions can run with, while functions cannot be
listed. The analysis must be able to tell such a conclusion from one that was read, see docs/architecture.md, "What was
assumed for one night". Others follow from it, such as that of a user who may assume the holder, so that the account is
evaluated a second time without assumptions, and what differs is marked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from collectors.aws.evaluator.account import AccountEvaluation
from collectors.aws.evaluator.account_records import escalation_records, grant_records
from collectors.aws.evaluator.facts import LISTABLE
from scanner.records import Grant, Link

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanner.records import Record


def access_records(account: AccountEvaluation) -> Iterator[Record]:
    """Yield the grants, ``can_become`` links and gaps of an account, with ``assumed_kinds`` set."""
    kinds = sorted(
        {
            hit.path.compute
            for found in (account.hits, account.unprivileged_targets)
            for hits in found.values()
            for hit in hits
            if hit.assumed and hit.path.compute in LISTABLE
        }
    )
    if not kinds:
        yield from _as_evaluated(account)
        return
    listed = msgspec.structs.replace(account.facts, compute_listed=LISTABLE)
    levels: dict[str, str] = {}
    links: set[str] = set()
    for record in _as_evaluated(AccountEvaluation(listed, account.as_of)):
        match record:
            case Grant():
                levels[record.id] = record.level
            case Link():
                links.add(record.id)
            case _:
                pass
    for record in _as_evaluated(account):
        match record:
            case Grant() if levels.get(record.id) != record.level:
                yield msgspec.structs.replace(record, assumed_kinds=kinds)
            case Link() if record.id not in links:
                yield msgspec.structs.replace(record, assumed_kinds=kinds)
            case _:
                yield record


def _as_evaluated(account: AccountEvaluation) -> Iterator[Record]:
    yield from grant_records(account)
    yield from escalation_records(account)
