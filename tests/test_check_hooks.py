"""The GitHub Action and the pre-commit hook: as published, and their commands exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scanner.pipeline.outcome import Exit
from scanner.yaml_data import read_yaml
from tests.test_cli import call

ROOT = Path(__file__).resolve().parents[1]
ACTION: dict[str, Any] = read_yaml(ROOT / "action.yml")
(HOOK,) = read_yaml(ROOT / ".pre-commit-hooks.yaml")


def test_the_action_is_as_published() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-actions", str(ROOT / "action.yml")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_input_of_the_action_is_part_of_its_script() -> None:
    (step,) = ACTION["runs"]["steps"]
    assert "${{" not in step["run"]
    assert {f"${{{{ inputs.{name} }}}}" for name in ACTION["inputs"]} <= set(step["env"].values())
    code, out, _ = call("check", ROOT / "action.yml", "--fail-on", "low")
    assert code == Exit.OK, out


def test_no_module_of_the_checked_folder_runs(tmp_path: Path) -> None:
    """``-m`` puts the current folder first on the path, ``-I`` does not (https://docs.python.org/3/using/cmdline.html)."""
    (step,) = ACTION["runs"]["steps"]
    assert re.findall(r"python[3\"]* (-\S+ -m)", step["run"]) == ["-I -m"] * 3
    ran = tmp_path / "ran"
    (tmp_path / "venv.py").write_text(f"open({str(ran)!r}, 'w')")
    subprocess.run(
        [sys.executable, "-I", "-m", "venv", "--help"], cwd=tmp_path, check=True, capture_output=True
    )
    assert not ran.exists()


def test_the_action_installs_what_is_pinned_with_a_hash() -> None:
    pinned = (ROOT / "requirements-check.lock").read_text()
    everything = (ROOT / "requirements.lock").read_text()
    names = re.findall(r"^([a-z0-9-]+==[^ ;\\]+)", pinned, re.MULTILINE)
    assert len(names) > 10
    assert all(name in everything for name in names), "make lock"
    assert pinned.count("--hash=sha256:") > len(names)


@pytest.mark.parametrize(
    ("name", "checked"),
    [
        (".github/workflows/ci.yml", True),
        ("shop/.gitlab-ci.yml", True),
        ("Jenkinsfile", True),
        ("azure-pipelines-prod.yaml", True),
        ("README.md", False),
        ("docs/workflow.yml", False),
    ],
)
def test_the_hook_runs_for_definitions(name: str, *, checked: bool) -> None:
    assert bool(re.search(HOOK["files"], name)) == checked


def test_the_hook_calls_the_command() -> None:
    assert HOOK["entry"].split() == ["sprawlscan", "check"]
    assert call("check", "--help")[0] == Exit.OK
    assert set(HOOK["args"][::2]) <= set(re.findall(r"--[a-z-]+", call("check", "--help")[1]))
