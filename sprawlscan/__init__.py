"""The Python interface of sprawlscan: read analysed nights in a notebook or a script.

    from sprawlscan import Frames, open_night, runs

    runs("state")                       # ids of the analysed runs, oldest first

    with Frames("state") as night:      # pandas; needs sprawlscan[notebook]
        night.owners()
        night.findings.query("severity == 'critical'")

    with open_night("state") as night:  # plain Python
        for row in night.dicts("SELECT * FROM findings WHERE status = 'new' ORDER BY rank DESC"):
            print(row["subject_name"], row["detail"])

docs/reference.md lists the tables and their columns. `SnapshotError` is raised for a run that is not there or is
damaged. The other packages that are installed with this one (``scanner``, ``collectors``, ``reports``, ``sandbox``,
``templates``) belong to the program and may change in any release.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scanner import __version__
    from scanner.night import Night
    from scanner.snapshot import SnapshotError
    from sprawlscan.frames import Frames
    from sprawlscan.nights import open_night, runs

__all__ = ["Frames", "Night", "SnapshotError", "__version__", "open_night", "runs"]

_HOMES = {
    "Frames": "sprawlscan.frames",
    "Night": "scanner.night",
    "SnapshotError": "scanner.snapshot",
    "__version__": "scanner",
    "open_night": "sprawlscan.nights",
    "runs": "sprawlscan.nights",
}


if not TYPE_CHECKING:  # A type checker would take any name for granted.

    def __getattr__(name: str) -> Any:
        """Import a name when it is first used, so that ``python -m sprawlscan --help`` loads no database."""
        if name not in _HOMES:
            raise AttributeError(f"module 'sprawlscan' has no attribute {name!r}")
        return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
