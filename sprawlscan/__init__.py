"""The Python API of sprawlscan: read analyzed runs in a notebook or a script.

    from sprawlscan import Frames, open_night, runs

    runs("state")                       # ids of the analyzed runs, oldest first

    with Frames("state") as night:      # pandas; needs sprawlscan[notebook]
        night.owners()
        night.findings.query("severity == 'critical'")

    with open_night("state") as night:  # plain Python
        for row in night.dicts("SELECT * FROM findings WHERE status = 'new' ORDER BY rank DESC"):
            print(row["subject_name"], row["detail"])

docs/reference.md lists the tables and their columns. `SnapshotError` is raised for a missing or damaged
run. The other installed packages (``scanner``, ``collectors``, ``reports``, ``sandbox``, ``templates``) are private and
can change in any release.
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


if not TYPE_CHECKING:  # Otherwise a type checker would accept any name.

    def __getattr__(name: str) -> Any:
        """Import a name on first use, so that ``python -m sprawlscan --help`` does not load the database."""
        if name not in _HOMES:
            raise AttributeError(f"module 'sprawlscan' has no attribute {name!r}")
        return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
