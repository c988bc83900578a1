"""Read-only access of second-wave collectors to tonight's records of the first wave.

A collector declares the tables or kinds it reads: ``after = ("accounts/eks-cluster", "artifacts")``. It then runs when
all collectors without ``after`` have finished, and finds the records in `Run.tonight`, also while it lists its targets.

If these tables are incomplete, so are its own listings: the engine turns their coverage into gaps.
"""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  msgspec reads the annotations at run time
from typing import TYPE_CHECKING, TypeVar

import msgspec

from scanner.records import TABLE_OF, Coverage, Gap, Record

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scanner.snapshot import TargetDone

R = TypeVar("R", bound=Record)


class Tonight(msgspec.Struct, frozen=True, kw_only=True):
    """Records of the finished targets of the first wave. Contains only paths, so that remote workers can read them."""

    after: tuple[str, ...]
    """The collector's ``after``: ``table`` or ``table/kind``."""
    files: dict[str, list[Path]]
    """Parquet files by table, sorted by name: those of the tables in ``after``, and of coverage and gaps."""

    def records(self, kind: type[R]) -> Iterator[R]:
        """Yield the records of one class in the order of the files. Raises ValueError for a table not in ``after``."""
        table = TABLE_OF[kind]
        if table not in {name.partition("/")[0] for name in self.after}:
            raise ValueError(f"`after` does not name {table}, so it may not be read")
        for path in self.files.get(table, ()):
            yield from _read(path, kind)

    def missing(self) -> str | None:
        """Return a clause that names the incomplete tables of ``after``; None if all are complete.

        A table is incomplete if it has a gap. The clause also covers the case that none of them was listed.
        """
        gaps = [row for path in self.files.get("gaps", ()) for row in _read(path, Gap) if self._concerns(row)]
        if gaps:
            first = min(gaps, key=lambda row: row.id)
            more = f", and {len(gaps) - 1} more" if len(gaps) > 1 else ""
            return f"{first.account_id}: {first.call}: {first.reason}{more}"
        listed = any(
            self._concerns(row) for path in self.files.get("coverage", ()) for row in _read(path, Coverage)
        )
        return None if listed else f"nothing was listed of {', '.join(self.after)}"

    def _concerns(self, row: Gap | Coverage) -> bool:
        for name in self.after:
            table, _, kind = name.partition("/")
            if row.table == "*" or (
                row.table == table and (not kind or row.kind is None or row.kind == kind)
            ):
                return True
        return False


def tonight_of(folder: Path, done: Sequence[TargetDone], after: tuple[str, ...]) -> Tonight:
    """Return the records of a snapshot's finished targets, for a collector that declares ``after``."""
    wanted = {name.partition("/")[0] for name in after} | {"coverage", "gaps"}
    files: dict[str, list[Path]] = {}
    for file in sorted((file for target in done for file in target.files), key=lambda file: file.path):
        if file.table in wanted:
            files.setdefault(file.table, []).append(folder / file.path)
    return Tonight(after=after, files=files)


def _read(path: Path, kind: type[R]) -> Iterator[R]:
    """Yield the records of a file. pyarrow, 45 MB of memory, is loaded only by collectors that read what others listed."""
    from scanner.parquet import read_table

    yield from read_table(path, kind)
