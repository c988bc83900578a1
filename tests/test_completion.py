"""What the shell completes, asked as the completion scripts of bash, zsh and fish ask."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Demo

ROOT = Path(__file__).resolve().parents[1]


def asked(shell: str, folder: Path, *words: str) -> list[str]:
    """Return what is offered for the last word."""
    line = ["sprawlscan", *words]
    environment = {
        "bash": {"COMP_WORDS": "\n".join(line), "COMP_CWORD": str(len(line) - 1)},
        "zsh": {"_TYPER_COMPLETE_ARGS": " ".join(line)},
        "fish": {"_TYPER_COMPLETE_ARGS": " ".join(line), "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }[shell]
    code = "import sys; sys.argv[0] = 'sprawlscan'; from scanner.command.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, text=True, capture_output=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "_SPRAWLSCAN_COMPLETE": f"complete_{shell}", **environment},
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_ids_of_findings(demo: Demo, shell: str) -> None:
    folder = max((demo.folder / "reports").iterdir())
    with (folder / "findings.csv").open(newline="", encoding="utf-8") as file:
        ids = {row["finding_id"] for row in csv.DictReader(file)}
    typed = min(ids)[:6]
    text = "\n".join(asked(shell, demo.folder, "explain", "--state", ".", typed))
    assert [one for one in ids if one in text] == [one for one in ids if one.startswith(typed)]


def test_runs_rules_powers_accounts_and_records(demo: Demo) -> None:
    def offered(*words: str) -> list[str]:
        return asked("bash", demo.folder, *words)

    assert offered("diff", "--state", ".", "2026") == ["20261123T020000Z", "20261122T020000Z"]
    assert "deploy-key-write" in offered("rules", "show", "deploy-key")
    assert offered("who-can", "read") == ["read-secrets", "read-data", "read"]
    assert offered("who-can", "admin", "--state", ".", "--in", "lantern-p") == ["lantern-prod"]
    found = offered("blast-radius", "--state", ".", "github:github-variable:")
    assert "github:github-variable:repo/5003/AWS_ACCESS_KEY_ID" in found
    # The state folder of config.yaml, as the commands find it.
    assert offered("verify", "--run", "2026") == ["20261123T020000Z", "20261122T020000Z"]
    assert offered("permissions", "git") == ["github", "gitlab"]
    assert offered("findings", "--severity", "crit") == ["critical", "critical+"]


@pytest.mark.parametrize("config", [None, "state: [", "- x", "state: nowhere", "\x00"])
def test_nothing_is_offered_and_nothing_said_where_there_is_no_state(
    tmp_path: Path, config: str | None
) -> None:
    if config is not None:
        (tmp_path / "config.yaml").write_text(config)
    assert "".join(asked("bash", tmp_path, "explain", "nf1-")) == ""
