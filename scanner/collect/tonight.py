"""What the first wave of tonight left to collectors of the second: records of the tables that they named, read-only.

A collector declares what it reads: ``after = ("accounts/eks-cluster", "artifacts")``, tables or kinds of them. It then
runs when all collectors without ``after`` are done, and finds the records in `Run.tonight`, already when it lists its
targets.

Where what it named is incomplete, so is what it lists: the engine turns its coverage into gaps that say so.
"""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  msgspec reads the annotations at run time
from typing import TYPE_CHECKING, TypeVar

import msgspec

from scanner.parquet import read_table
from scanner.records import TABLE_OF, Coverage, Gap, Record

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scanner.snapshot import TargetDone

R = TypeVar("R", bound=Record)


class Tonight(msgspec.Struct, frozen=True, kw_only=True):
    """Records of the finished targets of the first wave. Holds paths and no records, so that a worker elsewhere can read."""

    after: tuple[str, ...]
    """``table`` or ``table/kind``: what the collector named."""
    files: dict[str, list[Path]]
    """Parquet files by table, in the order of their names; those of the tables named, and of coverage and gaps."""

    def records(self, kind: type[R]) -> Iterator[R]:
        """Yield the records of one class, in the order of the files. Raises ValueError for a table that ``after`` leaves out."""
        table = TABLE_OF[kind]
        if table not in {name.partition("/")[0] for name in self.after}:
            raise ValueError(f"`after` does not name {table}, so it may not be read")
        for path in self.files.get(table, ()):
            yield from read_table(path, kind)

    def missing(self) -> str | None:
        """Return what was not listed in full of the tables named, in one sentence part; None when all was.

        That is a gap in any of them, or that nothing of all of them was listed.
        """
        gaps = [
            row for path in self.files.get("gaps", ()) for row in read_table(path, Gap) if self._concerns(row)
        ]
        if gaps:
            first = min(gaps, key=lambda row: row.id)
            more = f", and {len(gaps) - 1} more" if len(gaps) > 1 else ""
            return f"{first.account_id}: {first.call}: {first.reason}{more}"
        listed = any(
            self._concerns(row)
            for path in self.files.get("coverage", ())
            for row in read_table(path, Coverage)
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
    """Return the view on what finished targets of a snapshot left, for a collector that declares ``after``."""
    wanted = {name.partition("/")[0] for name in after} | {"coverage", "gaps"}
    files: dict[str, list[Path]] = {}
    for file in sorted((file for target in done for file in target.files), key=lambda file: file.path):
        if file.table in wanted:
            files.setdefault(file.table, []).append(folder / file.path)
    return Tonight(after=after, files=files)
