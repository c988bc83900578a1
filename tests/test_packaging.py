"""The wheel contains everything that the command needs, and nothing else; an installation of it works."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build it with the installed backend: no isolation, so no network."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (path,) = folder.glob("*.whl")
    return path


def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def tracked() -> list[str]:
    """Return the files of the packages as git knows them."""
    done = subprocess.run(
        ["git", "ls-files", "--", *PACKAGES], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return [line for line in done.stdout.splitlines() if (ROOT / line).is_file()]


def test_every_tracked_file_of_the_packages_is_in_it(wheel: Path) -> None:
    assert set(tracked()) <= set(names(wheel))


def test_it_holds_the_packages_and_nothing_else(wheel: Path) -> None:
    top = {name.split("/")[0] for name in names(wheel)}
    version = PROJECT["project"]["version"]
    assert sorted(top) == sorted([*PACKAGES, f"sprawlscan-{version}.dist-info"])
    assert sorted(PACKAGES) == sorted(
        ["sprawlscan", "scanner", "collectors", "reports", "templates", "sandbox"]
    )
    assert not [
        name for name in names(wheel) if "__pycache__" in name or "test" in name.split("/")[-1].split("_")
    ]


@pytest.mark.parametrize(
    "name",
    [
        "sprawlscan/py.typed",
        "sprawlscan/config.example.yaml",
        "scanner/py.typed",
        "scanner/analyze/rules/credential-unused.yaml",
        "scanner/analyze/frameworks/owasp-nhi.yaml",
        "reports/csv/columns.json",
        "templates/report.html.j2",
        "templates/report.css",
        "templates/report.js",
        "collectors/aws/evaluator/escalation.yaml",
        "sandbox/planted.yaml",
        "sandbox/github/schema.graphql",
        "sandbox/github/workflows/payments-api.deploy.yml",
    ],
)
def test_data_files_are_in_it(wheel: Path, name: str) -> None:
    assert name in names(wheel)


def test_the_snapshot_of_actions_is_in_it(wheel: Path) -> None:
    data = {path.name for path in (ROOT / "collectors/aws/evaluator/data").iterdir() if path.is_file()}
    assert data
    assert {f"collectors/aws/evaluator/data/{name}" for name in data} <= set(names(wheel))


def test_the_license_is_in_it(wheel: Path) -> None:
    assert [name for name in names(wheel) if name.endswith("licenses/LICENSE")]


def test_what_is_installed_from_it_runs_apart_from_this_checkout(wheel: Path, tmp_path: Path) -> None:
    """Unpacked, first on the path, from another folder: rules, templates and the entry point are the wheel's own."""
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    (tmp_path / "work").mkdir()
    code = (
        "import sys, importlib.metadata as m, scanner\n"
        f"assert scanner.__file__.startswith({str(site)!r}), scanner.__file__\n"
        f"(entry,) = m.distribution('sprawlscan').entry_points.select(group='console_scripts')\n"
        "sys.argv[0] = entry.name\n"
        "entry.load()()"
    )

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=tmp_path / "work",
            env={**os.environ, "PYTHONPATH": str(site)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    assert run("--version").strip() == PROJECT["project"]["version"]
    assert run("example") == (ROOT / "config.example.yaml").read_text()
    assert run("rules", "list").count("\n") == len(list((ROOT / "scanner/analyze/rules").glob("*.yaml")))
    workflow = tmp_path / "checkout" / ".github" / "workflows" / "build.yml"
    workflow.parent.mkdir(parents=True)
    workflow.write_text("on: push\njobs: {b: {runs-on: ubuntu-latest, steps: [{run: make}]}}\n")
    out = run("run", "--path", str(tmp_path / "checkout"))
    assert "report.html" in out
    assert list((tmp_path / "work" / "state" / "reports").glob("*/report.html"))
