"""Whole nights over one small checkout: the real pipeline from collection to notification, without a network."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from scanner.command.progress import LogProgress
from scanner.config_file import Loaded, load
from scanner.pipeline.stages import run_night
from scanner.snapshot import run_id_of

if TYPE_CHECKING:
    from pathlib import Path

    from scanner.pipeline.outcome import Outcome

FIRST = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)

SAFE = (
    "on: push\npermissions: {}\njobs:\n  build:\n    runs-on: ubuntu-latest\n    steps:\n      - run: make\n"
)
DANGEROUS = """\
on: pull_request_target
permissions: write-all
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4.2.2
        with: {ref: "${{ github.event.pull_request.head.sha }}"}
      - run: make
"""


def on(night: int) -> datetime:
    """Return the time of a night, counted from 1."""
    return FIRST + timedelta(days=night - 1)


def run_of(night: int) -> str:
    """Return the run id of a night."""
    return run_id_of(on(night))


class Checkout:
    """A folder with a checkout, its configuration and its state."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.workflows = folder / "checkout" / ".github" / "workflows"
        self.workflows.mkdir(parents=True, exist_ok=True)
        self.write("build", SAFE)

    def write(self, name: str, text: str) -> None:
        """Write a workflow."""
        (self.workflows / f"{name}.yml").write_text(text)

    def configure(self, **top: Any) -> Loaded:
        """Write config.yaml and load it."""
        document = {
            "collectors": {"definitions": {"paths": ["checkout"]}},
            "reports": {"formats": ["json"]},
            "min_coverage": 0,
            **top,
        }
        (self.folder / "config.yaml").write_text(json.dumps(document))
        return load(self.folder / "config.yaml")

    def night(self, number: int, loaded: Loaded | None = None, **options: Any) -> Outcome:
        """Run a night."""
        given = {"as_of": on(number), "progress": LogProgress(), **options}
        return run_night(loaded or self.configure(), **given)
