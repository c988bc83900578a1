"""Another host: the target of foreign links and redirects, which counts the requests it gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.kit.http import Reply, reply
from sandbox.kit.server import LoopbackServer

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class Elsewhere:
    """A server with another name (``localhost``) and port. Thread-safe; use it as a context manager."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        """Method and target of every request."""
        self._server = LoopbackServer(self._answer, "elsewhere")
        self.origin = self._server.origin.replace("127.0.0.1", "localhost")

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.__exit__(kind, error, trace)

    def _answer(self, method: str, target: str, _headers: dict[str, str], _body: bytes) -> Reply:
        self.requests.append(f"{method} {target}")
        return reply(200, [])
