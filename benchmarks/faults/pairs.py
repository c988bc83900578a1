"""The pairs of endpoint and fault that are tried, and those that prove nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sandbox.kit.faults import KIT_FAULTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sandbox.kit.api import LoggedCall
    from sandbox.kit.faults import Trouble

ENDING = "token-ends"
"""The token is refused from the first request of this endpoint on."""

FAULTS: tuple[Trouble, ...] = (
    401,
    403,
    404,
    500,
    *(name for name in KIT_FAULTS if name != "asks-to-wait"),  # a limit that ends: the contract tests try it
    ENDING,
)

LEGAL_IN_TEXT: frozenset[Trouble] = frozenset(
    {"empty-body", "empty-object", "empty-list", "null", "malformed", "deep", "surrogate", "short"}
)
"""The content of a file may be anything."""

LEGAL: dict[str, dict[Trouble, str]] = {
    "sqs:ListQueues": {
        "empty-object": "left out when there is none: https://github.com/boto/boto3/issues/1813",
    },
}
"""Endpoint -> faults that are a legal answer there, which says that there is nothing."""


class FaultPair(msgspec.Struct, frozen=True, order=True, kw_only=True):
    """One endpoint and one fault."""

    variant: str
    route: str
    fault: str

    @property
    def kind(self) -> Trouble:
        """The fault as the sandbox knows it."""
        return int(self.fault) if self.fault.isdigit() else self.fault


def pairs_of(variant: str, log: Iterable[LoggedCall], unfit: frozenset[Trouble]) -> list[FaultPair]:
    """Return the pairs of a healthy night's requests, without those whose answer would be legal."""
    opens: dict[str, set[str]] = {}
    for call in log:
        opens.setdefault(call.name, set()).add(call.opens)
    return [
        FaultPair(variant=variant, route=route, fault=str(fault))
        for route in sorted(opens)
        for fault in FAULTS
        if fault not in unfit and not _legal(route, fault, opens)
    ]


def _legal(route: str, fault: Trouble, opens: Mapping[str, set[str]]) -> bool:
    shapes = opens[route] - {""}
    if fault in LEGAL.get(route, {}):
        return True
    if fault == "empty-list" and "[" in shapes:
        return True
    return fault in LEGAL_IN_TEXT and not shapes & {"[", "{", "<"}
