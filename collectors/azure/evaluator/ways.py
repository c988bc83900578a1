"""What actions give: ``data/actions.yaml`` and ``data/escalations.yaml``, read once."""

from __future__ import annotations

from datetime import date  # noqa: TC003  msgspec reads the annotations at run time
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from scanner.records import Enforcement, Power  # noqa: TC001
from scanner.yaml_data import read_yaml

Field = Literal["actions", "dataActions"]
FIELDS: tuple[Field, ...] = ("actions", "dataActions")
"""The fields of a permission element that allow actions."""


class Way(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One way of ``escalations.yaml``, where its keys are described."""

    id: str
    power: Power
    actions: tuple[str, ...]
    together: tuple[str, ...] = msgspec.field(default=(), name="with")
    data: bool = False
    runs_on: tuple[str, ...] = ()
    only_where: dict[str, Enforcement] = {}
    not_where: dict[str, Enforcement] = {}
    unsure: bool = False
    until: date | None = None
    source: str

    @property
    def field(self) -> Field:
        """The field of a permission element that has its actions."""
        return "dataActions" if self.data else "actions"

    @property
    def also(self) -> tuple[tuple[str, ...], ...]:
        """The alternatives of each action that is needed besides."""
        return tuple(tuple(part.strip() for part in line.split("|")) for line in self.together)


class Lists(msgspec.Struct, frozen=True, kw_only=True):
    """The powers of single actions."""

    actions: dict[Power, list[str]]
    data_actions: dict[Power, list[str]]
    endings: list[tuple[str, Power]]
    harmless: list[str]

    def named(self, field: Field) -> dict[Power, list[str]]:
        """Return the named actions of a field by power."""
        return self.actions if field == "actions" else self.data_actions

    def ending(self, pattern: str, field: Field) -> Power | None:
        """Return the power of an action that no line names, by its last part."""
        text = pattern.lower()
        last = text.rpartition("/")[2].replace("*", "")
        for ending, power in self.endings:
            if text.endswith(f"/{ending}") or last == ending:
                # Metadata of vaults is read by a data action.
                data = (
                    power == "read" and field == "dataActions" and not text.startswith("microsoft.keyvault/")
                )
                return "read-data" if data else power
        return None


def _read(name: str) -> object:
    return read_yaml(Path(__file__).parents[1] / "data" / name)


@cache
def lists() -> Lists:
    """Return the powers of single actions."""
    return msgspec.convert(_read("actions.yaml"), Lists)


@cache
def ways() -> tuple[Way, ...]:
    """Return every way, in the order of the file."""

    class File(msgspec.Struct):
        paths: tuple[Way, ...]

    return msgspec.convert(_read("escalations.yaml"), File).paths
