"""Proposes the section ``entra`` from the ways to sign in to Entra ID that are set up on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors._microsoft.first_section import sign_ins

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanner.machine import Machine, ProposedSection


def first_sections(machine: Machine) -> Iterator[ProposedSection]:
    """Yield a section for each way to sign in, best first."""
    yield from sign_ins(machine, "entra")
