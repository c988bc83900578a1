"""Health check: exit code 0 if the newest sealed run in a state folder is younger than some hours.

Reads names only, so it takes milliseconds: ``python health.py /state 48``.
"""

import sys
import time
from pathlib import Path


def newest_age_hours(state: Path, now: float) -> float | None:
    """Return the age of the newest sealed run in hours; None if there is none."""
    sealed = [path.stat().st_mtime for path in (state / "snapshots").glob("*/manifest.json")]
    return (now - max(sealed)) / 3600 if sealed else None


def main(state: str, hours: str) -> int:
    """Print the age, and return the exit code."""
    age = newest_age_hours(Path(state), time.time())
    if age is None:
        sys.stdout.write(f"no sealed run in {state}\n")
        return 1
    sys.stdout.write(f"the newest run was sealed {age:.0f} hours ago\n")
    return 0 if age <= float(hours) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
