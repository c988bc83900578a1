"""Prints the part of requirements.lock that a scan needs: the package, its extras of clouds and forges, and what these need.

The lock file names for each package who needs it (``# via``), so no resolver and no network is needed.
"""

import re
import sys
from pathlib import Path

WANTED = frozenset(("aws", "azure", "gcp", "github", "gitlab", "sign"))
"""The extras to install."""
BUILD = frozenset(("hatchling", "editables"))
"""What builds the package itself, and is as small as to stay."""


def entries(text: str) -> dict[str, tuple[str, set[str]]]:
    """Return the lines of each package, and the packages and extras that need it."""
    found: dict[str, tuple[str, set[str]]] = {}
    for block in re.split(r"(?m)^(?=[A-Za-z0-9])", text):
        named = re.match(r"([A-Za-z0-9._-]+)==", block)
        if named is None:
            continue
        via = re.search(r"(?m)^    # via((?: .*)?(?:\n    #   .*)*)", block)
        needed_by = {line.strip(" #") for line in (via[1] if via else "").splitlines() if line.strip(" #")}
        found[named[1].lower()] = (block, needed_by)
    return found


def needed(packages: dict[str, tuple[str, set[str]]], direct: set[str]) -> set[str]:
    """Return the direct packages and all that they need."""
    wanted = set(direct)
    while True:
        more = {name for name, (_, via) in packages.items() if name not in wanted and via & wanted}
        if not more:
            return wanted
        wanted |= more


def direct_packages(pyproject: str) -> set[str]:
    """Return the packages that pyproject.toml names for the scan and the wanted extras."""
    import tomllib

    project = tomllib.loads(pyproject)["project"]
    lines = list(project["dependencies"])
    for extra in WANTED:
        lines += project["optional-dependencies"][extra]
    return {re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0].lower() for line in lines} | BUILD


def main(lock: str) -> None:
    """Print the lines."""
    path = Path(lock)
    packages = entries(path.read_text(encoding="utf-8"))
    direct = direct_packages((path.parent / "pyproject.toml").read_text(encoding="utf-8"))
    for name in sorted(needed(packages, direct)):
        sys.stdout.write(packages[name][0])


if __name__ == "__main__":
    main(sys.argv[1])
