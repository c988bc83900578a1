"""Logs: one JSON object for each line on stderr, or short lines on a terminal, without secrets."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from scanner.safe_text import plain_lines
from scanner.secrets.redact import redact

OURS = ("scanner", "collectors", "reports")
"""Packages whose loggers also report progress. Of other packages, only warnings and errors are logged."""

_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
"""What every record has. Other attributes were given as ``extra``."""


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {key: _redacted(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(item) for item in value]
    return value


class _JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object with redacted texts."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(_redacted(self.fields(record)), default=lambda value: redact(str(value)))

    def fields(self, record: logging.LogRecord) -> dict[str, Any]:
        fields = {key: value for key, value in vars(record).items() if key not in _STANDARD}
        fields |= {"event": record.getMessage(), "level": record.levelname.lower()}
        fields["timestamp"] = datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z")
        if not record.name.startswith(OURS):
            fields["logger"] = record.name
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return fields


class _TerminalFormatter(_JsonFormatter):
    """Formats a record as a line for people, without secrets and control characters."""

    def format(self, record: logging.LogRecord) -> str:
        fields = _redacted(self.fields(record))
        del fields["timestamp"]
        level, event, exception = fields.pop("level"), fields.pop("event"), fields.pop("exception", None)
        text = f"{level}: {' '.join([event, *(f'{key}={value}' for key, value in fields.items())])}"
        return plain_lines(text if exception is None else f"{text}\n{exception}")


def configure(*, terminal: bool, verbose: bool = False) -> None:
    """Set up logging for the process: sprawlscan's own logs, and warnings and errors of the SDKs.

    Debug logs of the SDKs contain credentials and are never enabled.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_TerminalFormatter() if terminal else _JsonFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    for name in OURS:
        logging.getLogger(name).setLevel(logging.INFO if verbose or not terminal else logging.WARNING)
