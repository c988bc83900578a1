"""Which runs a state folder holds, and one of them to read."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from scanner.night import Night
from scanner.snapshot import SnapshotError

if TYPE_CHECKING:
    from collections.abc import Iterator


def runs(state: str | Path) -> list[str]:
    """Return the ids of the analysed runs in a state folder, oldest first: ``20261123T020000Z``, in UTC."""
    return sorted(path.name for path in (Path(state) / "analysis").glob("*Z") if path.is_dir())


@contextmanager
def open_night(state: str | Path, run_id: str | None = None) -> Iterator[Night]:
    """Open an analysed run to read it with SQL: `Night.rows`, `Night.dicts`, `Night.one`; close it afterwards.

    ``state`` is the state folder of the configuration; without ``run_id`` the newest analysed run is opened. The tables
    hold times as UTC without a zone, and NULL for what is unknown. Raises `SnapshotError` when there is no such run, or
    when its snapshot is damaged.
    """
    night = night_of(state, run_id)
    try:
        yield night
    finally:
        night.close()


def night_of(state: str | Path, run_id: str | None) -> Night:
    """Return an open night, which the caller closes."""
    analysed = runs(state)
    if not analysed or (run_id is not None and run_id not in analysed):
        wanted = run_id or "an analysed run"
        raise SnapshotError(f"{state} does not hold {wanted}; there are: {', '.join(analysed) or 'none'}.")
    chosen = run_id or analysed[-1]
    earlier = [name for name in analysed if name < chosen]
    return Night(Path(state), chosen, previous=earlier[-1] if earlier else None)
