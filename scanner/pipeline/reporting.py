"""Writes the reports of an analyzed night and records them in the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import msgspec
from pydantic import ValidationError

from scanner.config_file import ConfigError
from scanner.ledger import Ledger, Reported, hashes
from scanner.night import open_night
from scanner.pipeline.state_folder import ledger_of, report_folder
from scanner.plugins import load_report, report_config
from scanner.secrets.redact import redact
from scanner.stop import StoppedError

if TYPE_CHECKING:
    from pathlib import Path

    from scanner.config import Section, Settings
    from scanner.night import Night


class ReportFailedError(Exception):
    """Reports raised. The message names each with its error, one a line."""


class WrittenReports(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the reports of a night."""

    files: list[Path]
    failed: list[str]
    """A line for each report that raised, with its name and error."""


def write_reports(settings: Settings, run_id: str, formats: list[str]) -> list[Path]:
    """Write the reports of an analyzed run and record them. Returns the files.

    Raises `ConfigError` for missing options, and `ReportFailedError` once the other reports are written and recorded.
    """
    with open_night(settings.state, run_id) as night:
        written = write_files(settings, night, formats)
    record_files(ledger_of(settings), run_id, written.files)
    if written.failed:
        raise ReportFailedError("\n".join(written.failed))
    return written.files


def write_files(settings: Settings, night: Night, formats: list[str]) -> WrittenReports:
    """Write the reports of an open night. One that raises is named, and costs nothing else.

    Raises `ConfigError` for missing options.
    """
    folder = report_folder(settings.state, night.run_id)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    written: list[Path] = []
    errors: list[str] = []
    for name in formats:
        try:
            written += _write_report(night, folder, name, settings.reports.of(name))
        except (ConfigError, StoppedError, duckdb.InterruptException):
            raise
        except Exception as exc:  # noqa: BLE001  a report may be another package's: its fault costs that report only
            errors.append(redact(f"report {name} failed: {type(exc).__name__}: {exc}"))
    return WrittenReports(files=written, failed=errors)


def _write_report(night: Night, folder: Path, name: str, config: Section | None) -> list[Path]:
    report: Any = load_report(name)
    model = report_config(name)
    if model is None:
        written: list[Path] = report.write(night, folder)
        return written
    try:
        written = report.write(night, folder, config or model())
    except ValidationError as exc:
        missing = ", ".join(str(error["loc"][0]) for error in exc.errors())
        raise ConfigError([f"reports.{name}: the report needs {missing}; set it in config.yaml"]) from None
    return written


def record_files(ledger: Ledger, run_id: str, written: list[Path]) -> None:
    """Record the files that are in the report folder; a report may also write elsewhere."""
    inside = [path for path in written if path.is_relative_to(report_folder(ledger.state, run_id))]
    if inside:
        ledger.append(Reported(run_id=run_id, files=hashes(ledger.state, inside)))
