"""The demo, run once as a process for every test that reads what it leaves; property tests are not timed; the garbage
collector runs less often.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from filelock import FileLock
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

# A busy machine is no failure: what is slow is for the benchmarks to say.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# A worker holds a million objects of modules, service models and collected tests. Walking all of them again and again
# takes a quarter of the time of the tests that need them, and most tests end before they leave much garbage.
gc.set_threshold(20_000, 10, 10)


def pytest_collection_finish() -> None:
    """Leave what the tests are made of out of every garbage collection to come."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Let the interpreter free at its exit what it kept."""
    gc.unfreeze()


_CODE = """
import gc, json, os, sys
gc.set_threshold(20_000, 10, 10)
from sandbox.kit.issued import ISSUED
from scanner.command.cli import main
try:
    main()
finally:
    with open(os.environ["DEMO_SECRETS"], "w") as file:
        json.dump(sorted(ISSUED), file)
"""


class Demo(NamedTuple):
    """What ``sprawlscan demo`` left. Tests copy the folder before they change it."""

    folder: Path
    out: str
    err: str
    secrets: list[str]
    """Every secret value that the sandboxes made."""


def run_demo(folder: Path, *arguments: str) -> Demo:
    """Run ``sprawlscan demo`` into a folder."""
    kept = folder.parent / f"{folder.name}.secrets"
    done = subprocess.run(
        [sys.executable, "-c", _CODE, "demo", "--folder", str(folder), *arguments],
        env={**os.environ, "DEMO_SECRETS": str(kept)},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-800:]
    return Demo(folder, done.stdout, done.stderr, json.loads(kept.read_text()))


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """Run the demo once, also when several workers ask for it."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "demo-shared"
    shared.mkdir(exist_ok=True)
    result = shared / "result.json"
    with FileLock(shared / "result.lock"):
        if not result.is_file():
            made = run_demo(shared / "demo")
            result.write_text(json.dumps([str(made.folder), made.out, made.err, made.secrets]))
    folder, out, err, secrets = json.loads(result.read_text())
    return Demo(Path(folder), out, err, secrets)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for a worker: playwright runs once in a process."""
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    if path is None and os.environ.get("CI") != "true":
        pytest.skip("a Chromium browser is needed")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield running
        running.close()
