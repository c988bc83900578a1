"""Every module can be imported, and a night over one workflow file ends in a report."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from scanner.command.cli import app

if TYPE_CHECKING:
    from pathlib import Path

PACKAGES = ("sprawlscan", "scanner", "collectors", "reports", "templates", "sandbox", "docs", "benchmarks")


def modules() -> list[str]:
    found = []
    for name in PACKAGES:
        package = importlib.import_module(name)
        found += [name, *(module.name for module in pkgutil.walk_packages(package.__path__, f"{name}."))]
    return found


@pytest.mark.parametrize("name", modules())
def test_a_module_can_be_imported_and_says_what_it_is(name: str) -> None:
    assert importlib.import_module(name).__doc__


def test_one_workflow_file_becomes_a_report(tmp_path: Path) -> None:
    workflow = tmp_path / "build.yml"
    workflow.write_text(
        "on: pull_request_target\njobs: {b: {runs-on: ubuntu-latest, steps: [{run: 'echo ${{ github.head_ref }}'}]}}\n"
    )
    state = tmp_path / "state"
    done = CliRunner().invoke(app, ["run", "--path", str(workflow), "--state", str(state)])
    assert done.exit_code == 0, done.output
    (report,) = (state / "reports").glob("*/report.html")
    assert "build.yml" in report.read_text()
