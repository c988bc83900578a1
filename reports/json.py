"""JSON for other programs: all fields of the findings, one object for each line of ``findings.jsonl``, and a summary
of the night in ``summary.json``.

Values are raw, without protection against formula injection, because spreadsheets do not read JSON.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import msgspec

from scanner.private_files import create_private, write_private
from scanner.snapshot import sha256_of

if TYPE_CHECKING:
    from pathlib import Path

    from scanner.night import Night

VERSION = 1
"""Increased when a key changes meaning or is removed. New keys can be added at any time."""


def write(night: Night, folder: Path) -> list[Path]:
    """Write ``findings.jsonl`` (sorted by id) and ``summary.json``. Returns both paths."""
    findings = folder / "findings.jsonl"
    temporary = findings.with_suffix(".tmp")
    rows = 0
    with os.fdopen(create_private(temporary), "wb", buffering=1 << 20) as file:
        for row in night.dicts("SELECT * FROM findings ORDER BY id"):
            file.write(msgspec.json.encode({"version": VERSION, **_utc(row)}) + b"\n")
            rows += 1
    temporary.replace(findings)
    summary = folder / "summary.json"
    document = {"version": VERSION, **_summary(night), "files": [_file(findings, rows)]}
    write_private(summary, msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")
    return [findings, summary]


def _file(path: Path, rows: int) -> dict[str, Any]:
    return {"file": path.name, "rows": rows, "sha256": sha256_of(path)}


def _utc(row: dict[str, Any]) -> dict[str, Any]:
    """Write times as UTC with a Z, because the tables contain plain UTC."""
    return {
        key: value.strftime("%Y-%m-%dT%H:%M:%SZ") if hasattr(value, "strftime") else value
        for key, value in row.items()
    }


def _summary(night: Night) -> dict[str, Any]:
    by_status: dict[str, dict[str, int]] = {}
    query = "SELECT status, severity, count(*) FROM findings GROUP BY ALL ORDER BY ALL"
    for status, severity, count in night.rows(query):
        by_status.setdefault(status, {})[severity] = count
    manifest = night.manifest
    return {
        "run_id": night.run_id,
        "as_of": night.as_of.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "previous_run_id": night.previous_run_id,
        "tool_version": manifest.tool_version,
        "config_digest": manifest.config_digest,
        "manifest_sha256": sha256_of(night.snapshot / "manifest.json"),
        "coverage": msgspec.to_builtins(night.coverage),
        "partial": manifest.partial,
        "rows": manifest.rows,
        "findings": by_status,
        "figures": [msgspec.structs.asdict(figure) for figure in night.figures.totals()],
        "gaps": list(night.dicts("SELECT * FROM gaps ORDER BY id")),
        "excess": list(night.dicts("SELECT * FROM excess ORDER BY pipeline_id, workload_id")),
        "rules": list(
            night.dicts(
                "SELECT rule, status, count(*) AS accounts FROM rule_results GROUP BY ALL ORDER BY ALL"
            )
        ),
    }
