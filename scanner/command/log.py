"""Logs: one JSON object a line on stderr, or short lines on a terminal; nothing secret in either."""

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
    """Redact every text of an event; the last processor before the renderer, so that nothing goes around it."""
    return {key: _redacted(value) for key, value in event.items()}


def _printable_event(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Let no name command the terminal; JSON escapes such characters by itself."""
    return {key: plain_lines(value) if isinstance(value, str) else value for key, value in event.items()}


def configure(*, terminal: bool, verbose: bool = False) -> None:
    """Set up logging for the process: ours, and what the SDKs log, warnings and above.

    Wire logs of the SDKs (DEBUG) hold credentials and are never switched on.
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
