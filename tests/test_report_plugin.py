"""A report costs one file: a module in ``reports``, or one of another package that an entry point names."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MODULE = '''
"""The worst findings as a list for a chat."""
from scanner.config import Section


class Config(Section):
    """The list for a chat."""

    most: int = 10
    """Lines at the most."""


def write(night, folder, config):
    path = folder / "chat.txt"
    rows = night.rows(f"SELECT severity, subject_name FROM findings ORDER BY rank DESC, id LIMIT {config.most}")
    path.write_text("".join(f"{severity}: {name}" + chr(10) for severity, name in rows))
    return [path]
'''
WORKFLOW = (
    "on: push\npermissions: write-all\njobs: {b: {runs-on: ubuntu-latest, steps: [{uses: a/b@main}]}}\n"
)


def in_the_folder_of_reports(folder: Path) -> str:
    (folder / "chat.py").write_text(MODULE)
    return f"import reports; reports.__path__.append({str(folder)!r})"


def in_another_package(folder: Path) -> str:
    (folder / "acme_chat.py").write_text(MODULE)
    info = folder / "acme_chat-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-chat\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[sprawlscan.reports]\nchat = acme_chat\n")
    return f"import sys; sys.path.insert(0, {str(folder)!r})"


@pytest.mark.parametrize("install", [in_the_folder_of_reports, in_another_package])
def test_one_module_is_written_configured_and_documented(
    tmp_path: Path, install: Callable[[Path], str]
) -> None:
    (tmp_path / "plugins").mkdir()
    prelude = install(tmp_path / "plugins")
    (tmp_path / "build.yml").write_text(WORKFLOW)

    def call(*arguments: str, most: object = 1) -> tuple[int, str, str]:
        reports = {"formats": ["chat"], "chat": {"most": most}}
        config = {"collectors": {"definitions": {"paths": ["build.yml"]}}, "reports": reports}
        (tmp_path / "config.yaml").write_text(json.dumps(config))
        code = f"{prelude}\nfrom scanner.command.cli import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    code, _, err = call("run")
    assert code == 0, err
    (chat,) = (tmp_path / "state" / "reports").glob("*/chat.txt")
    (line,) = chat.read_text().splitlines()
    assert line.endswith("build.yml")

    plugin = next(path for path in (tmp_path / "plugins").glob("*chat.py"))
    plugin.write_text(
        MODULE.replace("    rows =", "    raise RuntimeError('no such room')" + chr(10) + "    rows =")
    )
    code, out, err = call("report", "-f", "chat", "-f", "csv")
    assert code == 1
    assert "report chat failed: RuntimeError: no such room" in err
    assert "Traceback" not in out + err
    assert list((tmp_path / "state" / "reports").glob("*/*.csv")) or list(
        (tmp_path / "state" / "reports").glob("*/csv/*")
    )
    # A night with such a report ends like any other, and says so.
    code, out, _ = call("run")
    assert code == 1
    assert "report chat failed: RuntimeError: no such room" in out
    assert "exit 1: INTERNAL" in out
    last = max((tmp_path / "state" / "reports").iterdir())
    assert json.loads((last / "run.json").read_text())["failed_reports"] == [
        "report chat failed: RuntimeError: no such room"
    ]
    assert '"what":"notified"' in (tmp_path / "state" / "ledger.jsonl").read_text().splitlines()[-1]
    plugin.write_text(MODULE)

    code, _, err = call("check-config", most="many")
    assert code == 2
    assert "reports.chat.most: must be a whole number" in err

    assert "Lines at the most." in call("schema")[1]
