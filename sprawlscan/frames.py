"""A run as pandas DataFrames, for notebooks.

    >>> from sprawlscan import Frames
    >>> with Frames("state") as night:                       # the newest analyzed run
    ...     night.findings.groupby(["owner", "severity"]).size()
    ...     night.query("SELECT kind, count(*) AS n FROM credentials GROUP BY kind")

Every record and result table is an attribute; the reference lists their columns. Times are ``datetime64`` in UTC,
unknown is ``NaT``, ``None`` or ``<NA>``. A frame of a million identities takes about a gigabyte, so filter large
tables with `Frames.query` first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from scanner.findings import RESULT_TABLES
from scanner.records import TABLES
from sprawlscan.nights import night_of

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    import pandas as pd


class Frames:
    """One analyzed run. Use it as a context manager, or call `close`.

    ``state`` is the state folder; ``run_id`` is a run id, by default the newest analyzed run. Raises
    `sprawlscan.SnapshotError` if there is none. Needs pandas: ``pip install 'sprawlscan[notebook]'``.
    """

    def __init__(self, state: str | Path, run_id: str | None = None) -> None:
        self._night = night_of(state, run_id)
        self.run_id = self._night.run_id
        self.as_of = self._night.as_of

    def query(self, sql: str, **params: Any) -> pd.DataFrame:
        """Return the rows of a SELECT over the tables. ``$name`` is a parameter."""
        cursor = self._night.tables.cursor()
        try:
            frame: pd.DataFrame = cursor.execute(sql, params).df()
        finally:
            cursor.close()
        return frame

    def __getattr__(self, table: str) -> pd.DataFrame:
        """Return a whole table, sorted by its first column."""
        if table not in TABLES and table not in RESULT_TABLES:
            raise AttributeError(f"no table {table!r}; there are: {', '.join([*TABLES, *RESULT_TABLES])}")
        return self.query(f'SELECT * FROM "{table}" ORDER BY 1')

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *TABLES, *RESULT_TABLES]

    def owners(self) -> pd.DataFrame:
        """Return open findings by owner (rows; missing owners as ``no owner``) and severity (columns)."""
        counted = self.query(
            "SELECT coalesce(owner, 'no owner') AS owner, severity, count(*) AS n FROM findings "
            "WHERE status IN ('new', 'open', 'reopened') GROUP BY ALL"
        )
        table = counted.pivot_table(
            index="owner", columns="severity", values="n", fill_value=0, aggfunc="sum"
        )
        worst = [name for name in ("critical", "high", "medium", "low", "info") if name in table.columns]
        return table[worst].astype(int).sort_values(worst, ascending=False)

    def close(self) -> None:
        """Release the tables and their temporary files."""
        self._night.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
