"""Lists the runs of a state folder and opens them."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from scanner.ledger import Ledger
from scanner.night import Night
from scanner.snapshot import SnapshotError

if TYPE_CHECKING:
    from collections.abc import Iterator


def runs(state: str | Path) -> list[str]:
    """Return the ids of the analyzed runs in a state folder, oldest first: ``20261123T020000Z``, in UTC.

    Runs that were discarded, or set aside because their date is implausible, are left out.
    """
    analysis = Path(state) / "analysis"
    nights = Ledger(Path(state)).in_force()
    return [night.run_id for night in nights if night.analyzed and (analysis / night.run_id).is_dir()]


@contextmanager
def open_night(state: str | Path, run_id: str | None = None) -> Iterator[Night]:
    """Open an analyzed run to read it with SQL: `Night.rows`, `Night.dicts`, `Night.one`. Close it afterwards.

    ``state`` is the state folder of the configuration. Without ``run_id``, the newest analyzed run is opened. Times in
    the tables are UTC without a time zone, and NULL means unknown. Raises `SnapshotError` if the run does not exist or
    its snapshot is damaged.
    """
    night = night_of(state, run_id)
    try:
        yield night
    finally:
        night.close()


def night_of(state: str | Path, run_id: str | None) -> Night:
    """Return an open night. The caller must close it."""
    analyzed = runs(state)
    if not analyzed or (run_id is not None and run_id not in analyzed):
        wanted = run_id or "an analyzed run"
        raise SnapshotError(f"{state} does not hold {wanted}; there are: {', '.join(analyzed) or 'none'}.")
    return Night(Path(state), run_id or analyzed[-1])
