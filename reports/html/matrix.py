"""Control coverage: for each system, stage and aspect, how many controls are enforced, audited, documented or absent."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from reports.html.labels import ASPECT_NAMES, provider_label

if TYPE_CHECKING:
    from scanner.night import Night

STAGES = {
    "source": "Source",
    "build": "Build",
    "artifact": "Artifact",
    "deploy": "Deploy gate",
    "runtime": "Runtime",
}
STATES = ("enforced", "audited", "documented", "absent")
ASPECTS = Path(__file__).with_name("control_aspects.yaml")


class Cell(NamedTuple):
    """The controls of one system, stage and aspect."""

    state: str
    """enforced, mixed, audited, documented, absent or unseen."""
    counts: list[tuple[str, int]]
    total: int


class StageRow(NamedTuple):
    """One stage of one system."""

    provider: str
    stage: str
    cells: list[Cell]
    """By aspect: identity, scope, evidence, revocation. Empty in the row of the stages in which no control was seen."""
    height: int
    """In the first row of a system, the number of its rows; 0 in the others."""


@cache
def control_aspects() -> dict[str, str]:
    """Return the aspect of each kind of control: identity, scope, evidence or revocation."""
    found = msgspec.yaml.decode(ASPECTS.read_bytes(), type=dict[str, list[str]])
    return {kind: aspect for aspect, kinds in found.items() for kind in kinds}


_ENDING = """
    SELECT c.provider, c.lifetime, count(*) FROM credentials AS c JOIN identities AS i ON i.id = c.identity_id
    WHERE i.surface IN ('automation', 'workload') AND coalesce(c.enabled, true) GROUP BY ALL
"""
"""Whether the credentials of automation and workloads end by themselves."""


def read_matrix(night: Night) -> list[StageRow]:
    """Return the control coverage, by provider and stage.

    Revocation counts the credentials of automation, too: one that ends by itself is enforced, a static one is absent. They
    stand at the runtime of a cloud and at the build of a delivery platform.
    """
    aspects = control_aspects()
    found: dict[tuple[str, str, str], Counter[str]] = {}
    stages: dict[str, set[str]] = {}
    for provider, stage, kind, state, count in night.rows(
        "SELECT provider, stage, kind, enforcement, count(*) FROM controls GROUP BY ALL ORDER BY ALL"
    ):
        stages.setdefault(provider, set()).add(stage)
        found.setdefault((provider, stage, aspects.get(kind, "scope")), Counter())[state] += count
    builders = {provider for provider, seen in stages.items() if "build" in seen and "source" in seen}
    for provider, lifetime, count in night.rows(_ENDING):
        stage = "build" if provider in builders else "runtime"
        stages.setdefault(provider, set()).add(stage)
        state = "absent" if lifetime == "static" else "enforced"
        found.setdefault((provider, stage, "revocation"), Counter())[state] += count
    rows = []
    for provider in sorted(stages):
        cells = {
            name: [_cell(found.get((provider, stage, aspect), Counter())) for aspect in ASPECT_NAMES]
            for stage, name in STAGES.items()
        }
        seen = {name: row for name, row in cells.items() if any(cell.total for cell in row)}
        unseen = [name for name in cells if name not in seen]
        lines = [*seen.items(), *([(", ".join(unseen), [])] if unseen else [])]
        rows += [
            StageRow(provider_label(provider), name, row, len(lines) if number == 0 else 0)
            for number, (name, row) in enumerate(lines)
        ]
    return rows


def _cell(counts: Counter[str]) -> Cell:
    total = counts.total()
    if not total:
        state = "unseen"
    elif counts["enforced"] == total:
        state = "enforced"
    elif counts["enforced"]:
        state = "mixed"
    else:
        state = next(name for name in ("absent", "audited", "documented") if counts[name])
    return Cell(state, [(name, counts[name]) for name in STATES if counts[name]], total)
