"""Logs: one JSON object for each line on stderr, or short lines on a terminal, without secrets."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

import structlog

from scanner.safe_text import plain_lines
from scanner.secrets.redact import redact

if TYPE_CHECKING:
    from collections.abc import MutableMapping


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {key: _redacted(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(item) for item in value]
    return value


def _redact_event(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Redact every text of an event. The last processor before the renderer, so that nothing bypasses it."""
    return {key: _redacted(value) for key, value in event.items()}


def _printable_event(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Remove control characters from names on a terminal. JSON escapes them."""
    return {key: plain_lines(value) if isinstance(value, str) else value for key, value in event.items()}


def configure(*, terminal: bool, verbose: bool = False) -> None:
    """Set up logging for the process: sprawlscan's own logs, and warnings and errors of the SDKs.

    Wire logs of the SDKs (DEBUG) contain credentials and are never enabled.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.format_exc_info,
    ]
    if not terminal:
        shared.append(structlog.processors.TimeStamper(fmt="iso", utc=True))
    if terminal:
        shared.append(_printable_event)
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=False) if terminal else structlog.processors.JSONRenderer()
    )
    level = logging.INFO if verbose or not terminal else logging.WARNING
    structlog.configure(
        processors=[*shared, _redact_event, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _redact_event,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
