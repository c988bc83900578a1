"""Tries every credential and permission of a configuration: a collection that keeps nothing, and what it could not read."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

import msgspec

from scanner.pipeline.stages import run_night
from scanner.records import Coverage, Gap
from scanner.safe_text import NAME, plain
from scanner.snapshot import finished_targets
from scanner.tables import Tables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from scanner.collect.target_threads import Progress
    from scanner.config_file import Loaded


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of call that was not answered."""

    call: str
    reason: str
    needs: str | None
    """The permission to grant."""
    detail: str
    listings: int
    """In how many regions or for how many parents it was not answered."""


class Examined(msgspec.Struct, frozen=True, kw_only=True):
    """What could be read of one target."""

    collector: str
    target: str
    state: Literal["complete", "partial", "dark"]
    answered: int
    """Complete listings."""
    refused: list[Refused]


def examine(loaded: Loaded, *, as_of: datetime, progress: Progress, only: list[str] | None) -> list[Examined]:
    """Read everything that a run would read, keep nothing of it, and return what could not be read, by target.

    Raises what a run raises before it seals anything: `ConfigError`, `NothingCollectedError`.
    """
    with TemporaryDirectory(prefix="sprawlscan-doctor-") as folder:
        state = Path(folder) / "state"
        settings = loaded.settings.model_copy(update={"state": state})
        run_night(
            msgspec.structs.replace(loaded, settings=settings),
            as_of=as_of,
            from_clock=True,
            progress=progress,
            only=only,
            stages=("collect",),
        )
        (snapshot,) = (state / "snapshots").iterdir()
        return list(_examined(snapshot, state))


def _examined(snapshot: Path, state: Path) -> Iterator[Examined]:
    done = finished_targets(snapshot)
    tables = Tables([snapshot], state=state, threads=1)
    try:
        for name, record in (("gaps", Gap), ("coverage", Coverage)):
            files = [snapshot / file.path for one in done for file in one.files if file.table == name]
            tables.view(name, record, files)
        answered = Counter(
            {
                (collector, target): count
                for collector, target, count in tables.rows(
                    "SELECT collector, target, count(*) FROM coverage GROUP BY ALL"
                )
            }
        )
        refused: dict[tuple[str, str], list[Refused]] = {}
        query = """
            SELECT collector, target, coalesce(call, 'everything'), reason, needs, min(detail), count(*) FROM gaps
            WHERE reason <> 'unsupported' GROUP BY ALL ORDER BY ALL
        """
        for collector, target, call, reason, needs, detail, count in tables.rows(query):
            refusal = Refused(call=call, reason=reason, needs=needs, detail=detail, listings=count)
            refused.setdefault((collector, target), []).append(refusal)
        dark = set(tables.rows("SELECT DISTINCT collector, target FROM gaps WHERE \"table\" = '*'"))
    finally:
        tables.close()
    for one in sorted(done, key=lambda one: (one.collector, one.target)):
        key = (one.collector, one.target)
        gaps = refused.get(key, [])
        nothing = key in dark or (one.gaps > 0 and one.records == one.gaps)
        yield Examined(
            collector=one.collector,
            target=one.target,
            state="dark" if nothing else "partial" if gaps else "complete",
            answered=answered[key],
            refused=gaps,
        )


SIGNS = {"complete": "ok  ", "partial": "part", "dark": "DARK"}


def doctor_lines(found: list[Examined]) -> Iterator[str]:
    """Yield one line for each target and for each call that was refused, and a last line that counts the targets."""
    for one in found:
        yield f"{SIGNS[one.state]}  {one.collector} {plain(one.target, NAME)}: {one.answered} listings answered"
        for call in one.refused:
            times = f" ({call.listings} listings)" if call.listings > 1 else ""
            yield f"        {plain(call.call, NAME)}{times}: {call.reason}: {plain(call.detail, NAME)}"
            if call.needs:
                yield f"        grant: {plain(call.needs, NAME)}"
    states = Counter(one.state for one in found)
    yield f"{states['complete']} complete, {states['partial']} in part, {states['dark']} dark; nothing was kept"
