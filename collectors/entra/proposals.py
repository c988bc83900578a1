"""Proposes the section ``entra`` from the ways to sign in to Entra ID that are set up on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors._microsoft.proposals import sign_ins

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanner.machine import Machine, Proposal


def proposals(machine: Machine) -> Iterator[Proposal]:
    """Yield a section for each way to sign in, best first."""
    yield from sign_ins(machine, "entra")
