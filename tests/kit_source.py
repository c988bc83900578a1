"""A server on loopback whose answers a test lines up, and a client that asks it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.kit.http import Reply
from sandbox.kit.server import LoopbackServer
from scanner.collect.auth import NoAuth
from scanner.collect.collector import Run
from scanner.collect.failures import SourceError, classify_error
from scanner.collect.http_config import HttpConfig
from scanner.collect.rest import RestClient
from scanner.secrets.detectors import Fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOW = datetime(2026, 11, 22, 2, tzinfo=UTC)
CUT = Reply(status=200, body=b'[{"id": 1', headers={}, length=4096)
"""An answer that ends too early."""


class Source:
    """A server whose next answers a test lines up; the last one stays."""

    def __init__(self) -> None:
        self.answers: list[Reply | Callable[[str], Reply]] = []
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.bodies: list[bytes] = []
        """What was sent in each."""
        self.server = LoopbackServer(self._answer, "source")
        self.url = self.server.origin
        self.server.__enter__()

    def _answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        self.seen.append((method, target, headers))
        self.bodies.append(body)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer(target) if callable(answer) else answer

    def close(self) -> None:
        self.server.__exit__(None, None, None)


def client(
    source: Source, tmp_path: Path, stopping: threading.Event | None = None, **options: Any
) -> RestClient:
    settings: dict[str, Any] = {"retries": 0, "throttled_wait_seconds": 0.01, "longest_wait_seconds": 5}
    settings |= options.pop("config", {})
    run = Run(
        as_of=NOW, fingerprint=Fingerprint(b"k" * 32), cache=tmp_path, stopping=stopping or threading.Event()
    )
    return RestClient(
        options.pop("base", source.url),
        HttpConfig(**settings),
        run,
        auth=options.pop("auth", NoAuth()),
        **options,
    )


def failure(ask: Callable[[], object]) -> SourceError:
    with pytest.raises(SourceError) as caught:
        ask()
    assert classify_error(caught.value) is not None
    return caught.value
