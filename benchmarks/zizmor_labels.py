"""How zizmor and this project answer on the labeled workflows: ``python -m benchmarks.zizmor_labels [PATH OF ZIZMOR]``.

zizmor is no dependency: ``pip install zizmor``. The labels are this project's own (tests/data/labeled_workflows), so the figures say where
the two disagree.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.test_labeled_workflows import CASES, Case

CODES = ("template-injection", "unpinned-uses", "excessive-permissions", "dangerous-triggers")
"""Codes that mean the same in both."""


def audited(zizmor: str, path: Path) -> set[str] | None:
    """Return the audits that report something in a file; None if zizmor cannot read it."""
    command = [zizmor, "--offline", "--format", "json", "--no-exit-codes", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    try:
        return {finding["ident"] for finding in json.loads(done.stdout)}
    except ValueError:
        return None


def main(zizmor: str) -> None:
    """Print a line for each code."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / ".github/workflows/ci.yml"
        path.parent.mkdir(parents=True)
        for code in CODES:
            counts: dict[tuple[str, bool], int] = {}
            asked: list[Case] = [
                case for case in CASES if code in case.codes and case.path.startswith(".github/workflows/")
            ]
            for case in asked:
                path.write_text(case.text, encoding="utf-8")
                theirs = audited(zizmor, path)
                names = {"unread": theirs is None, "cases": theirs is not None}
                if theirs is not None:
                    names |= {"zizmor": code in theirs, "ours": code in case.found()}
                for name, counted in names.items():
                    counts[name, case.vulnerable] = counts.get((name, case.vulnerable), 0) + counted
            for vulnerable in (True, False):
                shown = ", ".join(
                    f"{name} {counts.get((name, vulnerable), 0)}"
                    for name in ("cases", "zizmor", "ours", "unread")
                )
                print(f"{code}, {'vulnerable' if vulnerable else 'sound'}: {shown}")


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["zizmor"]))
