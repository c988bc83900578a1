"""The same input gives the same bytes: over one snapshot, and over two collections of the same company."""

from __future__ import annotations

import base64
import gzip
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest
import yaml

from scanner.config_file import load
from scanner.pipeline.analysis import analyze_run
from scanner.pipeline.reporting import write_reports
from scanner.snapshot import list_sealed
from tests.conftest import Demo, run_demo

if TYPE_CHECKING:
    from scanner.config import Settings

FORMATS = ["html", "csv", "json"]
LOOPBACK = re.compile(rb"127\.0\.0\.1[:_]\d+(-[0-9a-f]{8})?")
BUNDLE = re.compile(rb"/[^\"]*/sandbox-ca-[^/]+/")
"""The servers of the demo listen on whatever port is free; names made of an address end with its digest."""

PACKED = re.compile(rb"H4sI[A-Za-z0-9+/]{200,}={0,2}")
"""The findings in the HTML report: gzip in base64."""


def files(folder: Path, *parts: str) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for part in parts
        for path in sorted((folder / part).rglob("*"))
        if path.is_file()
    }


def differing(before: dict[str, bytes], after: dict[str, bytes]) -> list[str]:
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def settings_of(folder: Path) -> Settings:
    return load(folder / "config.yaml").settings


def test_a_snapshot_analyzed_and_reported_again_gives_the_same_bytes_in_every_file(
    demo: Demo, tmp_path: Path
) -> None:
    folder = tmp_path / "demo"
    shutil.copytree(demo.folder, folder)
    parts = ("analysis", "history", "reports", "snapshots")
    before = files(folder, *parts)
    assert len(before) > 100
    for part in ("analysis", "history"):
        shutil.rmtree(folder / part)
    settings = settings_of(folder)
    for sealed in list_sealed(folder / "snapshots"):
        reports = folder / "reports" / sealed.name
        for path in reports.iterdir():
            if path.name != "run.json":  # what a run came to; no report
                path.unlink()
        analyze_run(settings, sealed.name)
        write_reports(settings, sealed.name, FORMATS)
    assert differing(before, files(folder, *parts)) == []


@pytest.fixture(scope="module")
def twice(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Collect the same company once more, with the same key: fingerprints are keyed."""
    folder = tmp_path_factory.mktemp("again") / "demo"
    folder.mkdir()
    for name in (".sprawlscan-demo", "key"):
        shutil.copy(demo.folder / name, folder / name)
    run_demo(folder, "--keep")
    return demo.folder, folder


def rows(folder: Path, name: str) -> list[str]:
    """Return a table of a snapshot as sorted lines: what regions and repositories answer at once has no order."""
    with duckdb.connect() as con:
        found = con.execute(
            f"SELECT to_json(t)::VARCHAR FROM read_parquet('{folder}/{name}/*.parquet', union_by_name=true) t"
        ).fetchall()
    return sorted(LOOPBACK.sub(b"HOST", row[0].encode()).decode() for row in found)


def test_two_collections_hold_the_same_records(twice: tuple[Path, Path]) -> None:
    first, second = twice
    for night in list_sealed(first / "snapshots"):
        other = second / "snapshots" / night.name
        tables = sorted(path.name for path in night.iterdir() if path.is_dir() and path.name != "targets")
        assert tables == sorted(
            path.name for path in other.iterdir() if path.is_dir() and path.name != "targets"
        )
        for table in tables:
            assert rows(night, table) == rows(other, table), table


def plain(content: bytes) -> bytes:
    """Return a file without ports, its packed findings unpacked."""
    opened = PACKED.sub(lambda match: gzip.decompress(base64.b64decode(match.group())), content)
    return BUNDLE.sub(b"CA", LOOPBACK.sub(b"HOST", opened))


def test_two_collections_give_the_same_reports(twice: tuple[Path, Path]) -> None:
    """Every byte but: ports of the demo's servers, hashes of files that hold one, and the manifest's own hash.

    The manifest differs by the seconds that targets took, and by the order in which a target's listings arrived.
    """
    first, second = (files(folder, "reports") for folder in twice)
    assert first.keys() == second.keys()
    different = [name for name in sorted(first) if plain(first[name]) != plain(second[name])]
    hashed = re.compile(rb"\b[0-9a-f]{64}\b|\"bytes\": \d+")  # a port has four digits or five
    for name in different:
        assert Path(name).name in {
            "report.html",
            "export-manifest.json",
            "datapackage.json",
            "summary.json",
        }, name
        one, other = (hashed.sub(b"", plain(run[name])) for run in (first, second))
        assert one == other, name


def test_the_configuration_of_the_demo_differs_in_ports_alone(twice: tuple[Path, Path]) -> None:
    one, other = (plain((folder / "config.yaml").read_bytes()) for folder in twice)
    assert one == other
    assert yaml.safe_load(one)["state"] == "."
