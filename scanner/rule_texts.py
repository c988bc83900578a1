"""The texts of the rules of a night, as its analysis stored them: reports are recreated from them, not from the rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

if TYPE_CHECKING:
    from scanner.night import Night

Relation: TypeAlias = Literal["full", "partial", "counter"]
"""How a rule relates to a control: ``full`` tests all of it, ``partial`` a part; for ``counter``, a finding counts
against the control, but no findings prove nothing."""


class CitedControl(msgspec.Struct, frozen=True, kw_only=True):
    """A control for which a rule is evidence."""

    framework: str
    """Short name and version: ``CIS AWS 5.0``."""
    code: str
    relation: Relation

    def __str__(self) -> str:
        return f"{self.framework}: {self.code}"


class RuleText(msgspec.Struct, frozen=True, kw_only=True):
    """What the analysis stores of an enabled rule: an entry of ``rules.json``."""

    id: str
    why: str
    fix: str
    title: str = ""
    severity: str = ""
    category: str = ""
    needs: list[str] = []
    params: dict[str, Any] = {}
    controls: dict[str, list[CitedControl]] = {}
    """By the provider whose findings are evidence; see `scanner.analyze.framework.references`."""


def rules_in_force(night: Night) -> dict[str, RuleText]:
    """Return the rules of the night, by id. The analysis stores their texts, so that a report can be recreated."""
    path = night.analysis / "rules.json"
    found = msgspec.json.decode(path.read_bytes(), type=list[RuleText]) if path.is_file() else []
    return {rule.id: rule for rule in found}
