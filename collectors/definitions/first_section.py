"""Proposes the section ``definitions`` if the current folder is in a checkout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanner.machine import ProposedSection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanner.machine import Machine


def first_sections(machine: Machine) -> Iterator[ProposedSection]:
    """Yield the checkout."""
    if machine.checkout is not None:
        yield ProposedSection(
            found=f"the checkout {machine.shown(machine.checkout)}",
            section={"paths": [str(machine.checkout)]},
            notes={"paths": "Folders whose pipeline definitions are read: no credential is needed."},
        )
